"""Short-term plasticity spike by spike: inputs are Poisson spikes; each output spike is a sample.

Output neurons spike at a total rate R, each in proportion to its posterior (stochastic exponential
neurons under lateral inhibition). Between output spikes there is only exponential decay, which is
exact over any time; a spike of a neuron changes only its own synapses.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.engine.threads import in_threads
from plastorch.spiking.encode import poisson
from plastorch.spiking.events import Events, check_events, step_of
from plastorch.spiking.shortterm.frames import check_circuit
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState
from plastorch.spiking.shortterm.rule import ShortTerm, ShortTermState


@dataclass(frozen=True)
class Timing:
    """Rates and time constants of a circuit's spikes.

    Args:
        input_rate: rate of an input of value 1, Hz.
        output_rate: rate R of all output neurons together, Hz.
        trace_tau: time constant of an input's trace (its postsynaptic potential), seconds.
        frame: duration of a frame, seconds.

    Raises:
        InputError: if a rate or time is not positive.
    """

    input_rate: float = 100.0
    output_rate: float = 200.0
    trace_tau: float = 0.015
    frame: float = 0.05

    def __post_init__(self) -> None:
        check_positive(**asdict(self))


class Course(NamedTuple):
    """Input spikes and times of output spikes: all that is random, so that runs can be compared."""

    times: Tensor
    """Times of input spikes, seconds [E]; stream after stream, each in order."""
    source: Tensor
    """Input of each spike, int64 [E]."""
    first: Tensor
    """Stream s has the input spikes from ``first[s]`` to ``first[s + 1]`` [S + 1]."""
    moments: Tensor
    """Times of output spikes, seconds [O]."""
    choices: Tensor
    """Numbers in [0, 1) that choose which neuron spikes [O]."""
    starts: Tensor
    """Stream s has the output spikes from ``starts[s]`` to ``starts[s + 1]`` [S + 1]."""
    scale: Tensor
    """Factor c of each frame, which gives traces a norm of 1 on average [T, S]."""
    frame: float
    """Duration of a frame, seconds."""
    duration: float
    """Total duration, seconds."""


def encode(values: Tensor, timing: Timing, generator: torch.Generator | None = None) -> Course:
    """Draws Poisson spikes of frames, and the times of output spikes.

    Args:
        values: inputs in [0, 1], [T, S, D].
        timing: rates and time constants.
        generator: random generator on the CPU; torch's own if None.

    Raises:
        InputError: if a value is not in [0, 1], or values have another shape.

    Example:
        >>> course = encode(torch.ones(2, 1, 3), Timing(), torch.Generator().manual_seed(0))
        >>> len(course.scale), course.duration
        (2, 0.1)
    """
    if values.dim() != 3 or values.is_complex():
        raise InputError(
            f"values are {values.dtype} of shape {tuple(values.shape)}; expected real (T, S, D)"
        )
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise InputError(
            f"values go from {float(values.min())} to {float(values.max())}; expected 0 to 1"
        )
    steps, streams, _ = values.shape
    rates = timing.input_rate * values
    # Until the end, times are in frames, so that rounding can't swap two spikes.
    per_frame = timing.frame * rates.double().transpose(0, 1).flatten(0, 1)
    shown = poisson(per_frame, 1.0, generator)
    frame_of = torch.arange(streams * steps).repeat_interleave(shown.offsets.diff()) % steps
    duration = steps * timing.frame
    outputs = poisson(torch.full((streams, 1), timing.output_rate), duration, generator)
    choices = torch.rand(len(outputs.times), dtype=torch.float64, generator=generator)
    strength = timing.trace_tau * rates.norm(dim=2)
    return Course(
        (frame_of + shown.times) * timing.frame,
        shown.source,
        shown.offsets[::steps].contiguous(),
        outputs.times,
        choices,
        outputs.offsets,
        torch.where(strength > 0, 1 / strength, 0.0),
        timing.frame,
        duration,
    )


def respond(
    course: Course,
    state: ShortTermState,
    weight: Tensor,
    bias: Tensor,
    *,
    constants: ShortTerm,
    timing: Timing,
) -> tuple[Events, ShortTermState]:
    """Runs a circuit with short-term plasticity of the neurons that spike.

    F += γ (c ε - W - F) of the neuron that spikes; F decays in between.

    Args:
        course: input spikes and times of output spikes.
        state: state at the beginning.
        weight: weights W [K, D].
        bias: biases b [K].
        constants: constants of the circuit, τ in seconds; the site is "synapse" or "none".
        timing: rates and time constants of the spikes.

    Returns:
        Spikes of the output neurons, and the state at the end.

    Raises:
        InputError: if the site is another, spikes are out of order or of other inputs, or tensors
            have other shapes or types, are not on the CPU, or are not finite, or overflow.
    """
    from plastorch.engine.numba_options import REAL, check_arrays
    from plastorch.spiking.shortterm.kernels import SCORE, Circuit, Plasticity

    check_one_of(("synapse", "none"), site=constants.site)
    check_arrays(trace=(state.trace, (None, None), REAL))
    check_circuit(state.trace, state.F, weight, bias, constants)
    trace, memory = _copied(state.trace, state.F)
    network = [part.detach().unsqueeze(0) for part in (weight, bias, torch.zeros_like(bias))]
    circuit = Circuit(
        constants.kappa,
        constants.gamma if constants.site == "synapse" else 0.0,
        constants.tau,
        timing.trace_tau,
        SCORE[constants.score],
        constants.update == "track",
        constants.competition == "hard",
    )
    outputs = _run(course, network, trace, memory, (circuit, Plasticity(0.0, 1.0, 0.0)))
    check_arrays(F=(memory, memory.shape, memory.dtype))
    return outputs, ShortTermState(memory, trace)


def learn(
    course: Course, trace: Tensor, state: LongTermState, constants: LongTerm, timing: Timing
) -> tuple[Events, Tensor, LongTermState]:
    """Runs networks with long-term plasticity of the neurons that spike.

    Args:
        course: input spikes and times of output spikes.
        trace: traces ε at the beginning [B, D].
        state: weights, biases and spike counts learned before.
        constants: constants of learning.
        timing: rates and time constants of the spikes.

    Returns:
        Spikes of the output neurons, ε at the end, and what has been learned.

    Raises:
        InputError: if spikes are out of order or of other inputs, or tensors have other shapes or
            types, are not on the CPU, or are not finite, or overflow.
    """
    from plastorch.engine.numba_options import REAL, check_arrays, check_constants
    from plastorch.spiking.shortterm.kernels import SCORE, Circuit, Plasticity

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
    circuit = Circuit(
        constants.kappa, 0.0, 1.0, timing.trace_tau, SCORE[constants.score], True, False
    )
    plasticity = Plasticity(constants.rate, constants.decline, constants.homeostasis)
    outputs = _run(course, learned, trace, no_memory, (circuit, plasticity))
    found = LongTermState(*learned)
    check_arrays(**{k: (part, part.shape, real) for k, part in found._asdict().items()})
    return outputs, trace, found


def _run(
    course: Course, learned: Sequence[Tensor], trace: Tensor, memory: Tensor, constants: Any
) -> Events:
    """Runs the kernel, which changes what was learned, traces and memory in place.

    Raises:
        InputError: if the course doesn't fit the traces, or potentials overflow.
    """
    from plastorch.engine.numba_options import check_arrays
    from plastorch.spiking.shortterm.kernels import spikes

    given = _arrays(course, trace)
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
    """Counts the spikes of each neuron in each frame, float32 [T, S, K].

    Args:
        outputs: spikes of S streams.
        frame: duration of a frame, seconds.
        frames: number of frames T.
        neurons: number of neurons K.

    Example:
        >>> spikes = Events(torch.tensor([0.06]), torch.tensor([2]), torch.tensor([0, 1]))
        >>> spike_counts(spikes, 0.05, 2, 3).tolist()
        [[[0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
    streams = outputs.networks
    number = step_of(outputs.times, frame).clamp(max=frames - 1)
    stream = torch.arange(streams).repeat_interleave(outputs.offsets.diff())
    place = (number * streams + stream) * neurons + outputs.source
    counts = torch.bincount(place, minlength=frames * streams * neurons)
    return counts.view(frames, streams, neurons).float()


def _copied(*state: Tensor) -> list[Tensor]:
    """Returns copies of what kernels may change."""
    return [part.detach().clone(memory_format=torch.contiguous_format) for part in state]


def _arrays(course: Course, trace: Tensor) -> Course:
    """Returns the course as numpy arrays for the kernels, with scales in the type of the traces.

    Raises:
        InputError: if it is of other streams or inputs, or its spikes are out of order.
    """
    from plastorch.engine.numba_options import check_arrays, check_constants

    streams, inputs = trace.shape
    course = Course._make(part.detach() if isinstance(part, Tensor) else part for part in course)
    if not course.scale.is_floating_point() or len(course.scale) == 0:
        raise InputError(
            f"scale has shape {tuple(course.scale.shape)} and type {course.scale.dtype}; expected "
            "real numbers of one frame or more"
        )
    check_positive(frame=course.frame, duration=course.duration)
    check_constants(torch.float64, frame=course.frame, duration=course.duration)
    course = course._replace(scale=course.scale.to(trace.dtype))
    span, kind = (0, course.duration), torch.float64
    check_arrays(
        times=(course.times, (None,), kind, *span),
        source=(course.source, course.times.shape, torch.int64),
        first=(course.first, (streams + 1,), torch.int64),
        moments=(course.moments, (None,), kind, *span),
        choices=(course.choices, course.moments.shape, kind, 0, 1 - 2**-53),  # below 1
        starts=(course.starts, (streams + 1,), torch.int64),
        scale=(course.scale, (None, streams), trace.dtype, 0, inf),
    )
    check_events(Events(course.times, course.source, course.first), inputs)
    nobody = torch.zeros(len(course.moments), dtype=torch.int64)
    check_events(Events(course.moments, nobody, course.starts), 1)
    return Course._make(
        part.contiguous().numpy() if isinstance(part, Tensor) else part for part in course
    )
