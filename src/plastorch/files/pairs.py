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
from scipy.special import log_softmax

from plastorch.engine.errors import InputError, check_positive
from plastorch.files.column_values import texts
from plastorch.files.key import Key

SAMPLE, MOST_CELLS, MOST_KEYS = 10_000, 500_000, 24
"""Largest numbers of records, of records times classes, and of keys by which pairs are judged."""
PRIOR = 5.0
"""Number of records for which what is expected before any are counted stands."""
WEIGHTS = (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5)
"""Weights of two keys in what they tell separately; keys that are alike tell the same twice."""
LEAST, SURE = 0.01, 2.0
"""Least gain of the best pair in nats, after subtracting this many standard errors."""
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
    frame: pl.DataFrame,
    keys: Sequence[Key],
    labels: NDArray[np.int64],
    count: int,
    neurons: int,
    seed: int = 0,
) -> tuple[Pair, ...]:
    """Returns up to ``count`` pairs of categories, those first that tell most about the classes [B]
    beyond what their keys tell; none if even the first doesn't clearly tell more.

    Two halves of a sample of the records take turns: one is counted, and the classes of the other
    are told from both keys as naive Bayes does, or from one of them if that tells more; and from
    counts of their combination. The gain is how much more probable these make the right class, in
    nats, less two standard errors. Pairs that gain nothing by themselves help where three keys or
    more tell only together, so of one that gains, others follow.

    Example:
        >>> frame = pl.DataFrame({"a": ["x", "y"] * 40, "b": ["u", "u", "v", "v"] * 20})
        >>> keys = [Key("a", "category", 1), Key("b", "category", 1)]
        >>> best_pairs(frame, keys, np.array([0, 1, 1, 0] * 20), count=3, neurons=20)
        (Pair(first='a', second='b', neurons=20),)
    """
    categories = [key for key in keys if key.kind == "category"]
    largest = sorted(categories, key=lambda key: -key.neurons)[:MOST_KEYS]
    if not count or len(largest) < 2:
        return ()
    classes = int(labels.max()) + 1
    size = min(SAMPLE, MOST_CELLS // classes)
    sample = np.random.default_rng(seed).permutation(len(labels))[:size]
    codes = {key.name: _codes(frame[key.name].gather(sample)) for key in largest}
    turn = np.arange(len(sample)) % 2 == 0
    halves = [_Half(codes, labels[sample], known, classes) for known in (turn, ~turn)]
    gains = {}
    for first, second in combinations([key.name for key in categories if key in largest], 2):
        gain = np.concatenate([half.gain(first, second) for half in halves])
        gains[Pair(first, second, neurons)] = gain.mean() - SURE * gain.std() / len(gain) ** 0.5
    order = sorted(gains, key=lambda pair: -gains[pair])
    return tuple(order[:count]) if gains[order[0]] >= LEAST else ()


class _Half:
    """Records whose classes are told from counts of those that are ``known``."""

    def __init__(
        self,
        codes: dict[str, NDArray[np.int64]],
        labels: NDArray[np.int64],
        known: NDArray[np.bool_],
        classes: int,
    ) -> None:
        self._codes, self._labels, self._known = codes, labels, known
        counts = np.bincount(labels[known], minlength=classes) + 1.0
        self._base = np.log(counts / counts.sum())
        self._told = {
            name: self._from(code, self._base) - self._base for name, code in codes.items()
        }

    def gain(self, first: str, second: str) -> NDArray[np.float64]:
        """Returns how much more the combination tells of each record than the two keys do."""
        one, two = self._told[first], self._told[second]
        codes = self._codes[first], self._codes[second]
        right = np.arange(len(one)), self._labels[~self._known]
        apart = [log_softmax(self._base + a * one + b * two, 1) for a, b in WEIGHTS]
        prior = max(apart, key=lambda told: told[right].mean())
        again = max((self._from(code, prior)[right] for code in codes), key=np.mean)
        both = np.unique(codes[0] * (codes[1].max() + 1) + codes[1], return_inverse=True)[1]
        least = max(prior[right], again, key=np.mean)
        return np.asarray(self._from(both, prior)[right] - least)

    def _from(self, codes: NDArray[np.int64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns logarithms of the probabilities of classes [B, C], from counts for each value and
        what is expected before."""
        classes = len(self._base)
        cells = classes * codes[self._known] + self._labels[self._known]
        counts = np.bincount(cells, minlength=classes * (codes.max() + 1)).reshape(-1, classes)
        own = counts[codes[~self._known]]
        total = np.log(own.sum(1, keepdims=True) + PRIOR)
        return np.asarray(np.log(own + PRIOR * np.exp(prior)) - total)


def _codes(column: pl.Series) -> NDArray[np.int64]:
    """Returns values as numbers, 0 if missing [B]."""
    return texts(column).rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
