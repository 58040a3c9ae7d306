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
from plastorch.files.column_values import numbers
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.features import categories, one_hot
from plastorch.files.key import Key
from plastorch.files.keys import infer_keys
from plastorch.files.neuron_allocation import apportion, mutual_information

BINS = 20
"""Number of time bins of a pattern."""

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
        """Categories of all keys of training and test records [B, M]; 0 if never seen."""
        return categories(self.keys, self.train, self.test)

    @cached_property
    def ordinals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Numbers, and alphabetical places of categories, of training and test records."""
        made = []
        for codes, records in zip(self.codes, (self.train, self.test), strict=True):
            table = np.where(codes == 0, np.nan, codes)
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
    codes, _ = categories(equal, records, records)
    told = sum(mutual_information(pl.Series(code), classes) for code in codes.T)
    part = min(1.0, told / entropy) if entropy > 0 else 0.0
    mixed = [
        (part * one.neurons + (1 - part) * two.neurons) / neurons
        for one, two in zip(by_information, equal, strict=True)
    ]
    counts = apportion(np.array(mixed), neurons)
    return tuple(replace(key, neurons=n) for key, n in zip(equal, counts, strict=True))
