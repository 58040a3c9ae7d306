"""Time series with their official splits, from files inside installed packages: no download."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError, check_one_of, require

INSIDE_AEON = (
    "ItalyPowerDemand",
    "GunPoint",
    "ArrowHead",
    "OSULeaf",
    "BasicMotions",
    "JapaneseVowels",
    "PickupGestureWiimoteZ",
)
"""Sets of the UCR and UEA archives inside aeon's wheel."""
MNIST1D = "MNIST-1D"
"""Set that the package mnist1d generates (Greydanus and Kobak 2024), by its own seed."""
SETS = (*INSIDE_AEON, MNIST1D)

Floats = NDArray[np.float32]


class SeriesSet(NamedTuple):
    """Time series [channels, time] with their classes, split for training and test."""

    name: str
    train: tuple[Floats, ...]
    train_labels: NDArray[np.str_]
    test: tuple[Floats, ...]
    test_labels: NDArray[np.str_]

    def sha256(self) -> str:
        """SHA-256 of all values and labels."""
        found = hashlib.sha256()
        for row in (*self.train, *self.test):
            found.update(row.tobytes())
        found.update("".join([*self.train_labels, *self.test_labels]).encode())
        return found.hexdigest()

    def few(self, count: int) -> "SeriesSet":
        """Returns the set with ``count`` series or fewer in each part, of all classes."""
        parts: list[tuple[Floats, ...] | NDArray[np.str_]] = []
        for rows, labels in ((self.train, self.train_labels), (self.test, self.test_labels)):
            before = [(labels[:place] == label).sum() for place, label in enumerate(labels)]
            kept = np.sort(np.argsort(before, kind="stable")[:count])
            parts += [tuple(rows[place] for place in kept), labels[kept]]
        return SeriesSet(self.name, *parts)  # type: ignore[arg-type]


def load_series(name: str) -> SeriesSet:
    """Loads a set of time series by name, one of ``SETS``.

    Raises:
        InputError: the name is unknown, or the package that holds the set is missing.
    """
    check_one_of(SETS, name=name)
    return _mnist1d() if name == MNIST1D else _inside_aeon(name)


def _inside_aeon(name: str) -> SeriesSet:
    require("aeon", "series")
    spec = find_spec("aeon")
    assert spec and spec.origin
    folder = Path(spec.origin).parent / "datasets" / "data" / name
    parts: list[tuple[Floats, ...] | NDArray[np.str_]] = []
    from aeon.datasets import load_from_ts_file

    for part in ("TRAIN", "TEST"):
        path = folder / f"{name}_{part}.ts"
        if not path.is_file():
            raise InputError(f"{path} is missing; expected it in the installed aeon")
        rows, labels = load_from_ts_file(str(path))
        parts += [tuple(np.asarray(row, np.float32) for row in rows), np.asarray(labels, np.str_)]
    return SeriesSet(name, *parts)  # type: ignore[arg-type]


def _mnist1d() -> SeriesSet:
    require("mnist1d", "series")
    from mnist1d.data import make_dataset

    found = make_dataset()
    rows = (tuple(found[part].astype(np.float32)[:, None]) for part in ("x", "x_test"))
    labels = (found[part].astype(np.str_) for part in ("y", "y_test"))
    (train, test), (train_labels, test_labels) = rows, labels
    return SeriesSet(MNIST1D, train, train_labels, test, test_labels)
