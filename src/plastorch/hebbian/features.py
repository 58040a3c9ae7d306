"""Features of frozen blocks: computed once, cached compactly, and drawn from by readouts."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property

import torch
from torch import Tensor

from plastorch.engine.distributed import part, sum_over_workers, workers
from plastorch.engine.errors import check_finite
from plastorch.engine.run import Record
from plastorch.hebbian.folding import folded
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.train import Augment
from plastorch.learning.phases import Phase

ROWS_AT_ONCE = 50
"""Number of rows that are converted to float32 at a time, so that they fit into a cache."""
FeatureSource = Callable[[Tensor, torch.Generator], Tensor]
"""Function that takes rows of the training set and a generator, and returns features [B, F], of any
float type, for this worker's part of the rows."""


class FeatureExtraction(Phase):
    """Computes the features of frozen blocks once, a part per worker, into a cache that all share.

    Half precision halves the cache (CIFAR-10: 3 GB), and ``torch.float8_e5m2`` halves it again, for
    features that are only trained on. If features exceed the range of the type, as those of
    untrained networks may, the phase starts again in single precision. A step takes few images, so
    that their maps fit into a processor's cache.
    """

    def __init__(
        self,
        net: SoftHebbNet,
        images: Tensor,
        batch_size: int = 50,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        self.net, self.images, self.batch_size = net, images, batch_size
        super().__init__("features", -(-len(images) // batch_size))
        self.features = self._cache(dtype)

    @torch.no_grad()
    def step(self) -> list[Record]:
        """Computes the features of one batch."""
        rows = slice(self.position * self.batch_size, (self.position + 1) * self.batch_size)
        features = self._features(self.images[rows])
        if not self.position:
            check_finite(features=features)
        limit = torch.finfo(self.features.dtype).max
        if self.features.dtype != torch.float32 and features.abs().max() > limit:
            self.position, self.features = 0, self._cache(torch.float32)
            return []
        self.features[rows] = features
        self.position += 1
        return []

    @torch.no_grad()
    def replace_last(self, images: Tensor) -> None:
        """Replaces the features of the last M images by those of other images [M, C, H, W]."""
        limit, last = torch.finfo(self.features.dtype).max, self.features[-len(images) :]
        for start in range(0, len(images), self.batch_size):
            rows = slice(start, start + self.batch_size)
            last[rows] = self._features(images[rows]).clamp(max=limit)

    @cached_property
    def _frozen(self) -> SoftHebbNet:
        return folded(self.net)

    def _features(self, images: Tensor) -> Tensor:
        device, mine = self.net.readout.weight.device, part(torch.arange(len(images)))
        if workers() == 1:
            return self._frozen.features(images.to(device))
        features = torch.zeros(len(images), self.net.readout.in_features, device=device)
        if len(mine):
            features[mine] = self._frozen.features(images[mine].to(device)).float()
        return sum_over_workers(features)

    def _cache(self, dtype: torch.dtype) -> Tensor:
        shape = (len(self.images), self.net.readout.in_features)
        return torch.empty(shape, dtype=dtype, device=self.net.readout.weight.device)


def cached(features: Tensor, views: int = 1) -> FeatureSource:
    """Returns a source of cached features [views * N, F]: N images, then their second views, etc.

    Each call draws one of the views of each image at random.
    """
    octets, dtype, count = features.view(torch.uint8), features.dtype, len(features) // views

    def source(rows: Tensor, random: torch.Generator) -> Tensor:
        if views > 1:
            rows = rows + count * torch.randint(views, rows.shape, generator=random)
        rows = part(rows)
        # As bytes: torch lacks index_select for some of the narrow types on some devices.
        return octets.index_select(0, rows.to(octets.device)).view(dtype)

    return source


def mean_of(features: Tensor) -> Tensor:
    """Returns the mean [F] of features [N, F] of any float type, in float32."""
    total = features.new_zeros(features.shape[1], dtype=torch.float64)
    for rows in torch.split(features, ROWS_AT_ONCE):
        total += rows.float().sum(dim=0)
    return (total / len(features)).float()


def deviation_of(features: Tensor, mean: Tensor) -> Tensor:
    """Returns the standard deviation [F] of features [N, F] about their mean, in float32.

    It is at least a tenth of the average deviation, so that division by it doesn't blow up features
    that are nearly constant.
    """
    total = features.new_zeros(features.shape[1], dtype=torch.float64)
    for rows in torch.split(features, ROWS_AT_ONCE):
        total += (rows.float() - mean).square_().sum(dim=0)
    deviation = (total / len(features)).sqrt()
    return deviation.clamp_min(deviation.mean() / 10).float()


def augmented(
    net: SoftHebbNet, images: Tensor, augment: Augment, precision: AbstractContextManager[object]
) -> FeatureSource:
    """Returns a source of a frozen network's features of freshly augmented images [N, C, H, W]."""

    @torch.no_grad()
    def source(rows: Tensor, random: torch.Generator) -> Tensor:
        batch = images[rows.to(images.device)].to(net.readout.weight.device)
        with precision:
            return net.eval().features(part(augment(batch, rows, random)) / 255).float()

    return source
