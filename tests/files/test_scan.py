"""A scan against os.walk and os.stat, on hostile trees, when interrupted, and on bad input."""

import contextlib
import errno
import grp
import math
import os
import pwd
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from plastorch.engine.errors import InputError
from plastorch.files import walk as walk_module
from plastorch.files.magic import kind
from plastorch.files.metadata import IDENTITY, KEYS, SCHEMA, deeper, schema
from plastorch.files.names import escape, unescape
from plastorch.files.scan import scan, write_catalog
from plastorch.files.walk import Summary

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def case(text: str) -> str | None:
    cases = {
        "upper" if letter.isupper() else "lower"
        for letter in text
        if letter.isupper() or letter.islower()
    }
    return "mixed" if len(cases) == 2 else next(iter(cases), None)


def naive(root: Path, now: datetime = NOW) -> list[dict[str, Any]]:
    """Rows made one by one, in any order."""
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            place = os.path.join(folder, name)
            status = os.lstat(place)
            if not stat.S_ISREG(status.st_mode):
                continue
            dirs = [escape(part) for part in Path(folder).relative_to(root).parts]
            text = escape(name)
            ending = os.path.splitext(text)[1][1:].lower()
            mtime = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
            found.append(
                {
                    "path": "/".join([*dirs, text]),
                    "name": text,
                    "extension": ending or None,
                    "parent": dirs[-1] if dirs else None,
                    **{f"dir{i + 1}": dirs[i] if i < len(dirs) else None for i in range(4)},
                    "depth": len(dirs),
                    "name_length": len(text),
                    "name_digits": sum(c in "0123456789" for c in text),
                    "name_dots": text.count("."),
                    "name_case": case(text),
                    "hidden": text.startswith("."),
                    "size": status.st_size,
                    "size_log2": math.log2(status.st_size + 1),
                    "mtime": mtime,
                    "ctime": EPOCH + timedelta(microseconds=status.st_ctime_ns // 1000),
                    "hour": mtime.hour,
                    "weekday": mtime.isoweekday(),
                    "age_days": (now - mtime) / timedelta(days=1),
                    "uid": status.st_uid,
                    "gid": status.st_gid,
                    "owner": pwd.getpwuid(status.st_uid).pw_name,
                    "group": grp.getgrgid(status.st_gid).gr_name,
                    "mode": f"{stat.S_IMODE(status.st_mode):04o}",
                    "executable": bool(status.st_mode & 0o111),
                    "links": status.st_nlink,
                    "inode": status.st_ino,
                    "device": status.st_dev,
                    "magic": kind(Path(place).read_bytes()[:512]),
                }
            )
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files, five folders deep, with all sorts of names, times and modes."""
    root = tmp_path / "tree"
    names = ("a.txt", "README", "B.Tar.GZ", ".hidden", ".conf.d", "end.", "...", "2024_01.csv")
    for depth in range(6):
        folder = root.joinpath(*[f"d{i}" for i in range(depth)])
        folder.mkdir(parents=True, exist_ok=True)
        for i, name in enumerate(names[depth % 3 :]):
            file = folder / name
            file.write_bytes(b"x" * (i * 37 % 50))
            file.chmod((0o644, 0o755, 0o4710, 0o600)[i % 4])
            moment = (1_600_000_000 + 12_345_678 * i + depth) * 10**9 + 987_654_321
            os.utime(file, ns=(moment, moment))
    (root / "empty" / "inside").mkdir(parents=True)
    (root / "d0-").mkdir()
    (root / "d0-" / "née 1\n2").write_text("{}")
    os.link(root / "README", root / "other name")
    os.utime(root / "a.txt", ns=(-1, -1))
    return root


def whole(root: Path, **arguments: Any) -> tuple[pl.DataFrame, Summary]:
    found = scan(root, now=NOW, **arguments)
    return pl.concat(found), found.summary


def test_scan_is_what_a_naive_one_finds(tree: Path) -> None:
    frame, summary = whole(tree, magic=True)
    assert frame.schema == pl.Schema(SCHEMA) == schema(magic=True)
    expected = pl.DataFrame(naive(tree), schema=SCHEMA)
    assert_frame_equal(frame.sort("path"), expected.sort("path"), rel_tol=1e-6)
    assert (summary.files, summary.folders) == (frame.height, 9)
    assert summary.bytes == frame["size"].sum() and summary.seconds > 0
    assert frame["mtime"].min() == EPOCH - timedelta(microseconds=1)


def test_rows_are_in_order_and_without_magic_if_it_is_not_asked_for(tree: Path) -> None:
    frame, _ = whole(tree)
    assert frame.schema == schema(magic=False) and "magic" not in frame.columns
    parts = [path.split("/") for path in frame["path"]]
    assert parts == sorted(parts, key=lambda p: [*((1, name) for name in p[:-1]), (0, p[-1])])
    assert_frame_equal(frame, whole(tree)[0])
    assert set(KEYS) <= set(SCHEMA) >= set(IDENTITY) and not set(KEYS) & set(IDENTITY)


@pytest.mark.parametrize("chunk", [1, 3, 10, 1000])
def test_frames_have_a_bounded_number_of_rows(tree: Path, chunk: int) -> None:
    heights = [frame.height for frame in scan(tree, chunk=chunk)]
    assert all(chunk <= height < 2 * chunk for height in heights[:-1]) and heights[-1] < 2 * chunk
    assert_frame_equal(whole(tree, chunk=chunk)[0], whole(tree)[0])


NAME = st.one_of(
    st.binary(min_size=1, max_size=30),
    st.text("ab.\n\\xf%é", min_size=1, max_size=8).map(str.encode),
).filter(lambda name: not {0, ord("/")} & set(name) and name not in (b".", b".."))


@settings(max_examples=60)
@given(st.lists(st.tuples(NAME, NAME), min_size=1, max_size=5))
def test_hostile_names_are_kept(pairs: list[tuple[bytes, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        made = set()
        for folder, name in pairs:
            place = os.path.join(os.fsencode(root), folder, name)
            with contextlib.suppress(OSError):  # some systems want names to be UTF-8
                os.makedirs(os.path.dirname(place), exist_ok=True)
                Path(os.fsdecode(place)).write_bytes(b"x")
                made.add(os.path.join(folder, name))
        if not made:
            return
        frame, summary = whole(Path(root), magic=True)
        assert {os.fsencode(unescape(path)) for path in frame["path"]} == made
        rows = pl.DataFrame(naive(Path(root)), schema=SCHEMA)
        columns = ["path", "parent", "dir1", "extension", "name_length", "magic"]
        assert_frame_equal(frame[columns].sort("path"), rows[columns].sort("path"))
        assert summary.escaped_names == sum(
            escape(os.fsdecode(n)) != os.fsdecode(n)
            for n in (os.path.basename(path) for path in made)
        )


def test_links_pipes_and_sockets_are_counted_and_never_opened(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(tree)[0].height
    (tree / "loop").symlink_to(tree)
    (tree / "d0" / "up").symlink_to("..")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "linked file").symlink_to("README")
    os.mkfifo(tree / "pipe")
    with contextlib.chdir(tree), socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        opened = spy_on_open(monkeypatch)
        frame, summary = whole(tree, magic=True)
    assert frame.height == before
    assert (summary.symbolic_links, summary.special_files) == (4, 2)
    assert not opened & {"loop", "d0/up", "linked file", "pipe", "socket"} and "README" in opened
    assert "left out: symbolic links 4, special files 2" in str(summary)


def spy_on_open(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    opened: set[str] = set()
    real = os.open

    def spy(path: str, *arguments: Any, **options: Any) -> int:
        opened.add(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", spy)
    return opened


def failing(
    real: Callable[..., Any], error: type[OSError], code: int, *names: str
) -> Callable[..., Any]:
    """A system call that fails on some names."""

    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        if path in names:
            raise error(code, os.strerror(code), path)
        return real(path, *arguments, **options)

    return call


@pytest.mark.parametrize(
    ("error", "code", "left_out"),
    [
        (PermissionError, errno.EACCES, "unreadable"),
        (FileNotFoundError, errno.ENOENT, "vanished"),
        (NotADirectoryError, errno.ENOTDIR, "vanished"),
        (OSError, errno.ELOOP, "vanished"),
        (OSError, errno.EIO, "unreadable"),
        (OSError, errno.ENAMETOOLONG, "unreadable"),
    ],
)
def test_unreadable_and_vanished(
    tree: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError], code: int, left_out: str
) -> None:
    before, _ = whole(tree)
    monkeypatch.setattr(os, "open", failing(os.open, error, code, "d0/d1/d2", "empty"))
    monkeypatch.setattr(os, "stat", failing(os.stat, error, code, "2024_01.csv"))
    frame, summary = whole(tree)
    lost = pl.col("path").str.starts_with("d0/d1/d2/") | (pl.col("name") == "2024_01.csv")
    assert_frame_equal(frame, before.filter(~lost))
    assert getattr(summary, f"{left_out}_folders") == 2
    assert getattr(summary, f"{left_out}_files") == 3
    assert f"left out: {left_out} folders 2, {left_out} files 3" in str(summary)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folders_without_permission(tree: Path) -> None:
    (tree / "d0" / "d1").chmod(0)
    summary = whole(tree)[1]
    (tree / "d0" / "d1").chmod(0o755)
    assert summary.unreadable_folders == 1


def test_a_folder_that_vanishes_in_the_middle(tree: Path) -> None:
    found = scan(tree, chunk=1)
    first = next(found)
    for place in sorted((tree / "d0").rglob("*"), reverse=True):
        place.rmdir() if place.is_dir() else place.unlink()
    (tree / "d0").rmdir()
    (tree / "d0").symlink_to(tree)
    frame = pl.concat([first, *found])
    assert frame["path"].to_list()[-1] == "d0-/née 1\n2" and frame["depth"].max() == 1
    assert found.summary.vanished_folders == 1


def test_a_file_that_becomes_something_else_has_vanished(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat
    pipe = tree.parent / "pipe"
    os.mkfifo(pipe)

    def swapped(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        return real(pipe) if path == "README" else real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", swapped)
    frame, summary = whole(tree, magic=True)
    assert "README" not in frame["name"].to_list() and summary.vanished_files == 4


def test_a_folder_that_fails_while_it_is_read_keeps_what_was_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir
    calls = []

    @contextlib.contextmanager
    def broken(folder: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        calls.append(folder)
        with real(folder) as entries:
            yield some(entries, 3 if len(calls) == 1 else 1000)

    def some(entries: Iterator[os.DirEntry[str]], most: int) -> Iterator[os.DirEntry[str]]:
        for number, entry in enumerate(sorted(entries, key=lambda entry: entry.name)):
            if number == most:
                raise OSError(errno.EIO, "broken disk")
            yield entry

    monkeypatch.setattr(walk_module.os, "scandir", broken)
    frame, summary = whole(tree)
    assert frame["path"].to_list() == ["...", ".conf.d", ".hidden"]
    assert summary.unreadable_folders == 1


def test_first_bytes_that_can_not_be_read_are_missing(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", failing(os.open, PermissionError, errno.EACCES, "README"))
    frame, summary = whole(tree, magic=True)
    missing = frame.filter(pl.col("magic").is_null())["name"].unique().to_list()
    assert missing == ["README"]
    assert summary.files_without_type == frame["magic"].null_count() == 2  # the others are empty
    assert "noted: files without type 2" in str(summary)


def test_times_beyond_all_bounds_are_missing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    class Late:
        def __init__(self, status: os.stat_result) -> None:
            self.status = status

        def __getattr__(self, name: str) -> Any:
            return 2**70 if name == "st_mtime_ns" else getattr(self.status, name)

    monkeypatch.setattr(os, "stat", lambda *args, **options: Late(real(*args, **options)))
    frame, _ = whole(tree)
    for name in ("mtime", "hour", "weekday", "age_days"):
        assert frame[name].null_count() == frame.height
    assert frame["ctime"].null_count() == 0


def test_owners_without_a_name(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(grp, "getgrgid", unknown)
    frame, _ = whole(tree)
    assert frame["owner"].null_count() == frame["group"].null_count() == frame.height
    assert frame["uid"].unique().to_list() == [(tree / "README").stat().st_uid]


def test_catalog_holds_what_the_scan_finds(tree: Path, tmp_path: Path) -> None:
    for chunk in (1, 7, 1000):
        out = tmp_path / f"catalog-{chunk}.parquet"
        summary = write_catalog(tree, out, magic=True, now=NOW, chunk=chunk)
        frame, found = whole(tree, magic=True)
        assert_frame_equal(pl.read_parquet(out), frame)
        found.seconds = summary.seconds
        assert summary == found
    again = tmp_path / "again.parquet"
    write_catalog(tree, again, magic=True, now=NOW, chunk=1000)
    assert again.read_bytes() == out.read_bytes()


def test_a_catalog_inside_the_tree_does_not_list_itself(tree: Path) -> None:
    before, _ = whole(tree)
    (tree / "empty" / "inside" / "catalog.parquet").touch()
    for out in (tree / "catalog.parquet", tree / "d0" / "catalog.parquet"):
        for _ in range(2):
            write_catalog(tree, out, now=NOW, chunk=5)
        names = ["empty/inside/catalog.parquet", *before["path"]]
        assert sorted(pl.read_parquet(out)["path"]) == sorted(names)
        out.unlink()


def test_glob_and_hive_characters_in_the_place_of_a_catalog(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "[a]*{b}" / "year=2024"
    folder.mkdir(parents=True)
    write_catalog(tree, folder / "c?.parquet", now=NOW)
    assert_frame_equal(pl.read_parquet(folder / "c?.parquet", glob=False), whole(tree)[0])


@pytest.mark.parametrize("where", ["walk", "part", "whole", "rename"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "disk full")])
def test_a_failed_scan_leaves_nothing_behind(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Any
) -> None:
    out = tmp_path / "out" / "catalog.parquet"
    out.parent.mkdir()
    out.write_text("as before")

    def fail(*arguments: Any, **options: Any) -> None:
        assert len(list(out.parent.iterdir())) == 2
        raise error

    target, name = {
        "walk": (walk_module, "look"),
        "part": (pl.DataFrame, "write_parquet"),
        "whole": (pl.LazyFrame, "sink_parquet"),
        "rename": (os, "replace"),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, fail)
        with pytest.raises((KeyboardInterrupt, OSError, InputError)) as raised:
            write_catalog(tree, out, chunk=5)
    if where != "walk" and raised.type is not KeyboardInterrupt:
        assert str(raised.value) == f"can't write {out}: disk full"
    assert out.read_text() == "as before" and list(out.parent.iterdir()) == [out]
    write_catalog(tree, out, now=NOW)
    assert_frame_equal(pl.read_parquet(out), whole(tree)[0])


def test_progress_is_told_at_most_ten_times_a_second(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, str]] = []
    clock = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) * 0.06)
    summary = whole(tree, tell=lambda summary, folder: told.append((summary.files, folder)))[1]
    assert 3 <= len(told) <= summary.folders // 2 + 1
    counts, folders = zip(*told, strict=True)
    assert list(counts) == sorted(counts) and "d0/d1/d2" in folders


def test_bad_roots(tree: Path, tmp_path: Path) -> None:
    for root, reason in (
        (tmp_path / "missing", "No such file"),
        (tree / "README", "Not a directory"),
        ("nul\0", "null"),
    ):
        with pytest.raises(InputError, match=reason):
            scan(root)
        with pytest.raises(InputError, match=reason):
            write_catalog(root, "out.parquet")
    with pytest.raises(InputError, match="expected a folder with files, found 0 files in 2"):
        list(scan(tree / "empty"))
    with pytest.raises(InputError, match="expected a folder with files"):
        write_catalog(tree / "empty", tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == [tree]


def test_unreadable_root(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", failing(os.open, PermissionError, errno.EACCES, str(tree)))
    with pytest.raises(InputError, match="Permission denied; expected a folder with files"):
        scan(tree)


def test_bad_arguments(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="now is 2026-01-01 00:00:00; expected a time with a"):
        scan(tree, now=datetime(2026, 1, 1))
    with pytest.raises(InputError, match="chunk is 0"):
        scan(tree, chunk=0)
    with pytest.raises(InputError, match="it is a folder; expected a regular file"):
        write_catalog(tree, tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        write_catalog(tree, tmp_path / "missing" / "out.parquet")
    for name in ("a.json", "a.txt", "parquet", "a.parquet.gz"):
        with pytest.raises(InputError, match=r"ends in \.parquet, \.csv or \.jsonl$"):
            write_catalog(tree, tmp_path / name)


def test_a_root_may_be_a_link(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    assert_frame_equal(whole(tmp_path / "link")[0], whole(tree)[0])


def test_records_as_a_scan_one_folder_deeper_sees_them(tree: Path) -> None:
    """Of paths with four folders or fewer, all is known."""
    whole = pl.concat(scan(tree, now=NOW))
    assert whole["dir1"].n_unique() > 1
    for folder in whole["dir1"].drop_nulls().unique():
        known = whole.filter((pl.col("dir1") == folder) & (pl.col("depth") <= 4)).sort("inode")
        found = pl.concat(scan(tree / unescape(folder), now=NOW))
        found = found.filter(pl.col("inode").is_in(known["inode"].implode())).sort("inode")
        places = ["dir1", "dir2", "dir3", "dir4", "depth"]
        assert_frame_equal(deeper(known).select(places), found.select(places))
    assert deeper(whole.select("size", "dir3"))["dir3"].null_count() == whole.height
