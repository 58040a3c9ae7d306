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


def records(
    root: str | Path,
    paths: Iterable[str | Path],
    *,
    magic: bool = False,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Returns the rows that a scan would have for some files, in its order, each once.

    Paths are as the system spells them, absolute or relative to the root; one outside the root
    raises InputError. Files that a scan would not list have no row: those that vanished, are not
    regular or are reached through symbolic links. ``now`` is the time from which ages are counted.
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
    top, found = open_root(root), []
    try:
        for folder in sorted(names, key=lambda folder: folder.split(os.sep)):
            if _is_real(root, folder):
                found += _listed(top, folder, sorted(names[folder]), magic)
    finally:
        os.close(top)
    return rows(found, now, magic)


def _is_real(root: str, folder: str) -> bool:
    """Returns whether a folder is not reached through symbolic links, which no scan follows."""
    real = os.path.normpath(os.path.join(os.path.realpath(root), folder))
    return os.path.realpath(os.path.join(root, folder)) == real


def _listed(top: int, folder: str, names: list[str], magic: bool) -> list[Listing]:
    summary = Summary()
    opened = open_folder(top, folder, summary)
    if opened is None:
        return []
    try:
        return [look(opened, folder, names, summary, magic)]
    finally:
        os.close(opened)
