"""A newcomer's first hour, to the letter: README, then the quickstart; every command, in order.

The tests' own environment stands in for the one that ``make demo`` sets up. With ``--from-nothing``
it is set up as a newcomer does, by that command in a fresh clone.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TESTS = {"make test": ":"}
"""What takes the place of a line at all times: this is one of those tests."""
OWN = {"make demo": "plastorch run softhebb-digits\nplastorch report", ". .venv/bin/activate": ":"}
"""What takes the place of a line in the tests' own environment."""
MARK = re.compile(r"^@@([\d.]+)\n", re.MULTILINE)


def script(kind: str, code: str, instead: dict[str, str]) -> str:
    """What a shell is told: commands as they are, Python from a file."""
    for line, other in instead.items():
        code = re.sub(rf"^{re.escape(line)}(?= *#| *$)", other, code, flags=re.MULTILINE)
    if kind == "python":
        run = "python -m doctest block.txt" if ">>>" in code else "python block.txt"
        code = f"cat > block.txt <<'END'\n{code}END\n{run}\n"
    return f"date +@@%s.%N\n{code}"


def environment(folder: Path) -> dict[str, str]:
    """A user's, with a home of two documents, and packages from where they are kept already."""
    documents = folder / "home" / "Documents"
    documents.mkdir(parents=True)
    for name in ("letter.txt", "list.csv"):
        (documents / name).write_text("one,two\n")
    own = os.environ | {"HOME": str(documents.parent), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    return {"PIP_CACHE_DIR": str(Path("~/.cache/pip").expanduser())} | own


def cloned(folder: Path, own: dict[str, str]) -> None:
    """A clone, and the releases that its tests run with, so that a new one elsewhere changes
    nothing here; the tests' environment is off the path."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    releases = re.findall(r"^\S+==\S+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    (folder.parent / "releases.txt").write_text("\n".join(releases))
    tests = str(Path(sys.executable).parent)
    own["PIP_CONSTRAINT"] = str(folder.parent / "releases.txt")
    own["PATH"] = os.pathsep.join(at for at in own["PATH"].split(os.pathsep) if at != tests)
    own.pop("VIRTUAL_ENV", None)


def test_the_recipe_of_the_demo_is_what_is_run() -> None:
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert re.findall(r"\$\(BIN\)/(.*)", recipe[1]) == OWN["make demo"].splitlines()


def test_each_block_prints_what_its_page_says(
    tmp_path: Path,
    no_root: None,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    """No data is at hand. Times are told, not judged: what else the machine does would decide."""
    folder, own, instead = tmp_path / "plastorch", environment(tmp_path), TESTS
    if pytestconfig.getoption("--from-nothing"):
        cloned(folder, own)
    else:
        folder.mkdir()
        own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
        instead = TESTS | OWN
    pages = [(ROOT / name).read_text() for name in ("README.md", "docs/quickstart.md")]
    blocks = [block for page in pages for block in BLOCK.findall(page)]
    told = "".join(script(kind, code, instead) for kind, code in blocks) + "date +@@%s.%N\n"
    done = subprocess.run(
        ["sh", "-e"], input=told, cwd=folder, env=own, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    _, *marked = MARK.split(done.stdout)
    times, printed = [float(at) for at in marked[::2]], marked[1::2]
    for (_, code), (start, end) in zip(blocks, pairwise(times), strict=True):
        record_property("told", f"newcomer: {end - start:5.1f} s  {code.splitlines()[0][:60]}")

    setup, layer, stpn, series, commands, again, listing, writing, images, arrays, loading, _ = (
        printed
    )
    assert layer == stpn == series == writing == ""  # doctests speak up where they differ
    for demo in (setup, again):
        assert "report: " in demo and "gallery: " in demo and demo.count("✓") == 3
        assert right(demo) > 85
    assert "softhebb-mnist" in commands and "files.parquet: 2 files" in commands
    assert "no claim is asserted" in commands and "gallery: " in commands and right(commands) > 80
    assert "softhebb-mnist" in listing
    assert "no claim is asserted" in images and "gallery: " in images and right(images) > 80
    found = re.search(r"(\d+)% of 100 new images right", arrays)
    assert found is not None and int(found[1]) > 60
    assert loading == "(1, 10)\n"


def right(printed: str) -> float:
    """The test accuracy that a run tells, in percent."""
    found = re.search(r"test accuracy ([\d.]+) %", printed)
    assert found is not None, printed
    return float(found[1])
