"""Short-term plasticity spike by spike: inputs are Poisson spikes; each output spike is a sample.

Output neurons spike at a total rate R, each in proportion to its posterior (stochastic exponential
neurons under lateral inhibition). Between output spikes there is only exponential decay, which is
exact over any time; a spike of a neuron changes only its own synapses.
"""

from collections.abc import Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor

from plastorch.engine.device import REAL
from plastorch.engine.errors import InputError, check_one_of
from plastorch.engine.threads import in_threads
from plastorch.spiking.events import Events, step_of
from plastorch.spiking.shortterm.course import SpikeCourse, SpikeTiming, arrays
from plastorch.spiking.shortterm.frames import check_circuit
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState
from plastorch.spiking.shortterm.rule import ShortTerm, ShortTermState


def respond(
    course: SpikeCourse,
    state: ShortTermState,
    weight: Tensor,
    bias: Tensor,
    *,
    constants: ShortTerm,
    timing: SpikeTiming,
) -> tuple[Events, ShortTermState]:
    """Runs a circuit of weights W [K, D] and biases b [K], with short-term plasticity of neurons
    that spike: F += γ (c ε - W - F) of such a neuron, and F decays in between.

    ``constants`` has τ in seconds and the site "synapse" or "none"; others raise InputError, as do
    numbers that overflow. Returns the output neurons' spikes, and the state at the end.
    """
    from plastorch.engine.numba_options import check_arrays
    from plastorch.spiking.shortterm.kernels import SCORE, CircuitConstants, Plasticity

    check_one_of(("synapse", "none"), site=constants.site)
    check_arrays(trace=(state.trace, (None, None), REAL))
    empty = constants.site == "none" and state.F.shape == (len(state.trace), 0)
    held = state.F.new_zeros(len(state.trace), *weight.shape) if empty else state.F
    check_circuit(state.trace, held, weight, bias, constants)
    trace, memory = _copied(state.trace, held)
    network = [part.detach().unsqueeze(0) for part in (weight, bias, torch.zeros_like(bias))]
    circuit = CircuitConstants(
        constants.kappa,
        timing.trace_tau,
        SCORE[constants.score],
        gamma=constants.gamma if constants.site == "synapse" else 0.0,
        tau=constants.tau,
        track=constants.update == "track",
        hard=constants.competition == "hard",
    )
    outputs = _run(course, network, trace, memory, (circuit, Plasticity()))
    check_arrays(F=(memory, memory.shape, memory.dtype))
    return outputs, ShortTermState(state.F if empty else memory, trace)


def learn(
    course: SpikeCourse,
    trace: Tensor,
    state: LongTermState,
    constants: LongTerm,
    timing: SpikeTiming,
) -> tuple[Events, Tensor, LongTermState]:
    """Runs networks with long-term plasticity of the neurons that spike; returns the output spikes,
    traces ε [B, D] at the end, and what has been learned. Raises InputError if numbers overflow."""
    from plastorch.engine.numba_options import check_arrays, check_constants
    from plastorch.spiking.shortterm.kernels import SCORE, CircuitConstants, Plasticity

    check_arrays(trace=(trace, (None, None), REAL))
    (networks, inputs), real = trace.shape, trace.dtype
    check_arrays(weight=(state.weight, (networks, None, inputs), real))
    neurons = state.weight.shape[1]
    if state.weight.numel() == 0:
        raise InputError(f"weight is {list(state.weight.shape)}; expected neurons and inputs")
    check_arrays(
        bias=(state.bias, (networks, neurons), real),
        spikes=(state.spikes, (networks, neurons), real, 0, inf),
    )
    check_constants(real, kappa=constants.kappa, homeostasis=constants.homeostasis)
    trace, *learned = _copied(trace, *state)
    no_memory = trace.new_zeros(networks, neurons, 0)
    circuit = CircuitConstants(constants.kappa, timing.trace_tau, SCORE[constants.score])
    plasticity = Plasticity(constants.rate, constants.decline, constants.homeostasis)
    outputs = _run(course, learned, trace, no_memory, (circuit, plasticity))
    found = LongTermState(*learned)
    check_arrays(**{k: (part, part.shape, real) for k, part in found._asdict().items()})
    return outputs, trace, found


def _run(
    course: SpikeCourse, learned: Sequence[Tensor], trace: Tensor, memory: Tensor, constants: Any
) -> Events:
    """Runs the kernel, which changes what was learned, traces and memory in place; raises
    InputError if the course doesn't fit the traces, or potentials overflow."""
    from plastorch.engine.numba_options import check_arrays
    from plastorch.spiking.shortterm.kernels import spikes

    given = arrays(course, trace)
    winners = torch.empty(len(course.moments), dtype=torch.int64)
    network = tuple(part.contiguous().numpy() for part in learned)
    arguments = given, network, trace.numpy(), memory.numpy(), *constants

    def share(begin: int, end: int) -> None:
        spikes(*arguments, begin, end, winners.numpy())

    in_threads(share, len(trace), len(trace))
    if bool((winners < 0).any()):
        raise InputError("potentials overflow; expected smaller weights, biases, traces or scales")
    check_arrays(trace=(trace, trace.shape, trace.dtype))
    return Events(course.moments, winners, course.starts)


def spike_counts(outputs: Events, frame: float, frames: int, neurons: int) -> Tensor:
    """Counts the spikes of each neuron in each frame of ``frame`` seconds, float32 [T, S, K]."""
    streams = outputs.networks
    number = step_of(outputs.times, frame).clamp(max=frames - 1)
    stream = torch.arange(streams).repeat_interleave(outputs.offsets.diff())
    place = (number * streams + stream) * neurons + outputs.source
    counts = torch.bincount(place, minlength=frames * streams * neurons)
    return counts.view(frames, streams, neurons).float()


def _copied(*state: Tensor) -> list[Tensor]:
    """Returns copies of what kernels may change."""
    return [part.detach().clone(memory_format=torch.contiguous_format) for part in state]
