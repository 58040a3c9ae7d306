"""Files that are written: what they may replace, and what a full disk says."""

import contextlib
import errno
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plastorch.engine.errors import InputError
from plastorch.engine.output import (
    WriteError,
    check_output,
    put_in_place,
    write_atomically,
    writing,
)


def obstacles(folder: Path) -> Iterator[tuple[Path, str]]:
    """Whatever is no regular file, and in what words."""
    (folder / "regular").write_text("untouched")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(folder):
        bound.bind("socket")
    yield from ((folder / kind, f"a {kind}") for kind in ("pipe", "folder", "socket"))
    for target in ("regular", "pipe", "nowhere", "to regular"):
        (folder / f"to {target}").symlink_to(target)
        yield folder / f"to {target}", "a link"
    with contextlib.suppress(PermissionError):  # only root may
        os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        yield folder / "null", "a device"


def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path) -> None:
    for path, kind in obstacles(tmp_path):
        before = sorted((entry.name, os.lstat(entry).st_mode) for entry in tmp_path.iterdir())
        with pytest.raises(InputError, match=rf"^out is .*: it is {kind}; expected a regular file"):
            check_output(path)
        with pytest.raises(InputError, match=rf"^can't write .*: it is {kind}; expected"):
            write_atomically(path, b"new")
        after = sorted((entry.name, os.lstat(entry).st_mode) for entry in tmp_path.iterdir())
        assert after == before
    assert (tmp_path / "regular").read_text() == "untouched"


def test_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    table, twin = tmp_path / "table", tmp_path / "twin"
    table.touch()
    check_output(table)
    check_output(tmp_path / "new", table)
    check_output(table, tmp_path, tmp_path / "missing")
    os.link(table, twin)
    (tmp_path / "link").symlink_to("table")
    for read in (table, twin, tmp_path / "link", tmp_path / "." / "table"):
        with pytest.raises(InputError, match="which is read as well; expected another file"):
            check_output(table, read)


def test_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, words in (
        (tmp_path / "no" / "a", "there is no folder '.*/no'$"),
        (tmp_path / "file" / "a", "Not a directory"),
        (tmp_path / ("a" * 300), "File name too long"),
        (Path("a\0"), "null"),
    ):
        with pytest.raises(InputError, match=words):
            check_output(path)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_goes_wrong_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text("older")

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(InputError, match=r"^can't write .*/page\.html: No space left on device$"):
        write_atomically(path, b"newer")
    (tmp_path / "partial").write_text("newer")
    with pytest.raises(InputError, match=r"^can't write .*/page\.html: No space left on device$"):
        put_in_place(tmp_path / "partial", path)
    assert path.read_text() == "older" and sorted(os.listdir(tmp_path)) == ["page.html", "partial"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(tiny_disk: Path) -> None:
    write_atomically(tiny_disk / "a", b"older")
    with pytest.raises(InputError, match=r"^can't write .*/a: No space left on device$"):
        write_atomically(tiny_disk / "a", bytes(1 << 20))
    assert (tiny_disk / "a").read_bytes() == b"older" and os.listdir(tiny_disk) == ["a"]


def test_errors_of_writing_name_the_file() -> None:
    message = "can't write page.html: No space left on device"
    with pytest.raises(WriteError, match=message), writing(Path("page.html")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
