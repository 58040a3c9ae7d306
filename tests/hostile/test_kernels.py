"""No argument makes a compiled kernel leave its arrays; see ``kernel_fuzz.py``."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("kernel_fuzz.py")
FILES = sorted(FUZZ.with_name("kernels").glob("*.py"))
CASES = 150
"""Of each function in these files."""


def fuzz(file: Path, cases: int) -> str:
    """What is wrong with a file's functions, or nothing."""
    command = [sys.executable, str(FUZZ), str(file), "--count", str(cases)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if found.returncode == 0:
        return ""
    *_, last = found.stdout.splitlines() or [""]
    return (
        f"ended with {found.returncode} at or after case {last!r}; again: "
        f"python {FUZZ} {file} {last}\n{found.stderr[-6000:]}"
    )


@pytest.mark.skipif(
    "NUMBA_BOUNDSCHECK" not in os.environ, reason="no index is checked; make test-bounds does that"
)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_arguments_that_do_not_fit(file: Path) -> None:
    assert not fuzz(file, CASES)


SICK = """
import os
import numpy as np
from plastorch.spiking.kernels import _fade

def beyond(hostile):
    _fade(5, np.ones((2, 3)), 0.5)

def number(hostile):
    return [1.0, (np.array([np.nan]),)]

def other(hostile):
    [].pop()

def crash(hostile):
    os.abort()
"""


def test_what_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")  # a step out of an array becomes an error
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "sick.py"
    file.write_text(SICK)
    wrong = fuzz(file, 1)
    assert re.search(r"^ended with -6 at or after case 'crash 0'", wrong)
    assert re.search(r"\nbeyond 0: .*IndexError: index is out of bounds", wrong)
    assert re.search(r"\nnumber 0: .*AssertionError: not finite", wrong)
    assert re.search(r"\nother 0: .*IndexError: pop from empty list", wrong)
