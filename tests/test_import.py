"""Installing brings few packages beside torch, and importing loads nothing heavy."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from plastorch.cli import main; main(['--help']); "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "plastorch" in loaded and not loaded & {"torch", "numpy", *HEAVY}


def test_the_command_line_sets_how_idle_threads_wait_before_torch_is_loaded() -> None:
    code = "import sys, plastorch.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_core_needs_few_packages_beside_torch_and_torchvision() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    theirs = {"torch", "torchvision", "numpy", "pillow"}
    assert theirs < names and len(names - theirs) <= 5
