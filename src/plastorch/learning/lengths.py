"""Numbers of steps of padded sequences."""

import torch
from torch import Tensor

from plastorch.engine.errors import InputError


def checked_lengths(lengths: Tensor | None, x: Tensor) -> Tensor:
    """Returns the number of steps of each sample, int64 [B], of sequences [T, B, ...].

    Without lengths, it is T. Values are checked where that doesn't wait for a device: on the CPU.
    Raises InputError unless there is one whole number per sample, from 1 to T.
    """
    steps, samples = x.shape[:2]
    if lengths is None:
        return torch.full((samples,), steps, device=x.device)
    whole = not (lengths.is_floating_point() or lengths.is_complex())
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
