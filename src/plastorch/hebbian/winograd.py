"""Convolutions of 3 x 3 by Winograd's minimal filtering, with a quarter of the products.

Paper: Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*, arXiv 1509.09308. Tiles
of 4 x 4 outputs, Y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A, take 36 products per pair of channels instead of
144; over all tiles each of the 36 is a matrix product. Sums over positions of activities y times
patches, which are gradients of w for gradients y of Y, take as many: Gᵀ [(A y Aᵀ) ⊙ (Bᵀ x B)] G.
"""

from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.threads import in_threads

TILE = 4
"""Side of a tile of outputs."""
SIDE_BY_SIDE = 48
"""Number of tiles whose products with weights that change take as long as those of fewer."""
MOST_TILES = 192
"""Number of tiles up to which the caches hold what is computed for some neurons."""
WORK_PER_THREAD = 200_000
"""Number of signals, counted once per block of neurons, that a thread should have at least."""
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
    from plastorch.hebbian.winograd_kernels import to_outputs

    out = x.new_empty(len(x), x.shape[2] - 2, x.shape[3] - 2, weight.shape[2])
    parts = _parts(x)
    for part, found in zip(parts, torch.split(out, [len(p) for p in parts]), strict=True):
        signals, (_, *size) = _signals(part)
        products = torch.bmm(signals, weight)
        _of_tiles(to_outputs, products.shape[1], (products, bias, found), tuple(size))
    return out.permute(0, 3, 1, 2)


class Patches:
    """Patches of 3 x 3 of maps [B, C, H + 2, W + 2] as rows [B H W, 9 C], for matrix products.

    The products are computed in Winograd's form, on a CPU.

    Example:
        >>> x, weight = torch.randn(2, 5, 6, 6), torch.randn(8, 5, 3, 3)
        >>> responses = Patches(x).responses(weight.permute(0, 2, 3, 1).flatten(1))
        >>> expected = torch.nn.functional.conv2d(x, weight).permute(0, 2, 3, 1).flatten(0, 2)
        >>> torch.allclose(responses, expected, atol=1e-4)
        True
    """

    def __init__(self, x: Tensor) -> None:
        self.height, self.width = x.shape[2] - 2, x.shape[3] - 2
        parts = _parts(x)
        self.parts = [_signals(part) for part in parts]
        self.positions = [len(part) * self.height * self.width for part in parts]
        self.to_weights = (torch.tensor(_WEIGHTS, dtype=x.dtype) / 24).numpy()

    def responses(self, weight: Tensor) -> Tensor:
        """Returns products [B H W, K] of all patches with weights [K, 9 C]."""
        from plastorch.hebbian.winograd_kernels import responses

        out = weight.new_empty(sum(self.positions), len(weight))
        weight = weight.view(len(weight), 9, -1)
        for (signals, tiles), rows in zip(
            self.parts, torch.split(out, self.positions), strict=True
        ):
            self._in_threads(responses, weight, _whole_vectors(signals.mT), tiles, rows)
        return out

    def sums(self, post: Tensor) -> Tensor:
        """Returns sums [K, 9 C] of all patches, weighted by activities [B H W, K]."""
        from plastorch.engine.numba_vectors import LANES
        from plastorch.hebbian.winograd_kernels import sums

        channels, each = self.parts[0][0].shape[2], torch.split(post.contiguous(), self.positions)
        found = post.new_zeros(post.shape[1], 9, channels + -channels % LANES)
        for (signals, tiles), rows in zip(self.parts, each, strict=True):
            self._in_threads(sums, rows, _whole_vectors(signals), tiles, found)
        return found[..., :channels].flatten(1)

    def _in_threads(
        self, kernel: Any, one: Tensor, signals: Tensor, tiles: tuple[int, int, int], out: Tensor
    ) -> None:
        """Calls a kernel for blocks of neurons, on as many threads as torch may use."""
        from plastorch.hebbian.winograd_kernels import NEURONS

        neurons = len(one) if one.dim() == 3 else one.shape[1]
        size = tiles[0], self.height, self.width, *tiles[1:]
        arrays = one.numpy(), signals.numpy(), self.to_weights, size, out.numpy()

        def run(begin: int, end: int) -> None:
            kernel(begin * NEURONS, min(neurons, end * NEURONS), *arrays)

        blocks = ceil(neurons / NEURONS)
        in_threads(run, blocks, blocks * signals.numel() // WORK_PER_THREAD)


def pays(batch: int, height: int, width: int) -> bool:
    """Returns whether products with weights that change take less time as :class:`Patches`.

    Each takes about 4/3 as long as one of a plain matrix product.
    """
    tiles = batch * ceil(height / TILE) * ceil(width / TILE)
    return 36 * 4 * SIDE_BY_SIDE * ceil(tiles / SIDE_BY_SIDE) < 9 * 3 * batch * height * width


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """Returns padded maps in parts of images whose tiles the caches hold."""
    tiles = ceil((x.shape[2] - 2) / TILE) * ceil((x.shape[3] - 2) / TILE)
    return x.tensor_split(ceil(len(x) / max(1, MOST_TILES // tiles)))


def _signals(x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """Returns tiles of padded maps in Winograd's form [36, N, C], and (B, rows, columns)."""
    from plastorch.hebbian.winograd_kernels import to_signals

    maps = x.permute(0, 2, 3, 1).contiguous()
    rows, columns = ceil((x.shape[2] - 2) / TILE), ceil((x.shape[3] - 2) / TILE)
    tiles = len(x) * rows * columns
    signals = x.new_empty(36, tiles, x.shape[1])
    _of_tiles(to_signals, tiles, (maps, signals), (rows, columns))
    return signals, (len(x), rows, columns)


def _of_tiles(kernel: Any, tiles: int, arrays: tuple[Tensor, ...], size: tuple[int, ...]) -> None:
    """Calls a kernel for shares of the tiles, on as many threads as torch may use."""
    numbers = tuple(array.numpy() for array in arrays)
    in_threads(
        lambda begin, end: kernel(begin, end, size, *numbers),
        tiles,
        arrays[0].numel() // WORK_PER_THREAD,
    )


def _whole_vectors(matrices: Tensor) -> Tensor:
    """Returns contiguous matrices with columns of zeros up to whole vectors."""
    from plastorch.engine.numba_vectors import LANES

    return F.pad(matrices, (0, -matrices.shape[-1] % LANES)).contiguous()
