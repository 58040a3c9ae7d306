"""Narrow features made ready for the readout in one pass, for CPUs."""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.numba_options import ordered_kernel
from plastorch.engine.threads import in_threads

WORK_PER_THREAD = 200_000
"""Number of features that a thread should have to do at least."""
_ZERO = np.float32(0)


def standardize_and_drop(
    features: Tensor,
    mean: Tensor,
    scale: Tensor,
    octets: Tensor,
    out: Tensor,
    *,
    bits: int,
    dropped: int,
) -> Tensor:
    """Computes (features - mean) * scale in float32, or 0 where random bits say so.

    Args:
        features: features [B, F] of one or two bytes each, such as float16 or float8_e5m2.
        mean: mean [F], float32.
        scale: scale [F], float32.
        octets: random bits [B, M] from :meth:`plastorch.hebbian.readout.DropoutMask.octets`.
        out: memory for the result, float32 [N, F], N at least B.
        bits: number of bits that make the random number of a feature.
        dropped: number from which on a feature is kept.

    Returns:
        The first B rows of ``out``.

    Raises:
        InputError: more or fewer features per row than ``out`` has columns.

    Example:
        >>> features, octets = torch.ones(2, 8).half(), torch.tensor([[0], [255]]).byte()
        >>> mean, scale, out = torch.zeros(8), torch.full((8,), 2.0), torch.empty(2, 8)
        >>> standardize_and_drop(features, mean, scale, octets, out, bits=1, dropped=1).mean(dim=1)
        tensor([0., 2.])
    """
    if features.shape[1] != out.shape[1]:
        raise InputError(
            f"features has {features.shape[1]} values per row; expected {out.shape[1]}"
        )
    codes = features.view(torch.uint8).numpy().view(f"u{features.element_size()}")
    out = out[: len(features)]
    given = codes, _values(features.dtype), octets.numpy(), bits, dropped
    arrays = mean.numpy(), scale.numpy(), out.numpy()
    in_threads(
        lambda begin, end: _fill_rows(begin, end, *given, *arrays),
        len(features),
        max(1, features.numel() // WORK_PER_THREAD),
    )
    return out


@cache
def _values(dtype: torch.dtype) -> Any:
    """Returns the value of each code of a type, float32 [256] or [65,536]."""
    size = dtype.itemsize
    codes = np.arange(256**size, dtype=f"u{size}")
    return torch.from_numpy(codes.view(np.uint8)).view(dtype).float().numpy()


@ordered_kernel
def _fill_rows(begin, end, codes, values, octets, bits, dropped, mean, scale, out):  # type: ignore[no-untyped-def]
    features, width = codes.shape[1], octets.shape[1]
    for row in range(begin, end):
        for shift in range(0, 8, bits):
            first = min(features, shift // bits * width)
            last = min(features, first + width)
            _fill(
                codes[row, first:last],
                values,
                octets[row],
                (np.uint8(shift), np.uint8(2**bits - 1), np.int32(dropped)),
                mean[first:last],
                scale[first:last],
                out[row, first:last],
            )


@ordered_kernel
def _fill(codes, values, octets, numbers, mean, scale, out):  # type: ignore[no-untyped-def]
    """Fills features whose random numbers lie at the same bits; a loop that is vectorized."""
    shift, ones, dropped = numbers
    for f in range(len(out)):
        kept = np.int32((octets[f] >> shift) & ones) >= dropped
        standardized = (values[codes[f]] - mean[f]) * scale[f]
        out[f] = standardized if kept else _ZERO
