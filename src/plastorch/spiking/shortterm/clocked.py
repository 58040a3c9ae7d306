"""Long-term plasticity in steps of time, on any device, without waiting for it."""

import math

import torch
from torch import Tensor

from plastorch.spiking.shortterm.course import Timing
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState, learn_spike

STEP = 1e-3
"""Longest step, seconds; in each, at most one neuron of a network spikes."""


def learn(
    values: Tensor,
    trace: Tensor,
    state: LongTermState,
    *,
    constants: LongTerm,
    timing: Timing,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, LongTermState]:
    """Shows frames to networks, whose neurons learn as they spike.

    Args:
        values: inputs in [0, 1], [T, B, D].
        trace: traces ε at the beginning [B, D].
        state: weights, biases and spike counts learned before.
        constants: constants of learning.
        timing: rates and time constants of the spikes.
        generator: random generator on the device; torch's own if None.

    Returns:
        Traces at the end, and what has been learned.

    Example:
        >>> state = LongTermState(torch.rand(1, 2, 3), torch.zeros(1, 2), torch.zeros(1, 2))
        >>> trace = torch.zeros(1, 3)
        >>> options = {"constants": LongTerm(), "timing": Timing(output_rate=1e9)}
        >>> learn(torch.ones(1, 1, 3), trace, state, **options)[1].spikes.sum()
        tensor(50.)
    """
    state = LongTermState(*(part.clone(memory_format=torch.contiguous_format) for part in state))
    steps = max(math.ceil(timing.frame / STEP), 1)
    dt = timing.frame / steps
    kept, fire_chance = math.exp(-dt / timing.trace_tau), -math.expm1(-timing.output_rate * dt)
    for frame in values:
        rates = timing.input_rate * frame
        strength = timing.trace_tau * rates.norm(dim=1, keepdim=True)
        scale = torch.where(strength > 0, 1 / strength, 0.0)
        for _ in range(steps):
            trace = kept * trace + torch.poisson(rates * dt, generator)
            fires, choice = torch.rand(2, len(trace), generator=generator, device=trace.device)
            learn_spike(scale * trace, fires < fire_chance, choice, state, constants)
    return trace, state
