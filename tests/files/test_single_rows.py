"""Rows of single files: those that a scan has, and none that it hasn't."""

import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from plastorch.engine.errors import InputError
from plastorch.files.metadata import schema
from plastorch.files.names import unescape
from plastorch.files.scan import scan
from plastorch.files.single_rows import records

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for path in ("b", "a/z.txt", "a/b/c.py", "a-/x", "a/caf\udce9"):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.write_text(path[:3])
        except (OSError, UnicodeError):  # a system that wants names to be UTF-8
            place.with_name("cafe").write_text(path[:3])
    os.mkfifo(root / "pipe")
    (root / "file link").symlink_to("b")
    (root / "folder link").symlink_to("a")
    return root


@pytest.mark.parametrize("magic", [False, True])
def test_records_are_the_rows_of_a_scan(tree: Path, magic: bool) -> None:
    (frame,) = scan(tree, magic=magic, now=NOW)
    paths = [unescape(path) for path in frame["path"]]
    assert_frame_equal(records(tree, paths[::-1], magic=magic, now=NOW), frame)
    absolute = [tree / path for path in paths]
    assert_frame_equal(records(str(tree), absolute, magic=magic, now=NOW), frame)
    for number, path in enumerate(paths):
        row = records(tree, [path], magic=magic, now=NOW)
        assert_frame_equal(row, frame[number : number + 1])


def test_each_file_has_one_row(tree: Path) -> None:
    again = records(tree, ["b", "./b", tree / "b", "a/../b", "a/z.txt"])
    assert again["path"].to_list() == ["b", "a/z.txt"]


def test_what_a_scan_does_not_list_has_no_row(tree: Path) -> None:
    odd = ["missing", "a/missing", "missing/too", "b/below", "a", "", "pipe", "file link"]
    for path in [*odd, "folder link/z.txt"]:
        assert records(tree, [path], magic=True).is_empty()
    for magic in (False, True):
        assert_frame_equal(records(tree, [], magic=magic), pl.DataFrame(schema=schema(magic)))
    assert records(tree, [*odd, "b"])["path"].to_list() == ["b"]


def test_a_root_that_is_a_link_or_relative(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree.parent / "link").symlink_to(tree)
    expected = records(tree, ["a/b/c.py"], now=NOW)
    assert_frame_equal(records(tree.parent / "link", ["a/b/c.py"], now=NOW), expected)
    monkeypatch.chdir(tree)
    assert_frame_equal(records(".", ["a/b/c.py"], now=NOW), expected)
    monkeypatch.chdir(tree / "a")
    assert_frame_equal(records("..", ["a/b/c.py"], now=NOW), expected)
    assert records("/", [tree / "b"])["name"].to_list() == ["b"]


def test_bad_input(tree: Path) -> None:
    for path in ("../x", "..", tree.parent, "/etc/passwd"):
        with pytest.raises(InputError, match="expected one inside"):
            records(tree, [path])
    with pytest.raises(InputError, match="root is"):
        records(tree / "missing", ["b"])
    with pytest.raises(InputError, match="time zone"):
        records(tree, ["b"], now=datetime(2026, 1, 1))
