"""Pairs of keys that tell more together than either alone, with input neurons of their own.

These fire at times that depend on both values at once, so on their combination, which the first
layer can't add up from single ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.engine.errors import InputError, check_positive
from plastorch.files.column_values import texts
from plastorch.files.key import Key
from plastorch.files.neuron_allocation import mutual_information

_BETWEEN = "\x1f"


@dataclass(frozen=True)
class Pair:
    """Two keys whose values count together as one category.

    Args:
        first: name of a key.
        second: name of another key.
        neurons: number of input neurons of the pair.

    Raises:
        InputError: a value is out of range.

    Example:
        >>> Pair("owner", "extension", 20).name
        'owner × extension'
    """

    first: str
    second: str
    neurons: int

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise InputError(f"second is {self.second!r}; expected another key than the first")
        if type(self.neurons) is not int:
            raise InputError(f"neurons is {self.neurons!r}; expected a whole number")
        check_positive(neurons=self.neurons)

    @property
    def name(self) -> str:
        """Name of the pair among the keys."""
        return f"{self.first} × {self.second}"

    @property
    def key(self) -> Key:
        """The pair as a key of its own."""
        return Key(self.name, "category", self.neurons)

    def values(self, first: pl.Series, second: pl.Series) -> pl.Series:
        """Returns the pair's category of each record [B], missing if either value is."""
        both = pl.DataFrame({"first": texts(first), "second": texts(second)})
        joined = both.select(pl.concat_str("first", "second", separator=_BETWEEN))
        return joined.to_series().alias(self.name)


def best_pairs(
    frame: pl.DataFrame, keys: Sequence[Key], labels: NDArray[np.int64], count: int, neurons: int
) -> tuple[Pair, ...]:
    """Returns up to ``count`` pairs of categories, those that tell most about the classes [B], by
    mutual information, beyond what the better of the two tells alone.

    Example:
        >>> frame = pl.DataFrame({"a": ["x", "y"] * 20, "b": ["u", "u", "v", "v"] * 10})
        >>> keys = [Key("a", "category", 1), Key("b", "category", 1)]
        >>> best_pairs(frame, keys, np.array([0, 1, 1, 0] * 10), count=3, neurons=20)
        (Pair(first='a', second='b', neurons=20),)
    """
    if not count:
        return ()
    classes = pl.Series(labels)
    names = [key.name for key in keys if key.kind == "category"]
    alone = {name: mutual_information(texts(frame[name]), classes) for name in names}
    gains = {}
    for first, second in combinations(names, 2):
        pair = Pair(first, second, neurons)
        both = mutual_information(pair.values(frame[first], frame[second]), classes)
        gains[pair] = both - max(alone[first], alone[second])
    order = sorted(gains, key=lambda pair: -gains[pair])
    return tuple(pair for pair in order if gains[pair] > 0)[:count]
