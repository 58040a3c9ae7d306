"""Whitening of image patches: what the retina and the thalamus do before the cortex learns."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_finite, check_positive
from plastorch.hebbian.patches import cut

LEAST_LENGTH = 1e-3
"""Smallest length by which a whitened patch is divided, in units of the average one."""
AT_ONCE = 4096
"""Number of patches that are held in double precision at once."""


def whitening(patches: Tensor, regularization: float = 0.1) -> tuple[Tensor, Tensor]:
    """Returns mean m [n] and matrix Z [n, n] of patches [N, n]: Z (p - m) is white.

    Z = (C + r v I)^(-1/2) with the covariance C of the patches, the mean v of its diagonal and the
    regularization r; of all whitening matrices it changes patches least ("ZCA"; Bell & Sejnowski,
    Vision Research 1997). Directions whose variance is far below r v stay small, so there may be
    fewer patches N than values n.

    Args:
        patches: patches [N, n], N at least 2.
        regularization: r, a fraction of the pixels' mean variance.

    Raises:
        InputError: fewer than two patches, patches that are all the same or not finite, or
            regularization that is not positive.

    Example:
        >>> patches = torch.randn(1000, 5) @ torch.randn(5, 5)
        >>> mean, matrix = whitening(patches, regularization=1e-6)
        >>> white = (patches - mean) @ matrix
        >>> bool((torch.cov(white.T) - torch.eye(5)).abs().max() < 0.05)
        True
    """
    mean, covariance, least = _regularized(patches, regularization)
    values, vectors = torch.linalg.eigh(covariance)
    scale = values.clamp_min(least).rsqrt()
    return mean.to(patches), ((vectors * scale) @ vectors.T).to(patches)


def triangular_whitening(patches: Tensor, regularization: float = 0.1) -> tuple[Tensor, Tensor]:
    """Returns mean m [n] and lower triangular L [n, n] of patches [N, n]: L⁻¹ (p - m) is white.

    L Lᵀ = C + r v I. Such patches differ from those that :func:`whitening` makes by a rotation, and
    take much less time where n is large. Arguments and errors are the same; a regularization too
    small for L to exist is one as well.

    Example:
        >>> patches = torch.randn(1000, 5) @ torch.randn(5, 5)
        >>> mean, root = triangular_whitening(patches, regularization=1e-6)
        >>> white = torch.linalg.solve_triangular(root.T, patches - mean, upper=True, left=False)
        >>> bool((torch.cov(white.T) - torch.eye(5)).abs().max() < 0.05)
        True
    """
    mean, covariance, _ = _regularized(patches, regularization)
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        raise InputError(
            f"regularization is {regularization}; expected a larger one: with it, there are "
            "directions without variance"
        )
    return mean.to(patches), root.to(patches)


def _regularized(patches: Tensor, regularization: float) -> tuple[Tensor, Tensor, float]:
    """Returns mean, C + r v I and r v, in double precision."""
    check_positive(regularization=regularization)
    check_finite(patches=patches)
    if len(patches) < 2:
        raise InputError(f"patches are {len(patches)}; expected at least 2")
    mean, covariance = _moments(patches)
    variance = float(covariance.diagonal().mean())
    if not variance > 0:
        raise InputError("patches are all the same; expected some variance to whiten")
    least = regularization * variance
    covariance.diagonal().add_(least)
    return mean, covariance, least


def _moments(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and covariance in double precision, without a second copy of all patches."""
    parts = torch.split(patches, AT_ONCE)
    sums = [part.sum(dim=0, dtype=torch.float64) for part in parts]
    mean = torch.stack(sums).sum(dim=0) / len(patches)
    covariance = mean.new_zeros(len(mean), len(mean))
    for part in parts:
        centered = part.double() - mean
        covariance.addmm_(centered.T, centered)
    return mean, covariance.div_(len(patches) - 1)


class PatchWhitening(nn.Module):
    """Convolution that whitens each patch of an image; :meth:`fit` sets it from some images.

    z = Z (p - m) for each patch p, with the mean m and the whitening matrix Z of all patches. With
    ``unit_length``, z is divided by its length: a neuron behind it then sees the cosine of its
    weights and the whitened patch. Put it before a plastic layer whose receptive fields are 1 x 1.

    Args:
        in_channels: number of image channels C.
        kernel_size: side of the patches k.
        padding: pixels added on each side, reflected.
        unit_length: whether whitened patches are scaled to length 1.
        device: device of the buffers.
        dtype: type of the buffers.

    Raises:
        InputError: argument out of range, named in the message.

    Example:
        >>> import plastorch
        >>> images = torch.rand(20, 3, 32, 32)
        >>> whiten = PatchWhitening(3, kernel_size=6).fit(images)
        >>> net = nn.Sequential(whiten, plastorch.SoftHebbConv2d(108, 64, kernel_size=1))
        >>> plastorch.learn(net, images).shape
        torch.Size([20, 64, 27, 27])
    """

    weight: Tensor
    bias: Tensor
    length: Tensor

    def __init__(
        self,
        in_channels: int,
        kernel_size: int,
        padding: int = 0,
        *,
        unit_length: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, kernel_size=kernel_size)
        if padding < 0:
            raise InputError(f"padding is {padding}; expected 0 or more")
        self.in_channels, self.kernel_size, self.padding = in_channels, kernel_size, padding
        self.out_channels, self.unit_length = in_channels * kernel_size**2, unit_length
        n = self.out_channels
        pixels = torch.eye(n, device=device, dtype=dtype).view(n, in_channels, kernel_size, -1)
        self.register_buffer("weight", pixels.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", torch.zeros(n, device=device, dtype=dtype))
        self.register_buffer("length", torch.ones((), device=device, dtype=dtype))

    @torch.no_grad()
    def fit(
        self,
        images: Tensor,
        *,
        patches: int = 200_000,
        regularization: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> Self:
        """Learns mean and covariance from patches of images, cut at random; needs no labels.

        Args:
            images: float images [N, C, H, W], scaled like those that follow.
            patches: number of patches.
            regularization: variance added to all directions, a fraction of the pixels' mean
                variance.
            generator: random generator of the patches' images and places; torch's global one if
                None.

        Returns:
            This module.

        Raises:
            InputError: images of another shape, smaller than a patch, or all the same.
        """
        self._check(images)
        check_positive(images=len(images), patches=patches)
        which = torch.randint(len(images), (patches,), generator=generator)
        place = torch.rand(2, patches, generator=generator)
        rows = cut(self._padded(images), which, place, self.kernel_size).flatten(1)
        mean, matrix = whitening(rows.to(self.weight), regularization)
        self.weight.copy_(matrix.view_as(self.weight))
        self.bias.copy_(-(matrix @ mean))
        self.length.copy_((rows.to(mean) - mean).matmul(matrix).norm(dim=1).mean())
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Returns whitened patches [B, C k², H', W'] of images [B, C, H, W].

        Raises:
            InputError: wrong number of channels, or images smaller than a patch.
        """
        self._check(x)
        with torch.autocast(x.device.type, enabled=False):  # large weights of opposite sign
            z = F.conv2d(self._padded(x.to(self.weight)), self.weight, self.bias)
        if not self.unit_length:
            return z
        length: Tensor = z.norm(dim=1, keepdim=True)
        return z / length.clamp_min(LEAST_LENGTH * self.length)

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.padding,) * 4, mode="reflect") if self.padding else x

    def _check(self, x: Tensor) -> None:
        least = max(self.kernel_size - 2 * self.padding, self.padding + 1)
        if x.dim() != 4 or x.shape[1] != self.in_channels or min(x.shape[2:]) < least:
            raise InputError(
                f"images have shape {tuple(x.shape)}; expected (B, {self.in_channels}, H, W) with "
                f"sides of at least {least}"
            )
