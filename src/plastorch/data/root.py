"""Where data sets are looked for, and where decoded images are kept."""

import os
from pathlib import Path

from plastorch.engine.errors import InputError


def data_root(data: str | Path | None = None) -> Path:
    """Returns the folder that holds the data sets.

    The argument comes first, then ``$PLASTORCH_DATA``, then ``plastorch/data`` in the user's cache
    folder (which need not exist yet: ``plastorch data get`` makes it).

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
    if not (name := named_by(data)):
        return cache_root() / "data"
    folder = Path(os.environ["PLASTORCH_DATA"] if data is None else data).expanduser()
    if not folder.is_dir():
        raise InputError(f"{name}: {folder} is not a folder; expected an existing data root")
    return folder


def named_by(data: str | Path | None = None) -> str:
    """Returns what names the data root; what a user names is used or refused, never replaced.

    Args:
        data: As for :func:`data_root`.

    Returns:
        ``data`` or ``$PLASTORCH_DATA``; empty for the default data root.

    Example:
        >>> named_by(".")
        'data'
    """
    if data is not None:
        return "data"
    return "$PLASTORCH_DATA" if os.environ.get("PLASTORCH_DATA") else ""


def cache_root() -> Path:
    """Returns plastorch's folder in the user's cache, ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Returns:
        The folder; it may not exist yet.

    Example:
        >>> cache_root().name
        'plastorch'
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plastorch"
