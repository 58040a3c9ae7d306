"""The catalog rows of single files, for labeling them one by one."""

import os
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import polars as pl

from plastorch.engine.errors import InputError
from plastorch.files.metadata import Listing, present, rows
from plastorch.files.walk import Summary, look, open_folder, open_root


def record(
    root: str | Path, path: str | Path, magic: bool = False, now: datetime | None = None
) -> pl.DataFrame | None:
    """Returns the row that a scan would have for one file.

    Args:
        root: folder that would be scanned.
        path: path of the file as the system spells it, absolute or relative to the root.
        magic: whether to read the first bytes for the type.
        now: time from which the age is counted, with a time zone; None is the present.

    Returns:
        Frame with one row, or None if a scan would not list the file: it vanished, is not regular
        or is reached through symbolic links.

    Raises:
        InputError: the root is missing, or the path is outside it.
    """
    frame = records(root, [path], magic, now)
    return frame if frame.height else None


def records(
    root: str | Path,
    paths: Iterable[str | Path],
    magic: bool = False,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Returns the rows that a scan would have for some files, in its order, each once.

    Args:
        root: folder that would be scanned.
        paths: paths of the files as the system spells them, absolute or relative to the root.
        magic: whether to read the first bytes for the types.
        now: time from which ages are counted, with a time zone; None is the present.

    Returns:
        Frame, without rows for files that a scan would not list.

    Raises:
        InputError: the root is missing, or a path is outside it.
    """
    now = present(now)
    root = os.fspath(root)
    names: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        inside = os.path.relpath(os.path.join(root, path), root)
        if inside == os.pardir or inside.startswith(os.pardir + os.sep):
            raise InputError(f"path is {os.fspath(path)!r}; expected one inside {root!r}")
        folder, name = os.path.split(inside)
        names[folder].add(name)
    top, summary = open_root(root), Summary()
    try:
        found = [
            _look(top, root, folder, sorted(names[folder]), summary, magic)
            for folder in sorted(names, key=lambda folder: folder.split(os.sep))
        ]
    finally:
        os.close(top)
    return rows([listing for listing in found if listing], now, magic)


def _look(
    top: int, root: str, folder: str, names: list[str], summary: Summary, magic: bool
) -> Listing | None:
    where = os.path.normpath(os.path.join(os.path.realpath(root), folder))
    if os.path.realpath(os.path.join(root, folder)) != where:
        return None  # reached through symbolic links, which a scan doesn't follow
    opened = open_folder(top, folder, summary)
    if opened is None:
        return None
    try:
        return look(opened, folder, names, summary, magic)
    finally:
        os.close(opened)
