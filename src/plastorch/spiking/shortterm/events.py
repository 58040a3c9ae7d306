"""Short-term plasticity spike by spike: inputs are Poisson spikes, each output spike a sample.

Output neurons spike at a total rate R, each with its share of the posterior (stochastic
exponential neurons under lateral inhibition). Nothing happens between output spikes but
exponential decay, which is exact over any time; a spike of a neuron changes its own synapses.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.encode import poisson
from plastorch.spiking.events import Events, check_events, step_of
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState
from plastorch.spiking.shortterm.rule import ShortTerm


@dataclass(frozen=True)
class Timing:
    """Rates and times of a circuit's spikes.

    Args:
        input_rate: of an input of 1, Hz.
        output_rate: R, of all output neurons together, Hz.
        trace_tau: time constant of an input's trace (its postsynaptic potential), seconds.
        frame: for which an input is shown, seconds.

    Raises:
        InputError: for a rate or time that is not positive.
    """

    input_rate: float = 100.0
    output_rate: float = 200.0
    trace_tau: float = 0.015
    frame: float = 0.05

    def __post_init__(self) -> None:
        check_positive(
            input_rate=self.input_rate,
            output_rate=self.output_rate,
            trace_tau=self.trace_tau,
            frame=self.frame,
        )


class Course(NamedTuple):
    """What comes in, and when outputs spike: all that is random, so that runs can be compared."""

    times: Tensor
    """Of input spikes, seconds [E]; stream after stream, each in order."""
    source: Tensor
    """Input of each, int64 [E]."""
    first: Tensor
    """Stream s has those from ``first[s]`` to ``first[s + 1]`` [S + 1]."""
    moments: Tensor
    """Of output spikes, seconds [O]."""
    choices: Tensor
    """Numbers in [0, 1) that choose which neuron spikes [O]."""
    starts: Tensor
    """Stream s has those from ``starts[s]`` to ``starts[s + 1]`` [S + 1]."""
    scale: Tensor
    """c of each frame, which makes traces inputs of norm 1 in the mean [T, S]."""
    frame: float
    """Seconds per frame."""
    duration: float
    """Seconds in all."""


class SpikingState(NamedTuple):
    """Of S streams, or networks."""

    trace: Tensor
    """ε of the inputs [S, D]."""
    F: Tensor
    """Short-term weights [S, K, D]."""


def encode(values: Tensor, timing: Timing, generator: torch.Generator) -> Course:
    """Poisson spikes of frames, and times at which output neurons may spike.

    Args:
        values: in [0, 1], [T, S, D].
        timing: rates and times.
        generator: on the CPU.

    Raises:
        InputError: if a value is not in [0, 1].

    Example:
        >>> course = encode(torch.ones(2, 1, 3), Timing(), torch.Generator().manual_seed(0))
        >>> len(course.scale), course.duration
        (2, 0.1)
    """
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise InputError(
            f"values go from {float(values.min())} to {float(values.max())}; expected 0 to 1"
        )
    steps, streams, inputs = values.shape
    rates = timing.input_rate * values
    # Times are counted in frames until the end: then rounding can't swap two spikes.
    per_frame = timing.frame * rates.double().transpose(0, 1).reshape(-1, inputs)
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
    state: SpikingState,
    weight: Tensor,
    bias: Tensor,
    constants: ShortTerm,
    timing: Timing,
) -> tuple[Events, SpikingState]:
    """Output spikes, and the short-term plasticity of the neurons that spike.

    F += γ (c ε - W - F) of the neuron that spikes; F decays in between.

    Args:
        course: what comes in.
        state: at the beginning.
        weight: W [K, D].
        bias: b [K].
        constants: of the circuit, τ in seconds; the site is the synapse, or none.
        timing: of its spikes.

    Returns:
        Spikes of the output neurons, and the state at the end.

    Raises:
        InputError: for another site, spikes that are not in order or of other inputs, or weights
            that are not finite, or not on the CPU.
    """
    from plastorch.spiking.shortterm import kernels

    if constants.site not in ("synapse", "none"):
        raise InputError(f"site is {constants.site!r}; expected one of synapse, none")
    _check(course, weight, state.trace)
    dtype = weight.dtype
    trace, memory = (part.to(dtype).clone().contiguous() for part in state)
    winners = torch.empty(len(course.moments), dtype=torch.int64)
    arrays = [part.contiguous().numpy() for part in (weight, bias, trace, memory)]
    settings = (
        constants.kappa,
        constants.gamma if constants.site == "synapse" else 0.0,
        constants.tau,
        timing.trace_tau,
        kernels.SCORE[constants.score],
        constants.update == "track",
        constants.competition == "hard",
    )
    given = _arrays(course, dtype)

    def share(begin: int, end: int) -> None:
        kernels.respond(given, *arrays, *settings, begin, end, winners.numpy())

    kernels.in_threads(share, len(trace))
    return Events(course.moments, winners, course.starts), SpikingState(trace, memory)


def learn(
    course: Course, trace: Tensor, state: LongTermState, constants: LongTerm, timing: Timing
) -> tuple[Events, Tensor, LongTermState]:
    """Output spikes, and the long-term plasticity of the neurons that spike.

    Args:
        course: what comes in.
        trace: ε at the beginning [B, D].
        state: what was learned before.
        constants: of learning.
        timing: of spikes.

    Returns:
        Spikes of the output neurons, ε at the end, and what has been learned.

    Raises:
        InputError: for spikes that are not in order or of other inputs, or weights that are not
            finite, or not on the CPU.
    """
    from plastorch.spiking.shortterm import kernels

    _check(course, state.weight, trace)
    dtype = state.weight.dtype
    trace, weight, bias, spikes = (part.to(dtype).clone().contiguous() for part in (trace, *state))
    winners = torch.empty(len(course.moments), dtype=torch.int64)
    arrays = [part.numpy() for part in (weight, bias, spikes, trace)]
    settings = (
        constants.kappa,
        constants.rate,
        constants.decline,
        constants.homeostasis,
        timing.trace_tau,
        kernels.SCORE[constants.score],
    )
    given = _arrays(course, dtype)

    def share(begin: int, end: int) -> None:
        kernels.learn(given, *arrays, *settings, begin, end, winners.numpy())

    kernels.in_threads(share, len(trace))
    return (
        Events(course.moments, winners, course.starts),
        trace,
        LongTermState(weight, bias, spikes),
    )


def spike_counts(outputs: Events, frame: float, frames: int, neurons: int) -> Tensor:
    """Spikes of each neuron in each frame, float32 [T, S, K].

    Args:
        outputs: spikes of S streams.
        frame: seconds per frame.
        frames: T.
        neurons: K.

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


def _arrays(course: Course, dtype: torch.dtype) -> Course:
    """The same with numpy's arrays, as the kernels take it."""
    scale = course.scale.to(dtype)
    return Course._make(
        part.contiguous().numpy() if isinstance(part, Tensor) else part
        for part in course._replace(scale=scale)
    )


def _check(course: Course, weight: Tensor, trace: Tensor) -> None:
    """Raises InputError unless spikes are in order, and weights finite and on the CPU."""
    if weight.device.type != "cpu":
        raise InputError(f"weight is on {weight.device}; expected the CPU")
    if not bool(torch.isfinite(weight).all()):
        raise InputError("weight holds NaN or infinite values; expected finite ones")
    inputs = Events(course.times, course.source, course.first)
    nobody = torch.zeros(len(course.moments), dtype=torch.int64)
    outputs = Events(course.moments, nobody, course.starts)
    check_events(inputs, weight.shape[-1])
    check_events(outputs, 1)
    streams = {inputs.networks, outputs.networks, course.scale.shape[1], len(trace)}
    if len(streams) > 1:
        raise InputError(f"course and trace are of {sorted(streams)} streams; expected one number")
