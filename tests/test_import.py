"""Installing brings few packages beside torch, and importing loads nothing heavy."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import plastorch
from plastorch.cli import main

HEAVY = ("numba", "sklearn", "scipy", "matplotlib", "torchvision", "PIL", "rich", "tyro", "pandas",
         "polars", "ray", "gymnasium", "lightly", "foolbox", "nir", "onnx")  # fmt: skip


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); from plastorch import STPN, SoftHebbNet; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "plastorch" in loaded and not loaded & set(HEAVY)


@pytest.mark.parametrize("argument", ["--help", "--version", "list"])
def test_what_only_prints_loads_nothing_heavy(argument: str) -> None:
    code = (
        f"import sys; from plastorch.cli import main; main([{argument!r}]); "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "plastorch" in loaded and not loaded & {"torch", "numpy", *HEAVY}


def test_the_package_itself_loads_nothing() -> None:
    code = (
        "import sys, importlib; before = set(sys.modules); import plastorch; "
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "plastorch\n"


@pytest.mark.parametrize("name", plastorch.__all__)
def test_the_package_gives_every_headline_name(name: str) -> None:
    found = getattr(plastorch, name)
    assert found.__name__ == name and found is getattr(import_module(found.__module__), name)


def test_the_package_gives_rooms_and_version_and_says_so() -> None:
    rooms = set(dir(plastorch)) - {*plastorch.__all__, "__version__"}
    assert rooms >= {"data", "efference", "files", "hebbian", "rank", "rl", "spiking", "stp"}
    assert all(getattr(plastorch, room).__name__ == f"plastorch.{room}" for room in rooms)
    assert plastorch.__version__ == version("plastorch")
    with pytest.raises(AttributeError, match="module 'plastorch' has no attribute 'sofhebb'"):
        _ = plastorch.sofhebb  # type: ignore[attr-defined]


def test_the_command_line_says_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"plastorch {version('plastorch')}\n"


@pytest.mark.parametrize("name", ["", ".data", ".files", ".hebbian"])
def test_type_checkers_are_told_what_is_imported_on_access(name: str) -> None:
    module = import_module(f"plastorch{name}")
    told: dict[str, str] = {}
    for node in ast.parse(Path(module.__file__ or "").read_text()).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and line.module != "plastorch":
                    told |= dict.fromkeys((alias.name for alias in line.names), line.module or "")
    assert told == {lazy: f"{module.__name__}.{where}" for lazy, where in module._LAZY.items()}
    assert set(told) <= set(module.__all__)


def test_the_command_line_sets_how_idle_threads_wait_before_torch_is_loaded() -> None:
    code = "import sys, plastorch.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_core_needs_few_packages_beside_torch_and_torchvision() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    theirs = {"torch", "torchvision", "numpy", "pillow", "jinja2"}
    assert theirs < names and len(names - theirs) <= 5
