"""`import plastorch` costs hardly more than `import torch`: what is heavy comes when needed."""

import subprocess
import sys

HEAVY = ("numba", "sklearn", "scipy", "matplotlib", "torchvision", "PIL", "rich", "tyro", "pandas",
         "polars", "ray", "gymnasium", "lightly", "foolbox", "nir", "onnx")  # fmt: skip


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import plastorch; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "plastorch" in loaded and not loaded & set(HEAVY)
