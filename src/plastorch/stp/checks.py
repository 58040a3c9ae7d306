"""Checks of what short-term plasticity neurons are given."""

from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.stp.rule import STPNState


def check_input(x: Tensor, weight: Tensor, input_size: int) -> None:
    """Raises InputError if inputs [..., I] are empty or don't fit the weights."""
    if x.shape[-1] != input_size:
        raise InputError(f"x has shape {tuple(x.shape)}; expected {input_size} features, at last")
    if x.numel() == 0:
        raise InputError(f"x has shape {tuple(x.shape)}; expected one step and sample or more")
    check_same("x", x, weight)


def check_same(name: str, tensor: Tensor, weight: Tensor) -> None:
    """Raises InputError if device or type of a tensor differ from those of the weights."""
    if tensor.device != weight.device:
        raise InputError(f"{name} is on {tensor.device}; expected {weight.device}, of the weights")
    if tensor.dtype != weight.dtype:
        raise InputError(f"{name} is {tensor.dtype}; expected {weight.dtype}, of the weights")


def state_pair(state: STPNState) -> STPNState:
    """Returns the state if it is well-formed."""
    if not isinstance(state, tuple) or len(state) != 2:
        raise InputError(f"state is a {type(state).__name__}; expected the pair (h, F)")
    for name, part in zip(STPNState._fields, state, strict=True):
        if not isinstance(part, Tensor):
            raise InputError(f"state.{name} is a {type(part).__name__}; expected a tensor")
    return STPNState(*state)


def batched(state: STPNState | None) -> STPNState | None:
    """Adds the batch dimension to the state of a single sample."""
    return None if state is None else STPNState(*(part.unsqueeze(0) for part in state_pair(state)))


def unbatched(state: STPNState) -> STPNState:
    """Removes the batch dimension from the state of a single sample."""
    return STPNState(state.h.squeeze(0), state.F.squeeze(0))
