"""A fold of a table of labeled records: training and test records, and their representations."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from plastorch.data.tables.records import Table
from plastorch.engine.device import generator
from plastorch.files.column_values import cells, members, numbers, prefixes, texts
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key
from plastorch.files.keys import infer_keys
from plastorch.files.neuron_allocation import apportion, mutual_information

BINS = 20
"""Number of time bins of a pattern."""
LEVELS = 16
"""Number of equally frequent levels of a number, where categories are needed."""
MISSING = "\0missing"
"""Category of a missing value, where missing values count like others."""

Part = TypeVar("Part")


def fold_numbers(labels: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    """Assigns each record to the fold that tests it: at random, each class shared out evenly.

    Args:
        labels: classes [B].
        folds: number of folds.
        seed: random seed.

    Example:
        >>> fold_numbers(np.array(["a", "b", "a", "b"]), 2, 0).tolist()
        [1, 0, 0, 1]
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


class Fold:
    """A table of which one part is tested and the rest is learned from.

    Representations for models are made when they are first asked for, and kept.

    Args:
        table: labeled records.
        number: number of the fold.
        folds: number of folds in all.
        neurons: number of input neurons N.
        references: training records with which others are compared one by one.
        seed: random seed of splits, hashes and all models.
    """

    def __init__(
        self, table: Table, number: int, folds: int, neurons: int, references: int, seed: int
    ) -> None:
        self.name, self.number, self.seed = table.name, number, seed
        self.neurons, self.references = neurons, references
        self.classes, labels = np.unique(table.labels, return_inverse=True)
        tested = fold_numbers(labels, folds, seed) == number
        self.train, self.test = table.frame.filter(~tested), table.frame.filter(tested)
        self.train_labels, self.test_labels = labels[~tested], labels[tested]
        self.seconds: dict[str, float] = {}

    def random(self, *path: int) -> torch.Generator:
        """Returns a random generator of this fold."""
        return generator(self.seed, self.number, *path)

    def some(self, records: int, count: int, *path: int) -> NDArray[np.int64]:
        """Returns a random sample of record indices, in order; all of them if they are few."""
        order = torch.randperm(records, generator=self.random(*path))
        return np.sort(order[:count].numpy())

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Learned descriptions of the keys; mutual information shares out the neurons."""
        return self._timed(
            "keys", lambda: keys_with_shares(self.train, self.train_labels, self.neurons)
        )

    @cached_property
    def key_of_neuron(self) -> Tensor:
        """The key that each input neuron encodes, int64 [N]."""
        neurons = torch.tensor([key.neurons for key in self.keys])
        return torch.repeat_interleave(torch.arange(len(neurons)), neurons)

    @cached_property
    def encoder(self) -> CorrelativeEncoder:
        """An encoder with a hash of this fold."""
        return CorrelativeEncoder(self.keys, BINS, self.random(0).initial_seed())

    @cached_property
    def train_bins(self) -> Tensor:
        """Patterns of the training records, uint8 [B, N]."""
        self.encoder.encode(self.train[:10])  # compiles the encoder before timing
        bins = self._timed("encode", lambda: self.encoder.encode(self.train))
        return torch.from_numpy(bins)

    @cached_property
    def test_bins(self) -> Tensor:
        """Patterns of the test records, uint8 [B, N]."""
        return torch.from_numpy(self.encoder.encode(self.test))

    @cached_property
    def equal_keys(self) -> tuple[Key, ...]:
        """Keys with equal shares of the neurons, for models that may not know labels."""
        return infer_keys(self.train, neurons=self.neurons)

    @cached_property
    def equal_bins(self) -> tuple[Tensor, Tensor]:
        """Patterns of training and test records with equal shares, uint8 [B, N]."""
        encoder = replace(self.encoder, keys=self.equal_keys)
        train, test = (encoder.encode(records) for records in (self.train, self.test))
        return torch.from_numpy(train), torch.from_numpy(test)

    @cached_property
    def features(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Features of training and test records: one-hot categories, standardized numbers."""
        return self._timed("features", lambda: one_hot(self.keys, self.train, self.test))

    @cached_property
    def codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Categories of all keys of training and test records [B, M]; -1 if never seen."""
        pairs = [_categories(key, self.train, self.test) for key in self.keys]
        train, test = zip(*pairs, strict=True)
        return np.stack(train, 1), np.stack(test, 1)

    @cached_property
    def ordinals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Numbers, and alphabetical places of categories, of training and test records."""
        made = []
        for codes, records in zip(self.codes, (self.train, self.test), strict=True):
            table = np.where(codes < 0, np.nan, codes)
            for place, key in enumerate(self.keys):
                if key.kind in ("number", "cycle"):
                    table[:, place] = numbers(records[key.name])
            made.append(table)
        return made[0], made[1]

    def _timed(self, name: str, make: Callable[[], Part]) -> Part:
        """Makes a representation and remembers how many CPU seconds that took."""
        start = time.process_time()
        made = make()
        self.seconds[name] = time.process_time() - start
        return made


def keys_with_shares(
    records: pl.DataFrame, labels: NDArray[np.int64], neurons: int
) -> tuple[Key, ...]:
    """Shares out neurons by mutual information, as far as single keys tell about classes at all.

    If the information of all keys together is less than the entropy of the classes, the rest can
    only be in combinations of keys, and that part of the neurons is shared out equally.

    Args:
        records: training records.
        labels: their classes, 0 or more [B].
        neurons: number of neurons N.

    Example:
        >>> frame = pl.DataFrame({"a": ["0", "1"] * 50, "b": ["0", "0", "1", "1"] * 25})
        >>> either = (frame["a"] != frame["b"]).to_numpy().astype(int)
        >>> [key.neurons for key in keys_with_shares(frame, either, 100)]
        [50, 50]
    """
    by_information = infer_keys(records, labels, neurons)
    equal = infer_keys(records, neurons=neurons)
    shares = np.bincount(labels) / len(labels)
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    classes = pl.Series(labels)
    codes = [pl.Series(_categories(key, records, records)[0]) for key in equal]
    told = sum(mutual_information(code, classes) for code in codes)
    part = min(1.0, told / entropy) if entropy > 0 else 0.0
    mixed = [
        (part * one.neurons + (1 - part) * two.neurons) / neurons
        for one, two in zip(by_information, equal, strict=True)
    ]
    counts = apportion(np.array(mixed), neurons)
    return tuple(replace(key, neurons=n) for key, n in zip(equal, counts, strict=True))


def one_hot(
    keys: tuple[Key, ...], train: pl.DataFrame, test: pl.DataFrame
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Converts records to features for classical models, fitted to the training records.

    A category is 1 in a column of its own, a missing one too; so are all elements of a set and all
    prefixes of a path. Numbers (or their logarithms, if the key says so) have mean 0 and variance
    1; cycles become a cosine and a sine. Missing numbers are 0, and a column says so. Values that
    no training record has are 0 everywhere.

    Args:
        keys: keys of the records.
        train: records that determine means, deviations and columns.
        test: other records.

    Returns:
        Features of both, float32 [B, F].

    Example:
        >>> frame = pl.DataFrame({"owner": ["ada", "bob", None]})
        >>> one_hot((Key("owner", "category", 1),), frame, frame[:1])[0].toarray()
        array([[0., 1., 0.],
               [0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """
    blocks: list[tuple[Any, Any]] = []
    for key in keys:
        one, two = train[key.name], test[key.name]
        if key.kind in ("number", "cycle"):
            blocks.append(_scaled(key, one, two))
        elif key.kind == "set":
            blocks.append(_marked(*(members(texts(c)).fill_null([MISSING]) for c in (one, two))))
        elif key.kind == "path":
            for depth in range(1, key.depth + 1):
                blocks.append(_marked(*(prefixes(texts(c), depth) for c in (one, two))))
        else:
            blocks.append(_marked(*(texts(c).fill_null(MISSING) for c in (one, two))))
    both = [sparse.hstack(parts, format="csr") for parts in zip(*blocks, strict=True)]
    return sparse.csr_matrix(both[0]), sparse.csr_matrix(both[1])


def _scaled(key: Key, train: pl.Series, test: pl.Series) -> tuple[Any, Any]:
    """Returns the columns of a number or a cycle."""
    made = []
    for column in (train, test):
        if key.kind == "cycle":
            angle = 2 * np.pi / key.cells * cells(column, key)
            made.append(np.stack([np.cos(angle), np.sin(angle)], 1))
        else:
            value = numbers(column)
            made.append((np.log1p(np.maximum(value, 0)) if key.log else value)[:, None])
    known = made[0][~np.isnan(made[0]).any(1)]
    mean, deviation = known.mean(0), known.std(0)
    parts = []
    for value in made:
        missing = np.isnan(value).any(1, keepdims=True)
        value = np.nan_to_num((value - mean) / np.where(deviation > 0, deviation, 1))
        parts.append(sparse.csr_matrix(np.hstack([value, missing]).astype(np.float32)))
    return parts[0], parts[1]


def _marked(train: pl.Series, test: pl.Series) -> tuple[Any, Any]:
    """Returns a column per text of the training records, or per element of their lists."""
    known = train.explode() if isinstance(train.dtype, pl.List) else train
    known = known.drop_nulls().unique().sort()
    parts = []
    for column in (train, test):
        rows = pl.DataFrame({"row": np.arange(len(column)), "value": column})
        if isinstance(column.dtype, pl.List):
            rows = rows.explode("value")
        row = rows["row"].to_numpy()
        code = codes_of(rows["value"], known)
        row, code = row[code >= 0], code[code >= 0]
        shape = len(column), len(known)
        ones = np.ones(len(row), np.float32)
        parts.append(sparse.csr_matrix((ones, (row, code)), shape))
    return parts[0], parts[1]


def codes_of(column: pl.Series, known: pl.Series) -> NDArray[np.int64]:
    """Returns the indices of values among known ones, -1 for unknown values.

    Example:
        >>> codes_of(pl.Series(["b", "x", None]), pl.Series(["a", "b"]))
        array([ 1, -1, -1])
    """
    places = pl.DataFrame({"value": known, "place": np.arange(len(known))})
    found = pl.DataFrame({"value": column}).join(
        places, on="value", how="left", maintain_order="left"
    )
    return found["place"].fill_null(-1).to_numpy()


def _categories(
    key: Key, train: pl.DataFrame, test: pl.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Converts a key's values to numbers of categories."""
    one, two = train[key.name], test[key.name]
    if key.kind in ("number", "cycle"):
        edges = np.unique(np.nanquantile(cells(one, key), np.arange(1, LEVELS) / LEVELS))
        places = [cells(column, key) for column in (one, two)]
        levels = [np.searchsorted(edges, place, side="right") for place in places]
        levels = [
            np.where(np.isnan(p), len(edges) + 1, n) for p, n in zip(places, levels, strict=True)
        ]
        return levels[0], levels[1]
    text = [texts(column).fill_null(MISSING) for column in (one, two)]
    known = text[0].unique().sort()
    return codes_of(text[0], known), codes_of(text[1], known)
