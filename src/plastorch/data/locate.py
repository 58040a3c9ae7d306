"""Location of a set in a data root, and which of its files are missing."""

from pathlib import Path

from plastorch.data.catalog import Entry
from plastorch.data.root import data_root, named_by
from plastorch.engine.errors import InputError


def find_set(entry: Entry, root: Path) -> Path | None:
    """Returns the first of a set's possible folders that exists and is not empty, or None."""
    for name in entry.folders:
        folder = root / name
        if folder.is_dir() and any(folder.iterdir()):
            return folder
    return None


def located(entry: Entry, data: str | Path | None) -> Path:
    """Returns the folder of a set in the data root.

    Raises InputError if the set is missing; the message says how to get it.
    """
    root = data_root(data)
    if folder := find_set(entry, root):
        return folder
    other = "" if named_by(data) else "; or name a data root that holds it by $PLASTORCH_DATA"
    missing = f"{entry.title} is not in {root / entry.folders[0]}"
    raise InputError(f"{missing}; to get it: {entry.how_to_get(data)}{other}")


def missing_files(entry: Entry, folder: Path) -> list[str]:
    """Returns the names of a set's files that a folder lacks, except optional ones.

    They are official files by their plain names (a gzipped IDX file counts as present), the folders
    of a tree, or "recordings".
    """
    if entry.layout in ("commands", "digits"):
        return [] if any(folder.glob("*/*.wav")) else ["recordings"]
    needed = [name for name in entry.files if name not in entry.optional]
    return [name for name in needed if not present_file(entry, folder, name).exists()]


def present_file(entry: Entry, folder: Path, name: str) -> Path:
    """Returns the path of a file, or of its gzipped form if only that exists (IDX only)."""
    plain, packed = folder / name, folder / f"{name}.gz"
    use_packed = entry.layout == "idx" and packed.is_file() and not plain.is_file()
    return packed if use_packed else plain
