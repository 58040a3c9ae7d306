"""Sensitivity of a network to one setting: temperature of the competition, initial radius."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.distributed import share_out, workers
from plastorch.engine.errors import InputError, check_finite, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.readout import check_labels
from plastorch.hebbian.rule import Competition
from plastorch.hebbian.spec import NetworkSpec
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import R1_TOLERANCE, HebbianTraining
from plastorch.learning.phases import Phase, run_phase

Setting = Literal["temperature", "radius"]
SWEPT: dict[Setting, tuple[float, ...]] = {
    "temperature": tuple(10.0 ** (exponent / 2) for exponent in range(-6, 5)),
    "radius": tuple(1.25**exponent for exponent in range(-10, 17, 2)),
}
"""Default values: T = 1/t from 0.001, which acts like hard, to 100; the paper's R."""
RIDGE = 0.03
"""Penalty of the ridge classifier, per sample."""
MAX_FEATURES = 2048
RULES: tuple[Competition, ...] = ("softkrotov", "soft")


@dataclass(frozen=True)
class LabeledImages:
    """Training and test images, uint8 [N, C, side, side], and labels, int64 [N], of a sweep."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    classes: int

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            images, labels = getattr(self, name), getattr(self, f"{name}_labels")
            if images.dtype != torch.uint8 or images.dim() != 4 or not len(images):
                raise InputError(
                    f"{name} is {images.dtype} {tuple(images.shape)}; expected uint8 images "
                    "[N, C, side, side], N > 0"
                )
            if len(labels) != len(images):
                raise InputError(f"{name}_labels has length {len(labels)}; expected {len(images)}")
            check_labels(labels, self.classes)


class SensitivitySweep(Phase):
    """Trains a network for each rule, value and seed, one per :meth:`step` and worker.

    Each learns one epoch without labels, all blocks on the same mini-batches and with the same
    value of the setting (by default those of :data:`SWEPT` in turn). Its accuracy is that of a
    ridge classifier on standardized features, averaged over squares of the map until at most 2048
    are left. That is below the paper's readout, but it takes a second, and neither the scale of the
    features nor the number of training steps changes it.
    """

    def __init__(
        self,
        setting: Setting,
        spec: NetworkSpec,
        data: LabeledImages,
        *,
        values: Sequence[float] | None = None,
        rules: Sequence[Competition] = RULES,
        seeds: Sequence[int] = (0,),
        device: torch.device | str = "cpu",
    ) -> None:
        values = SWEPT[setting] if values is None else values
        for value in values:
            check_positive(**{setting: value})
        self.setting, self.spec, self.data, self.device = setting, spec, data, device
        self.points = list(itertools.product(rules, values, seeds))
        check_positive(points=len(self.points))
        super().__init__(f"{setting}-sweep", len(self.points))

    def step(self) -> list[Record]:
        """Trains and tests the network of one point, or of as many as there are workers."""
        points = self.points[self.position : self.position + workers()]
        self.position += len(points)
        return share_out([partial(self._point, *point) for point in points])

    def _point(self, rule: Competition, value: float, seed: int) -> Record:
        net = self._network(rule, value, seed)
        run_phase(HebbianTraining(net, self.data.train, mode="consecutive", seed=seed))
        radius = torch.cat([block.conv.radius() for block in blocks_of(net)])
        record: Record = {"phase": self.name, self.setting: value, "competition": rule}
        return record | {
            "seed": seed,
            "test_accuracy": self._accuracy(net),
            "r1_share": float(((radius - 1).abs() < R1_TOLERANCE).double().mean()),
        }

    def _network(self, rule: Competition, value: float, seed: int) -> SoftHebbNet:
        if self.setting == "temperature":
            change = {"inverse_temperature": 1 / value}
        else:
            change = {"initial_radius": value}
        blocks = tuple(replace(block, **change) for block in self.spec.blocks)  # type: ignore[arg-type]
        last = replace(self.spec, blocks=blocks, readout_from="last")
        spec = last.with_competition(rule)
        channels, side = self.data.train.shape[1:3]
        net = SoftHebbNet(
            spec, channels, side, self.data.classes, generator=stream(seed, Stream.WEIGHTS)
        )
        return net.to(self.device)

    def _accuracy(self, net: SoftHebbNet) -> float:
        from sklearn.linear_model import RidgeClassifier

        train, test = (
            _pooled_features(net, images) for images in (self.data.train, self.data.test)
        )
        mean, deviation = train.mean(dim=0), train.std(dim=0, correction=0).clamp_min(1e-6)
        train, test = ((features - mean) / deviation for features in (train, test))
        readout = RidgeClassifier(alpha=RIDGE * len(train), solver="cholesky")
        readout.fit(train.numpy(), self.data.train_labels.numpy())
        return float(readout.score(test.numpy(), self.data.test_labels.numpy()))


@torch.no_grad()
def _pooled_features(net: SoftHebbNet, images: Tensor, batch_size: int = 100) -> Tensor:
    """Returns features [N, F] of the last block, averaged over squares so large that F is small."""
    channels, side, _ = net.eval().feature_shape
    side = max(1, min(side, math.isqrt(MAX_FEATURES // channels)))
    device, rows = net.readout.weight.device, []
    for batch in torch.split(images, batch_size):
        maps = net.features(batch.to(device)).view(-1, *net.feature_shape)
        rows.append(F.adaptive_avg_pool2d(maps, side).flatten(1).float().cpu())
    features = torch.cat(rows)
    check_finite(features=features)
    return features
