"""Convolutions of 3 x 3 by Winograd's minimal filtering, with a quarter of the products.

Paper: Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, arXiv 1509.09308. Tiles
of 4 x 4 outputs, Y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A, take 36 products per pair of channels instead of
144; over all tiles each of the 36 is a matrix product.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
"""Side of a tile of outputs."""
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
    batch, channels, height, width = x.shape
    height, width = height - 2, width - 2
    if height % TILE or width % TILE:
        x = F.pad(x, (0, -width % TILE, 0, -height % TILE))
    tiles = x.unfold(2, TILE + 2, TILE).unfold(3, TILE + 2, TILE).permute(4, 5, 0, 2, 3, 1)
    rows, columns = tiles.shape[3:5]
    inputs = _twice(_INPUTS, x.dtype) @ tiles.reshape(36, -1)
    products = inputs.view(36, -1, channels) @ weight
    products[_AT_ONE] += bias
    outputs = _twice(_OUTPUTS, x.dtype) @ products.flatten(1)
    outputs = outputs.view(TILE, TILE, batch, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
    outputs = outputs.reshape(batch, TILE * rows, TILE * columns, -1)
    return outputs[:, :height, :width].permute(0, 3, 1, 2)


@cache
def _twice(matrix: tuple[tuple[int, ...], ...], dtype: torch.dtype) -> Tensor:
    """Returns a matrix for rows and the same for columns as one matrix."""
    one = torch.tensor(matrix, dtype=dtype)
    return torch.kron(one, one)
