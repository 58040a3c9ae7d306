"""Where data sets are looked for, and where decoded images are kept."""

import os
from pathlib import Path

from plastorch.engine.errors import InputError


def data_root(data: str | Path | None = None) -> Path:
    """Returns the folder that holds the data sets.

    The argument comes first, then ``$PLASTORCH_DATA``, then ``plastorch/data`` in the user's cache
    folder (which need not exist yet: downloads make it).

    Args:
        data: A folder, or None for the user's own choice of folder.

    Returns:
        The folder.

    Raises:
        InputError: A folder was given, by argument or environment, and is not there.

    Example:
        >>> data_root(".")
        PosixPath('.')
    """
    if data is not None:
        return _existing(Path(data), "data")
    if given := os.environ.get("PLASTORCH_DATA"):
        return _existing(Path(given), "$PLASTORCH_DATA")
    return cache_root() / "data"


def cache_root() -> Path:
    """Returns plastorch's folder in the user's cache, ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Returns:
        The folder; it may not exist yet.

    Example:
        >>> cache_root().name
        'plastorch'
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plastorch"


def _existing(folder: Path, argument: str) -> Path:
    folder = folder.expanduser()
    if not folder.is_dir():
        raise InputError(f"{argument}: {folder} is not a folder; expected an existing data root")
    return folder
