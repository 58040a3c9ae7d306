"""Metadata of a tree of files as a table: frames, a catalog."""

import os
import time
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import polars as pl

from plastorch.engine.errors import InputError, check_positive
from plastorch.files.catalog import beside, check_out, write_parts
from plastorch.files.metadata import Listing, present, rows
from plastorch.files.walk import Summary, Tell, open_root, walk


class ScannedFrames(Iterator[pl.DataFrame]):
    """Frames of a walk in progress, and its summary so far; :func:`scan` makes one."""

    def __init__(
        self,
        root: str | Path,
        *,
        magic: bool,
        now: datetime | None,
        chunk: int,
        tell: Tell | None,
        skip: Collection[Path],
    ) -> None:
        check_positive(chunk=chunk)
        self.summary = Summary()
        self._root, self._magic, self._chunk = os.fspath(root), magic, chunk
        self._now, self._began = present(now), time.perf_counter()
        os.close(open_root(self._root))
        self._listings = walk(
            self._root,
            self.summary,
            magic=magic,
            most=chunk,
            skip=_by_folder(self._root, skip),
            tell=tell,
        )
        self._frames = self._make()

    def __next__(self) -> pl.DataFrame:
        """Returns the next frame."""
        return next(self._frames)

    def _make(self) -> Iterator[pl.DataFrame]:
        held: list[Listing] = []
        files = 0
        for listing in self._listings:
            held.append(listing)
            files += len(listing.names)
            if files >= self._chunk:
                yield self._frame(held)
                held, files = [], 0
        if files:
            yield self._frame(held)
        self.summary.seconds = time.perf_counter() - self._began
        if not self.summary.files:
            raise InputError(
                f"root is {self._root!r}; expected a folder with files, found {self.summary}"
            )

    def _frame(self, held: list[Listing]) -> pl.DataFrame:
        frame = rows(held, self._now, self._magic)
        self.summary.bytes += int(frame["size"].sum())
        return frame


def scan(
    root: str | Path,
    *,
    magic: bool = False,
    now: datetime | None = None,
    chunk: int = 100_000,
    tell: Tell | None = None,
    skip: Collection[Path] = (),
) -> ScannedFrames:
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
        skip: paths of files and folders to leave out.

    Returns:
        Frames with the columns ``SCHEMA``, made on demand, and ``summary``.

    Raises:
        InputError: the root is missing, not a folder, unreadable or (at the end) without files.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "Notes.TXT").write_text("hello")
        ...     (frame,) = scan(folder, magic=True)
        >>> frame.select("path", "extension", "size", "magic").row(0)
        ('Notes.TXT', 'txt', 5, 'text')
    """
    return ScannedFrames(root, magic=magic, now=now, chunk=chunk, tell=tell, skip=skip)


def _by_folder(root: str, paths: Collection[Path]) -> dict[str, set[str]]:
    """Returns the names of paths by their folders, relative to a root."""
    found: dict[str, set[str]] = {}
    for path in paths:
        where = os.path.relpath(os.path.realpath(path.parent), os.path.realpath(root))
        found.setdefault("" if where == "." else where, set()).add(path.name)
    return found


def write_catalog(
    root: str | Path,
    out: str | Path,
    *,
    magic: bool = False,
    now: datetime | None = None,
    chunk: int = 100_000,
    tell: Tell | None = None,
) -> Summary:
    """Scans a tree into a table, which is replaced only at the very end, on success.

    Until then the rows are in a temporary folder beside it, which is removed unless the process is
    killed outright. A catalog inside the tree doesn't list itself.

    Args:
        root: folder to scan.
        out: ``.parquet``, ``.csv`` or ``.jsonl`` file; its columns are those of :func:`scan`.
        magic: as for :func:`scan`.
        now: as for :func:`scan`.
        chunk: number of rows per row group of Parquet, and about as many are in memory at a time.
        tell: as for :func:`scan`.

    Raises:
        InputError: the tree is unusable as for :func:`scan`, or ``out`` can't be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "notes.txt").write_text("hello")
        ...     summary = write_catalog(folder, Path(folder, "catalog.parquet"))
        ...     pl.read_parquet(Path(folder, "catalog.parquet"))["path"].to_list()
        ['notes.txt']
        >>> summary.files
        1
    """
    began = time.perf_counter()
    os.close(open_root(os.fspath(root)))
    out = check_out(out)
    with beside(out) as aside:
        walked = scan(root, magic=magic, now=now, chunk=chunk, tell=tell, skip=(out, aside))
        write_parts(walked, out, aside, row_group_size=chunk)
    walked.summary.seconds = time.perf_counter() - began
    return walked.summary
