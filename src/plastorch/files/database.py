"""An SQLite file of one program and one schema, with errors in plain words."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from plastorch.engine.errors import InputError, check_file

Row = tuple[Any, ...]

MOST_STEPS = 100_000
"""Limit of SQLite's virtual machine steps for reading the tables; one table takes hundreds."""

PATIENCE_S = 30
"""Longest time in seconds to wait while others lock the file."""


class Database:
    """A file with one table, for use by one thread at a time.

    It keeps a write-ahead log, so others can read while rows are written; such logs need a local
    disk. The log is not forced to disk with every transaction (``synchronous=NORMAL``): what a
    killed process wrote is safe in the system's cache; a power failure can cost the last
    transactions, not the database. On a read-only file system a file can still be read.

    Raises InputError, and leaves the file as it is, if it is damaged or belongs to another program
    or a later version. Methods raise it too, with SQLite's message, if the disk is full or can't be
    written; finished transactions are kept.
    """

    def __init__(
        self, path: Path, *, create: bool, table: str, application_id: int, version: int
    ) -> None:
        self.path = path
        if not create and not path.exists():
            raise InputError(f"{path} is missing; expected a store of labels")
        if path.exists():
            check_file(path, "a store of labels")
        # On a read-only file system a log can't be made; without one, nothing is left to change.
        log = os.path.realpath(path) + "-wal"
        fixed = not create and _is_read_only(path) and not os.path.exists(log)
        mode = "rwc" if create else "ro&immutable=1" if fixed else "rw"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        with self._reporting():
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
            )
        try:
            self._read_tables()
            if create and self._is_new():
                self._make(table, application_id, version)
            self._check(table, application_id, version)
            if not fixed:
                self._keep_log()
            self.query("PRAGMA synchronous = NORMAL")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def query(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """Returns the rows of a query."""
        with self._reporting():
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Cursor]:
        """Runs its ``with`` block as one transaction: as a whole or not at all."""
        with self._reporting():
            cursor = self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds a lock that ends with the process; raises InputError if another process has it."""
        import fcntl

        lock = Path(os.path.realpath(self.path) + "-lock")
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(lock, "rb", opener=_without_links))
            except OSError as error:
                raise InputError(f"can't write {lock}: {error.strerror}") from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"{self.path} is in use by another process") from None
            yield

    def _read_tables(self) -> None:
        """Lets SQLite read its list of tables, which a crafted file could make almost endless."""
        self._connection.set_progress_handler(lambda: 1, MOST_STEPS)
        try:
            self.query("SELECT 1 FROM sqlite_master LIMIT 1")
        finally:
            self._connection.set_progress_handler(None, 0)

    def _keep_log(self) -> None:
        end = time.monotonic() + PATIENCE_S
        mode = None
        with self._reporting():
            while mode is None:
                try:
                    (mode,) = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
                except sqlite3.OperationalError as error:
                    # SQLite doesn't wait by itself if another process is doing the same.
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                        raise
                    time.sleep(0.01)
        if mode != "wal":
            raise InputError(f"{self.path} can't have a write-ahead log; expected a local disk")

    def _make(self, table: str, application_id: int, version: int) -> None:
        with self.writing() as cursor:
            if self._is_new():  # still new, now that nobody else can write
                cursor.execute(table)
                cursor.execute(f"PRAGMA application_id = {application_id}")
                cursor.execute(f"PRAGMA user_version = {version}")

    def _is_new(self) -> bool:
        (tables,) = self.query("SELECT count(*) FROM sqlite_master")[0]
        return not (tables or self._number("application_id") or self._number("user_version"))

    def _check(self, table: str, application_id: int, version: int) -> None:
        if self._number("application_id") != application_id:
            raise InputError(f"{self.path} is not a store of labels; expected one, or a new file")
        number = self._number("user_version")
        if number > version:
            raise InputError(
                f"{self.path} has version {number}; expected at most {version}: "
                "it was written by a later plastorch"
            )
        made = [str(text) for (text,) in self.query("SELECT coalesce(sql, '') FROM sqlite_master")]
        if [text.split() for text in made] != [table.split()]:  # a view could run forever
            raise InputError(f"{self.path} is damaged or changed; expected nothing but its table")
        (found,) = self.query("PRAGMA quick_check(1)")[0]  # shared pages can take almost forever
        if found != "ok":
            raise InputError(f"{self.path} is damaged: {found}")

    def _number(self, pragma: str) -> int:
        return int(self.query(f"PRAGMA {pragma}")[0][0])

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: {error}") from None


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _without_links(path: str, flags: int) -> int:
    """Opens a file, creating it if missing, but never the target of a symbolic link."""
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
