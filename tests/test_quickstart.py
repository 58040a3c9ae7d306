"""The quickstart: every command on the page is run, in order, in a folder of its own.

``make demo`` is what sets up a newcomer's machine; CI's own set-up does that. Here the commands of
its recipe are run.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "quickstart.md").read_text()
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IN_SHELL = {"make demo": "plastorch run softhebb-digits\nplastorch report",
            ". .venv/bin/activate": ":"}  # fmt: skip
"""What takes the place of a line: the tests' own environment is on the path already."""


class Block(NamedTuple):
    code: str
    printed: str
    seconds: float


def run(kind: str, code: str, folder: Path, environment: dict[str, str]) -> Block:
    for line, instead in IN_SHELL.items():
        code = re.sub(f"^{re.escape(line)}$", instead, code, flags=re.MULTILINE)
    command = ["sh", "-e", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
    start = perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return Block(code, done.stdout, perf_counter() - start)


def test_the_recipe_of_the_demo_is_what_is_run() -> None:
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    commands = re.findall(r"\$\(BIN\)/(.*)", recipe[1])
    assert commands == IN_SHELL["make demo"].splitlines()
    assert "make demo" in [line for _, code in BLOCK.findall(PAGE) for line in code.splitlines()]


def test_each_block_does_what_the_page_says(
    tmp_path: Path, no_root: None, record_property: Callable[[str, object], None]
) -> None:
    """No data is at hand. Times are told, not judged: what else the machine does would decide."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = os.environ | {"PATH": path, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    blocks = [run(kind, code, tmp_path, own) for kind, code in BLOCK.findall(PAGE)]
    for number, block in enumerate(blocks, start=1):
        first = block.code.strip().splitlines()[0]
        record_property("told", f"quickstart {number}: {block.seconds:5.1f} s  {first[:60]}")
    demo, listing, writing, images, arrays, loading = (block.printed for block in blocks)
    assert "report:" in demo and "gallery:" in demo
    right = re.search(r"test accuracy ([\d.]+) %", demo)
    assert right is not None and float(right[1]) > 85 and demo.count("✓") == 3
    assert "softhebb-mnist" in listing and writing == ""
    assert "no claim is asserted" in images and "gallery:" in images
    right = re.search(r"test accuracy ([\d.]+) %", images)
    assert right is not None and float(right[1]) > 80
    right = re.search(r"(\d+)% of 100 new images right", arrays)
    assert right is not None and int(right[1]) > 60
    assert loading == "(1, 10)\n"
