"""Availability of the sets: the rows of ``plastorch data status``."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from plastorch.data.catalog import CATALOG, Entry
from plastorch.data.images.trees import is_own_folder, visible_folders
from plastorch.data.locate import find_set, missing_files, present_file
from plastorch.data.root import data_root, named_by

AT_HAND, OWN = "at hand", "own images at hand"


@dataclass(frozen=True)
class FileStatus:
    """State of one file of a set, or of one folder of a tree or of recordings.

    The size is in bytes, or the number of class folders or of recordings. ``check`` is ``md5 ok``,
    ``md5 differs from the official file``, ``no official md5``, ``class folders``, or
    ``recordings``.
    """

    name: str
    size: int
    check: str


@dataclass(frozen=True, kw_only=True)
class SetStatus:
    """State of one named set, and how to get it; ``missing`` lists optional files too."""

    name: str
    at_hand: str
    where: Path
    files: tuple[FileStatus, ...]
    missing: tuple[str, ...]
    download: str

    @property
    def present(self) -> bool:
        """Whether all needed files exist; for their content see each file's check."""
        return self.at_hand == AT_HAND


def at_hand(entry: Entry, data: str | Path | None = None) -> str:
    """Returns what can be loaded of a set, in words.

    These are ``at hand``, ``incomplete``, ``own images at hand``, ``6,000 of it at hand`` (the
    digits of MNIST in the package) or ``not at hand``.
    """
    root = data_root(data)
    if folder := find_set(entry, root):
        return "incomplete" if missing_files(entry, folder) else AT_HAND
    if not entry.reader and is_own_folder(root):
        return OWN
    if entry.name == "mnist" and not named_by(data):
        return "6,000 of it at hand"
    return "not at hand"


def image_set_status(data: str | Path | None = None) -> list[SetStatus]:
    """Looks up every named set in the data root, and checks its files; downloads nothing.

    Checksums take about a second per half gigabyte. Raises InputError if a given folder is missing.
    """
    return [_status(entry, data) for entry in CATALOG.values()]


def _status(entry: Entry, data: str | Path | None) -> SetStatus:
    root = data_root(data)
    state = at_hand(entry, data)
    where = find_set(entry, root) or (root if state == OWN else root / entry.folders[0])
    paths = [present_file(entry, where, file) for file in entry.files]
    found = [_file_status(entry, path) for path in paths if path.exists()]
    return SetStatus(
        name=entry.name,
        at_hand=state,
        where=where,
        files=tuple(found if entry.files else _recordings_status(where)),
        missing=tuple(path.name for path in paths if not path.exists()),
        download=entry.how_to_get(data),
    )


def _file_status(entry: Entry, path: Path) -> FileStatus:
    if path.is_dir():
        return FileStatus(path.name, len(visible_folders(path)), "class folders")
    expected = entry.md5.get(path.name)
    if expected is None:
        check = "no official md5"
    else:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        same = found.hexdigest() == expected
        check = "md5 ok" if same else "md5 differs from the official file"
    return FileStatus(path.name, path.stat().st_size, check)


def _recordings_status(where: Path) -> list[FileStatus]:
    """Lists the folders of a set that hold WAV files."""
    folders = sorted(f for f in where.iterdir() if f.is_dir()) if where.is_dir() else []
    counts = {folder.name: sum(1 for _ in folder.glob("*.wav")) for folder in folders}
    return [FileStatus(name, count, "recordings") for name, count in counts.items() if count]
