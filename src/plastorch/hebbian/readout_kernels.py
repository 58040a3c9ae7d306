"""Products of a linear layer that learns from narrow features, for CPUs.

Features are decoded, standardized and dropped in one pass, into tiles that stay in the nearer
caches through the products.
"""

from functools import partial
from math import log2

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.numba_options import UNCOUNTED, ordered_kernel
from plastorch.engine.numba_vectors import LANES, full, fused, load, store_eight, sums_of
from plastorch.engine.threads import in_threads

TILE = 1024
"""Number of features of a tile, a multiple of 128."""
_BLOCK = 8 * LANES
_ZERO = np.float32(0)
_uncounted = partial(ordered_kernel, **UNCOUNTED)


class NarrowBatch:
    """Products of batches of narrow features, read as (features - mean) * scale or as 0 if dropped.

    Args:
        batch_size: largest number of rows of a batch.
        mean: mean [F] of the features, float32.
        scale: scale [F] of the features, float32.
        bits: number of bits that make the random number of a feature.
        dropped: number from which on a feature is kept.

    Example:
        >>> batch = NarrowBatch(2, torch.zeros(8), torch.full((8,), 2.0), bits=1, dropped=1)
        >>> features, octets = torch.ones(2, 8).half(), torch.tensor([[0], [255]]).byte()
        >>> batch.products(features, octets, torch.ones(1, 8))
        tensor([[ 0.],
                [16.]])
        >>> batch.sums(torch.tensor([[1.0], [1.0]]))
        tensor([[2., 2., 2., 2., 2., 2., 2., 2.]])
    """

    def __init__(
        self, batch_size: int, mean: Tensor, scale: Tensor, *, bits: int, dropped: int
    ) -> None:
        self.mean, self.scale, self.bits, self.dropped = mean, scale, bits, dropped
        self.width = len(mean)
        self.unused = -self.width % _BLOCK
        self.tiles = -(-self.width // TILE)
        rows = -(-batch_size // 8) * 8
        # Rows that begin a multiple of 4,096 bytes apart would share few places of a cache.
        self.seen = torch.zeros(self.tiles, rows, TILE + LANES)

    def products(self, features: Tensor, octets: Tensor, weight: Tensor) -> Tensor:
        """Reads features, and returns their products with weights.

        Args:
            features: features [B, F] of one or two bytes each, such as float16 or float8_e5m2.
            octets: random bits [B, M] of :meth:`plastorch.hebbian.readout.DropoutMask.octets`.
            weight: weights [C, F], float32.

        Returns:
            Products [B, C].

        Raises:
            InputError: more or fewer features per row than means.
        """
        if features.shape[1] != self.width:
            raise InputError(
                f"features has {features.shape[1]} values per row; expected {self.width}"
            )
        codes = features.view(torch.uint8).numpy().view(f"u{features.element_size()}")
        found = torch.empty(self.tiles, self.seen.shape[1], len(weight))
        given = codes, _form(features.dtype), octets.numpy(), (self.bits, np.int32(self.dropped))
        weight = F.pad(weight.detach(), (0, self.unused))
        arrays = self.mean.numpy(), self.scale.numpy(), self.seen.numpy(), weight.numpy()
        in_threads(
            lambda begin, end: _read(begin, end, *given, *arrays, found.numpy()),
            self.tiles,
            self.tiles,
        )
        return found.sum(dim=0)[: len(features)]

    def sums(self, error: Tensor) -> Tensor:
        """Returns sums [C, F] of the features that were read last, weighted by errors [B, C]."""
        found = torch.empty(error.shape[1], self.width + self.unused)
        arrays = error.contiguous().numpy(), self.seen.numpy(), found.numpy()
        in_threads(lambda begin, end: _sum(begin, end, *arrays), self.tiles, self.tiles)
        return found[:, : self.width].contiguous()


def _form(dtype: torch.dtype) -> tuple[np.uint32, np.uint32, np.float32, np.float32]:
    """Returns how codes of a type of float are read: sign bit, shift, factor, smallest number."""
    info = torch.finfo(dtype)
    return (
        np.uint32(info.bits - 1),
        np.uint32(23 + log2(info.eps)),
        np.float32(info.smallest_normal * 2.0**126),
        np.float32(info.smallest_normal * info.eps),
    )


@ordered_kernel
def _read(begin, end, codes, form, octets, numbers, mean, scale, seen, weight, found):  # type: ignore[no-untyped-def]
    """Fills tiles, and writes their products [tiles, rows, C]."""
    (rows, features), width, (bits, dropped) = codes.shape, octets.shape[1], numbers
    for tile in range(begin, end):
        for row in range(rows):
            first, end_of_tile = tile * TILE, min(features, (tile + 1) * TILE)
            while first < end_of_tile:
                part = first // width
                last = min(end_of_tile, (part + 1) * width)
                _fill(
                    codes[row, first:last],
                    form,
                    octets[row, first - part * width : last - part * width],
                    (np.uint8(part * bits), np.uint8(2**bits - 1), dropped),
                    mean[first:last],
                    scale[first:last],
                    seen[tile, row, first - tile * TILE : last - tile * TILE],
                )
                first = last
        _multiply(seen, tile, rows, weight, found)


@_uncounted
def _fill(codes, form, octets, numbers, mean, scale, out):  # type: ignore[no-untyped-def]
    """Fills features whose random numbers lie at the same bits; a loop that is vectorized."""
    sign, left, factor, least = form
    shift, ones, dropped = numbers
    below, normal = np.uint32((1 << sign) - 1), np.uint32(1 << 23 - left)
    for f in range(len(out)):
        code = np.uint32(codes[f])
        size = np.uint32(code & below)
        value = np.uint32(size << left).view(np.float32) * factor
        value = np.float32(np.int32(size)) * least if size < normal else value
        value = -value if code > below else value
        kept = np.int32((octets[f] >> shift) & ones) >= dropped
        standardized = (value - mean[f]) * scale[f]
        out[f] = standardized if kept else _ZERO


@_uncounted
def _multiply(seen, tile, rows, weight, found):  # type: ignore[no-untyped-def]
    """Writes products of a tile, of eight rows at a time with the weights of a class."""
    line, zero = seen.shape[2], full(_ZERO)
    columns = min(TILE, weight.shape[1] - tile * TILE)
    for row in range(0, rows, 8):
        place = (tile * seen.shape[1] + row) * line
        for c in range(len(weight)):
            at = c * weight.shape[1] + tile * TILE
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = zero
            for f in range(0, columns, LANES):
                w, x = load(weight, at + f), place + f
                a0 = fused(load(seen, x), w, a0)
                a1 = fused(load(seen, x + line), w, a1)
                a2 = fused(load(seen, x + 2 * line), w, a2)
                a3 = fused(load(seen, x + 3 * line), w, a3)
                a4 = fused(load(seen, x + 4 * line), w, a4)
                a5 = fused(load(seen, x + 5 * line), w, a5)
                a6 = fused(load(seen, x + 6 * line), w, a6)
                a7 = fused(load(seen, x + 7 * line), w, a7)
            eight = sums_of((a0, a1, a2, a3, a4, a5, a6, a7))
            for i in range(8):
                found[tile, row + i, c] = eight[i]


@_uncounted
def _sum(begin, end, error, seen, found):  # type: ignore[no-untyped-def]
    """Writes sums of tiles weighted by errors, of eight vectors at a time for a class."""
    line, zero = seen.shape[2], full(_ZERO)
    for tile in range(begin, end):
        for f in range(0, min(TILE, found.shape[1] - tile * TILE), _BLOCK):
            place = tile * seen.shape[1] * line + f
            for c in range(len(found)):
                a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = zero
                for row in range(len(error)):
                    e, x = full(error[row, c]), place + row * line
                    a0 = fused(load(seen, x), e, a0)
                    a1 = fused(load(seen, x + LANES), e, a1)
                    a2 = fused(load(seen, x + 2 * LANES), e, a2)
                    a3 = fused(load(seen, x + 3 * LANES), e, a3)
                    a4 = fused(load(seen, x + 4 * LANES), e, a4)
                    a5 = fused(load(seen, x + 5 * LANES), e, a5)
                    a6 = fused(load(seen, x + 6 * LANES), e, a6)
                    a7 = fused(load(seen, x + 7 * LANES), e, a7)
                at = c * found.shape[1] + tile * TILE + f
                store_eight(found, at, LANES, (a0, a1, a2, a3, a4, a5, a6, a7))
