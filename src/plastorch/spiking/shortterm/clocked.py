"""Long-term plasticity in steps of time, on any device, without waiting for it."""

import math

import torch
from torch import Tensor

from plastorch.spiking.shortterm.course import SpikeTiming
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState, learn_spike

STEP = 1e-3
"""Longest step, seconds; in each, at most one neuron of a network spikes."""


def learn(
    values: Tensor,
    trace: Tensor,
    state: LongTermState,
    *,
    constants: LongTerm,
    timing: SpikeTiming,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, LongTermState]:
    """Shows frames in [0, 1], [T, B, D], to networks, whose neurons learn as they spike; returns
    the traces ε [B, D] at the end, and what has been learned."""
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
