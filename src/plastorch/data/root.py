"""Folders of the data sets and of decoded images."""

import os
from pathlib import Path

from plastorch.engine.errors import InputError


def data_root(data: str | Path | None = None) -> Path:
    """Returns the folder that holds the data sets.

    The argument comes first, then ``$PLASTORCH_DATA``, then ``plastorch/data`` in the user's cache
    folder (which need not exist yet: ``plastorch data get`` makes it). Raises InputError if one of
    the first two names a folder that is missing.
    """
    if not (name := named_by(data)):
        return cache_root() / "data"
    folder = Path(os.environ["PLASTORCH_DATA"] if data is None else data).expanduser()
    if not folder.is_dir():
        raise InputError(f"{name}: {folder} is not a folder; expected an existing data root")
    return folder


def named_by(data: str | Path | None = None) -> str:
    """Returns how the data root was given: ``data``, ``$PLASTORCH_DATA``, or empty for the default.

    A given data root is used or refused, never replaced by another.
    """
    if data is not None:
        return "data"
    return "$PLASTORCH_DATA" if os.environ.get("PLASTORCH_DATA") else ""


def cache_root() -> Path:
    """Returns plastorch's folder in the user's cache, ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plastorch"
