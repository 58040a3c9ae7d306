"""Pairs of keys that tell more together than either alone, with input neurons of their own.

These fire at times that depend on the combination of both values, which the first layer can't
compute by adding up single keys.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from plastorch.engine.errors import InputError, check_positive
from plastorch.files.column_values import texts
from plastorch.files.features import one_hot
from plastorch.files.key import Key
from plastorch.files.neuron_allocation import mutual_information

SAMPLE, MOST_CELLS, MOST_KEYS = 10_000, 200_000, 24
"""Largest numbers of records, of records times classes, and of keys by which pairs are judged."""
LEAST, SURE = 0.01, 2.0
"""Least gain of all pairs in nats, after subtracting this many standard errors."""
ITERATIONS, UNSEEN = 50, 1e-3
"""Largest number of iterations of logistic regression, and what is added to its probabilities."""
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
    *,
    neurons: int,
    seed: int = 0,
) -> tuple[Pair, ...]:
    """Returns up to ``count`` pairs of categories, those that tell most about the classes [B], by
    mutual information, beyond what the better of the two tells alone; none unless they clearly tell
    more than all keys do separately.

    For that, two halves of a sample of the records take turns. A logistic regression learns from
    one with the pairs, another without, and they have to make the classes of the other half more
    probable by :data:`LEAST`.

    Example:
        >>> frame = pl.DataFrame({"a": ["x", "y"] * 40, "b": ["u", "u", "v", "v"] * 20})
        >>> keys = [Key("a", "category", 1), Key("b", "category", 1)]
        >>> best_pairs(frame, keys, np.array([0, 1, 1, 0] * 20), count=3, neurons=20)
        (Pair(first='a', second='b', neurons=20),)
    """
    if not count:
        return ()
    sample = np.random.default_rng(seed).permutation(len(labels))
    sample = sample[: min(SAMPLE, MOST_CELLS // (int(labels.max()) + 1))]
    frame, labels = frame[sample], labels[sample]
    turn = np.arange(len(sample)) % 2 == 0
    if any(len(set(labels[known])) < 2 for known in (turn, ~turn)):
        return ()
    pairs = _informative(frame, keys, labels, neurons)[:count]
    if not pairs:
        return ()
    gain = np.concatenate([_gain(frame, keys, pairs, labels, known) for known in (turn, ~turn)])
    return pairs if gain.mean() - SURE * gain.std() / len(gain) ** 0.5 >= LEAST else ()


def _informative(
    frame: pl.DataFrame, keys: Sequence[Key], labels: NDArray[np.int64], neurons: int
) -> tuple[Pair, ...]:
    """Returns pairs that seem to tell more than the better of the two keys, the best ones first."""
    categories = [key for key in keys if key.kind == "category"]
    largest = sorted(categories, key=lambda key: -key.neurons)[:MOST_KEYS]
    names = [key.name for key in categories if key in largest]
    classes = pl.Series(labels)
    alone = {name: mutual_information(texts(frame[name]), classes) for name in names}
    gains = {}
    for first, second in combinations(names, 2):
        pair = Pair(first, second, neurons)
        both = mutual_information(pair.values(frame[first], frame[second]), classes)
        gains[pair] = both - max(alone[first], alone[second])
    order = sorted(gains, key=lambda pair: -gains[pair])
    return tuple(pair for pair in order if gains[pair] > 0)


def _gain(
    frame: pl.DataFrame,
    keys: Sequence[Key],
    pairs: Sequence[Pair],
    labels: NDArray[np.int64],
    known: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Returns how much more probable pairs make the class of each record that is not known."""
    joined = frame.with_columns(
        pair.values(frame[pair.first], frame[pair.second]) for pair in pairs
    )
    told = []
    for columns in (keys, [*keys, *(pair.key for pair in pairs)]):
        one, two = one_hot(columns, joined.filter(known), joined.filter(~known))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            learner = LogisticRegression(max_iter=ITERATIONS).fit(one, labels[known])
        chances = np.zeros((two.shape[0], labels.max() + 1))
        chances[:, learner.classes_] = learner.predict_proba(two)
        told.append(np.log(chances[np.arange(len(chances)), labels[~known]] + UNSEEN))
    return np.asarray(told[1] - told[0])
