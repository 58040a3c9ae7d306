"""Courses of spikes: those that pictures evoke at inputs, and the moments of output spikes."""

from dataclasses import asdict, dataclass
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.encode import poisson
from plastorch.spiking.events import Events, check_events


@dataclass(frozen=True)
class SpikeTiming:
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


class SpikeCourse(NamedTuple):
    """Input spikes and times of output spikes: everything random, so that runs can be compared."""

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


def encode(
    values: Tensor, timing: SpikeTiming, generator: torch.Generator | None = None
) -> SpikeCourse:
    """Draws Poisson spikes of frames in [0, 1], [T, S, D], and the times of output spikes."""
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
    return SpikeCourse(
        times=(frame_of + shown.times) * timing.frame,
        source=shown.source,
        first=shown.offsets[::steps].contiguous(),
        moments=outputs.times,
        choices=choices,
        starts=outputs.offsets,
        scale=torch.where(strength > 0, 1 / strength, 0.0),
        frame=timing.frame,
        duration=duration,
    )


def arrays(course: SpikeCourse, trace: Tensor) -> SpikeCourse:
    """Returns the course as numpy arrays for the kernels, with scales in the type of the traces;
    raises InputError if it is of other streams or inputs, or its spikes are out of order."""
    from plastorch.engine.numba_options import check_arrays, check_constants

    streams, inputs = trace.shape
    course = SpikeCourse._make(
        part.detach() if isinstance(part, Tensor) else part for part in course
    )
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
    return SpikeCourse._make(
        part.contiguous().numpy() if isinstance(part, Tensor) else part for part in course
    )
