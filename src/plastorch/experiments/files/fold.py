"""A fold of a table of labeled records: training and test records, and their representations."""

import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from plastorch.data.tables.records import Table
from plastorch.engine.streams import stream
from plastorch.experiments.files.config import TRIAL_RECORDS
from plastorch.experiments.files.streams import FoldStream
from plastorch.files.calibration import fold_numbers
from plastorch.files.column_values import numbers
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.features import Codes, categories, one_hot
from plastorch.files.key import Key
from plastorch.files.keys import infer_keys
from plastorch.files.neuron_allocation import apportion, mutual_information
from plastorch.files.pairs import Pair, best_pairs

BINS = 20
"""Number of time bins of a pattern."""


class Fold:
    """A table of which one part is tested and the rest is learned from.

    Representations for models are made when they are first asked for, and kept. ``references`` is
    the number of training records with which others are compared one by one, and ``seed`` the
    random seed of splits, hashes and all models.
    """

    def __init__(
        self, table: Table, number: int, *, folds: int, neurons: int, references: int, seed: int
    ) -> None:
        self.name, self.number, self.seed = table.name, number, seed
        self.neurons, self.references = neurons, references
        self.classes, labels = np.unique(table.labels, return_inverse=True)
        tested = fold_numbers(labels, folds, seed) == number
        self.train, self.test = table.frame.filter(~tested), table.frame.filter(tested)
        self.train_labels, self.test_labels = labels[~tested], labels[tested]
        self.pairs: tuple[Pair, ...] = ()

    def paired(self, count: int, neurons: int) -> "Fold":
        """Returns this fold with up to ``count`` pairs of keys, each with so many input neurons
        more; this fold itself if no pair tells more than its keys."""
        pairs = best_pairs(
            self.train, self.keys, self.train_labels, count, neurons=neurons, seed=self.seed
        )
        if not pairs:
            return self
        other = copy.copy(self)
        for name in ("key_of_neuron", "encoder", "train_bins", "test_bins"):
            other.__dict__.pop(name, None)
        other.pairs, other.neurons = pairs, self.neurons + neurons * len(pairs)
        return other

    def random(self, use: FoldStream, *place: int) -> torch.Generator:
        """Returns a random generator of this fold."""
        return stream(self.seed, self.number, use, *place)

    def some(self, records: int, count: int, use: FoldStream, *place: int) -> Codes:
        """Returns a random sample of record indices, in order; all of them if they are few."""
        order = torch.randperm(records, generator=self.random(use, *place))
        return np.sort(order[:count].numpy())

    def validation(self) -> tuple[Tensor, Tensor]:
        """Returns training records to try settings on, and those to learn from for that."""
        random = self.random(FoldStream.VALIDATION)
        order = torch.randperm(self.train.height, generator=random)[:TRIAL_RECORDS]
        held = len(order) // 5
        return order[:held], order[held:]

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Learned descriptions of the keys; mutual information shares out the neurons."""
        return keys_with_shares(self.train, self.train_labels, self.neurons)

    @cached_property
    def key_of_neuron(self) -> Tensor:
        """The key or pair that each input neuron encodes, int64 [N]."""
        neurons = torch.tensor([span.stop - span.start for span in self.encoder.spans.values()])
        return torch.repeat_interleave(torch.arange(len(neurons)), neurons)

    @cached_property
    def encoder(self) -> CorrelativeEncoder:
        """An encoder with a hash of this fold."""
        seed = self.random(FoldStream.HASH).initial_seed()
        return CorrelativeEncoder(self.keys, BINS, seed, self.pairs)

    @cached_property
    def train_bins(self) -> Tensor:
        """Patterns of the training records, uint8 [B, N]."""
        return torch.from_numpy(self.encoder.encode(self.train))

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
        encoder = replace(self.encoder, keys=self.equal_keys, pairs=())
        train, test = (encoder.encode(records) for records in (self.train, self.test))
        return torch.from_numpy(train), torch.from_numpy(test)

    @cached_property
    def features(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Features of training and test records: one-hot categories, standardized numbers."""
        return one_hot(self.keys, self.train, self.test)

    @cached_property
    def codes(self) -> tuple[Codes, Codes]:
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


def keys_with_shares(records: pl.DataFrame, labels: Codes, neurons: int) -> tuple[Key, ...]:
    """Shares out neurons by mutual information, as far as single keys tell about classes at all.

    If the information of all keys together is less than the entropy of the classes, the rest can
    only be in combinations of keys, and that part of the neurons is shared out equally.
    """
    by_information = infer_keys(records, labels, neurons)
    equal = infer_keys(records, None, neurons)
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
