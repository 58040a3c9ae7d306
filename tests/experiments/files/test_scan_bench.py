"""Rows of scans and of a watch, from a small tree."""

import shutil
import sys
from pathlib import Path

import pytest

from plastorch.experiments.files import scan_bench
from plastorch.experiments.files.scan_bench import TreeSize, absent, floor, follow, measure, plant
from plastorch.files.scan import scan


def test_rows_of_a_small_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "fdfind"
    listing.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'print()'\n")
    listing.chmod(0o755)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: which(name, path=str(tmp_path)))
    monkeypatch.setattr(scan_bench, "follow", lambda *sizes: {"name": "watch"})
    rows = list(measure(TreeSize(files=250, rounds=1)))
    assert [row["name"] for row in rows] == ["scan", "scan-magic", "scan-fd", "watch"]
    assert absent() == ["gdu"]
    for row in rows[:3]:
        assert row["ratio"] > 0 and row["files"] == 250 and 50 < row["scan_mb"] < 500


def test_the_floor_looks_at_each_file(tmp_path: Path) -> None:
    plant(tmp_path / "tree", 230)
    assert floor(tmp_path / "tree", False) == floor(tmp_path / "tree", True) == 230
    (frame,) = scan(tmp_path / "tree", magic=True)
    assert frame.height == 230 and frame["magic"].value_counts().height >= 2


def test_a_watch_that_loses_nothing() -> None:
    row = follow(300, 0.5)
    assert row["lost"] == 0 and row["changes"] == 300 and row["files"] < 300
    assert row["lag_s"] >= 0 and row["per_minute"] > 0
