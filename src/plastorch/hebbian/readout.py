"""Readouts of frozen features: a linear layer trained with dropout, or labels given to neurons."""

from collections.abc import Callable
from functools import cached_property
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.distributed import check_parts, part, sum_over_workers
from plastorch.engine.errors import InputError, check_finite, check_one_of, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.features import ROWS_AT_ONCE, FeatureSource
from plastorch.hebbian.optim import ReadoutSchedule, readout_rate
from plastorch.hebbian.readout_kernels import NarrowBatch
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import Phase


class ReadoutTraining(Phase):
    """Trains a linear readout on features with dropout and Adam.

    One :meth:`step` is one epoch. The gradient of softmax cross-entropy is written out. The dropout
    mask comes from random bits where p is 0.5, 0.25 or the like, because a generic random mask
    would cost more than all the rest together. On a CPU, kernels then learn from narrow features
    (:mod:`plastorch.hebbian.readout_kernels`).

    Args:
        source: source of features of training rows; :func:`cached` or :func:`augmented`.
        mean: mean [F] of the training features (:func:`mean_of`). It is subtracted before dropout
            and learning. The trained layer still reads raw features; its bias compensates.
        deviation: standard deviation [F] of the training features (:func:`deviation_of`), by which
            features are divided for learning. The trained layer's weights compensate.
        schedule: decay of the learning rate; "halved" is that of Journé et al.
        renew: function called with the number of each epoch, from 0, before the epoch begins; it
            may change the features of the source.
    """

    def __init__(
        self,
        readout: nn.Linear,
        source: FeatureSource,
        labels: Tensor,
        test_features: Tensor,
        test_labels: Tensor,
        *,
        epochs: int = 50,
        batch_size: int = 64,
        dropout: float = 0.5,
        learning_rate: float = 1e-3,
        schedule: ReadoutSchedule = "halved",
        seed: int = 0,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
        renew: Callable[[int], None] | None = None,
    ) -> None:
        check_one_of(get_args(ReadoutSchedule), schedule=schedule)
        check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        check_parts(batch_size=batch_size)
        check_labels(labels, readout.out_features)
        for name, value in (("mean", mean), ("deviation", deviation)):
            if value is not None and value.shape != (readout.in_features,):
                raise InputError(
                    f"{name} has shape {tuple(value.shape)}; expected ({readout.in_features},), "
                    "one value per feature"
                )
        if deviation is not None and not deviation.min() > 0:
            raise InputError(f"deviation holds {float(deviation.min())}; expected all above 0")
        device = readout.weight.device
        self.readout, self.source, self.labels = readout, source, labels.to(device)
        self.test_features, self.test_labels = test_features, test_labels.to(device)
        self.batch_size, self.dropout, self.seed = batch_size, dropout, seed
        self.learning_rate, self.schedule, self.renew = learning_rate, schedule, renew
        self.mask = DropoutMask(dropout, device)
        self.mean = None if mean is None else mean.to(device)
        self.deviation = None if deviation is None else deviation.to(device)
        width = readout.in_features
        zeros, ones = torch.zeros(width, device=device), torch.ones(width, device=device)
        self.shift = zeros if self.mean is None else self.mean
        self.scale = ones if self.deviation is None else ones / self.deviation
        self.optimizer = torch.optim.Adam(readout.parameters(), lr=learning_rate, fused=True)
        self.optimizers = [self.optimizer]
        super().__init__("readout", epochs)

    def step(self) -> list[Record]:
        """Trains for one epoch; returns its losses and accuracies."""
        if self.renew:
            self.renew(self.position)
        random = stream(self.seed, Stream.READOUT, self.position)
        order = torch.randperm(len(self.labels), generator=random)
        rate = readout_rate(self.learning_rate, self.position, self.total, self.schedule)
        self.optimizer.param_groups[0]["lr"] = rate
        totals = torch.zeros(2, dtype=torch.float64, device=self.labels.device)
        self._read_standardized()
        try:
            for rows in torch.split(order, self.batch_size):
                features = self.source(rows, random)
                narrow = features.is_cpu and features.element_size() < 4 and self.mask.bits
                learn = self._learn_from_narrow if narrow else self._learn
                totals += learn(features, self.labels[part(rows)], len(rows), random)
            self.position += 1
        finally:
            self._read_as_they_are()
        loss, correct = (sum_over_workers(totals) / len(order)).tolist()
        test_accuracy = accuracy(predict(self.readout, self.test_features), self.test_labels)
        return [
            {
                "phase": self.name,
                "epoch": self.position,
                "loss": loss,
                "train_accuracy": correct,
                "test_accuracy": test_accuracy,
                "learning_rate": rate,
            }
        ]

    @torch.no_grad()
    def _learn(
        self, features: Tensor, labels: Tensor, count: int, random: torch.Generator
    ) -> Tensor:
        """Learns from this worker's part of ``count`` rows; returns sums of losses and hits [2]."""
        features = (features.float() - self.shift) * self.scale
        if self.dropout:
            features = features * part(self.mask((count, features.shape[1]), random))
        error, sums = self._judge(_logits(self.readout, features), labels, count)
        self._update(error, error.T @ features)
        return sums

    @torch.no_grad()
    def _learn_from_narrow(
        self, features: Tensor, labels: Tensor, count: int, random: torch.Generator
    ) -> Tensor:
        """Does what :meth:`_learn` does, by kernels."""
        octets = part(self.mask.octets(count, features.shape[1], random))
        products = self.narrow.products(features, octets, self.readout.weight)
        error, sums = self._judge(products + self.readout.bias, labels, count)
        self._update(error, self.narrow.sums(error))
        return sums

    @cached_property
    def narrow(self) -> NarrowBatch:
        """Products of batches of narrow features."""
        bits = self.mask.bits
        return NarrowBatch(
            self.batch_size,
            self.shift,
            self.scale / (1 - self.dropout),
            bits=bits,
            dropped=int(self.dropout * 2**bits),
        )

    def _judge(self, logits: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Returns errors [B, C] of the mean of ``count`` losses, and sums of losses and hits."""
        log_probability = F.log_softmax(logits, dim=1)
        loss = F.nll_loss(log_probability, labels, reduction="sum")
        error = (log_probability.exp() - F.one_hot(labels, logits.shape[1])) / count
        return error, torch.stack([loss, (logits.argmax(dim=1) == labels).sum()]).double()

    def _update(self, error: Tensor, gradient: Tensor) -> None:
        """Takes an Adam step."""
        self.readout.weight.grad = sum_over_workers(gradient)
        self.readout.bias.grad = sum_over_workers(error.sum(dim=0))
        self.optimizer.step()

    @torch.no_grad()
    def _read_standardized(self) -> None:
        """Makes the layer read standardized features during an epoch; between epochs, raw ones."""
        if self.deviation is not None and not self.position:
            return  # its random first weights are meant for features of about unit size
        if self.mean is not None:
            self.readout.bias.add_(self.readout.weight @ self.mean)
        if self.deviation is not None:
            self.readout.weight.mul_(self.deviation)

    @torch.no_grad()
    def _read_as_they_are(self) -> None:
        if self.deviation is not None and not self.position:
            return  # the first epoch failed, and will begin as above
        if self.deviation is not None:
            self.readout.weight.div_(self.deviation)
        if self.mean is not None:
            self.readout.bias.sub_(self.readout.weight @ self.mean)


class DropoutMask:
    """Random masks that keep with probability 1 - p and scale what they keep by 1 / (1 - p)."""

    def __init__(self, probability: float, device: torch.device | str) -> None:
        if not 0 <= probability < 1:
            raise InputError(f"dropout is {probability}; expected at least 0 and below 1")
        self.probability, self.device = probability, device
        # A few random bits per feature suffice where p is a multiple of 2^-bits.
        self.bits = next((b for b in (1, 2, 4, 8) if probability * 2**b % 1 == 0), 0)

    def __call__(self, shape: tuple[int, int], random: torch.Generator) -> Tensor:
        """Draws a float32 mask [B, F]."""
        kept: Tensor
        if self.bits:
            octets = self.octets(*shape, random).to(self.device).int()
            numbers = [octets >> shift & 2**self.bits - 1 for shift in range(0, 8, self.bits)]
            kept = torch.cat(numbers, dim=1)[:, : shape[1]] >= self.probability * 2**self.bits
        else:
            kept = torch.rand(shape, generator=random).to(self.device) >= self.probability
        return kept / (1 - self.probability)

    def octets(self, rows: int, features: int, random: torch.Generator) -> Tensor:
        """Draws the bits of a mask, uint8 [B, M], where a few suffice.

        The lowest bits of a row's octets are the mask of its first M features, the next ones that
        of the next M, and so on.
        """
        width = -(-features * self.bits // 8)
        words = torch.empty(-(-rows * width // 8), dtype=torch.int64)
        words.random_(-(2**63), None, generator=random)  # all 64 bits
        return words.view(torch.uint8)[: rows * width].view(rows, width)


def _logits(readout: nn.Linear, features: Tensor) -> Tensor:
    # In this order, the product of so few neurons takes half as long.
    return torch.addmm(readout.bias.unsqueeze(1), readout.weight, features.T).T


@torch.no_grad()
def scores(readout: nn.Linear, features: Tensor) -> Tensor:
    """Returns logits [N, classes] of a readout for features [N, F] of any float type."""
    return torch.cat(
        [_logits(readout, rows.float()) for rows in torch.split(features, ROWS_AT_ONCE)]
    )


def predict(readout: nn.Linear, features: Tensor) -> Tensor:
    """Returns the classes [N] that a readout predicts from features [N, F]."""
    return scores(readout, features).argmax(dim=1)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Returns the share of correct answers, in [0, 1]."""
    return float((predicted == labels).double().mean())


def confusions(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Returns how often each class [C] was answered with each [C], int64 [C, C].

    Example:
        >>> confusions(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    check_labels(labels, classes)
    check_labels(predicted, classes)
    pairs = torch.bincount(labels * classes + predicted, minlength=classes * classes)
    return pairs.view(classes, classes)


def assign_labels(activation: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Returns for each neuron the class that it wins most often, a readout without training.

    Activations are y or any response [N, K]. A neuron that never wins gets the class with the
    largest sum of its responses. Predict with ``assigned[activation.argmax(dim=1)]``.
    """
    check_labels(labels, classes)
    check_finite(activation=activation)
    neurons = activation.shape[1]
    winners = activation.argmax(dim=1)
    wins = torch.bincount(winners * classes + labels, minlength=neurons * classes)
    wins = wins.view(neurons, classes)
    response = activation.new_zeros(classes, neurons).index_add_(0, labels, activation)
    return torch.where(wins.any(dim=1), wins.argmax(dim=1), response.argmax(dim=0))


def check_labels(labels: Tensor, classes: int) -> None:
    """Raises InputError if a label is not one of 0 .. classes - 1."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"labels lie in {int(labels.min())}..{int(labels.max())}; expected 0..{classes - 1}"
        )
