"""A store brought up to date with a tree, against what the tree holds."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from plastorch.engine.errors import InputError
from plastorch.files import reconcile, walk
from plastorch.files.names import unescape
from plastorch.files.reconcile import Counts, Reconciler
from plastorch.files.single_rows import records
from plastorch.files.store import LabelStore


class Sizes:
    """Labels that tell in which state a file was labeled; remembers how many at a time."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def describe(self, frame: pl.DataFrame) -> pl.DataFrame:
        self.batches.append(frame.height)
        label = pl.format("{} {}", "size", "mode")
        return frame.select(label=label, confidence=pl.lit(0.5), keys=pl.lit("size, mode"))


class Bench:
    """A tree, a store, and what works on them."""

    def __init__(self, folder: Path) -> None:
        self.root, self.store = folder / "tree", LabelStore(folder / "labels")
        self.root.mkdir()
        self.labeler = Sizes()
        self.stop = False

    def reconciler(self, model: str = "m", batch: int = 100) -> Reconciler:
        return Reconciler(
            self.labeler,
            self.root,
            self.store,
            model=model,
            batch=batch,
            read=records,
            tell=lambda counts: None,
            stopped=lambda: self.stop,
        )

    def look(self, *names: str | bytes, **how: object) -> Counts:
        """Looks at some places, or at all, and checks that the store is right if at all."""
        work = self.reconciler(**how)  # type: ignore[arg-type]
        work.look([os.path.join(self.root, os.fsdecode(name)) for name in names] or [work.root])
        if not names and not self.stop:
            assert self.labels() == self.truth()
        return work.counts

    def labels(self) -> dict[bytes, str]:
        """Labels of the store by the bytes of the path."""
        rows = [row for page in self.store.rows() for row in page]
        return {os.fsencode(unescape(row.path)): row.label for row in rows}

    def truth(self) -> dict[bytes, str]:
        """What the labels of all regular files should be."""
        files = (
            os.path.join(folder, name)
            for folder, _, names in os.walk(os.fsencode(self.root))
            for name in names
        )
        states = {path: os.lstat(path) for path in files if os.path.isfile(path)}
        return {
            path: f"{state.st_size} {state.st_mode & 0o7777:04o}"
            for path, state in states.items()
            if not os.path.islink(path)
        }

    def write(self, name: str | bytes, size: int = 1) -> None:
        path = os.path.join(os.fsencode(self.root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(bytes(size))

    def settle(self) -> None:
        """Waits until states that are seen now count as final."""
        time.sleep(0.03)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with bench.store:
        yield bench


def test_labels_follow_the_tree(bench: Bench) -> None:
    for number in range(30):
        bench.write(f"{number % 3}/{number % 2}/{number}", number)
    bench.settle()
    assert bench.look().labeled == 30
    assert bench.look().labeled == 0
    bench.write("0/0/0", 99)
    os.chmod(bench.root / "1/1/1", 0o600)
    (bench.root / "2/0/2").unlink()
    (bench.root / "0/1/3").rename(bench.root / "1/new")
    (bench.root / "2/1").rename(bench.root / "moved")
    bench.settle()
    counts = bench.look()
    moved = len(list((bench.root / "moved").iterdir()))
    assert (counts.labeled, counts.removed) == (3 + moved, 2 + moved)
    shutil.rmtree(bench.root / "0")
    bench.look()


def test_places_are_enough(bench: Bench) -> None:
    for name in ("a/one", "a/two", "ab", "b/c/three", "a.txt"):
        bench.write(name)
    bench.look()
    shutil.rmtree(bench.root / "a")
    bench.write("b/c/three", 3)
    bench.write("b/d/four", 4)
    (bench.root / "ab").unlink()
    bench.write("unseen")
    bench.look("a", "b", "ab", "never")
    rest = bench.truth()
    del rest[os.fsencode(bench.root / "unseen")]
    assert bench.labels() == rest


def test_a_change_that_keeps_size_and_times_is_seen(bench: Bench) -> None:
    bench.write("a")
    os.utime(bench.root / "a", ns=(5, 5))
    bench.settle()
    bench.look()
    bench.write("b")
    os.utime(bench.root / "b", ns=(5, 5))
    os.chmod(bench.root / "b", 0o600)
    os.replace(bench.root / "b", bench.root / "a")
    bench.look()


def test_a_label_of_a_state_just_begun_is_made_again(bench: Bench) -> None:
    bench.write("a")
    assert bench.look().labeled == 1
    bench.settle()
    assert [bench.look().labeled for _ in range(2)] == [1, 0]


def test_labels_of_another_model_are_made_anew(bench: Bench) -> None:
    bench.write("a")
    bench.settle()
    assert [bench.look(model=model).labeled for model in ("m", "n", "n", "m")] == [1, 1, 0, 1]


def test_only_regular_files_of_the_tree_itself(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    bench.write("folder/file")
    os.symlink(bench.root / "folder/file", bench.root / "link")
    os.symlink(outside, bench.root / "way out")
    os.symlink(bench.root, bench.root / "folder/loop")
    os.mkfifo(bench.root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(bench.root)  # a socket's path may not be long
        server.bind("socket")
    every = ["link", "way out", "way out/secret", "folder/loop/folder/file", "pipe", "socket"]
    assert bench.look(*every, "folder").labeled == 1
    bench.look()


def test_what_was_a_file_and_is_something_else(bench: Bench, tmp_path: Path) -> None:
    names = ("to folder", "to link", "to nothing", "folder/to elsewhere")
    for name in names:
        bench.write(name)
    bench.look()
    (bench.root / "folder").rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", bench.root / "folder")
    for name in names[:3]:
        (bench.root / name).unlink()
    bench.write("to folder/deep/file")
    os.symlink(tmp_path, bench.root / "to link")
    bench.look()
    shutil.rmtree(bench.root / "to folder")
    bench.write("to folder")
    bench.look(*names)
    assert bench.labels() == bench.truth()


def test_names_that_are_no_text(bench: Bench) -> None:
    for name in (b"caf\xe9", b"d\xff/x\\xff", b"d\xff/x\xff", b"plain", b"new\nline", b"\\x5c"):
        bench.write(name)
    bench.settle()
    assert bench.look().labeled == 6
    assert bench.look().labeled == 0
    os.rename(os.fsencode(bench.root) + b"/d\xff", os.fsencode(bench.root) + b"/d\xfe")
    bench.look(b"d\xff", b"d\xfe")
    assert bench.labels() == bench.truth()


def test_a_store_in_the_tree_is_not_labeled(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with LabelStore(tmp_path / "labels") as store, store.alone():
        work = Reconciler(
            Sizes(),
            tmp_path,
            store,
            model="m",
            batch=10,
            read=records,
            tell=lambda counts: None,
            stopped=lambda: False,
        )
        work.look([work.root])
        work.look([f"{work.root}/labels{ending}" for ending in ("", "-wal", "-shm", "-lock")])
        assert next(store.rows())[0].path == f"{work.root}/file" and len(store) == 1


def test_batches_and_a_stop_between_them(bench: Bench) -> None:
    for number in range(25):
        bench.write(f"{number % 4}/{number}")
    bench.settle()
    bench.stop = True
    assert bench.look(batch=10).labeled == 10 == len(bench.store)
    bench.stop = False
    assert bench.look(batch=10).labeled == 15
    assert bench.labeler.batches[0] == 10 and max(bench.labeler.batches) == 10


def test_files_that_vanish_before_they_are_read(bench: Bench) -> None:
    for number in range(5):
        bench.write(str(number))
    work = bench.reconciler()
    read = work._read

    def late(root: Path, paths: object) -> pl.DataFrame:
        (bench.root / "3").unlink(missing_ok=True)
        return read(root, paths)  # type: ignore[arg-type]

    work._read = late
    work.look([work.root])
    assert (work.counts.labeled, work.counts.vanished) == (4, 1)
    assert bench.labels() == bench.truth()


def test_a_change_after_the_state_was_taken_is_found_next_time(bench: Bench) -> None:
    bench.write("a")
    bench.settle()
    work = bench.reconciler()
    read = work._read

    def late(root: Path, paths: object) -> pl.DataFrame:
        frame = read(root, paths)  # type: ignore[arg-type]
        bench.write("a", 7)
        return frame

    work._read = late
    work.look([work.root])
    assert list(bench.labels().values()) == ["1 0644"]
    bench.look()


def test_labels_of_what_cannot_be_looked_at_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("locked/file")
    bench.write("gone/file")
    bench.look()
    before = bench.labels()
    shutil.rmtree(bench.root / "gone")
    lstat, open_folder = os.lstat, walk.open_folder

    def refuse(path: str) -> os.stat_result:
        if "locked/" in path:
            raise PermissionError(13, "Permission denied")
        return lstat(path)

    def refuse_folder(top: int, path: str, summary: walk.Summary) -> int | None:
        if path == "locked":
            summary.unreadable_folders += 1
            return None
        return open_folder(top, path, summary)

    monkeypatch.setattr(reconcile.os, "lstat", refuse)
    monkeypatch.setattr(walk, "open_folder", refuse_folder)
    work = bench.reconciler()
    work.look([work.root])
    monkeypatch.undo()
    assert work.counts.unreadable == 2 and work.counts.removed == 1
    del before[os.fsencode(bench.root / "gone/file")]
    assert bench.labels() == before


def rename(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


def replace(root: Path) -> None:
    rename(root)
    root.mkdir()


def move_and_link(root: Path) -> None:
    rename(root)
    root.symlink_to(root.with_name("elsewhere"))


@pytest.mark.parametrize("change", [shutil.rmtree, rename, replace, move_and_link])
def test_a_root_that_is_gone_does_not_pass_for_empty(
    bench: Bench, change: Callable[[Path], None]
) -> None:
    bench.write("file")
    bench.look()
    work = bench.reconciler()
    change(bench.root)
    for places in ([work.root], [f"{work.root}/file"]):
        with pytest.raises(InputError, match="removed or replaced"):
            work.look(places)
    assert len(bench.store) == 1


def test_a_root_that_is_no_folder(bench: Bench) -> None:
    bench.write("file")
    for name in ("file", "missing"):
        bench.root /= name
        with pytest.raises(InputError, match="expected a folder"):
            bench.reconciler()
        bench.root = bench.root.parent


def test_a_labeler_that_fails_costs_its_batch_only(bench: Bench) -> None:
    for number in range(9):
        bench.write(str(number))
    work = bench.reconciler(batch=4)
    describe = bench.labeler.describe

    def fail(frame: pl.DataFrame) -> pl.DataFrame:
        if len(bench.labeler.batches) == 1:
            raise RuntimeError("no label")
        return describe(frame)

    bench.labeler.describe = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no label"):
        work.look([work.root])
    assert len(bench.store) == 4


def test_status_line() -> None:
    assert str(Counts(1234, 1, 2)) == "1,234 labeled, 1 removed, 2 vanished"
    line = "0 labeled, 0 removed, 0 vanished, 3 unreadable (not all)"
    assert str(Counts(unreadable=3, notice="not all")) == line
