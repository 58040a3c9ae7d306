"""A walk through a tree of folders that nothing in the tree can stop.

Folders are opened relative to the root, and files looked at relative to their folder. One thread
does it all: if the answers are in the system's cache, calls are so short that more threads spend
their time on waiting for the interpreter's lock, and are slower.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from plastorch.engine.errors import InputError
from plastorch.files.magic import read_kind
from plastorch.files.metadata import Listing
from plastorch.files.names import escape

_OPEN = os.O_RDONLY | os.O_DIRECTORY
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # the last: a symbolic link took its place

_LEFT_OUT = (
    *("symbolic_links", "special_files", "unreadable_folders", "unreadable_files"),
    *("vanished_folders", "vanished_files"),
)
_NOTED = ("files_without_type", "escaped_names")


@dataclass
class Summary:
    """What a walk found, and what it left out."""

    files: int = 0
    folders: int = 0
    bytes: int = 0
    seconds: float = 0.0
    symbolic_links: int = 0
    """Never followed, so that loops don't matter."""
    special_files: int = 0
    """Pipes, sockets and devices, never opened."""
    unreadable_folders: int = 0
    unreadable_files: int = 0
    vanished_folders: int = 0
    """Gone, or something else by now, since they were listed."""
    vanished_files: int = 0
    files_without_type: int = 0
    """In the catalogue, but their first bytes can't be read."""
    escaped_names: int = 0
    """In the catalogue, but not UTF-8: see :mod:`plastorch.files.names`."""

    def __str__(self) -> str:
        """One line for the user."""
        line = f"{self.files:,} files in {self.folders:,} folders, {self.bytes:,} bytes"
        if self.seconds:
            line += f", {self.files / self.seconds:,.0f} files a second"
        for lead, names in (("left out", _LEFT_OUT), ("noted", _NOTED)):
            counts = [(name.replace("_", " "), getattr(self, name)) for name in names]
            told = ", ".join(f"{name} {count:,}" for name, count in counts if count)
            line += f"; {lead}: {told}" if told else ""
        return line


Tell = Callable[[Summary, str], None]
"""Is told, ten times a second at most, of what was found so far and the folder in hand."""


def open_root(root: str) -> int:
    """The file descriptor of a folder.

    Raises:
        InputError: if it is missing, no folder or unreadable.
    """
    try:
        return os.open(root, _OPEN)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"root is {root!r}: {reason}; expected a folder with files") from None


def walk(
    root: str,
    summary: Summary,
    magic: bool = False,
    most: int = 100_000,
    skip: Mapping[str, Collection[str]] | None = None,
    tell: Tell | None = None,
) -> Iterator[Listing]:
    """Regular files, folder by folder: first a folder's own, then those of its folders, by name.

    Args:
        root: path of the folder.
        summary: is kept up to date.
        magic: whether to read the types by the first bytes.
        most: files of a listing; a folder with more makes several.
        skip: names to leave out, by folder, as the system spells them.
        tell: progress.

    Raises:
        InputError: if the root is missing, no folder or unreadable.
    """
    top = open_root(root)
    told = time.monotonic()
    try:
        waiting = [""]
        while waiting:
            path = waiting.pop()
            if tell and time.monotonic() - told >= 0.1:
                tell(summary, escape(path))
                told = time.monotonic()
            folder = open_folder(top, path, summary)
            if folder is None:
                continue
            try:
                files, folders = _names(folder, summary, (skip or {}).get(path, ()))
                prefix = path + os.sep if path else ""
                waiting += [prefix + name for name in reversed(folders)]
                for start in range(0, len(files), most):
                    yield look(folder, path, files[start : start + most], summary, magic)
            finally:
                os.close(folder)
    finally:
        os.close(top)


def open_folder(top: int, path: str, summary: Summary) -> int | None:
    """The file descriptor of a folder below an open one, or None if it can't be read."""
    try:
        folder = os.open(path or ".", _OPEN | os.O_NOFOLLOW, dir_fd=top)
    except OSError as error:
        if error.errno in _GONE:
            summary.vanished_folders += 1
        else:
            summary.unreadable_folders += 1
        return None
    summary.folders += 1
    return folder


def look(
    folder: int, path: str, names: list[str], summary: Summary, magic: bool = False
) -> Listing:
    """What the system says of some files of a folder; those that vanished are left out.

    Args:
        folder: its file descriptor.
        path: relative to the root, as the system spells it.
        names: of its files.
        summary: is kept up to date.
        magic: whether to read the types by the first bytes.
    """
    found, stats = [], []
    for name in names:
        try:
            file = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno in _GONE:
                summary.vanished_files += 1
            else:
                summary.unreadable_files += 1
            continue
        if stat.S_ISREG(file.st_mode):
            found.append(name)
            stats.append(file)
        else:
            summary.vanished_files += 1
    kinds = None
    if magic:
        kinds = [
            _kind(folder, name, file, summary) for name, file in zip(found, stats, strict=True)
        ]
    texts = [escape(name) for name in found]
    if texts != found:
        summary.escaped_names += sum(map(str.__ne__, texts, found))
    summary.files += len(found)
    return Listing(escape(path), texts, stats, kinds)


def _names(folder: int, summary: Summary, skip: Collection[str]) -> tuple[list[str], list[str]]:
    """Files and folders of a folder in order; only names are kept, however many there are."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_symlink():
                    summary.symbolic_links += 1
                else:
                    summary.special_files += 1
    except OSError:
        summary.unreadable_folders += 1
    if skip:
        files = [name for name in files if name not in skip]
        folders = [name for name in folders if name not in skip]
    return sorted(files), sorted(folders)


def _kind(folder: int, name: str, file: os.stat_result, summary: Summary) -> str | None:
    if file.st_size == 0:
        return "empty"
    try:
        return read_kind(name, folder)
    except OSError:
        summary.files_without_type += 1
        return None
