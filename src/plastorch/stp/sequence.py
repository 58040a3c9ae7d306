"""Whole sequences of a short-term plasticity unit, run in the fastest way for the device."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.threads import in_threads
from plastorch.stp.rule import Dynamics, Parameters, STPNState, saturation, unroll

SCRATCH_BYTES = 1 << 20
"""Size of a sample's memories recomputed at a time in the backward pass; they fit a cache."""
WORK_PER_THREAD = 1 << 17
"""Number of synapse updates that justify a thread."""
GROUPS = 16
"""Maximum number of sample groups whose gradients are summed separately. Groups and the order of
their sums don't depend on the number of threads, so results are equal bit for bit."""
STEPS_PER_GROUP = 64
"""Minimum number of steps of a group's samples, so that its sums cost little in comparison."""


def run_sequence(
    x: Tensor,
    state: STPNState,
    parameters: Parameters,
    dynamics: Dynamics,
    lengths: Tensor | None = None,
) -> tuple[Tensor, STPNState]:
    """Runs :func:`plastorch.stp.rule.unroll`: compiled on a CPU, in torch elsewhere.

    The compiled version stores three numbers per neuron and step for the backward pass, and the
    synapses only every few steps. Second derivatives use torch. Inputs [T, B, I] give activities
    [T, B, H] and the last state, after ``lengths`` [B] steps if given.
    """
    bound = saturation(x.dtype)
    plain = (dynamics.rule, dynamics.decay) == ("hebb", "with")
    if x.device.type != "cpu" or not plain or torch.compiler.is_compiling():
        saturated = x.clamp(-bound, bound) + 0 * x  # NaN where an input is infinite
        return unroll(saturated, state, parameters, dynamics, lengths)
    _check(x, state, parameters, dynamics, lengths)
    x = x.clamp(-bound, bound)
    weight, bias, decay, rate = parameters
    synapses = state.F.shape[1:]
    bias = x.new_zeros(len(weight)) if bias is None else bias
    if dynamics.plastic == "hidden":  # plastic columns first
        weight = weight.roll(-x.shape[-1], dims=1)
    tensors = (x, *state, weight, bias, decay.expand(synapses), rate.expand(synapses))
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    wide = [tensor.to(dtype).contiguous() for tensor in tensors]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in wide)
    steps = torch.full((x.shape[1],), len(x)) if lengths is None else lengths
    output, memory = _Sequence.apply(steps, dynamics, keep, *wide)  # type: ignore[no-untyped-call]
    h = output[-1] if lengths is None else output[lengths - 1, torch.arange(len(lengths))]
    return output.to(x.dtype), STPNState(h.to(x.dtype), memory.to(x.dtype))


def _check(
    x: Tensor,
    state: STPNState,
    parameters: Parameters,
    dynamics: Dynamics,
    lengths: Tensor | None,
) -> None:
    """Raises InputError unless all inputs of the kernels are finite and fit together."""
    from plastorch.engine.numba_options import check_arrays

    (steps, batch, inputs), hidden = x.shape, state.h.shape[-1]
    width = inputs + hidden if dynamics.recurrent else inputs
    synapses = (hidden, len(range(width)[dynamics.columns(inputs, width)]))
    weight, bias, decay, rate = parameters
    arrays: dict[str, tuple[Any, ...]] = {
        "x": (x, x.shape, x.dtype),
        "state.h": (state.h, (batch, hidden), x.dtype),
        "state.F": (state.F, (batch, *synapses), x.dtype),
        "weight": (weight, (hidden, width), x.dtype),
        "weight_lambda": (decay, (1,) if decay.shape == (1,) else synapses, x.dtype),
        "weight_gamma": (rate, (1,) if rate.shape == (1,) else synapses, x.dtype),
    }
    if bias is not None:
        arrays["bias"] = (bias, (hidden,), x.dtype)
    if lengths is not None:
        arrays["lengths"] = (lengths, (batch,), torch.int64, 1, steps)
    check_arrays(**arrays)


class _Sequence(torch.autograd.Function):
    """Activities and last memory, differentiable in all tensors."""

    @staticmethod
    def forward(
        ctx: Any, lengths: Tensor, dynamics: Dynamics, keep: bool, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.dynamics = dynamics
        output, memory, *kept = _forward(tensors, lengths, dynamics, keep)
        if keep:
            ctx.save_for_backward(lengths, *tensors, output, *kept)
        return output, memory

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        lengths, *saved = ctx.saved_tensors
        tensors, kept = tuple(saved[:7]), tuple(saved[7:])
        of_tensors: Sequence[Tensor | None]
        if torch.is_grad_enabled():
            of_tensors = _differentiable(tensors, gradients, lengths, ctx.dynamics)
        else:
            of_tensors = _backward(tensors, kept, gradients, lengths, ctx.dynamics)
        return None, None, None, *of_tensors


def _forward(
    tensors: tuple[Tensor, ...], lengths: Tensor, dynamics: Dynamics, keep: bool
) -> tuple[Tensor, ...]:
    """Computes activities, last memory, norms, drives and the stored memory of each block."""
    from plastorch.stp import kernels

    x, h, memory, *parameters = tensors
    memory = memory.clone()
    output, norms, drives = x.new_empty(3, *x.shape[:2], h.shape[1])
    block = _block(len(x), memory)
    kept = x.new_empty(ceil(len(x) / block) if keep else 0, *memory.shape)
    arrays = [tensor.detach().numpy() for tensor in (memory, parameters[0], x, h)]
    settings = _settings(parameters, lengths, dynamics, block)
    results = tuple(tensor.numpy() for tensor in (output, norms, drives, kept))

    def run(begin: int, end: int) -> None:
        kernels.forward(begin, end, *arrays, *settings, results)

    in_threads(run, x.shape[1], len(x) * memory.numel() // WORK_PER_THREAD)
    return output, memory, norms, drives, kept


def _backward(
    tensors: tuple[Tensor, ...],
    kept: tuple[Tensor, ...],
    gradients: tuple[Tensor, ...],
    lengths: Tensor,
    dynamics: Dynamics,
) -> list[Tensor]:
    """Computes gradients of all tensors from those of activities and last memory."""
    from plastorch.stp import kernels

    x, h, memory, *parameters = tensors
    d_output, d_memory = (
        gradients[0].contiguous(),
        gradients[1].clone(memory_format=torch.contiguous_format),
    )
    d_x, d_h = torch.empty_like(x), torch.empty_like(h)
    arrays = [tensor.detach().numpy() for tensor in (d_memory, parameters[0], x, h)]
    saved = tuple(tensor.numpy() for tensor in (*kept, d_output, d_x, d_h))
    block = _block(len(x), memory)
    settings = _settings(parameters, lengths, dynamics, block)
    groups = _groups(*x.shape[:2])
    shares = tuple(p.new_zeros(len(groups) - 1, *p.shape).numpy() for p in parameters)

    def run(begin: int, end: int) -> None:
        course = memory.new_empty(block + 1, *memory.shape[1:]).numpy()
        kernels.backward(begin, end, course, groups, shares, *arrays, *settings, saved)

    in_threads(run, len(groups) - 1, len(x) * memory.numel() // WORK_PER_THREAD)
    return [d_x, d_h, d_memory, *map(_sum, shares)]


def _differentiable(
    tensors: tuple[Tensor, ...],
    gradients: tuple[Tensor, ...],
    lengths: Tensor,
    dynamics: Dynamics,
) -> list[Tensor | None]:
    """Computes the same gradients with a history of their own."""
    x, h, memory, weight, *others = tensors
    if dynamics.plastic == "hidden":
        weight = weight.roll(x.shape[-1], dims=1)
    parameters = Parameters(weight, *others)
    output, state = unroll(x, STPNState(h, memory), parameters, dynamics, lengths)
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    found = iter(
        torch.autograd.grad(
            (output, state.F), wanted, gradients, create_graph=True, materialize_grads=True
        )
    )
    return [next(found) if tensor.requires_grad else None for tensor in tensors]


def _settings(
    parameters: Sequence[Tensor], lengths: Tensor, dynamics: Dynamics, block: int
) -> tuple[Any, ...]:
    """Returns the kernels' arguments from ``parameters`` to ``settings``."""
    from plastorch.stp import kernels

    weight, *others = parameters
    number = np.float64 if weight.dtype == torch.float64 else np.float32
    bound, size = saturation(weight.dtype), len(weight)
    inputs = weight.shape[1] - size if dynamics.recurrent else weight.shape[1]
    settings = (
        *((size, 0) if dynamics.plastic == "hidden" else (0, inputs)),
        kernels.NORM[dynamics.norm],
        kernels.ACTIVATION[dynamics.activation],
        dynamics.recurrent and dynamics.presynaptic == "current",
        number(min(dynamics.clamp, bound)),
        dynamics.clamp < bound,
        number(bound),
        block,
    )
    return tuple(tensor.detach().numpy() for tensor in others), lengths.numpy(), settings


def _sum(shares: NDArray[Any]) -> Tensor:
    """Sums the first axis in order; torch's order depends on the number of threads."""
    return torch.from_numpy(shares[0] if len(shares) == 1 else np.add.reduce(shares))


def _groups(steps: int, samples: int) -> NDArray[np.int64]:
    """Returns first samples of groups, and the number of samples; 2, 4, 8, ... groups, or one."""
    most = min(samples, GROUPS, max(1, steps * samples // STEPS_PER_GROUP))
    groups = 1 << most.bit_length() - 1  # usually as many for each thread
    return np.arange(groups + 1) * samples // groups


def _block(steps: int, memory: Tensor) -> int:
    """Returns the steps between stored memories: as many as fit the scratch, at least sqrt(T)."""
    fitting = SCRATCH_BYTES // (memory[0].numel() * memory.element_size())
    return min(steps, max(ceil(sqrt(steps)), fitting))
