"""Pairs of keys that tell more together than either alone, as categories of their own.

Input neurons of a pair fire at times that depend on both values at once, so on their
combination, which the first layer can't add up from single ones.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.files.column_values import texts
from plastorch.files.key import Key
from plastorch.files.neuron_allocation import mutual_information

_BETWEEN = "\x1f"


def best_pairs(
    frame: pl.DataFrame, keys: Sequence[Key], labels: NDArray[np.int64], count: int
) -> list[tuple[str, str]]:
    """Returns up to ``count`` pairs of categories, those that tell most about the classes [B], by
    mutual information, beyond what the better of the two tells alone.

    Example:
        >>> frame = pl.DataFrame({"a": ["x", "y"] * 20, "b": ["u", "u", "v", "v"] * 10})
        >>> keys = [Key("a", "category", 1), Key("b", "category", 1)]
        >>> best_pairs(frame, keys, np.array([0, 1, 1, 0] * 10), count=3)
        [('a', 'b')]
    """
    classes = pl.Series(labels)
    names = [key.name for key in keys if key.kind == "category"]
    alone = {name: mutual_information(texts(frame[name]), classes) for name in names}
    gains = {}
    for first, second in combinations(names, 2):
        both = mutual_information(_joined(frame, first, second), classes)
        gains[first, second] = both - max(alone[first], alone[second])
    order = sorted(gains, key=lambda pair: -gains[pair])
    return [pair for pair in order if gains[pair] > 0][:count]


def with_pairs(frame: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Returns records with a column for each pair, named by :func:`pair_name`: the texts of both
    values, missing if either is."""
    return frame.with_columns(_joined(frame, *pair) for pair in pairs)


def pair_name(first: str, second: str) -> str:
    """Returns the name of a pair's column."""
    return f"{first} × {second}"


def _joined(frame: pl.DataFrame, first: str, second: str) -> pl.Series:
    both = pl.DataFrame({"first": texts(frame[first]), "second": texts(frame[second])})
    joined = both.select(pl.concat_str("first", "second", separator=_BETWEEN))
    return joined.to_series().alias(pair_name(first, second))
