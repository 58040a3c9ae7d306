"""Checks of inputs and states of short-term plasticity neurons."""

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.stp.rule import STPNState


def checked_input(x: Tensor, weight: Tensor, input_size: int) -> Tensor:
    """Returns inputs [..., I] as :func:`like_weights`; raises InputError if they are empty or don't
    fit."""
    if x.shape[-1] != input_size:
        raise InputError(
            f"x has shape {tuple(x.shape)}; expected {input_size} features in the last dimension"
        )
    if x.numel() == 0:
        raise InputError(f"x has shape {tuple(x.shape)}; expected at least one step and one sample")
    return like_weights("x", x, weight)


def like_weights(name: str, tensor: Tensor, weight: Tensor) -> Tensor:
    """Returns a tensor in the weights' type, to which autocast converts it.

    Raises InputError if the device differs, or the type without autocast.
    """
    if tensor.device != weight.device:
        raise InputError(f"{name} is on {tensor.device}; expected {weight.device}, like weights")
    if tensor.dtype == weight.dtype:
        return tensor
    if not (tensor.is_floating_point() and autocasts(weight.device)):
        raise InputError(f"{name} is {tensor.dtype}; expected {weight.dtype}, like weights")
    return tensor.to(weight.dtype)


def autocasts(device: torch.device) -> bool:
    """Whether autocast is active on a device."""
    kind = device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def state_pair(state: STPNState) -> STPNState:
    """Returns the state if it is well-formed."""
    if not isinstance(state, tuple) or len(state) != 2:
        raise InputError(f"state is a {type(state).__name__}; expected the pair (h, F)")
    for name, part in zip(STPNState._fields, state, strict=True):
        if not isinstance(part, Tensor):
            raise InputError(f"state.{name} is a {type(part).__name__}; expected a tensor")
    return state


def batched(state: STPNState | None) -> STPNState | None:
    """Adds the batch dimension to the state of a single sample."""
    return None if state is None else STPNState(*(part.unsqueeze(0) for part in state_pair(state)))


def unbatched(state: STPNState) -> STPNState:
    """Removes the batch dimension from the state of a single sample."""
    return STPNState(state.h.squeeze(0), state.F.squeeze(0))
