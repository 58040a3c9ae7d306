"""Metadata of a tree of files as a table: frames, a Parquet catalog, single records."""

import contextlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.output import put_in_place
from plastorch.files.catalogue import check_out
from plastorch.files.metadata import IDENTITY, KEYS, SCHEMA, Listing, present, rows, schema
from plastorch.files.names import escape, unescape
from plastorch.files.single_rows import record, records
from plastorch.files.walk import Summary, Tell, open_root, walk

__all__ = [
    "IDENTITY",
    "KEYS",
    "SCHEMA",
    "Scan",
    "Summary",
    "Tell",
    "escape",
    "record",
    "records",
    "scan",
    "schema",
    "unescape",
    "write_catalogue",
]


class Scan(Iterator[pl.DataFrame]):
    """Frames of a walk in progress, and its summary so far; :func:`scan` makes one."""

    def __init__(self, frames: Iterator[pl.DataFrame], summary: Summary) -> None:
        self.summary = summary
        self._frames = frames

    def __next__(self) -> pl.DataFrame:
        """Returns the next frame."""
        return next(self._frames)


def scan(
    root: str | Path,
    magic: bool = False,
    now: datetime | None = None,
    chunk: int = 100_000,
    tell: Tell | None = None,
) -> Scan:
    """Walks a tree and returns a row for each regular file.

    Rows come in the same order every time: a folder's own files by name, then its folders by
    name. Symbolic links are not followed. Unreadable files are counted and left out.

    Args:
        root: folder to scan.
        magic: whether to read the first bytes of each file for its type.
        now: time from which ages are counted, with a time zone; None is the present.
        chunk: number of files in memory at a time: a frame has at least this many rows and less
            than twice as many; only the last may have fewer.
        tell: callback, given the summary so far and the current folder, at most 10 times a second.

    Returns:
        Frames with the columns ``SCHEMA``, made on demand, and ``summary``.

    Raises:
        InputError: the root is missing, no folder, unreadable or (at the end) without files.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "Notes.TXT").write_text("hello")
        ...     (frame,) = scan(folder, magic=True)
        >>> frame.select("path", "extension", "size", "magic").row(0)
        ('Notes.TXT', 'txt', 5, 'text')
    """
    return _scan(os.fspath(root), magic, now, chunk, tell, {})


def write_catalogue(
    root: str | Path,
    out: str | Path,
    magic: bool = False,
    now: datetime | None = None,
    chunk: int = 100_000,
    tell: Tell | None = None,
) -> Summary:
    """Scans a tree into a Parquet file, which is replaced only at the very end, on success.

    Until then the rows are in a temporary folder beside it, which is removed unless the process is
    killed outright. A catalog inside the tree doesn't list itself.

    Args:
        root: folder to scan.
        out: ``.parquet`` file; its columns are those of :func:`scan`.
        magic: whether to read the first bytes of each file for its type.
        now: time from which ages are counted, with a time zone; None is the present.
        chunk: number of rows per row group, and about as many are in memory at a time.
        tell: callback, given the summary so far and the current folder, at most 10 times a second.

    Raises:
        InputError: the tree is unusable as for :func:`scan`, or ``out`` can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "notes.txt").write_text("hello")
        ...     summary = write_catalogue(folder, Path(folder, "catalogue.parquet"))
        ...     pl.read_parquet(Path(folder, "catalogue.parquet"))["path"].to_list()
        ['notes.txt']
        >>> summary.files
        1
    """
    began = time.perf_counter()
    root, out = os.fspath(root), Path(out)
    os.close(open_root(root))
    check_out(out, endings=(".parquet",))
    with _refusals(out), tempfile.TemporaryDirectory(prefix=".scan-", dir=out.parent) as aside:
        where = os.path.relpath(os.path.realpath(out.parent), os.path.realpath(root))
        skip = {"" if where == "." else where: {out.name, os.path.basename(aside)}}
        walked = _scan(root, magic, now, chunk, tell, skip)
        parts = []
        for number, frame in enumerate(walked):
            parts.append(os.path.join(aside, f"{number}.parquet"))
            frame.write_parquet(parts[-1], compression="lz4")
        whole = os.path.join(aside, "whole.parquet")
        pl.scan_parquet(parts, glob=False, hive_partitioning=False).sink_parquet(
            whole, row_group_size=chunk
        )
        put_in_place(Path(whole), out)
    walked.summary.seconds = time.perf_counter() - began
    return walked.summary


def _scan(
    root: str,
    magic: bool,
    now: datetime | None,
    chunk: int,
    tell: Tell | None,
    skip: Mapping[str, Collection[str]],
) -> Scan:
    now = present(now)
    check_positive(chunk=chunk)
    os.close(open_root(root))
    summary = Summary()
    walked = walk(root, summary, magic, chunk, skip, tell)
    return Scan(_frames(root, walked, summary, magic, now, chunk), summary)


def _frames(
    root: str, walked: Iterator[Listing], summary: Summary, magic: bool, now: datetime, chunk: int
) -> Iterator[pl.DataFrame]:
    began = time.perf_counter()
    held: list[Listing] = []
    files = 0
    for listing in walked:
        held.append(listing)
        files += len(listing.names)
        if files >= chunk:
            yield _frame(held, summary, magic, now)
            held, files = [], 0
    if files:
        yield _frame(held, summary, magic, now)
    summary.seconds = time.perf_counter() - began
    if not summary.files:
        raise InputError(f"root is {root!r}; expected a folder with files, found {summary}")


def _frame(held: list[Listing], summary: Summary, magic: bool, now: datetime) -> pl.DataFrame:
    frame = rows(held, now, magic)
    summary.bytes += int(frame["size"].sum())
    return frame


@contextlib.contextmanager
def _refusals(out: Path) -> Iterator[None]:
    """Turns failures to write a file into one-line errors."""
    try:
        yield
    except (OSError, UnicodeError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"can't write {out}: {reason}") from None
