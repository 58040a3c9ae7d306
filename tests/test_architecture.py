"""Rules of the house: imports run down and in no circle, functions and calls are short."""

import ast
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
NO_ROOMS = {"learning", "data", "engine", "report", "bench", "experiments", "cli"}
FOLDERS = {file.parent.name for file in (SOURCE / "plastorch").glob("*/__init__.py")}
ROOMS = sorted(FOLDERS - NO_ROOMS)
SYSTEMS = {file.parent.name for file in (SOURCE / "plastorch/experiments").glob("*/__init__.py")}
BELOW = {"learning", "engine", "data"}
MAY_IMPORT = {
    **dict.fromkeys(ROOMS, BELOW),
    "files": {*BELOW, "spiking"},
    "learning": {"engine"},
    "data": {"engine"},
    "engine": set(),
    "report": {"engine"},
    "bench": {"engine"},
    "experiments": {*BELOW, *ROOMS, "report", "bench"},
}
"""Folders of the package whose modules those of a folder may import, besides its own."""

Imports = dict[str, set[str]]


def modules(source: Path) -> dict[str, Path]:
    """Returns the file of each module, by the module's name."""
    files = {file.relative_to(source).with_suffix(""): file for file in source.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): file for name, file in files.items()}


def named(tree: ast.Module, package: str) -> Iterator[str]:
    """Yields what a file imports anywhere: ``a.b``, or ``a.b.c`` for ``from a.b import c``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{start}.{alias.name}" for alias in node.names)


def imports(source: Path) -> Imports:
    """Returns the modules below a folder that each of them imports."""
    files = modules(source)
    found: Imports = {}
    for module, file in files.items():
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        names = named(ast.parse(file.read_text()), package)
        known = (name if name in files else name.rpartition(".")[0] for name in names)
        found[module] = {name for name in known if name in files}
    return found


def circle(graph: Imports) -> list[str]:
    """Returns modules of which each imports the next, the last being the first; or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def forbidden(graph: Imports) -> list[str]:
    """Returns the imports that run between folders against the rules."""
    return [
        f"{module} imports {other}"
        for module, others in sorted(graph.items())
        for other in sorted(others)
        if (here := folder(module)) in MAY_IMPORT and folder(other) not in {here, *MAY_IMPORT[here]}
    ]


def mixed_systems(graph: Imports) -> list[str]:
    """Returns the imports by which experiments use those of a system that isn't their own."""
    return [
        f"{module} imports {other}"
        for module, others in sorted(graph.items())
        for other in sorted(others)
        if folder(module) == "experiments" and system(other) not in (None, system(module))
    ]


def system(module: str) -> str | None:
    """Returns the folder of experiments that a module is in; none for shared modules."""
    parts = module.split(".")
    inside = parts[1:2] == ["experiments"] and len(parts) > 2
    return parts[2] if inside and parts[2] in SYSTEMS else None


def folder(module: str) -> str:
    """Returns the part of a module's name after that of the package; for the package, none."""
    return module.split(".")[1] if "." in module else ""


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circle(imports(SOURCE))


def test_imports_run_down() -> None:
    assert not forbidden(imports(SOURCE))


@pytest.mark.parametrize(
    "line",
    [
        "from plastorch.rl.a import x",
        "from plastorch.rl import a",
        "import plastorch.rl.a",
        "from . import a",
        "from .a import x",
        "def late():\n    from plastorch.rl.a import x",
        "if TYPE_CHECKING:\n    from plastorch.rl.a import x",
    ],
)
def test_circles_are_found(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"rl/__init__.py": "", "rl/a.py": "import plastorch.rl.b", "rl/b.py": line})
    names = circle(imports(tmp_path))
    assert names[0] == names[-1] and set(names) == {"plastorch.rl.a", "plastorch.rl.b"}


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("rl/a.py", "from plastorch.stp import STPN", "plastorch.rl.a imports plastorch.stp"),
        ("rl/a.py", "from plastorch import stp", "plastorch.rl.a imports plastorch.stp"),
        ("rl/a.py", "from plastorch import STPN", "plastorch.rl.a imports plastorch"),
        ("data/a.py", "import plastorch.stp", "plastorch.data.a imports plastorch.stp"),
        ("bench/a.py", "import plastorch.cli", "plastorch.bench.a imports plastorch.cli"),
        ("cli/a.py", "import plastorch.stp", None),
        ("files/a.py", "import plastorch.spiking", None),
    ],
)  # fmt: skip
def test_forbidden_arrows_are_found(tmp_path: Path, file: str, line: str, said: str | None) -> None:
    folders = dict.fromkeys(["", "stp/", "spiking/", "cli/"], "")
    write(tmp_path, {**{f"{name}__init__.py": "" for name in folders}, file: line})
    assert forbidden(imports(tmp_path)) == ([said] if said else [])


def test_experiments_of_a_system_use_none_of_another() -> None:
    assert not mixed_systems(imports(SOURCE))


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("rank/a.py", "from plastorch.experiments.stpn.b import x", True),
        ("rank/a.py", "from plastorch.experiments.rank.b import x", False),
        ("rank/a.py", "from plastorch.experiments.models import x", False),
        ("models.py", "from plastorch.experiments.stpn.b import x", True),
        ("../rl/a.py", "from plastorch.experiments.stpn.b import x", False),
    ],
)
def test_mixed_systems_are_found(tmp_path: Path, file: str, line: str, found: bool) -> None:
    files = dict.fromkeys(("models.py", "rank/b.py", "stpn/b.py"), "") | {file: line}
    write(tmp_path, {f"experiments/{name}": text for name, text in files.items()})
    assert bool(mixed_systems(imports(tmp_path))) == found


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in {"__init__.py": "", **files}.items():
        file = folder / "plastorch" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


PACKAGE = SOURCE / "plastorch"
MOST_POSITIONAL, MOST_LINES, MOST_LINES_OF_KERNELS = 5, 50, 60
WHOLE_KERNELS = {
    "stp/chunk_gradient_kernels.py: _backward_chunk",
    "stp/chunk_gradient_kernels.py: backward",
    "stp/gradient_kernels.py: _step_backward",
}
"""Longer kernels, whose loops share so many arrays that parts would have as many arguments."""
NO_STREAMS = {
    "experiments/files/spiking.py",  # its function of this name makes a stream of records
    "experiments/fstdp/weather.py",  # years come first in the paths of committed runs
}
"""Files whose streams need no name of their use."""
OF_TORCH = {"torch", "nn", "F", "functional"}
"""Names under which torch's functions are called."""
OF_TENSORS = {"permute", "view", "reshape", "expand"}
"""Methods that take sizes one by one."""


def trees(package: Path = PACKAGE) -> dict[str, ast.Module]:
    """Returns the syntax tree of each file, by its path in the package."""
    return {
        str(file.relative_to(package)): ast.parse(file.read_text())
        for file in sorted(package.rglob("*.py"))
    }


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def called(call: ast.Call) -> tuple[str, str]:
    """Returns the first and last part of a called name: ``a`` and ``c`` of ``a.b.c(...)``."""
    parts = ast.unparse(call.func).split(".")
    return parts[0], parts[-1]


def long_calls(found: dict[str, ast.Module]) -> Iterator[str]:
    """Yields calls with more than five positional arguments, but for kernels and torch."""
    kernels = {f.name for file, tree in found.items() if "kernel" in file for f in functions(tree)}
    for file, tree in found.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            first, last = called(call)
            count = sum(not isinstance(argument, ast.Starred) for argument in call.args)
            free = last in kernels | OF_TENSORS or first in OF_TORCH
            if count > MOST_POSITIONAL and not free:
                yield f"{file}: {last}"


def long_functions(found: dict[str, ast.Module]) -> Iterator[str]:
    """Yields functions of more lines beside their docstring than 50, or 60 in kernels."""
    for file, tree in found.items():
        for function in functions(tree):
            text = ast.get_docstring(function, clean=False)
            lines = function.end_lineno - function.lineno + 1
            lines -= text.count("\n") + 1 if text else 0
            name = f"{file}: {function.name}"
            most = MOST_LINES_OF_KERNELS if "kernel" in file else MOST_LINES
            if lines > most and name not in WHOLE_KERNELS:
                yield name


def nameless_streams(found: dict[str, ast.Module]) -> Iterator[str]:
    """Yields streams of random numbers that a number names: ``stream(seed, 3)``, or ``year``."""
    for file, tree in found.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            drawn = called(call)[1] in ("stream", "generator") and file not in NO_STREAMS
            whole = len(call.args) > 1 and not isinstance(call.args[0], ast.Starred)
            if drawn and whole and isinstance(call.args[1], ast.Constant | ast.Name):
                yield f"{file}: {ast.unparse(call)}"


def undocumented(found: dict[str, ast.Module]) -> Iterator[str]:
    """Yields public classes, functions and methods without docstring, but for overriding ones."""
    classes = {
        node.name: node
        for tree in found.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    for file, tree in found.items():
        for node in tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield f"{file}: {node.name}"
            if not isinstance(node, ast.ClassDef):
                continue
            for method in (part for part in node.body if isinstance(part, ast.FunctionDef)):
                hidden = method.name.startswith("_") or method.decorator_list
                told = ast.get_docstring(method) or inherited(method, node, classes)
                if not hidden and not told:
                    yield f"{file}: {node.name}.{method.name}"


def inherited(method: ast.FunctionDef, of: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a class outside the package, or one with the method, is among the base classes."""
    for base in of.bases:
        known = classes.get(ast.unparse(base).split("[")[0].split(".")[-1])
        if known is None:
            return True
        named = (part.name for part in known.body if isinstance(part, ast.FunctionDef))
        if method.name in named or inherited(method, known, classes):
            return True
    return False


def returned_arrays(found: dict[str, ast.Module]) -> Iterator[str]:
    """Yields kernels that count no references, but return an array that they were given."""
    for file, tree in found.items():
        for function in functions(tree):
            if not any("uncounted" in ast.unparse(d).lower() for d in function.decorator_list):
                continue
            inside = list(ast.walk(function))
            indexed = {
                ast.unparse(node.value) for node in inside if isinstance(node, ast.Subscript)
            }
            returned = [
                node.value for node in inside if isinstance(node, ast.Return) and node.value
            ]
            values = (
                value
                for whole in returned
                for value in (whole.elts if isinstance(whole, ast.Tuple) else [whole])
            )
            if any(ast.unparse(value) in indexed for value in values):
                yield f"{file}: {function.name}"


RULES = (long_calls, long_functions, nameless_streams, undocumented, returned_arrays)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rules_of_the_house(rule: Callable[[dict[str, ast.Module]], Iterator[str]]) -> None:
    assert not list(rule(trees()))


@pytest.mark.parametrize(
    ("rule", "line", "said"),
    [
        (long_calls, "f(1, 2, 3, 4, 5, 6)", "f"),
        (long_calls, "torch.f(1, 2, 3, 4, 5, 6); f(1, 2, 3, 4, 5, *rest, six=6)", None),
        (long_functions, "def f():\n" + "    f()\n" * 50, "f"),
        (long_functions, "def f():\n" + "    f()\n" * 49, None),
        (long_functions, f'def f():\n    """{chr(10) * 70}"""', None),
        (nameless_streams, "stream(seed, 3, epoch)", "stream(seed, 3, epoch)"),
        (nameless_streams, "stream(seed, year)", "stream(seed, year)"),
        (nameless_streams, "stream(seed, Stream.WEIGHTS, 3); stream(0); stream(*path, 1)", None),
        (undocumented, "def f(): ...", "f"),
        (undocumented, "class A:\n    'Doc.'\n    def f(self): ...", "A.f"),
        (undocumented, "class A(B):\n    'Doc.'\n    def f(self): ...", None),
        (undocumented, "def _f(): ...", None),
        (returned_arrays, "@_uncounted\ndef f(x):\n    x[0] = 1\n    return 1, x", "f"),
        (returned_arrays, "@kernel(**UNCOUNTED)\ndef f(x):\n    x[0] = 1\n    return x[0]", None),
        (returned_arrays, "@kernel\ndef f(x):\n    x[0] = 1\n    return x", None),
    ],
)
def test_breaches_are_found(
    rule: Callable[[dict[str, ast.Module]], Iterator[str]], line: str, said: str | None
) -> None:
    assert list(rule({"a.py": ast.parse(line)})) == ([f"a.py: {said}"] if said else [])
