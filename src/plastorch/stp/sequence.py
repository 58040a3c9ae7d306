"""Whole sequences of a short-term plasticity unit, run in the fastest way for the device."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from plastorch.engine.device import REAL, traced
from plastorch.engine.threads import in_threads
from plastorch.stp import chunked
from plastorch.stp.checks import autocasts
from plastorch.stp.layout import (
    block_of,
    constants,
    groups_of,
    layout_of,
    padded,
    settings_of,
    summed,
    unpadded,
)
from plastorch.stp.rule import Dynamics, Parameters, STPNState, saturation, unroll

WORK_PER_THREAD = 1 << 17
"""Number of synapse updates that justify a thread."""


def run_sequence(
    x: Tensor,
    state: STPNState,
    parameters: Parameters,
    dynamics: Dynamics,
    lengths: Tensor | None = None,
) -> tuple[Tensor, STPNState]:
    """Runs :func:`plastorch.stp.rule.unroll`: compiled on a CPU, in torch elsewhere.

    The compiled version stores three numbers per neuron and step for the backward pass, and the
    synapses only every few steps. Second derivatives and transforms of ``torch.func`` use torch.
    Nothing is computed in autocast's half precision. Inputs [T, B, I] give activities [T, B, H] and
    the last state, after ``lengths`` [B] steps if given.
    """
    plain = (dynamics.rule, dynamics.decay) == ("hebb", "with")
    compiled = x.is_cpu and plain and not traced()
    one = len(x) == 1 and lengths is None
    if compiled and one and not torch.is_grad_enabled() and x.dtype in REAL:
        return _step(x, state, parameters, dynamics)
    if autocasts(x.device):
        with torch.autocast(x.device.type, enabled=False):
            return run_sequence(x, state, parameters, dynamics, lengths)
    bound = saturation(x.dtype)
    if not compiled:
        saturated = x.clamp(-bound, bound) + 0 * x  # NaN where an input is infinite
        return unroll(saturated, state, parameters, dynamics, lengths)
    _check(x, state, parameters, dynamics, lengths)
    x = x.clamp(-bound, bound)
    weight, bias, decay, rate = parameters
    bias = x.new_zeros(len(weight)) if bias is None else bias
    h, memory = state
    if memory.stride(0) == 0 and not memory.requires_grad:
        memory = memory[:1]  # all are equal
    tensors = (x, h, memory, weight, bias, decay, rate)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    wide = [tensor.to(dtype).contiguous() for tensor in tensors]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in wide)
    steps = torch.full((x.shape[1],), len(x)) if lengths is None else lengths
    output, memory = _Sequence.apply(steps, dynamics, keep, *wide)  # type: ignore[no-untyped-call]
    h = output[-1] if lengths is None else output[lengths - 1, torch.arange(len(lengths))]
    # Copies: callers may change them in place, and a state must not keep the whole output alive.
    last = STPNState(h.to(x.dtype, copy=True), memory.to(x.dtype))
    return output.to(x.dtype, copy=keep), last


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
        ctx.dynamics, results = dynamics, None
        ctx.set_materialize_grads(False)  # zeros for the last memory would be as large as all
        if chunked.has_form(dynamics, *tensors[5:]):
            results = chunked.forward(
                _by_neuron(tensors), lengths, dynamics, keep, _useful(tensors)
            )
        ctx.chunked = results is not None
        output, memory, *kept = results or _forward(tensors, lengths, dynamics, keep)
        if keep:
            ctx.save_for_backward(lengths, *tensors, output, *kept)
        return output, memory

    @staticmethod
    def backward(
        ctx: Any, of_output: Tensor | None, of_memory: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        lengths, *saved = ctx.saved_tensors
        tensors, kept = tuple(saved[:7]), tuple(saved[7:])
        of_output = torch.zeros_like(kept[0]) if of_output is None else of_output
        if ctx.needs_input_grad[5]:
            of_memory = _or_zeros(of_memory, tensors)
        of_tensors: Sequence[Tensor | None] | None = None
        if torch.is_grad_enabled():
            gradients = of_output, _or_zeros(of_memory, tensors)
            of_tensors = _differentiable(_expanded(tensors), gradients, lengths, ctx.dynamics)
        elif ctx.chunked:
            of_tensors = _chunked_backward(
                tensors,
                kept,
                (of_output, of_memory),
                lengths,
                ctx.dynamics,
                of_inputs=ctx.needs_input_grad[3],
            )
            if of_tensors is None:  # numbers that the step form limits
                output, _, *others = _forward(tensors, lengths, ctx.dynamics, True)
                kept = output, *others
        if of_tensors is None:
            of_tensors = _backward(
                tensors, kept, of_output, of_memory, lengths=lengths, dynamics=ctx.dynamics
            )
        return None, None, None, *of_tensors


def _expanded(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Returns tensors with a memory for each sample, where they have one for all."""
    x, h, memory, *others = tensors
    return x, h, memory.expand(x.shape[1], -1, -1), *others


def _or_zeros(of_memory: Tensor | None, tensors: Sequence[Tensor]) -> Tensor:
    """Returns the gradient of the last memory."""
    if of_memory is not None:
        return of_memory
    memory = tensors[2]
    return memory.new_zeros(tensors[0].shape[1], *memory.shape[1:])


def _by_neuron(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Returns tensors with Λ and Γ [1] as one number per neuron."""
    *others, decay, rate = tensors
    size = len(others[3])
    return [*others, decay.expand(size).contiguous(), rate.expand(size).contiguous()]


def _useful(tensors: Sequence[Tensor]) -> int:
    """Returns the number of threads that have enough to do."""
    x, memory = tensors[0], tensors[2]
    return x.shape[0] * x.shape[1] * memory[0].numel() // WORK_PER_THREAD


def _chunked_backward(
    tensors: tuple[Tensor, ...],
    kept: tuple[Tensor, ...],
    gradients: tuple[Tensor, Tensor | None],
    lengths: Tensor,
    dynamics: Dynamics,
    of_inputs: bool,
) -> list[Tensor | None] | None:
    """Computes gradients as :func:`_backward`; returns None if some are too large."""
    groups = groups_of(*tensors[0].shape[:2])
    found = chunked.backward(
        _by_neuron(tensors),
        kept,
        gradients,
        lengths,
        dynamics,
        groups,
        useful=_useful(tensors),
        of_inputs=of_inputs,
    )
    weight, bias, decay, rate = map(summed, found[3:])
    of_tensors = [*found[:3], weight, bias, decay.sum(0, keepdim=True), rate.sum(0, keepdim=True)]
    bound = saturation(weight.dtype)
    small = all(
        float(tensor.abs().max()) < bound for tensor in of_tensors if tensor is not None
    )  # False for NaN
    return of_tensors if small else None


def _forward(
    tensors: tuple[Tensor, ...], lengths: Tensor, dynamics: Dynamics, keep: bool
) -> tuple[Tensor, ...]:
    """Computes activities, last memory, norms, drives, and the memory before each block but the
    first."""
    from plastorch.engine.numba_vectors import LANES
    from plastorch.stp import kernels

    x, h, memory, *parameters = tensors
    layout = layout_of(dynamics, x.shape[2], h.shape[1], LANES)
    weight, *others = padded(parameters, layout)
    output, norms, drives = (x.new_empty(*x.shape[:2], h.shape[1]) for _ in range(3))
    block = block_of(len(x), others[1])
    blocks = ceil(len(x) / block) if keep else 1
    kept = x.new_empty(blocks - 1, x.shape[1], *others[1].shape)
    last = x.new_empty(x.shape[1], *memory.shape[1:])
    arrays = [tensor.detach().numpy() for tensor in (memory, weight, x, h)]
    settings = settings_of(others, lengths, dynamics, layout, block)
    results = tuple(tensor.numpy() for tensor in (output, norms, drives, kept, last))
    batch, side = x.shape[1], kernels.SIDE_BY_SIDE

    def run(begin: int, end: int) -> None:
        kernels.forward(begin * side, min(end * side, batch), *arrays, *settings, results)

    in_threads(run, ceil(batch / side), _useful(tensors))  # the same samples stay side by side
    return output, last, norms, drives, kept


def _backward(
    tensors: tuple[Tensor, ...],
    kept: tuple[Tensor, ...],
    d_output: Tensor,
    d_memory: Tensor | None,
    *,
    lengths: Tensor,
    dynamics: Dynamics,
) -> list[Tensor | None]:
    """Computes gradients of all tensors from those of activities and last memory.

    If ``d_memory`` is None, it is 0, and the gradient of the first memory is not needed."""
    from plastorch.engine.numba_vectors import LANES
    from plastorch.stp import gradient_kernels

    x, h, memory, *parameters = tensors
    layout = layout_of(dynamics, x.shape[2], h.shape[1], LANES)
    weight, *others = padded(parameters, layout)
    d_x, d_h = torch.empty_like(x), torch.empty_like(h)
    if d_memory is not None:
        d_memory = d_memory.clone(memory_format=torch.contiguous_format)
    of_memory = memory.new_empty(0, *memory.shape[1:]) if d_memory is None else d_memory
    arrays = [tensor.detach().numpy() for tensor in (of_memory, memory, weight, x, h)]
    saved = tuple(tensor.numpy() for tensor in (*kept, d_output.contiguous(), d_x, d_h))
    block = block_of(len(x), others[1])
    settings = settings_of(others, lengths, dynamics, layout, block)
    groups = groups_of(*x.shape[:2])
    shares = tuple(p.new_zeros(len(groups) - 1, *p.shape).numpy() for p in (weight, *others))

    def run(begin: int, end: int) -> None:
        side = gradient_kernels.SIDE_BY_SIDE
        course = memory.new_zeros(side, block + 1, *others[1].shape).numpy()
        gradient_kernels.backward(begin, end, course, groups, shares, *arrays, *settings, saved)

    in_threads(run, len(groups) - 1, _useful(tensors))
    of_parameters = unpadded([summed(share) for share in shares], layout)
    of_decay, of_rate = (
        found.sum().view(1) if part.shape == (1,) else found
        for found, part in zip(of_parameters[2:], parameters[2:], strict=True)
    )
    return [d_x, d_h, d_memory, *of_parameters[:2], of_decay, of_rate]


def _step(
    x: Tensor, state: STPNState, parameters: Parameters, dynamics: Dynamics
) -> tuple[Tensor, STPNState]:
    """Runs a step [1, B, I] without gradients and with little overhead.

    Inputs are checked only if results are not finite."""
    from plastorch.stp import kernels

    (_, batch, inputs), hidden = x.shape, state.h.shape[1]
    weight, bias, decay, rate = parameters
    layout = layout_of(dynamics, inputs, hidden, 1)
    synapses = hidden, layout.synapses
    wanted = (batch, hidden), (batch, *synapses), (hidden, layout.width)
    decay, rate = (p.expand(synapses) if p.shape == (1,) else p for p in (decay, rate))
    if dynamics.plastic == "hidden":
        weight = weight.roll(-inputs, dims=1)
    bias = x.new_zeros(hidden) if bias is None else bias
    tensors = (*state, weight, bias, decay, rate)
    shapes = (*wanted, (hidden,), synapses, synapses)
    if any(t.shape != s or t.dtype != x.dtype for t, s in zip(tensors, shapes, strict=True)):
        _check(x, state, parameters, dynamics, None)
    h, memory, slow, *others = (t.detach().contiguous().numpy() for t in tensors)
    output, new = x.new_empty(1, batch, hidden), state.F.new_empty(state.F.shape)
    settings, results = constants(dynamics, layout, x.dtype, 1), (output.numpy(), new.numpy())
    arrays = memory, slow, x.detach().contiguous().numpy(), h, tuple(others), settings, results
    finite = []

    def run(begin: int, end: int) -> None:
        finite.append(kernels.step(begin, end, *arrays))

    in_threads(run, batch, new.numel() // WORK_PER_THREAD)
    if not all(finite):
        _check(x, state, parameters, dynamics, None)
    return output, STPNState(output[0].clone(), new)


def _differentiable(
    tensors: tuple[Tensor, ...],
    gradients: tuple[Tensor, ...],
    lengths: Tensor,
    dynamics: Dynamics,
) -> list[Tensor | None]:
    """Computes the same gradients with a history of their own."""
    x, h, memory, *parameters = tensors
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    with torch.autocast("cpu", enabled=False):
        output, state = unroll(x, STPNState(h, memory), Parameters(*parameters), dynamics, lengths)
        found = iter(
            torch.autograd.grad(
                (output, state.F), wanted, gradients, create_graph=True, materialize_grads=True
            )
        )
    return [next(found) if tensor.requires_grad else None for tensor in tensors]
