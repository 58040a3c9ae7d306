"""Convolutions of 3 x 3 by Winograd's minimal filtering, with a quarter of the products.

Paper: Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, arXiv 1509.09308. Tiles
of 4 x 4 outputs, Y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A, take 36 products per pair of channels instead of
144; over all tiles each of the 36 is a matrix product. Sums over positions of activities y times
patches, which are gradients of w for gradients y of Y, take as many: Gᵀ [(A y Aᵀ) ⊙ (Bᵀ x B)] G.
"""

from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
"""Side of a tile of outputs."""
LEAST_TILES = 16
"""Number of tiles that take as long as turning weights into Winograd's form, or back."""
BLOCK_BYTES = 1 << 22
"""Size of the weights in Winograd's form at a time, while they change: they fit the caches."""
_INPUTS = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
"""Bᵀ for the points 0, ±1, ±2 and infinity."""
_OUTPUTS = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""Aᵀ."""
_AT_ONE = 7
"""Place of the point (1, 1), whose product is added to each output of a tile once."""
_WEIGHTS = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))
"""24 G."""


def transformed(weight: Tensor) -> Tensor:
    """Returns weights [36, C, K] in Winograd's form, of weights [K, C, 3, 3].

    Example:
        >>> weight, x = torch.randn(8, 5, 3, 3), torch.randn(2, 5, 10, 10)
        >>> expected = torch.nn.functional.conv2d(x, weight)
        >>> torch.allclose(convolve(x, transformed(weight), torch.zeros(8)), expected, atol=1e-4)
        True
    """
    g = torch.tensor(_WEIGHTS, dtype=torch.float64) / 24
    found = torch.einsum("ui,vj,kcij->uvck", g, g, weight.double())
    return found.flatten(0, 1).to(weight.dtype).contiguous()


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Returns the convolution [B, K, H, W], channels last, of maps with weights in Winograd's form.

    Args:
        x: maps [B, C, H + 2, W + 2], padded as needed.
        weight: weights [36, C, K] from :func:`transformed`.
        bias: bias [K].
    """
    signals, size = _signals(x)
    products = signals @ weight
    products[_AT_ONE] += bias
    outputs = (_twice(_OUTPUTS, x.dtype) @ products.flatten(1)).view(TILE, TILE, *size, -1)
    batch, rows, columns = size
    outputs = outputs.permute(2, 3, 0, 4, 1, 5).reshape(batch, TILE * rows, TILE * columns, -1)
    return outputs[:, : x.shape[2] - 2, : x.shape[3] - 2].permute(0, 3, 1, 2)


class Patches:
    """Patches of 3 x 3 of maps [B, C, H + 2, W + 2] as rows [B H W, 9 C], for matrix products.

    The products are computed in Winograd's form, for some neurons at a time.

    Example:
        >>> x, weight = torch.randn(2, 5, 6, 6), torch.randn(8, 5, 3, 3)
        >>> responses = Patches(x).responses(weight.permute(0, 2, 3, 1).flatten(1))
        >>> expected = torch.nn.functional.conv2d(x, weight).permute(0, 2, 3, 1).flatten(0, 2)
        >>> torch.allclose(responses, expected, atol=1e-4)
        True
    """

    def __init__(self, x: Tensor) -> None:
        self.height, self.width = x.shape[2] - 2, x.shape[3] - 2
        self.signals, (self.batch, self.rows, self.columns) = _signals(x)

    def responses(self, weight: Tensor) -> Tensor:
        """Returns products [B H W, K] of all patches with weights [K, 9 C]."""
        to_weights = _twice(_WEIGHTS, weight.dtype) / 24**2
        to_outputs = _twice(_OUTPUTS, weight.dtype)
        u, size = weight.new_empty(self._tiled(len(weight))), (self.batch, self.rows, self.columns)
        for some in self._blocks(len(weight)):
            turned = to_weights @ weight[some].view(-1, 9, self.signals.shape[2])
            products = self.signals @ turned.permute(1, 2, 0)
            outputs = (to_outputs @ products.flatten(1)).view(TILE, TILE, *size, -1)
            u[..., some] = outputs.permute(2, 3, 0, 4, 1, 5)
        maps = u.view(self.batch, TILE * self.rows, TILE * self.columns, -1)
        return maps[:, : self.height, : self.width].reshape(-1, len(weight))

    def sums(self, post: Tensor) -> Tensor:
        """Returns sums [K, 9 C] of all patches, weighted by activities [B H W, K]."""
        neurons, channels = post.shape[1], self.signals.shape[2]
        to_products = _twice(_OUTPUTS, post.dtype).T
        to_weights = (_twice(_WEIGHTS, post.dtype) / 24**2).T
        maps = post.view(self.batch, self.height, self.width, neurons)
        rest = (0, -self.width % TILE, 0, -self.height % TILE)
        tiles = (F.pad(maps, (0, 0, *rest)) if any(rest) else maps).view(self._tiled(neurons))
        found = post.new_empty(neurons, 9, channels)
        for some in self._blocks(neurons):
            outputs = tiles[..., some].permute(2, 4, 0, 1, 3, 5).reshape(TILE**2, -1)
            products = (to_products @ outputs).view(*self.signals.shape[:2], -1).mT @ self.signals
            found[some] = (to_weights @ products.flatten(1)).view(9, -1, channels).transpose(0, 1)
        return found.flatten(1)

    def _tiled(self, neurons: int) -> tuple[int, ...]:
        return self.batch, self.rows, TILE, self.columns, TILE, neurons

    def _blocks(self, neurons: int) -> Iterator[slice]:
        """Yields the neurons whose weights are in Winograd's form at a time."""
        of_one = len(self.signals) * self.signals.shape[2] * self.signals.element_size()
        size = max(1, BLOCK_BYTES // of_one)
        return (slice(start, start + size) for start in range(0, neurons, size))


def pays(batch: int, height: int, width: int) -> bool:
    """Returns whether products with weights that change take less time as :class:`Patches`."""
    tiles = batch * -(-height // TILE) * -(-width // TILE)
    return 36 * (tiles + LEAST_TILES) < 9 * batch * height * width


def _signals(x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """Returns tiles of padded maps in Winograd's form [36, N, C], and (B, rows, columns)."""
    height, width = x.shape[2] - 2, x.shape[3] - 2
    if height % TILE or width % TILE:
        x = F.pad(x, (0, -width % TILE, 0, -height % TILE))
    tiles = x.unfold(2, TILE + 2, TILE).unfold(3, TILE + 2, TILE).permute(4, 5, 0, 2, 3, 1)
    batch, rows, columns, channels = tiles.shape[2:]
    signals = _twice(_INPUTS, x.dtype) @ tiles.reshape(36, -1)
    return signals.view(36, -1, channels), (batch, rows, columns)


@cache
def _twice(matrix: tuple[tuple[int, ...], ...], dtype: torch.dtype) -> Tensor:
    """Returns a matrix for rows and the same for columns as one matrix."""
    one = torch.tensor(matrix, dtype=dtype)
    return torch.kron(one, one)
