"""Numbers of steps of padded sequences."""

import torch
from torch import Tensor

from plastorch.engine.errors import InputError


def checked_lengths(lengths: Tensor | None, x: Tensor) -> Tensor:
    """Returns the number of steps of each sample, int64 [B] on the device of the sequences.

    Values are checked where that doesn't wait for a device: on the CPU.

    Args:
        lengths: number of steps of each sample [B], any whole numbers; all T if None.
        x: sequences [T, B, ...].

    Raises:
        InputError: there is not one length per sample, or one is not from 1 to T.

    Example:
        >>> checked_lengths(None, torch.zeros(5, 2, 3))
        tensor([5, 5])
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
