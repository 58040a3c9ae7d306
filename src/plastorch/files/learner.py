"""Arguments, keys and training that estimators share which learn from records."""

import copy
from collections.abc import Callable
from math import ceil
from numbers import Real
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_counts, check_positive
from plastorch.engine.streams import stream
from plastorch.files.keys import infer_keys
from plastorch.files.layout import lay_out, neuron_for
from plastorch.files.pairs import best_pairs
from plastorch.files.streams import Stream
from plastorch.files.trained import TrainedClassifier
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import NO_SPIKE, Response
from plastorch.spiking.patterns.training import answer, train

HELD_OUT, MOST_HELD_OUT = 10, 10_000
"""One of this many records calibrates the confidence, and this many at most in all."""
UPDATES, LEAST_EPOCHS, MOST_EPOCHS = 10_000, 15, 60
"""Number of weight updates that a network learns in, and bounds of the number of passes for it."""
FEW_CLASSES, EACH = 3, 64
"""Number of classes up to which networks learn side by side, and their number of hidden neurons.
More classes need all hidden neurons together."""
FEW, PARTS = 500, 5
"""Number of records below which all are learned from, and number of parts for calibration then."""


class Learner(TrainedClassifier):
    """Training of a network on records."""

    def __init__(
        self,
        hidden: int = 256,
        members: int | None = None,
        neurons: int = 400,
        key_pairs: int = 15,
        bins: int = 20,
        epochs: int | None = None,
        learning_rate: float = 0.01,
        dropout: float = 0.2,
        batch_size: int = 128,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.hidden = hidden
        self.members = members
        self.neurons = neurons
        self.key_pairs = key_pairs
        self.bins = bins
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.batch_size = batch_size
        self.random_state = random_state

    def epochs_for(self, records: int) -> int:
        """Returns the number of passes that :meth:`fit` makes over so many records."""
        if self.epochs is not None:
            return int(self.epochs)
        enough = ceil(UPDATES * int(self.batch_size) / records)
        return min(max(enough, LEAST_EPOCHS), MOST_EPOCHS)

    def _members_for(self, classes: int) -> int:
        """Returns the number of networks for so many classes."""
        if self.members is not None:
            return int(self.members)
        return max(1, int(self.hidden) // EACH) if classes <= FEW_CLASSES else 1

    def _learn(self, X: Any, y: Any, tell: Callable[[int, float], None] | None) -> None:
        """Learns from scratch."""
        raise NotImplementedError

    def _learn_aside(self, X: Any, y: Any, tell: Callable[[int, float], None] | None) -> Self:
        """Learns in a new estimator and then takes what that learned, so that a failure leaves
        this one as it was."""
        learned = type(self)(**self.get_params(deep=False))
        learned._learn(X, y, tell)
        self.__dict__.update(vars(learned))
        return self

    def _start(
        self, frame: pl.DataFrame, codes: NDArray[np.int64], classes: Any, seed: int
    ) -> Tensor:
        """Builds a new network for the keys of the records, and returns their patterns."""
        bins, neurons = int(self.bins), int(self.neurons)
        keys = infer_keys(frame, codes, neurons)
        each = neurons // len(keys)
        pairs = best_pairs(frame, keys, codes, int(self.key_pairs), neurons=each, seed=seed)
        neurons += sum(pair.neurons for pair in pairs)
        needed = neurons * (frame.height + 16 * int(self.hidden))  # patterns, weights, optimizer
        check_memory(needed, neurons=self.neurons, key_pairs=len(pairs), hidden=self.hidden)
        encoder, patterns = lay_out(frame, keys, pairs, bins, seed)
        self._build(encoder, neuron_for(bins), classes, seed, self._members_for(len(classes)))
        return torch.from_numpy(patterns)

    def _train(
        self,
        network: PatternNetwork,
        bins: Tensor,
        targets: Tensor,
        random: torch.Generator,
        *,
        epochs: int,
        tell: Callable[[int, float], None] | None = None,
    ) -> None:
        train(
            network,
            bins,
            targets,
            random,
            epochs=epochs,
            learning_rate=float(self.learning_rate),
            batch=int(self.batch_size),
            dropout=float(self.dropout),
            tell=tell,
        )

    def _cross_answered(
        self, bins: Tensor, targets: Tensor, epochs: int, parts: NDArray[np.int64]
    ) -> Response:
        """Returns answers to all patterns, each of a network that has learned from other parts."""
        order, answers = [], []
        for part in np.unique(parts):
            asked, network = torch.from_numpy(parts == part), copy.deepcopy(self.network_)
            random = stream(self._seed, Stream.CROSS_FIT, int(part))
            self._train(network, bins[~asked], targets[~asked], random, epochs=epochs)
            order.append(torch.nonzero(asked)[:, 0])
            answers.append(answer(network, bins[asked]))
        back = torch.cat(order).argsort()
        return Response(*(torch.cat(columns)[back] for columns in zip(*answers, strict=True)))

    def _bins(self, frame: pl.DataFrame) -> Tensor:
        return torch.from_numpy(self._encoder.encode(frame))

    def _check_arguments(self) -> None:
        check_counts(
            hidden=self.hidden,
            members=1 if self.members is None else self.members,
            neurons=self.neurons,
            bins=self.bins,
            batch_size=self.batch_size,
            epochs=1 if self.epochs is None else self.epochs,
        )
        check_counts(least=0, key_pairs=self.key_pairs)
        if self.members is not None and self.members > self.hidden:
            raise InputError(
                f"members is {self.members}; expected at most {self.hidden}, as hidden is"
            )
        if not 2 <= self.bins < NO_SPIKE:
            raise InputError(f"bins is {self.bins}; expected 2 to {NO_SPIKE - 1}")
        check_positive(learning_rate=self.learning_rate)
        if not isinstance(self.dropout, Real) or not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout!r}; expected 0 to less than 1")
