"""Batch normalization of the blocks' inputs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.hebbian.layers import at_least_float32


class BatchStatistics(nn.BatchNorm2d):
    """Batch normalization without affine parameters, accurate in channels-last layout too.

    torch's training kernel for channels-last is only accurate to 2e-5. Separate mean and variance,
    in two passes, are accurate to 2e-7, and faster than its ``var_mean``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes images by batch or (in eval mode) running values; keeps the shape of ``x``."""
        if not self.training:
            assert self.running_mean is not None and self.running_var is not None
            mean, variance = at_least_float32(self.running_mean), at_least_float32(self.running_var)
            return F.batch_norm(at_least_float32(x), mean, variance, eps=self.eps)
        count = x.numel() // x.shape[1]
        if count < 2:
            raise InputError(
                f"x has shape {tuple(x.shape)}, one value per channel; expected at least two, for "
                "batch statistics: use a larger batch or image"
            )
        mean = x.mean(dim=(0, 2, 3), keepdim=True)
        centered = x - mean
        variance = centered.square().mean(dim=(0, 2, 3), keepdim=True)
        self._update_running(mean.flatten(), variance.flatten() * (count / (count - 1)))
        return centered * torch.rsqrt(variance + self.eps)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        momentum = self.momentum or 0.0
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            running.lerp_(value.to(running.dtype), momentum)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
