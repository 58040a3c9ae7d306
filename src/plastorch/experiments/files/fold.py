"""A fold of a table of labelled records: who learns, who is tested, and in which forms."""

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
"""Time bins of a pattern."""
LEVELS = 16
"""Into so many of equal frequency are numbers divided, where categories are needed."""
MISSING = "\0missing"
"""Stands for a missing value, where that is a value like others."""

Part = TypeVar("Part")


def fold_numbers(labels: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    """Which fold each record is tested in: at random, each class shared out evenly.

    Args:
        labels: classes [B].
        folds: how many.
        seed: of the order.

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

    Forms in which models take the records are made when they are first asked for, and kept.

    Args:
        table: labelled records.
        number: of the fold.
        folds: in all.
        neurons: N, of the input.
        references: training records with which others are compared one by one.
        seed: of parts, hashes, and of all models.
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
        """A generator of this fold."""
        return generator(self.seed, self.number, *path)

    def some(self, records: int, count: int, *path: int) -> NDArray[np.int64]:
        """Which of some records are chosen at random, in order; all, if they are no more."""
        order = torch.randperm(records, generator=self.random(*path))
        return np.sort(order[:count].numpy())

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """What is learned of the keys; shares of the input neurons by mutual information."""
        return self._timed(
            "keys", lambda: keys_with_shares(self.train, self.train_labels, self.neurons)
        )

    @cached_property
    def key_of_neuron(self) -> Tensor:
        """From which key each input neuron has its spike, int64 [N]."""
        neurons = torch.tensor([key.neurons for key in self.keys])
        return torch.repeat_interleave(torch.arange(len(neurons)), neurons)

    @cached_property
    def encoder(self) -> CorrelativeEncoder:
        """With a hash of this fold."""
        return CorrelativeEncoder(self.keys, BINS, self.random(0).initial_seed())

    @cached_property
    def train_bins(self) -> Tensor:
        """Patterns, uint8 [B, N]."""
        self.encoder.encode(self.train[:10])  # compiles it
        bins = self._timed("encode", lambda: self.encoder.encode(self.train))
        return torch.from_numpy(bins)

    @cached_property
    def test_bins(self) -> Tensor:
        """Patterns, uint8 [B, N]."""
        return torch.from_numpy(self.encoder.encode(self.test))

    @cached_property
    def equal_keys(self) -> tuple[Key, ...]:
        """Keys with equal shares of the neurons: for what may not know labels."""
        return infer_keys(self.train, neurons=self.neurons)

    @cached_property
    def equal_bins(self) -> tuple[Tensor, Tensor]:
        """Patterns of training and test records with equal shares, uint8 [B, N]."""
        encoder = replace(self.encoder, keys=self.equal_keys)
        train, test = (encoder.encode(records) for records in (self.train, self.test))
        return torch.from_numpy(train), torch.from_numpy(test)

    @cached_property
    def features(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Of training and test records: categories one-hot, numbers with mean 0 and variance 1."""
        return self._timed("features", lambda: one_hot(self.keys, self.train, self.test))

    @cached_property
    def codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of training and test records: every key as a category [B, M], -1 if never seen."""
        pairs = [_categories(key, self.train, self.test) for key in self.keys]
        train, test = zip(*pairs, strict=True)
        return np.stack(train, 1), np.stack(test, 1)

    @cached_property
    def ordinals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of training and test records: numbers, and categories by their places in the alphabet."""
        made = []
        for codes, records in zip(self.codes, (self.train, self.test), strict=True):
            table = np.where(codes < 0, np.nan, codes)
            for place, key in enumerate(self.keys):
                if key.kind in ("number", "cycle"):
                    table[:, place] = numbers(records[key.name])
            made.append(table)
        return made[0], made[1]

    def _timed(self, name: str, make: Callable[[], Part]) -> Part:
        """Makes something and remembers how many seconds of the processor that took."""
        start = time.process_time()
        made = make()
        self.seconds[name] = time.process_time() - start
        return made


def keys_with_shares(
    records: pl.DataFrame, labels: NDArray[np.int64], neurons: int
) -> tuple[Key, ...]:
    """Keys whose shares of the neurons are by mutual information as far as single keys tell at all.

    Where the information of all keys together is less than the entropy of the classes, what is
    lacking can only be in combinations of keys, and that part of the neurons is shared out equally.

    Args:
        records: for training.
        labels: their classes, 0 or more [B].
        neurons: N.

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
    """Records as the features of classical learners, by what the training records hold.

    A category is 1 in a column of its own, a missing one too; so are all elements of a set and all
    prefixes of a path. Numbers (of those that the keys say, logarithms) have mean 0 and variance 1,
    and cycles are a cosine and a sine; missing, they are 0, and a column says so. What no training
    record has is 0 everywhere.

    Args:
        keys: of the records.
        train: records that means, deviations and columns are of.
        test: other records.

    Returns:
        float32 [B, F] of both.

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
    """Columns of a number or a cycle."""
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
    """A column per text of the training records, or per element of their lists."""
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
    """Places of values among known ones, -1 where they are not.

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
    """A key's values as numbers of categories."""
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
