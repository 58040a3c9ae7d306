"""The store of labels against a dictionary, and files that are no such store."""

import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plastorch.engine.errors import InputError
from plastorch.files import database
from plastorch.files.store import TICK_NS, VERSION, Labeled, LabelStore, Stamp

PARTS = ("a", "b", "a.", "a-", "a0", "A", "é", "\U0001f600", "\\xff", "\n", "\x01", '"', "'", "%")
PATHS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map(lambda p: "/" + "/".join(p))
NUMBERS = st.integers(-(2**63), 2**63 - 1)
STAMPS = st.builds(Stamp, NUMBERS, NUMBERS, st.none() | NUMBERS, NUMBERS)
MODELS = st.sampled_from(["one", "two"])
ROWS = st.builds(
    Labeled,
    PATHS,
    STAMPS,
    label=st.sampled_from(["report", "é\n", ""]),
    confidence=st.floats(0, 1),
    keys=st.sampled_from(["size", "owner, size"]),
    model=MODELS,
    labeled_at=st.floats(0, 2e9),
)


def row(path: str, model: str = "m") -> Labeled:
    return Labeled(path, Stamp(1, 2, 3, 4), "x", 0.5, "size", model, 0.0)


def all_of(pages: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(pages))


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name, "labels.sqlite")
        self.store, self.rows = LabelStore(self.path), dict[str, Labeled]()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(rows=st.lists(ROWS, max_size=8))
    def put(self, rows: list[Labeled]) -> None:
        self.store.put(rows)
        self.rows |= {row.path: row for row in rows}

    @rule(rows=st.lists(ROWS, min_size=1, max_size=3))
    def put_in_vain(self, rows: list[Labeled]) -> None:
        """A row that the table refuses takes the others with it."""
        with pytest.raises(InputError, match="NOT NULL"):
            self.store.put([*rows, rows[0]._replace(confidence=float("nan"))])

    @rule(paths=st.lists(PATHS, max_size=3), folders=st.lists(PATHS, max_size=2))
    def remove(self, paths: list[str], folders: list[str]) -> None:
        below = tuple(folder + "/" for folder in folders)
        gone = [path for path in self.rows if path in paths or path.startswith(below)]
        assert self.store.remove(paths, folders) == len(gone)
        for path in gone:
            del self.rows[path]

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = LabelStore(self.path, create=False)

    @rule(stamp=STAMPS, model=MODELS)
    def known(self, stamp: Stamp, model: str) -> None:
        stamps = {path: row.stamp for path, row in self.rows.items()}
        final = {
            path
            for path, row in self.rows.items()
            if row.model == model and row.stamp.changed_ns is not None
        }
        assert self.store.known(stamps | {"/never": stamp}, model) == final
        same = {path for path in final if stamps[path] == stamp}
        assert self.store.known(dict.fromkeys(stamps, stamp), model) == same

    @rule(folder=PATHS | st.just("/"), batch=st.integers(1, 4))
    def paths(self, folder: str, batch: int) -> None:
        pages = list(self.store.paths(folder, batch))
        below = [path for path in self.rows if path.startswith(folder.rstrip("/") + "/")]
        assert all_of(pages) == sorted(below)
        assert all(len(page) <= batch for page in pages)

    @rule(number=st.integers(0, 5))
    def extremes(self, number: int) -> None:
        rows = sorted(self.rows.values())
        assert self.store.doubtful(number) == sorted(rows, key=lambda r: r.confidence)[:number]
        surest = sorted(rows, key=lambda r: -r.confidence)[:number]
        assert self.store.confident(number) == surest

    @invariant()
    def holds_the_same(self) -> None:
        assert all_of(self.store.rows(3)) == [self.rows[path] for path in sorted(self.rows)]
        assert self.store.counts() == Counter(row.label for row in self.rows.values())
        assert len(self.store) == len(self.rows)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=12, stateful_step_count=12)


def test_labels_are_counted_the_most_frequent_first(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "labels") as store:
        labels = ["b", "c", "a", "c", "b", "c"]
        store.put(row(f"/{i}")._replace(label=label) for i, label in enumerate(labels))
        assert list(store.counts().items()) == [("c", 3), ("b", 2), ("a", 1)]


def test_others_read_while_labels_are_written(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    with LabelStore(path) as writer, LabelStore(path, create=False) as reader:
        pages = reader.rows(batch=1)
        writer.put([row("/a"), row("/b")])
        assert next(pages) == [row("/a")]
        writer.put([row("/b", model="new"), row("/c")])
        assert all_of(pages) == [row("/b", model="new"), row("/c")]
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_another_who_turns_its_log_on_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    with LabelStore(path) as store:
        store.put([row("/a")])
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ("COMMIT",))
        timer.start()
        with LabelStore(path) as store:
            assert len(store) == 1
        timer.join()


def test_only_one_at_a_time_may_be_alone(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "labels") as first, LabelStore(tmp_path / "labels") as second:
        with first.alone(), pytest.raises(InputError, match="in use"), second.alone():
            pass
        with second.alone():
            pass


@pytest.mark.parametrize("age_ns", [0, TICK_NS // 2, -(10**9), 10 * TICK_NS])
def test_stamp_of_a_file_that_was_changed_just_now_is_not_final(age_ns: int) -> None:
    changed = time.time_ns() - age_ns
    status = Mock(st_size=1, st_mtime_ns=2, st_ctime_ns=changed, st_ino=3)
    settled = age_ns > TICK_NS
    assert Stamp.of(status) == Stamp(1, 2, changed if settled else None, 3)


def test_any_number_of_the_system_fits_a_stamp(tmp_path: Path) -> None:
    """Inodes have 64 bits without a sign, and some file systems have times after 2262."""
    status = Mock(st_size=1, st_mtime_ns=253402300799 * 10**9, st_ctime_ns=0, st_ino=2**64 - 1)
    kept = row("/a")._replace(stamp=Stamp.of(status))
    with LabelStore(tmp_path / "labels") as store:
        store.put([kept])
        assert store.known({"/a": Stamp.of(status)}, "m") == {"/a"}


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE labels (path TEXT)")


def other_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 7")


def later_version(path: Path) -> None:
    LabelStore(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")


def truncated(path: Path) -> None:
    with LabelStore(path) as store:
        store.put([row(f"/{i}") for i in range(1000)])
    os.truncate(path, 3 * 4096)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_program, "not a store of labels"),
        (other_application, "not a store of labels"),
        (later_version, f"version {VERSION + 1}; expected at most {VERSION}"),
        (lambda path: path.write_bytes(b"PK\3\4" + bytes(5000)), "not a database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000), "labels: "),
        (truncated, "malformed"),
        (lambda path: path.mkdir(), "Is a directory"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_files_that_are_no_store_stay_as_they_are(
    tmp_path: Path, make: Callable[[Path], None], words: str, create: bool
) -> None:
    path = tmp_path / "labels"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with (
        pytest.raises(InputError, match=words),
        LabelStore(path, create=create) as store,
    ):
        len(store)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_store_on_a_read_only_file_system_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels"
    with LabelStore(path) as store:
        store.put([row("/a")])
    monkeypatch.setattr(database, "_is_read_only", lambda path: True)
    with LabelStore(path, create=False) as store:
        assert len(store) == 1 and os.listdir(tmp_path) == ["labels"]
        with pytest.raises(InputError, match="readonly"):
            store.put([row("/b")])


def test_a_missing_store_is_only_made_if_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    with pytest.raises(InputError, match="missing"):
        LabelStore(path, create=False)
    path.touch()
    with pytest.raises(InputError, match="not a store"):
        LabelStore(path, create=False)
    with LabelStore(path) as store:
        assert len(store) == 0 and store.counts() == {} and store.confident(3) == []
    with pytest.raises(InputError, match="unable to open"):
        LabelStore(tmp_path / "no folder" / "labels")


def test_a_full_disk_costs_the_batch_only(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    with LabelStore(path) as store:
        store.put([row("/a")])
        store.query("PRAGMA max_page_count = 20")
        with pytest.raises(InputError, match="full"):
            store.put(row(f"/{i}" + "x" * 200) for i in range(1000))
        store.put([row("/b")])
    with LabelStore(path) as store:
        assert all_of(store.rows()) == [row("/a"), row("/b")]


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "labels") as store:
        store.put([row("/a")])
        store.query("PRAGMA query_only = 1")
        with pytest.raises(InputError, match="readonly"):
            store.put([row("/b")])
        with pytest.raises(InputError, match="readonly"):
            store.remove(["/a"])
        (tmp_path / "labels-lock").mkdir()
        with pytest.raises(InputError, match="can't write"), store.alone():
            pass
