"""Imports run down and in no circle, not even inside functions or under ``TYPE_CHECKING``."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
ROOMS = ("hebbian", "stp", "rank", "efference", "spiking", "files", "rl")
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


def folder(module: str) -> str:
    """Returns the part of a module's name after that of the package; for the package, none."""
    return module.split(".")[1] if "." in module else ""


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circle(imports(SOURCE))


def test_imports_run_down() -> None:
    assert not forbidden(imports(SOURCE))


def test_every_folder_has_its_rule() -> None:
    folders = {file.parent.name for file in (SOURCE / "plastorch").glob("*/__init__.py")}
    assert folders - {"cli"} <= set(MAY_IMPORT)


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


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in {"__init__.py": "", **files}.items():
        file = folder / "plastorch" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
