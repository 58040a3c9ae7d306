"""Walk through a tree of folders that nothing in the tree can stop.

Folders are opened relative to the root, and files looked up relative to their folder. One thread
does it all: with answers in the system's cache, calls are so short that more threads mostly wait
for the interpreter's lock and are slower.
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
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # ELOOP: a symbolic link took its place

_LEFT_OUT = (
    *("symbolic_links", "special_files", "unreadable_folders", "unreadable_files"),
    *("vanished_folders", "vanished_files"),
)
_NOTED = ("files_without_type", "escaped_names")


@dataclass
class Summary:
    """Counts of what a walk found and left out."""

    files: int = 0
    folders: int = 0
    bytes: int = 0
    seconds: float = 0.0
    symbolic_links: int = 0
    """Number of symbolic links, never followed, so loops do no harm."""
    special_files: int = 0
    """Number of pipes, sockets and devices, never opened."""
    unreadable_folders: int = 0
    unreadable_files: int = 0
    vanished_folders: int = 0
    """Number of folders gone, or replaced by something else, since they were listed."""
    vanished_files: int = 0
    files_without_type: int = 0
    """Number of cataloged files whose first bytes can't be read."""
    escaped_names: int = 0
    """Number of cataloged files with a name that is not UTF-8: see :mod:`plastorch.files.names`."""

    def __str__(self) -> str:
        """Returns one line for the user."""
        files, folders = f"file{'s' * (self.files != 1)}", f"folder{'s' * (self.folders != 1)}"
        line = f"{self.files:,} {files} in {self.folders:,} {folders}, {self.bytes:,} bytes"
        if self.seconds:
            line += f", {self.files / self.seconds:,.0f} files a second"
        for lead, names in (("left out", _LEFT_OUT), ("noted", _NOTED)):
            counts = [(name.replace("_", " "), getattr(self, name)) for name in names]
            told = ", ".join(f"{name} {count:,}" for name, count in counts if count)
            line += f"; {lead}: {told}" if told else ""
        return line


Tell = Callable[[Summary, str], None]
"""Callback, given the summary so far and the current folder, at most ten times a second."""


def open_root(root: str) -> int:
    """Returns the file descriptor of a folder; raises InputError if it can't be opened."""
    try:
        return os.open(root, _OPEN)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"root is {root!r}: {reason}; expected a folder with files") from None


def walk(
    root: str,
    summary: Summary,
    *,
    magic: bool = False,
    most: int = 100_000,
    skip: Mapping[str, Collection[str]] | None = None,
    tell: Tell | None = None,
) -> Iterator[Listing]:
    """Yields regular files, folder by folder: first a folder's own, then those below it, by name.

    ``summary`` is kept up to date. A folder of more than ``most`` files gives several listings, and
    ``skip`` has names to leave out, by folder, as the system spells them. ``magic`` reads types by
    the first bytes.
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
    """Returns the file descriptor of a folder below an open one, or None if it can't be read."""
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
    """Returns the system's data on files of an open folder, and counts in ``summary``; vanished
    files are left out. ``path`` is relative to the root, as the system spells it."""
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
    """Returns a folder's files and folders in order; only names are kept, to save memory."""
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
