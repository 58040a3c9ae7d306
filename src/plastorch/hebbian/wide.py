"""Wide layer beside the blocks: many neurons on whitened patches, averaged over a coarse grid.

Patches, codes and grid as in Coates & Ng, *The Importance of Encoding Versus Training with Sparse
Coding and Vector Quantization*, ICML 2011; the neurons learn by SoftHebb.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.hebbian.convolution import SoftHebbConv2d
from plastorch.hebbian.spec import WideSpec
from plastorch.hebbian.whitening import PatchWhitening

IMAGES, NEURONS = 4, 256
"""Numbers of images and of neurons processed at a time, so that their maps fit into a cache."""
TEMPERATURE = 100.0
"""Inverse temperature t: inputs and weights have length 1, and nearly all cosines are below .5."""


class WideLayer(nn.Module):
    """SoftHebb neurons on whitened patches of length 1, as ON and OFF pairs on a coarse grid.

    The responses of a pair are relu(u - b) and relu(-u - b), with the product u of weights and a
    whitened patch and the threshold b, each averaged over the cells of a grid. The neurons' maps
    are never stored whole.

    Args:
        in_channels: number of image channels.
        spec: neurons, receptive fields, threshold and grid.
        generator: random generator of the initial weights; torch's global one if None.

    Raises:
        InputError: argument out of range, named in the message.

    Example:
        >>> layer = WideLayer(3, WideSpec(neurons=8))
        >>> layer(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 16, 2, 2])
    """

    def __init__(
        self, in_channels: int, spec: WideSpec, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.whiten = PatchWhitening(in_channels, spec.kernel_size)
        self.conv = SoftHebbConv2d(
            self.whiten.out_channels,
            spec.neurons,
            1,
            competition=spec.competition,
            inverse_temperature=TEMPERATURE,
            initial_radius=1.0,
            generator=generator,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Returns responses [B, 2 K, side, side] to images [B, C, H, W]: all ON, then all OFF."""
        rows = self.whiten(images).permute(0, 2, 3, 1)
        grid = _grid(rows.shape[1:3], self.spec.side).to(rows)
        z = rows.flatten(1, 2)
        # An exported program takes any number of images, so it can't go through them in parts.
        groups = (z,) if torch.compiler.is_compiling() else torch.split(z, IMAGES)
        weight = torch.split(self.conv.weight.flatten(1), NEURONS)
        found = [torch.cat([self._pairs(z, each, grid) for each in weight], dim=3) for z in groups]
        shape = images.shape[0], 2 * self.spec.neurons, self.spec.side, self.spec.side
        return torch.cat(found).permute(0, 2, 3, 1).reshape(shape)

    def _pairs(self, z: Tensor, weight: Tensor, grid: Tensor) -> Tensor:
        """Returns mean responses [B, cells, 2, K] of some neurons to rows [B, H W, n]."""
        u = F.softshrink(F.linear(z, weight), self.spec.threshold)  # ON minus OFF
        difference, total = grid @ u, grid @ u.abs()
        return torch.stack([total + difference, total - difference], dim=2) / 2


def _grid(sides: torch.Size, cells: int) -> Tensor:
    """Returns the matrix [cells², H W] that averages maps over the cells of a grid."""
    means = [
        F.adaptive_avg_pool1d(torch.eye(side).unsqueeze(0), cells).squeeze(0).T for side in sides
    ]
    return torch.kron(means[0], means[1])
