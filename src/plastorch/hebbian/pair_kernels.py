"""Pooled responses of ON and OFF neurons in one pass over their maps, for CPUs."""

import torch
from torch import Tensor

from plastorch.engine.numba_options import vector_kernel
from plastorch.engine.threads import in_threads
from plastorch.hebbian.spec import Pool

WORK_PER_THREAD = 200_000
"""Number of responses that a thread should have to do at least."""


def pooled_pairs(u: Tensor, pool: Pool) -> tuple[Tensor, Tensor]:
    """Returns pooled relu(u) and relu(-u), channels last.

    Args:
        u: maps [B, K, H, W], float32 on a CPU, without gradients.
        pool: pooling of the maps.

    Example:
        >>> u, pool = torch.randn(2, 8, 6, 6), Pool("max", 2, 2)
        >>> on, off = pooled_pairs(u, pool)
        >>> torch.equal(on, pool(u.relu())), torch.equal(off, pool((-u).relu()))
        (True, True)
    """
    maps = u.permute(0, 2, 3, 1).contiguous()
    height, width = (pool.output_size(side) for side in maps.shape[1:3])
    shape = (len(maps), height, width, maps.shape[3])
    on, off = torch.empty(shape), torch.empty(shape)
    kernel = _maxima if pool.kind == "max" else _means
    sizes = (pool.kernel_size, pool.stride, pool.padding)
    arrays = maps.numpy(), on.numpy(), off.numpy()
    in_threads(
        lambda begin, end: _pool(begin, end, kernel, sizes, *arrays),
        len(maps) * height,
        max(1, maps.numel() // WORK_PER_THREAD),
    )
    return on.permute(0, 3, 1, 2), off.permute(0, 3, 1, 2)


@vector_kernel
def _pool(begin, end, add, sizes, maps, on, off):  # type: ignore[no-untyped-def]
    """Pools some rows of windows."""
    size, stride, padding = sizes
    share = maps.dtype.type(1 / size**2)
    for place in range(begin, end):
        image, row = divmod(place, on.shape[1])
        top = row * stride - padding
        for column in range(on.shape[2]):
            left = column * stride - padding
            on[image, row, column] = off[image, row, column] = 0
            for y in range(max(0, top), min(maps.shape[1], top + size)):
                for x in range(max(0, left), min(maps.shape[2], left + size)):
                    add(maps[image, y, x], share, on[image, row, column], off[image, row, column])


@vector_kernel
def _maxima(u, share, on, off):  # type: ignore[no-untyped-def]
    for k in range(len(u)):
        on[k] = u[k] if u[k] > on[k] else on[k]
        off[k] = -u[k] if -u[k] > off[k] else off[k]


@vector_kernel
def _means(u, share, on, off):  # type: ignore[no-untyped-def]
    zero = u.dtype.type(0)
    for k in range(len(u)):
        on[k] += share * max(u[k], zero)
        off[k] += share * max(-u[k], zero)
