"""How compiled kernels of short-term plasticity units lay out weights, and share out the work."""

from collections.abc import Sequence
from functools import cache
from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from plastorch.stp.rule import Dynamics, saturation

SCRATCH_BYTES = 1 << 20
"""Size of a sample's memories recomputed at a time in the backward pass; they fit a cache."""
GROUPS = 16
"""Maximum number of sample groups whose gradients are summed separately. Groups and the order of
their sums don't depend on the number of threads, so results are equal bit for bit."""
STEPS_PER_GROUP = 64
"""Minimum number of steps of a group's samples, so that its sums cost little in comparison."""


class Layout(NamedTuple):
    """Order of the columns of weights in the kernels."""

    inputs: int
    """Number of inputs I."""
    x_at: int
    """Column of the first input."""
    h_at: int
    """Column of the first neuron, or -1 if none is presynaptic."""
    synapses: int
    """Number of plastic columns Kp, the first ones."""
    plastic: int
    """The same with zeros up to whole vectors, P."""
    width: int
    """Number of all columns, P + S."""


@cache
def layout_of(dynamics: Dynamics, inputs: int, hidden: int, vector: int) -> Layout:
    """Returns the layout that pads plastic and fixed columns with zeros to multiples of
    ``vector``."""
    recurrent = hidden if dynamics.recurrent else 0
    every = inputs + recurrent
    synapses = len(range(every)[dynamics.columns(inputs, every)])
    plastic = ceil(synapses / vector) * vector
    width = plastic + ceil((every - synapses) / vector) * vector
    x_at = plastic if dynamics.plastic == "hidden" else 0
    h_at = {"all": inputs, "input": plastic, "hidden": 0}[dynamics.plastic] if recurrent else -1
    return Layout(
        inputs=inputs, x_at=x_at, h_at=h_at, synapses=synapses, plastic=plastic, width=width
    )


def padded(parameters: Sequence[Tensor], layout: Layout) -> list[Tensor]:
    """Returns W, b, Λ and Γ with their columns where the layout has them."""
    weight, bias, decay, rate = (parameter.detach() for parameter in parameters)
    wide = weight.new_zeros(len(weight), layout.width)
    wide[:, layout.x_at : layout.x_at + layout.inputs] = weight[:, : layout.inputs]
    if layout.h_at >= 0:
        wide[:, layout.h_at : layout.h_at + len(weight)] = weight[:, layout.inputs :]
    padding, synapses = (0, layout.plastic - layout.synapses), (len(weight), layout.synapses)
    decay, rate = (F.pad(part.expand(synapses), padding) for part in (decay, rate))
    return [wide, bias, decay, rate]


def unpadded(gradients: Sequence[Tensor], layout: Layout) -> list[Tensor]:
    """Reverses :func:`padded`."""
    wide, bias, decay, rate = gradients
    weight = wide[:, layout.x_at : layout.x_at + layout.inputs]
    if layout.h_at >= 0:
        weight = torch.cat([weight, wide[:, layout.h_at : layout.h_at + len(wide)]], dim=1)
    return [weight, bias, decay[:, : layout.synapses], rate[:, : layout.synapses]]


def settings_of(
    parameters: Sequence[Tensor], lengths: Tensor, dynamics: Dynamics, layout: Layout, block: int
) -> tuple[Any, ...]:
    """Returns the kernels' arguments from ``parameters`` to ``settings``."""
    numbers = tuple(tensor.detach().numpy() for tensor in parameters)
    return numbers, lengths.numpy(), constants(dynamics, layout, parameters[0].dtype, block)


@cache
def constants(
    dynamics: Dynamics, layout: Layout, dtype: torch.dtype, block: int
) -> tuple[Any, ...]:
    """Returns the kernels' ``settings``."""
    from plastorch.stp import kernels

    number = np.float64 if dtype == torch.float64 else np.float32
    bound = saturation(dtype)
    return (
        layout.x_at,
        layout.h_at,
        kernels.NORM[dynamics.norm],
        kernels.ACTIVATION[dynamics.activation],
        dynamics.recurrent and dynamics.presynaptic == "current",
        number(min(dynamics.clamp, bound)),
        dynamics.clamp < bound,
        number(bound),
        block,
    )


def summed(shares: NDArray[Any]) -> Tensor:
    """Sums the first axis in order; torch's order depends on the number of threads."""
    return torch.from_numpy(shares[0] if len(shares) == 1 else np.add.reduce(shares))


def groups_of(steps: int, samples: int) -> NDArray[np.int64]:
    """Returns first samples of groups, and the number of samples; 2, 4, 8, ... groups, or one."""
    most = min(samples, GROUPS, max(1, steps * samples // STEPS_PER_GROUP))
    count = 1 << most.bit_length() - 1  # usually as many for each thread
    return np.arange(count + 1) * samples // count


def block_of(steps: int, synapses: Tensor) -> int:
    """Returns the steps between stored memories: as many as fit the scratch, at least sqrt(T)."""
    fitting = SCRATCH_BYTES // (synapses.numel() * synapses.element_size())
    return min(steps, max(ceil(sqrt(steps)), fitting))
