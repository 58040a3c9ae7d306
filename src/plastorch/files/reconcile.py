"""Brings a store of labels up to date with the tree of files that it is about."""

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
from plastorch.files.store import Labelled, LabelStore, Stamp
from plastorch.files.walk import Summary, open_root, walk

if TYPE_CHECKING:
    import polars as pl


class Labeller(Protocol):
    """What gives labels to records of files."""

    def describe(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """Columns ``label``, ``confidence`` and ``keys``, a row for each row, in their order."""


Read = Callable[[Path, Sequence[str]], "pl.DataFrame"]
"""Gives records of files: takes the root and absolute paths, returns rows for those that are there,
in any order, with a column ``path``, relative to the root and escaped."""


@dataclass
class Counts:
    """What was done so far."""

    labelled: int = 0
    """Labels written; a file that changed again and again counts as often."""
    removed: int = 0
    """Labels of files that are gone."""
    vanished: int = 0
    """Files that were gone before they could be read."""
    unreadable: int = 0
    """Files and folders that could not be looked at since the last walk; their labels stay."""
    walks: int = 0
    """How often the whole tree was compared with the store."""
    notice: str = ""
    """Why not all changes are seen at once, if so."""

    def __str__(self) -> str:
        """The status line."""
        line = f"{self.labelled:,} labelled, {self.removed:,} removed, {self.vanished:,} vanished"
        line += f", {self.unreadable:,} unreadable" if self.unreadable else ""
        return line + (f" ({self.notice})" if self.notice else "")


class Places(NamedTuple):
    """What is to be found at some paths."""

    files: list[tuple[str, Stamp]]
    """Regular files, by escaped path."""
    folders: list[str]
    gone: list[str]
    """Neither, or reached through a symbolic link: nothing of the tree."""


class Reconciler:
    """Labels what is new or changed in a tree, and removes what is gone.

    Args:
        labeller: gives the labels.
        root: the folder.
        store: takes the labels.
        model: says which model the labeller is.
        batch: files that are labelled at a time and written in one transaction.
        read: gives the records that the labeller takes.
        tell: is called when something was done.
        stopped: whether to stop after the batch in hand.

    Raises:
        InputError: if the root is no folder or can't be read.
    """

    def __init__(
        self,
        labeller: Labeller,
        root: Path | str,
        store: LabelStore,
        model: str,
        batch: int,
        read: Read,
        tell: Callable[[Counts], None],
        stopped: Callable[[], bool],
    ) -> None:
        self.root = os.path.realpath(root)
        self.counts = Counts()
        self._labeller, self._store, self._model, self._batch = labeller, store, model, batch
        self._read, self._tell, self._stopped = read, tell, stopped
        self._ours = store.files
        os.close(open_root(self.root))
        self._identity = self._identify()

    def check_root(self) -> None:
        """Raises InputError if the root is gone or another one: it must not pass for empty."""
        if self._identify() != self._identity:
            raise InputError(
                f"root is {self.root!r}, which was removed or replaced while it was watched"
            )

    def look(self, places: Iterable[str]) -> None:
        """Brings the store up to date with what is at and below some paths.

        Raises:
            InputError: if the store can't be written, or the root is gone.
        """
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
        for labelled in self._labelled(folders):
            left = self._sort(map(unescape, labelled))
            self._remove([*left.gone, *map(escape, left.folders)])
            if self._stopped():
                return
        self.counts.walks += whole
        self._tell(replace(self.counts))

    def _sort(self, places: Iterable[str]) -> Places:
        """Tells files, folders and what is gone apart; what can't be told is left out."""
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
        """The regular files below a folder with their states."""
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

    def _labelled(self, folders: list[str]) -> Iterator[list[str]]:
        """The paths below folders that the store has labels for."""
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
            self.counts.labelled += frame.height
            self._tell(replace(self.counts))

    def _rows(self, frame: "pl.DataFrame", stamps: dict[str, Stamp]) -> list[Labelled]:
        described = self._labeller.describe(frame)
        columns = (described["label"], described["confidence"], described["keys"])
        top, now = escape(self.root).rstrip("/"), time.time()
        paths = [f"{top}/{path}" for path in frame["path"]]
        return [
            Labelled(path, stamps[path], label, confidence, keys, self._model, now)
            for path, label, confidence, keys in zip(paths, *columns, strict=True)
        ]

    def _remove(self, paths: list[str], folders: Sequence[str] = ()) -> None:
        if paths or folders:
            self.check_root()
            self.counts.removed += self._store.remove(paths, folders)

    def _identify(self) -> tuple[int, int] | None:
        """None also if a symbolic link is on the way: nothing below would count as there."""
        with contextlib.suppress(OSError):
            status = os.stat(self.root)
            return (status.st_dev, status.st_ino) if _is_real(self.root) else None
        return None


def _is_real(folder: str) -> bool:
    """Whether no symbolic link is on the way to a folder."""
    return os.path.realpath(folder) == folder
