"""Labels of files in an SQLite database that survives if its writer is killed.

A file has one row, its last label; rows are written in batches of one transaction each. A power
failure can cost the last batches, but not the database: the next watch of the files finds those
without a label again.

Paths are absolute, and texts are escaped as in a catalog: see :mod:`plastorch.files.names`. A file
that is removed loses its row.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from plastorch.engine.errors import InputError
from plastorch.files.database import Database, Row
from plastorch.files.names import escape

APPLICATION_ID = 0x504C4153
VERSION = 1

TICK_NS = 20_000_000
"""Nanoseconds within which two changes of a file may have the same time: file systems take it from
a clock that ticks every 10 ms at the slowest."""

_TABLE = """
CREATE TABLE labels (
    path TEXT PRIMARY KEY NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    changed_ns INTEGER,
    inode INTEGER NOT NULL,
    label TEXT NOT NULL,
    confidence REAL NOT NULL,
    keys TEXT NOT NULL,
    model TEXT NOT NULL,
    labeled_at REAL NOT NULL
) WITHOUT ROWID
"""
_COLUMNS = "path, size, mtime_ns, changed_ns, inode, label, confidence, keys, model, labeled_at"
_KINDS = (str, int, int, int | None, int, str, float, str, str, float)
"""Types of the columns."""
_LAST = chr(0x10FFFF)
"""Text that sorts after every path."""


class Stamp(NamedTuple):
    """State of a file; as long as it is the same, so is the label."""

    size: int
    """Size in bytes."""
    mtime_ns: int
    """Time of the last change of content, as the file says."""
    changed_ns: int | None
    """Time of the last change of content, mode, owner, name or links, as the system says. None if
    just now: a further change could have the same time, so the label doesn't count as final."""
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """Returns the state of a file from its status just read."""
        settled = time.time_ns() - status.st_ctime_ns > TICK_NS
        return cls(
            status.st_size,
            _int64(status.st_mtime_ns),
            _int64(status.st_ctime_ns) if settled else None,
            _int64(status.st_ino),
        )


class Labeled(NamedTuple):
    """A row of the store."""

    path: str
    """Absolute path; bytes that are not UTF-8 are escaped."""
    stamp: Stamp
    """State in which the file was labeled."""
    label: str
    confidence: float
    keys: str
    """Keys that drove the label, most important first."""
    model: str
    """Identifier of the model that gave the label."""
    labeled_at: float
    """Time of labeling in seconds since 1970."""


class LabelStore(Database):
    """A database of labels, for one thread at a time; others may read it while it is written.

    Args:
        path: file on a local disk, as write-ahead logs don't work over a network.
        create: whether to create the database if it is missing.

    Raises:
        InputError: the file can't be opened, is damaged, or belongs to another program or a later
            version; it is left as it is. Other methods raise it too, with SQLite's message, if
            the disk is full or can't be written; labels already written are kept.

    Example:
        >>> import tempfile
        >>> row = Labeled("/a/b", Stamp(1, 2, 3, 4), "report", 0.9, "size, owner", "m1", 0.0)
        >>> with tempfile.TemporaryDirectory() as folder, LabelStore(f"{folder}/labels") as store:
        ...     store.put([row])
        ...     store.known({"/a/b": row.stamp, "/a/c": row.stamp}, "m1")
        ...     store.counts()
        {'/a/b'}
        {'report': 1}
    """

    def __init__(self, path: Path | str, *, create: bool = True) -> None:
        super().__init__(
            Path(path), create=create, table=_TABLE, application_id=APPLICATION_ID, version=VERSION
        )

    @property
    def files(self) -> frozenset[str]:
        """Paths of the database and the files that go with it, escaped."""
        real = escape(os.path.realpath(self.path))
        return frozenset(real + end for end in ("", "-wal", "-shm", "-journal", "-lock"))

    def known(self, stamps: Mapping[str, Stamp], model: str) -> set[str]:
        """Returns the files that the model has labeled in their current state.

        Args:
            stamps: current states by path.
            model: identifier of the model whose labels count.
        """
        query = """
            SELECT path, size, mtime_ns, changed_ns, inode FROM labels
            WHERE model = ? AND path IN (SELECT value FROM json_each(?))
        """
        rows = self.query(query, (model, json.dumps(list(stamps))))
        return {
            path
            for path, *stamp in rows
            if stamps[path].changed_ns is not None and stamps[path] == tuple(stamp)
        }

    def put(self, rows: Iterable[Labeled]) -> None:
        """Writes labels, all or none; each replaces the file's earlier label."""
        places = ", ".join("?" * len(_COLUMNS.split(",")))
        with self.writing() as cursor:
            cursor.executemany(
                f"INSERT OR REPLACE INTO labels ({_COLUMNS}) VALUES ({places})",
                ((row.path, *row.stamp, *row[2:]) for row in rows),
            )

    def remove(self, paths: Iterable[str], folders: Iterable[str] = ()) -> int:
        """Removes the labels of files.

        Args:
            paths: paths of files.
            folders: folders below which all labels are removed.

        Returns:
            Number of rows removed.
        """
        with self.writing() as cursor:
            exact = ((path,) for path in paths)
            count = cursor.executemany("DELETE FROM labels WHERE path = ?", exact).rowcount
            below = map(_bounds, folders)
            cursor.executemany("DELETE FROM labels WHERE path > ? AND path < ?", below)
            return max(count, 0) + max(cursor.rowcount, 0)

    def paths(self, folder: str, batch: int = 4096) -> Iterator[list[str]]:
        """Yields the labeled files below a folder in order, a batch at a time."""
        for rows in self._pages("path", *_bounds(folder), batch):
            if not all(isinstance(path, str) for (path,) in rows):
                raise InputError(f"{self.path} is damaged; expected paths that are text")
            yield [path for (path,) in rows]

    def rows(self, batch: int = 4096) -> Iterator[list[Labeled]]:
        """Yields all labels in the order of paths, a batch at a time."""
        for rows in self._pages(_COLUMNS, "", _LAST, batch):
            yield list(map(self._labeled, rows))

    def counts(self) -> dict[str, int]:
        """Counts the files of each label, most frequent first."""
        query = "SELECT label, count(*) FROM labels GROUP BY label ORDER BY 2 DESC, 1"
        found = self.query(query)
        if not all(isinstance(label, str) for label, _ in found):
            raise InputError(f"{self.path} is damaged; expected labels that are text")
        return dict(found)

    def confident(self, number: int) -> list[Labeled]:
        """Returns the files with the most confident labels, most confident first."""
        return self._ordered("confidence DESC, path", number)

    def doubtful(self, number: int) -> list[Labeled]:
        """Returns the files with the least confident labels, least confident first."""
        return self._ordered("confidence, path", number)

    def __len__(self) -> int:
        return int(self.query("SELECT count(*) FROM labels")[0][0])

    def _ordered(self, order: str, number: int) -> list[Labeled]:
        query = f"SELECT {_COLUMNS} FROM labels ORDER BY {order} LIMIT ?"
        return list(map(self._labeled, self.query(query, (number,))))

    def _labeled(self, row: Row) -> Labeled:
        """Checks and returns a row, whose values SQLite may hold in any type."""
        if any(not isinstance(value, kind) for value, kind in zip(row, _KINDS, strict=True)):
            raise InputError(f"{self.path} is damaged: {str(row)[:200]} is not a row of a label")
        return Labeled(row[0], Stamp(*row[1:5]), *row[5:])

    def _pages(self, columns: str, low: str, high: str, batch: int) -> Iterator[list[Row]]:
        """Yields rows with paths between bounds; between pages the database is free for others."""
        query = (
            f"SELECT {columns} FROM labels WHERE path > ? AND path < ? ORDER BY path LIMIT {batch}"
        )
        while rows := self.query(query, (low, high)):
            last = rows[-1][0]
            if not isinstance(last, str) or last <= low:  # it would repeat forever
                raise InputError(f"{self.path} is damaged; expected paths in their order")
            yield rows
            low = last


def _bounds(folder: str) -> tuple[str, str]:
    """Returns bounds around the paths below a folder, in byte order."""
    start = folder.rstrip("/")
    return start + "/", start + "0"  # "0" is the character after "/"


def _int64(number: int) -> int:
    """Wraps a number to SQLite's signed 64 bits."""
    return (number + 2**63) % 2**64 - 2**63
