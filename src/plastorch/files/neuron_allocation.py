"""Division of the input neurons among keys by how much their values tell about the classes."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from plastorch.engine.errors import InputError
from plastorch.files.column_values import cells, numbers, prefixes, texts
from plastorch.files.key import Key

FLOOR = 0.02
"""Smallest share of a key."""
LEVELS = 16
"""Number of levels of equal frequency into which numbers are divided."""


def key_shares(
    frame: pl.DataFrame, keys: Sequence[Key], labels: ArrayLike | None, least: float = 0.0
) -> NDArray[np.float64]:
    """Returns shares q_m of the neurons that sum to 1 [M]: by mutual information with the labels,
    at least 2 % or ``least``; equal without labels or with more than 50 keys."""
    equal = np.full(len(keys), 1 / len(keys))
    if labels is None:
        return equal
    classes = _classes(labels, frame.height)
    told = np.array([_best_information(frame[key.name], key, classes) for key in keys])
    if told.sum() == 0:
        return equal
    return with_floor(told / told.sum(), min(max(FLOOR, least), 1 / len(keys)))


def mutual_information(values: pl.Series, classes: pl.Series) -> float:
    """Estimates mutual information of two variables [B] in nats, less its small-sample bias.

    By chance alone, R different values and C classes in n records seem to share (R - 1)(C - 1) / 2n
    nats: Miller, *Note on the bias of information estimates*, 1955. Missing is a value of its own.
    """
    joint = pl.DataFrame({"value": values, "label": classes}).group_by("value", "label").len()
    count = joint["len"].to_numpy()
    of_value = joint.select(pl.col("len").sum().over("value")).to_series().to_numpy()
    of_class = joint.select(pl.col("len").sum().over("label")).to_series().to_numpy()
    total = len(values)
    # The join has any order; sorting makes the sum the same to the bit each time.
    terms = np.sort(count / total * np.log(count * total / (of_value * 1.0 * of_class)))
    chance = (joint["value"].n_unique() - 1) * (joint["label"].n_unique() - 1) / (2 * total)
    return max(float(terms.sum() - chance), 0.0)


def levels(values: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.int64]:
    """Divides numbers [B] into 16 levels, equally frequent in ``known``; NaN is one more."""
    known = known[~np.isnan(known)]
    edges = np.unique(np.quantile(known, np.arange(1, LEVELS) / LEVELS)) if len(known) else known
    level = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, level)


def with_floor(shares: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Raises shares [M] to a floor of at most 1 / M; the others shrink in proportion."""
    low = np.zeros(len(shares), bool)
    while True:
        rest = shares[~low].sum()
        room = 1 - floor * low.sum()
        raised = np.where(low, floor, shares * room / rest if rest > 0 else floor)
        if not (raised < floor * (1 - 1e-9)).any():
            return raised
        low |= raised < floor


def apportion(shares: NDArray[np.float64], total: int) -> list[int]:
    """Returns whole numbers in proportion to shares [M] that sum to 1, by largest remainders."""
    exact = shares * total
    counts = np.floor(exact + 1e-9).astype(int)
    largest = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[largest] += 1
    return [int(count) for count in counts]


def _classes(labels: ArrayLike, records: int) -> pl.Series:
    classes = pl.Series(np.asarray(labels).tolist(), strict=False)
    if len(classes) != records:
        raise InputError(f"labels are {len(classes)}; expected one for each of {records} records")
    if classes.null_count() or (classes.dtype.is_float() and classes.is_nan().any()):
        raise InputError("labels are missing in some records; expected one for each")
    return classes


def _best_information(column: pl.Series, key: Key, classes: pl.Series) -> float:
    """Returns the mutual information of a key; of a path, that of its most informative depth; of a
    number, that of its levels or, if they count, of its exact values."""
    if key.kind == "path":
        text = texts(column)
        depths = range(1, key.depth + 1)
        return max(mutual_information(prefixes(text, depth), classes) for depth in depths)
    if key.kind in ("number", "cycle"):
        place = cells(column, key)
        told = mutual_information(pl.Series(levels(place, place)), classes)
        return max(told, mutual_information(pl.Series(numbers(column)), classes) * key.exact)
    return mutual_information(texts(column), classes)
