"""Updates a store of labels to match its tree of files."""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from plastorch.engine.errors import InputError
from plastorch.files.names import escape, unescape
from plastorch.files.store import Labeled, LabelStore, Stamp
from plastorch.files.walk import Summary, open_root, walk

if TYPE_CHECKING:
    import polars as pl


class Labeler(Protocol):
    """Anything that labels records of files."""

    def describe(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """Returns columns ``label``, ``confidence`` and ``keys``, row by row."""


Read = Callable[[Path, Sequence[str]], "pl.DataFrame"]
"""Function that reads records of files: takes the root and absolute paths, and returns rows for the
existing ones, in any order, with a column ``path``, relative to the root and escaped."""


@dataclass
class Counts:
    """Counts of what was done so far."""

    labeled: int = 0
    """Number of labels written; a file that changes repeatedly counts each time."""
    removed: int = 0
    """Number of labels removed because their files are gone."""
    vanished: int = 0
    """Number of files that were gone before they could be read."""
    unreadable: int = 0
    """Number of unreadable files and folders since the last walk; their labels stay."""
    walks: int = 0
    """Number of comparisons of the whole tree with the store."""
    notice: str = ""
    """Reason why some changes are not seen at once, or empty."""

    def __str__(self) -> str:
        """Returns the status line."""
        line = f"{self.labeled:,} labeled, {self.removed:,} removed, {self.vanished:,} vanished"
        line += f", {self.unreadable:,} unreadable" if self.unreadable else ""
        return line + (f" ({self.notice})" if self.notice else "")


class Places(NamedTuple):
    """Findings at some paths."""

    files: list[tuple[str, Stamp]]
    """Regular files, as escaped path and state."""
    folders: list[str]
    gone: list[str]
    """Paths that are missing or reached through a symbolic link: not part of the tree."""


class Reconciler:
    """Labels new and changed files of a tree, and removes the labels of those gone.

    ``model`` identifies the model behind the labels. ``batch`` files are labeled at a time and
    written in one transaction; after each batch, ``stopped`` returns whether to stop. ``read``
    reads records for the labeler, and ``tell`` is called after each change.
    """

    def __init__(
        self,
        labeler: Labeler,
        root: Path | str,
        store: LabelStore,
        *,
        model: str,
        batch: int = 4096,
        read: Read,
        tell: Callable[[Counts], None],
        stopped: Callable[[], bool],
    ) -> None:
        self.root = os.path.realpath(root)
        self.counts = Counts()
        self._labeler, self._store, self._model, self._batch = labeler, store, model, batch
        self._read, self._tell, self._stopped = read, tell, stopped
        self._ours = store.files
        os.close(open_root(self.root))
        self._identity = self._identify()

    def check_root(self) -> None:
        """Raises InputError if the root is gone or replaced: it must not be taken for empty."""
        if self._identify() != self._identity:
            raise InputError(
                f"root is {self.root!r}, which was removed or replaced while it was watched"
            )

    def look(self, places: Iterable[str]) -> None:
        """Updates the store at and below some paths; raises InputError if the root is gone."""
        files, folders, gone = self._sort(places)
        whole = self.root in folders
        if whole:
            self.counts.unreadable = 0
        found = chain(files, chain.from_iterable(map(self._below, folders)))
        while some := dict(islice(found, self._batch)):
            self._label(some)
            if self._stopped():
                return
        self._remove([*gone, *map(escape, folders)], [*gone, *(path for path, _ in files)])
        for labeled in self._labeled(folders):
            left = self._sort(map(unescape, labeled))
            self._remove([*left.gone, *map(escape, left.folders)])
            if self._stopped():
                return
        self.counts.walks += whole
        self._tell(replace(self.counts))

    def _sort(self, places: Iterable[str]) -> Places:
        """Separates files, folders and what is gone; unreadable paths are left out."""
        found = Places([], [], [])
        is_real = lru_cache(1000)(_is_real)
        for place in sorted(places):
            try:
                status = os.lstat(place)
            except (FileNotFoundError, NotADirectoryError):
                found.gone.append(escape(place))
                continue
            except OSError:
                self.counts.unreadable += 1
                continue
            if not is_real(os.path.dirname(place)):
                found.gone.append(escape(place))
            elif stat.S_ISREG(status.st_mode):
                found.files.append((escape(place), Stamp.of(status)))
            elif stat.S_ISDIR(status.st_mode):
                found.folders.append(place)
            else:
                found.gone.append(escape(place))
        return found

    def _below(self, folder: str) -> Iterator[tuple[str, Stamp]]:
        """Yields the regular files below a folder with their states."""
        summary = Summary()
        top = escape(folder).rstrip("/")
        try:
            for listing in walk(folder, summary, most=self._batch):
                start = f"{top}/{listing.folder}" if listing.folder else top
                for name, status in zip(listing.names, listing.stats, strict=True):
                    yield f"{start}/{name}", Stamp.of(status)
        except InputError:
            summary.unreadable_folders += 1
        self.counts.vanished += summary.vanished_files
        self.counts.unreadable += summary.unreadable_folders + summary.unreadable_files

    def _labeled(self, folders: list[str]) -> Iterator[list[str]]:
        for folder in folders:
            yield from self._store.paths(escape(folder), self._batch)

    def _label(self, found: dict[str, Stamp]) -> None:
        new = sorted(found.keys() - self._ours - self._store.known(found, self._model))
        if not new:
            return
        frame = self._read(Path(self.root), [unescape(path) for path in new])
        self.counts.vanished += len(new) - frame.height
        if frame.height:
            self._store.put(self._rows(frame, found))
            self.counts.labeled += frame.height
            self._tell(replace(self.counts))

    def _rows(self, frame: "pl.DataFrame", stamps: dict[str, Stamp]) -> list[Labeled]:
        columns = self._labeler.describe(frame).select("label", "confidence", "keys")
        top, now = escape(self.root).rstrip("/"), time.time()
        paths = [f"{top}/{path}" for path in frame["path"]]
        return [
            Labeled(
                path,
                stamps[path],
                label,
                confidence,
                keys,
                model=self._model,
                labeled_at=now,
            )
            for path, (label, confidence, keys) in zip(paths, columns.rows(), strict=True)
        ]

    def _remove(self, paths: list[str], folders: Sequence[str] = ()) -> None:
        if paths or folders:
            self.check_root()
            self.counts.removed += self._store.remove(paths, folders)

    def _identify(self) -> tuple[int, int] | None:
        """Returns device and inode; None if missing or reached through a symbolic link."""
        with contextlib.suppress(OSError):
            status = os.stat(self.root)
            return (status.st_dev, status.st_ino) if _is_real(self.root) else None
        return None


def _is_real(folder: str) -> bool:
    """Returns whether the path to a folder is free of symbolic links."""
    return os.path.realpath(folder) == folder
