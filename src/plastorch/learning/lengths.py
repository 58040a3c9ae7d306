"""Numbers of steps of padded sequences."""

import torch
from torch import Tensor

from plastorch.engine.errors import InputError


def checked_lengths(lengths: Tensor | None, x: Tensor) -> Tensor:
    """Returns the number of steps of each sample, int64 [B], of sequences [T, B, ...].

    Without ``lengths``, it is T. Values are checked only on the CPU, where that doesn't wait for a
    device. Raises InputError unless lengths are a tensor of one whole number per sample, from 1 to
    T.
    """
    steps, samples = x.shape[:2]
    if lengths is None:
        return torch.full((samples,), steps, device=x.device)
    if not isinstance(lengths, Tensor):
        raise InputError(
            f"lengths are a {type(lengths).__name__}; expected a tensor of whole numbers"
        )
    whole = lengths.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    if lengths.shape != (samples,) or not whole:
        raise InputError(
            f"lengths have shape {tuple(lengths.shape)} and type {lengths.dtype}; expected "
            f"({samples},) whole numbers"
        )
    if lengths.is_cpu and (lengths.min() < 1 or lengths.max() > steps):
        raise InputError(
            f"lengths are from {int(lengths.min())} to {int(lengths.max())}; expected 1 to {steps}"
        )
    return lengths.to(x.device, torch.int64).contiguous()
