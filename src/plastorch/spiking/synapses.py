"""Storage of weights, between the change that a rule requests and the change that happens.

A rule requests changes of weights; synapses determine how weights actually change. Rules use
synapses through three pure functions: :meth:`Synapses.initial`, :meth:`Synapses.read` and
:meth:`Synapses.program`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.neurons import Random

State = TypeVar("State", bound=tuple[Any, ...])


class Synapses(Protocol[State]):
    """Storage of a network's weights, of any shape."""

    def initial(self, weight: Tensor) -> State:
        """Returns synapses with these weights, at time 0."""

    def read(self, state: State, time: float, generator: Random = None) -> Tensor:
        """Returns the weights at a time in seconds, possibly in a wider type than the layer's."""

    def program(self, state: State, delta: Tensor, time: float, generator: Random = None) -> State:
        """Changes weights by about ``delta`` at a time in seconds; where it is 0, not at all."""


class IdealState(NamedTuple):
    """State of synapses that store weights as numbers."""

    weight: Tensor


torch.serialization.add_safe_globals([IdealState])


@dataclass(frozen=True)
class IdealSynapses:
    """Weights that change exactly as requested, within bounds.

    Args:
        low: lower bound of the weights.
        high: upper bound of the weights.

    Raises:
        InputError: if the bounds are not in order.

    Example:
        >>> synapses = IdealSynapses()
        >>> state = synapses.program(synapses.initial(torch.tensor([0.5, 0.9])), 0.25, 0.0)
        >>> synapses.read(state, 0.0)
        tensor([0.7500, 1.0000])
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_bounds(self.low, self.high)

    def initial(self, weight: Tensor) -> IdealState:
        """Returns synapses with these weights.

        Raises:
            InputError: if a weight is out of bounds.
        """
        check_weight(weight, self.low, self.high)
        return IdealState(weight)

    def read(self, state: IdealState, time: float, generator: Random = None) -> Tensor:
        """Returns the weights."""
        return state.weight

    def program(
        self, state: IdealState, delta: Tensor, time: float, generator: Random = None
    ) -> IdealState:
        """Adds ``delta`` to the weights and clamps them to the bounds."""
        return IdealState((state.weight + delta).clamp(self.low, self.high))


def check_weight(weight: Tensor, low: float, high: float) -> None:
    """Raises InputError unless weights on a CPU are within bounds; doesn't wait for a GPU."""
    bad = ~((weight >= low) & (weight <= high))
    if bad.is_cpu and bool(bad.any()):
        raise InputError(f"weight holds {float(weight[bad][0])}; expected {low} to {high}")


def check_same_bounds(synapses: Synapses[Any], low: float, high: float) -> None:
    """Raises InputError if synapses have other bounds than the rule; those without bounds pass."""
    if (getattr(synapses, "low", low), getattr(synapses, "high", high)) != (low, high):
        raise InputError(f"synapses are {synapses}; expected the bounds {low:g} and {high:g}")


def check_bounds(low: float, high: float) -> None:
    """Raises InputError unless bounds are in order."""
    if not low < high:
        raise InputError(f"low is {low} and high is {high}; expected low below high")
