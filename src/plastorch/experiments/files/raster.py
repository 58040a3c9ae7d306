"""Classifiers of spike patterns without a spiking network: by coincidence, and linear."""

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from plastorch.experiments.files.baselines import TrainedModel
from plastorch.experiments.files.fold import BINS, Fold
from plastorch.experiments.files.streams import FoldStream
from plastorch.files.features import Codes
from plastorch.spiking.patterns.rule import NO_SPIKE

ROWS = 1024
"""Number of patterns that are compared at once."""
EPOCHS, BATCH, RATE = 10, 128, 3e-3
"""Epochs, batch size and learning rate of the linear classifier."""


def most_alike(fold: Fold) -> TrainedModel:
    """Predicts the class of the sampled training record whose pattern coincides in most inputs."""
    some = fold.some(fold.train.height, fold.references, FoldStream.REFERENCES)
    patterns, labels = fold.train_bins.numpy()[some], fold.train_labels[some]

    def answer() -> Codes:
        return np.asarray(labels[most_coincident(fold.test_bins.numpy(), patterns)])

    return TrainedModel(answer, patterns.size, patterns.size, len(some))


def most_coincident(patterns: NDArray[np.uint8], references: NDArray[np.uint8]) -> Codes:
    """Returns, for each pattern [B, N], the index of the reference [R, N] with most spikes in the
    same time bins; the first if several are equal."""
    return np.asarray((_raster(patterns) @ _raster(references).T).argmax(1)).ravel()


def prototypes(fold: Fold) -> TrainedModel:
    """Predicts the class whose records coincide most with a pattern, from counts alone."""
    classes = np.eye(len(fold.classes), dtype=np.float32)[fold.train_labels]
    counts = _raster(fold.train_bins.numpy()).T @ classes
    shares = counts / classes.sum(0).clip(min=1)
    return TrainedModel(
        lambda: (_raster(fold.test_bins.numpy()) @ shares).argmax(1),
        shares.size,
        fold.neurons * len(fold.classes),
    )


def _raster(bins: NDArray[np.uint8]) -> Any:
    """Returns spikes as a sparse matrix [B, N Tb]."""
    row, neuron = np.nonzero(bins != NO_SPIKE)
    column = neuron * BINS + bins[row, neuron]
    shape = len(bins), bins.shape[1] * BINS
    return sparse.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape)


def regression(fold: Fold) -> TrainedModel:
    """Fits logistic regression to the raster (each input at each time) by Adam in a few passes."""
    patterns, labels = fold.train_bins, torch.from_numpy(fold.train_labels)
    weight = torch.zeros(fold.neurons * BINS + 1, len(fold.classes), requires_grad=True)
    bias = torch.zeros(len(fold.classes), requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], RATE)
    total = EPOCHS * ceil(len(patterns) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    random = fold.random(FoldStream.RASTER_ORDER)
    for _ in range(EPOCHS):
        for index in torch.split(torch.randperm(len(patterns), generator=random), BATCH):
            optimizer.zero_grad()
            loss = F.cross_entropy(_sums(patterns[index], weight) + bias, labels[index])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def answer() -> Codes:
        parts = [_sums(part, weight) for part in torch.split(fold.test_bins, ROWS)]
        return (torch.cat(parts) + bias).argmax(1).numpy()

    return TrainedModel(answer, weight.numel(), fold.neurons * len(fold.classes))


def _sums(bins: Tensor, weight: Tensor) -> Tensor:
    """Sums the rows of the weights that spikes select; the last row is for silent inputs."""
    place = torch.arange(bins.shape[1]) * BINS + bins
    silent = len(weight) - 1
    place = place.masked_fill(bins == NO_SPIKE, silent)
    return F.embedding_bag(place, weight, mode="sum", padding_idx=silent)


RASTER: dict[str, Callable[[Fold], TrainedModel | None]] = {
    "most-alike": most_alike,
    "prototypes": prototypes,
    "raster": regression,
}
"""Models that learn from labels and patterns, by name."""
