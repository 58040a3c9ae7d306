"""Where a set lies in a data root, and what of it is missing."""

from pathlib import Path

from plastorch.data.catalogue import Entry
from plastorch.data.root import data_root, named_by
from plastorch.engine.errors import InputError


def find_set(entry: Entry, root: Path) -> Path | None:
    """Returns the folder of a set in a data root.

    Args:
        entry: Which set.
        root: The data root.

    Returns:
        The first of the set's possible folders that is there and not empty, or None.

    Example:
        >>> from plastorch.data.catalogue import CATALOGUE
        >>> find_set(CATALOGUE["cifar10"], Path("nowhere")) is None
        True
    """
    for name in entry.folders:
        folder = root / name
        if folder.is_dir() and any(folder.iterdir()):
            return folder
    return None


def located(entry: Entry, data: str | Path | None) -> Path:
    """Returns the folder of a set in the data root.

    Args:
        entry: Which set.
        data: The data root; None for ``$PLASTORCH_DATA`` or the user's cache folder.

    Raises:
        InputError: It is not there; the message says how to get it.
    """
    root = data_root(data)
    if folder := find_set(entry, root):
        return folder
    other = "" if named_by(data) else "; or name a data root that holds it by $PLASTORCH_DATA"
    missing = f"{entry.title} is not in {root / entry.folders[0]}"
    raise InputError(f"{missing}; to get it: {entry.how_to_get(data)}{other}")


def missing_files(entry: Entry, folder: Path) -> list[str]:
    """Names what a folder lacks of a set, optional files left out.

    Args:
        entry: Which set.
        folder: Where it should lie.

    Returns:
        Official files by their plain names (a gzipped IDX file counts as there), the folders
        of a tree, or "recordings".

    Example:
        >>> from plastorch.data.catalogue import CATALOGUE
        >>> missing_files(CATALOGUE["cifar100"], Path("nowhere"))
        ['train', 'test', 'meta']
    """
    if entry.layout == "tree":
        return [part for part in ("train", "val") if not (folder / part).is_dir()]
    if entry.layout in ("commands", "digits"):
        return [] if any(folder.glob("*/*.wav")) else ["recordings"]
    needed = [name for name in entry.files if name not in entry.optional]
    return [name for name in needed if not present_file(entry, folder, name).is_file()]


def present_file(entry: Entry, folder: Path, name: str) -> Path:
    """Returns the path of a file, or of its gzipped form if only that is there (IDX only).

    Args:
        entry: Which set.
        folder: Where to look.
        name: The plain name.

    Returns:
        A path; the file need not exist.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    use_packed = entry.layout == "idx" and packed.is_file() and not plain.is_file()
    return packed if use_packed else plain
