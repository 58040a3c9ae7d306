"""No argument makes a compiled kernel leave its arrays; see ``kernel_fuzz.py``."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("kernel_fuzz.py")
FILES = sorted(FUZZ.with_name("kernels").glob("*.py"))
CASES = 150
"""Of each function in these files."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_arguments_that_do_not_fit(file: Path) -> None:
    command = [sys.executable, str(FUZZ), str(file), "--count", str(CASES)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600)
    *_, last = found.stdout.splitlines() or [""]
    assert found.returncode == 0, (
        f"{file.name} ended with {found.returncode} at or after case {last!r}; again: "
        f"python {FUZZ} {file} {last}\n{found.stderr[-6000:]}"
    )
