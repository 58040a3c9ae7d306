"""Ridge readout of frozen features, solved exactly: it has no learning rate, epochs or scale."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.readout import check_labels
from plastorch.hebbian.streams import Stream
from plastorch.learning.phases import Phase

MOST_FEATURES = 8192
"""Largest number of features, if there are as many rows to learn from."""
PENALTIES = (1.0, 0.1, 0.01, 0.001)
"""Penalties on squared weights, for standardized features and mean squared errors."""
LEAST_DEVIATION = 0.1
"""Smallest standard deviation by which a feature is divided, in units of the average one."""
ROWS = 1000
"""Rows of features per step."""
BLOCK = 1024
"""Number of features whose products with each other and all before are computed at once."""


def coarse(features: Tensor, maps: Sequence[tuple[int, int]], most: int) -> Tensor:
    """Averages maps over squares of 2 x 2, the finest first, until ``most`` features are left.

    Args:
        features: features [N, F]: maps of one side, flattened, then those of another.
        maps: number and side of the maps, in their order.
        most: largest number of features.

    Example:
        >>> coarse(torch.ones(2, 96 * 16 * 16), [(96, 16)], most=8192).shape
        torch.Size([2, 6144])
    """
    parts = [
        part.view(len(features), -1, side, side).float()
        for part, (_, side) in zip(
            torch.split(features, [count * side**2 for count, side in maps], dim=1),
            maps,
            strict=True,
        )
    ]
    while sum(part[0].numel() for part in parts) > most:
        finest = max(range(len(parts)), key=lambda number: parts[number].shape[-1])
        if parts[finest].shape[-1] == 1:
            break
        parts[finest] = F.avg_pool2d(parts[finest], 2, ceil_mode=True, count_include_pad=False)
    return torch.cat([part.flatten(1) for part in parts], dim=1)


class FrozenFeatures(NamedTuple):
    """Features of labeled rows, for readouts that have nothing to train step by step."""

    source: Callable[[Tensor], Tensor]
    """Function that returns features [B, F] of some training rows, given their numbers."""
    labels: Tensor
    """Classes of the training rows, int64 [N]."""
    test_features: Tensor
    """Features [M, F] of the test rows."""
    test_labels: Tensor
    """Classes of the test rows, int64 [M]."""
    classes: int
    """Number of classes."""
    maps: Sequence[tuple[int, int]]
    """Number and side of the maps that make up the features, as in :func:`coarse`."""


class Moments:
    """Sums over rows of features and targets, for a regression: number, means and products.

    Of the products, which are symmetric, only the lower triangle counts.
    """

    def __init__(self, shift: Tensor, classes: int) -> None:
        self.shift, self.count = shift, 0
        self.sum, self.products = torch.zeros_like(shift), shift.new_zeros(len(shift), len(shift))
        self.targets, self.crossed = shift.new_zeros(classes), shift.new_zeros(len(shift), classes)

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Adds rows of features [N, F] and targets [N, classes]."""
        x = features - self.shift  # near the mean, so that products lose no digits
        self.count += len(x)
        self.sum += x.sum(dim=0)
        for begin in range(0, x.shape[1], BLOCK):
            end = begin + BLOCK
            self.products[begin:end, :end].addmm_(x[:, begin:end].T, x[:, :end])
        self.targets += targets.sum(dim=0)
        self.crossed.addmm_(x.T, targets)

    def add_all_of(self, other: "Moments") -> None:
        """Adds the rows of other sums with the same shift."""
        self.count += other.count
        for name in ("sum", "products", "targets", "crossed"):
            getattr(self, name).add_(getattr(other, name))

    def solve(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Returns weights [F, classes] and biases [classes] of the ridge regression."""
        offset, target = self.sum / self.count, self.targets / self.count
        covariance = (self.products / self.count).addr_(offset, offset, alpha=-1)
        crossed = (self.crossed / self.count).addr_(offset, target, alpha=-1)
        deviation = covariance.diagonal().clamp_min(0).sqrt()
        deviation = deviation.clamp_min(LEAST_DEVIATION * float(deviation.mean()))
        covariance.div_(deviation).div_(deviation.unsqueeze(1)).diagonal().add_(penalty)
        factor: Tensor = torch.linalg.cholesky(covariance)
        weight = torch.cholesky_solve(crossed / deviation.unsqueeze(1), factor)
        weight /= deviation.unsqueeze(1)
        return weight, target - (self.shift + offset) @ weight


class RidgeReadout(Phase):
    """Fits a ridge classifier; its penalty is the best on a tenth of the training rows."""

    def __init__(self, frozen: FrozenFeatures, seed: int = 0) -> None:
        check_labels(frozen.labels, frozen.classes)
        self.frozen, labels = frozen, frozen.labels
        order = torch.randperm(len(labels), generator=stream(seed, Stream.HELD_OUT_ROWS))
        self.held_out = order[: max(1, len(order) // 10)]
        others = order[len(self.held_out) :]
        self.parts = [*torch.split(self.held_out, ROWS), *torch.split(others, ROWS)]
        self.most_features = min(MOST_FEATURES, len(others))
        self.figures: dict[str, float] = {}
        """Accuracy on test rows and on those held out, and the penalty; empty until the end."""
        super().__init__("ridge", len(self.parts) + 1)

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Adds some rows; the last step solves."""
        if self.position < len(self.parts):
            self._add(self.parts[self.position])
        else:
            self._solve()
        self.position += 1
        return []

    def _read(self, rows: Tensor) -> Tensor:
        return coarse(self.frozen.source(rows), self.frozen.maps, self.most_features)

    def _add(self, rows: Tensor) -> None:
        features = self._read(rows)
        if not self.position:
            shift = features.mean(dim=0)
            self.few, self.most = (
                Moments(shift, self.frozen.classes),
                Moments(shift, self.frozen.classes),
            )
        targets = F.one_hot(
            self.frozen.labels[rows.to(self.frozen.labels.device)], self.frozen.classes
        )
        held_out = self.position < len(torch.split(self.held_out, ROWS))
        (self.few if held_out else self.most).add(features, targets.to(features))

    def _solve(self) -> None:
        tried = [self.most.solve(penalty) for penalty in PENALTIES]
        right = torch.zeros(len(tried))
        for rows in torch.split(self.held_out, ROWS):
            features, labels = (
                self._read(rows),
                self.frozen.labels[rows.to(self.frozen.labels.device)],
            )
            right += torch.stack([_hits(features, labels, *fitted) for fitted in tried])
        chosen = int(right.argmax())
        self.most.add_all_of(self.few)
        fitted = self.most.solve(PENALTIES[chosen])
        hits = [
            _hits(coarse(features, self.frozen.maps, self.most_features), labels, *fitted)
            for features, labels in zip(
                torch.split(self.frozen.test_features, ROWS),
                torch.split(self.frozen.test_labels, ROWS),
                strict=True,
            )
        ]
        self.figures = {
            "ridge_accuracy": float(sum(hits)) / len(self.frozen.test_labels),
            "ridge_held_out_accuracy": float(right[chosen]) / len(self.held_out),
            "ridge_penalty": PENALTIES[chosen],
        }


def _hits(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Returns the number of rows whose own class has the largest score."""
    predicted = (features @ weight + bias).argmax(dim=1)
    return (predicted == labels.to(predicted.device)).sum().cpu()
