"""Labels of files in an SQLite database that holds good whenever its writer is killed.

A file has one row, its last label; a row is written in one transaction with the rest of its batch.
A power failure can cost the last batches, but not the database: whoever watches the files finds
those without a label again.

Paths are absolute, and texts as a catalogue has them: see :mod:`plastorch.files.names`. A file that
is removed loses its row.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from plastorch.engine.errors import InputError
from plastorch.files.database import Database, Row
from plastorch.files.names import escape

APPLICATION_ID = 0x504C4153
VERSION = 1

TICK_NS = 20_000_000
"""Nanoseconds within which two changes of a file may bear the same time: file systems take the time
from a clock that ticks every 10 ms at the slowest."""

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
    labelled_at REAL NOT NULL
) WITHOUT ROWID
"""
_COLUMNS = "path, size, mtime_ns, changed_ns, inode, label, confidence, keys, model, labelled_at"
_KINDS = (str, int, int, int | None, int, str, float, str, str, float)
"""Of the columns."""
_LAST = chr(0x10FFFF)
"""Comes after every path."""


class Stamp(NamedTuple):
    """The state of a file: while it stays the same, so does the label."""

    size: int
    """Bytes."""
    mtime_ns: int
    """When the content was changed last, as the file says."""
    changed_ns: int | None
    """When content, mode, owner, name or links were changed last, as the system says. None if that
    was just now: a further change could bear the same time, so the label doesn't count as final."""
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The state of a file that has just been looked at."""
        settled = time.time_ns() - status.st_ctime_ns > TICK_NS
        return cls(
            status.st_size,
            _int64(status.st_mtime_ns),
            _int64(status.st_ctime_ns) if settled else None,
            _int64(status.st_ino),
        )


class Labelled(NamedTuple):
    """A row of the store."""

    path: str
    """Absolute; bytes that are no UTF-8 are escaped."""
    stamp: Stamp
    """The state in which the file was labelled."""
    label: str
    confidence: float
    keys: str
    """The keys that drove the label, the most important first."""
    model: str
    """Of which model the label is."""
    labelled_at: float
    """Seconds since 1970."""


class LabelStore:
    """A database of labels, for one thread at a time; others may read it while it is written.

    Args:
        path: the file; on a local disk, as write-ahead logs don't work over a network.
        create: makes the database if it isn't there.

    Raises:
        InputError: if it can't be opened, is damaged, or belongs to another program or a later
            version; it is left as it is. Other methods raise it too, with what SQLite says, if
            the disk is full or can't be written; labels that were written before stay.

    Example:
        >>> import tempfile
        >>> row = Labelled("/a/b", Stamp(1, 2, 3, 4), "report", 0.9, "size, owner", "m1", 0.0)
        >>> with tempfile.TemporaryDirectory() as folder, LabelStore(f"{folder}/labels") as store:
        ...     store.put([row])
        ...     store.known({"/a/b": row.stamp, "/a/c": row.stamp}, "m1")
        ...     store.counts()
        {'/a/b'}
        {'report': 1}
    """

    def __init__(self, path: Path | str, *, create: bool = True) -> None:
        self.path = Path(path)
        self._database = Database(
            self.path, create=create, table=_TABLE, application_id=APPLICATION_ID, version=VERSION
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Keeps others from entering the same; ends with the process, however that ends.

        Raises:
            InputError: if another process is in it now, or the folder can't be written.
        """
        return self._database.alone()

    @property
    def files(self) -> frozenset[str]:
        """The paths of the database and of the files that go with it, escaped."""
        real = escape(os.path.realpath(self.path))
        return frozenset(real + end for end in ("", "-wal", "-shm", "-journal", "-lock"))

    def known(self, stamps: Mapping[str, Stamp], model: str) -> set[str]:
        """Which files the model has labelled in the state that they are in.

        Args:
            stamps: states by path.
            model: whose labels count.
        """
        query = """
            SELECT path, size, mtime_ns, changed_ns, inode FROM labels
            WHERE model = ? AND path IN (SELECT value FROM json_each(?))
        """
        rows = self._database.rows(query, (model, json.dumps(list(stamps))))
        return {
            path
            for path, *stamp in rows
            if stamps[path].changed_ns is not None and stamps[path] == tuple(stamp)
        }

    def put(self, rows: Iterable[Labelled]) -> None:
        """Writes labels, all or none; each takes the place of the file's label before."""
        places = ", ".join("?" * len(_COLUMNS.split(",")))
        with self._database.writing() as cursor:
            cursor.executemany(
                f"INSERT OR REPLACE INTO labels ({_COLUMNS}) VALUES ({places})",
                ((row.path, *row.stamp, *row[2:]) for row in rows),
            )

    def remove(self, paths: Iterable[str], folders: Iterable[str] = ()) -> int:
        """Forgets files.

        Args:
            paths: of files.
            folders: of which all files are forgotten.

        Returns:
            How many rows that were.
        """
        with self._database.writing() as cursor:
            exact = ((path,) for path in paths)
            count = cursor.executemany("DELETE FROM labels WHERE path = ?", exact).rowcount
            below = map(_bounds, folders)
            cursor.executemany("DELETE FROM labels WHERE path > ? AND path < ?", below)
            return max(count, 0) + max(cursor.rowcount, 0)

    def paths(self, folder: str, batch: int = 4096) -> Iterator[list[str]]:
        """The files below a folder that have labels, in order, a batch at a time."""
        for rows in self._pages("path", *_bounds(folder), batch):
            if not all(isinstance(path, str) for (path,) in rows):
                raise InputError(f"{self.path} is damaged; expected paths that are text")
            yield [path for (path,) in rows]

    def rows(self, batch: int = 4096) -> Iterator[list[Labelled]]:
        """All labels in the order of paths, a batch at a time."""
        for rows in self._pages(_COLUMNS, "", _LAST, batch):
            yield list(map(self._labelled, rows))

    def counts(self) -> dict[str, int]:
        """How many files have each label, the most frequent first."""
        query = "SELECT label, count(*) FROM labels GROUP BY label ORDER BY 2 DESC, 1"
        found = self._database.rows(query)
        if not all(isinstance(label, str) for label, _ in found):
            raise InputError(f"{self.path} is damaged; expected labels that are text")
        return dict(found)

    def confident(self, number: int) -> list[Labelled]:
        """The files with the surest labels, the surest first."""
        return self._ordered("confidence DESC, path", number)

    def doubtful(self, number: int) -> list[Labelled]:
        """The files with the least sure labels, the least sure first."""
        return self._ordered("confidence, path", number)

    def __len__(self) -> int:
        return int(self._database.rows("SELECT count(*) FROM labels")[0][0])

    def _ordered(self, order: str, number: int) -> list[Labelled]:
        query = f"SELECT {_COLUMNS} FROM labels ORDER BY {order} LIMIT ?"
        return list(map(self._labelled, self._database.rows(query, (number,))))

    def _labelled(self, row: Row) -> Labelled:
        """A row, whose values SQLite may keep in any type."""
        if any(not isinstance(value, kind) for value, kind in zip(row, _KINDS, strict=True)):
            raise InputError(f"{self.path} is damaged: {str(row)[:200]} is no row of a label")
        return Labelled(row[0], Stamp(*row[1:5]), *row[5:])

    def _pages(self, columns: str, low: str, high: str, batch: int) -> Iterator[list[Row]]:
        """Rows with paths between bounds; between pages the database is free for others."""
        query = (
            f"SELECT {columns} FROM labels WHERE path > ? AND path < ? ORDER BY path LIMIT {batch}"
        )
        while rows := self._database.rows(query, (low, high)):
            last = rows[-1][0]
            if not isinstance(last, str) or last <= low:  # it would come again and again
                raise InputError(f"{self.path} is damaged; expected paths in their order")
            yield rows
            low = last


def _bounds(folder: str) -> tuple[str, str]:
    """Between these lie the paths below a folder, in the order of bytes."""
    start = folder.rstrip("/")
    return start + "/", start + "0"  # the character after "/"


def _int64(number: int) -> int:
    """SQLite's numbers have 64 bits with a sign; what doesn't fit goes round."""
    return (number + 2**63) % 2**64 - 2**63
