"""Sequences of neurons whose synapses share Λ and Γ, with F changed once per chunk of steps.

The equations are in :mod:`plastorch.stp.chunk_kernels`. Results equal those of the step-by-step
form up to rounding.
"""

from collections.abc import Sequence
from functools import cache
from math import ceil, inf, sqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.threads import in_threads
from plastorch.stp.rule import Dynamics, saturation

CHUNK = 16
"""Number of steps between changes of F."""
LEAST_DECAY = 1 / 64
"""Smallest |λ|: its gradient is found by division by λ, and would lose digits below this."""
SCRATCH_BYTES = 1 << 20
"""Size of a sample's memories, one per chunk, recomputed at a time in the backward pass."""


def has_form(dynamics: Dynamics, decay: Tensor, rate: Tensor) -> bool:
    """Whether a unit can be run in chunks; Λ and Γ are [1] if all synapses share them.

    The norm after the update, Δ of outgoing activities and synapses without a state would need
    other numbers, and a clamp needs each F.
    """
    return (
        decay.shape == rate.shape == (1,)
        and dynamics.norm != "post"
        and dynamics.clamp == inf
        and not (dynamics.recurrent and dynamics.presynaptic == "current")
        and (dynamics.plastic == "all" or not dynamics.recurrent)
        and abs(float(decay.detach())) >= LEAST_DECAY
    )


def forward(
    tensors: Sequence[Tensor], lengths: Tensor, dynamics: Dynamics, keep: bool, useful: int
) -> list[Tensor] | None:
    """Computes activities, the last memory, norms, drives, W z, and the memories of some chunks.

    Returns None if numbers grew so large that the step form would have bounded them, or if a norm
    lost its digits.

    Args:
        tensors: x [T, B, I], h [B, H], F [B, H, K], W [H, K], b, λ and γ [H].
        lengths: number of steps of each sample [B].
        dynamics: variant of the equations.
        keep: keep what the backward pass needs.
        useful: number of threads that have enough to do.
    """
    from plastorch.stp import chunk_kernels

    x, h, memory, weight, *others = (tensor.detach() for tensor in tensors)
    wide = _padded(weight, x.shape[2])
    shape = (*x.shape[:2], len(weight))
    output, norms, drives = (x.new_empty(shape) for _ in range(3))
    responses = F.linear(x, weight[:, : x.shape[2]]).contiguous()
    every = _chunks_per_block(len(x), wide)
    blocks = ceil(len(x) / (CHUNK * every)) if keep else 0
    kept = x.new_empty(blocks, x.shape[1], *wide.shape)
    last = x.new_empty(x.shape[1], *memory.shape[1:])
    arrays = [tensor.numpy() for tensor in (memory, wide, x, h)]
    numbers = tuple(tensor.numpy() for tensor in others), lengths.numpy()
    settings = _settings(dynamics, len(weight), x.dtype, every)
    results = tuple(t.numpy() for t in (output, norms, drives, responses, kept, last))
    safe = []

    def run(begin: int, end: int) -> None:
        safe.append(chunk_kernels.forward(begin, end, *arrays, *numbers, settings, results))

    in_threads(run, x.shape[1], useful)
    if not all(safe):
        return None
    return [output, last, norms, drives, responses, kept]


def backward(
    tensors: Sequence[Tensor],
    kept: Sequence[Tensor],
    gradients: tuple[Tensor, Tensor | None],
    lengths: Tensor,
    dynamics: Dynamics,
    groups: NDArray[np.int64],
    useful: int,
    of_inputs: bool,
) -> list[Any]:
    """Computes gradients of x, h and F, and shares of those of W, b, λ and γ by groups of samples.

    ``kept`` are activities, norms, drives, W z and memories of :func:`forward`; ``gradients`` are
    those of activities and last memory. If that of the memory is None, it is 0, and the gradient of
    F is left out; without ``of_inputs``, those of x are.
    """
    from plastorch.stp import chunk_gradient_kernels

    x, h, memory, weight, *others = (tensor.detach() for tensor in tensors)
    wide = _padded(weight, x.shape[2])
    every = _chunks_per_block(len(x), wide)
    of_output, of_memory = gradients
    d_memory = None if of_memory is None else of_memory.clone(memory_format=torch.contiguous_format)
    d_x = torch.zeros_like(x) if of_inputs else x[:0]
    d_h = torch.empty_like(h)
    of_memories = memory[:0] if d_memory is None else d_memory
    arrays = [tensor.numpy() for tensor in (of_memories, wide, x, h)]
    numbers = tuple(tensor.numpy() for tensor in others), lengths.numpy()
    settings = _settings(dynamics, len(weight), x.dtype, every)
    saved = tuple(tensor.numpy() for tensor in kept)
    results = of_output.contiguous().numpy(), d_x.numpy(), d_h.numpy()
    shares = tuple(p.new_zeros(len(groups) - 1, *p.shape).numpy() for p in (wide, *others))

    def run(begin: int, end: int) -> None:
        chunk_gradient_kernels.backward(
            begin, end, groups, shares, *arrays, *numbers, settings, saved, results
        )

    in_threads(run, len(groups) - 1, useful)
    d_wide, d_bias, d_decay, d_rate = shares
    d_weight = np.roll(d_wide[..., : weight.shape[1]], x.shape[2], axis=2)
    decay = others[1].numpy()
    return [
        d_x if of_inputs else None,
        d_h,
        d_memory,
        d_weight,
        d_bias,
        d_decay / decay,
        d_rate,
    ]


def _padded(weight: Tensor, inputs: int) -> Tensor:
    """Returns W with columns of neurons, then of inputs, then zeros up to whole vectors."""
    from plastorch.engine.numba_vectors import LANES

    return F.pad(weight.roll(-inputs, dims=1), (0, -weight.shape[1] % LANES))


def _chunks_per_block(steps: int, synapses: Tensor) -> int:
    """Returns the chunks between stored memories: as many as fit the scratch, or more if long."""
    chunks = ceil(steps / CHUNK)
    fitting = SCRATCH_BYTES // (synapses.numel() * synapses.element_size())
    return min(chunks, max(ceil(sqrt(chunks)), fitting))


@cache
def _settings(dynamics: Dynamics, hidden: int, dtype: torch.dtype, every: int) -> tuple[Any, ...]:
    """Returns the kernels' ``settings``."""
    from plastorch.stp import kernels

    number = np.float64 if dtype == torch.float64 else np.float32
    bound = number(saturation(dtype))
    norm, activation = kernels.NORM[dynamics.norm], kernels.ACTIVATION[dynamics.activation]
    return hidden if dynamics.recurrent else 0, norm, activation, bound, bound, CHUNK, every
