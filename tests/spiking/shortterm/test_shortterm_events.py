"""Short-term plasticity spike by spike: events against time steps, and samples against theory."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.spiking.events import Events, check_events, from_raster
from plastorch.spiking.shortterm.course import SpikeCourse, SpikeTiming, encode
from plastorch.spiking.shortterm.events import learn, respond, spike_counts
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState, learn_spike
from plastorch.spiking.shortterm.rule import (
    ShortTerm,
    ShortTermState,
    compete,
    initial_state,
    scores,
    unit,
    update,
)

Array = NDArray[Any]
DT, FRAME, FRAMES = 1e-3, 0.05, 6
STEPS, STREAMS, INPUTS, NEURONS = 300, 3, 12, 5
TIMING = SpikeTiming(frame=FRAME)
LIMIT = 4.5
"""Standard errors."""


class Grid:
    """Spikes at the beginnings of time steps, as rasters and as events."""

    def __init__(self, seed: int) -> None:
        random = stream(seed)
        self.raster = torch.rand(STEPS, STREAMS, INPUTS, generator=random) < 0.06
        self.moments = torch.rand(STEPS, STREAMS, generator=random) < 0.2
        self.choices = torch.rand(STEPS, STREAMS, generator=random, dtype=torch.float64)
        self.scale = 0.2 + torch.rand(FRAMES, STREAMS, generator=random, dtype=torch.float64)
        outputs = from_raster(self.moments.unsqueeze(2), DT)
        self.course = SpikeCourse(
            *from_raster(self.raster, DT),
            outputs.times,
            self.choices.mT[self.moments.mT],
            outputs.offsets,
            self.scale,
            FRAME,
            STEPS * DT,
        )
        self.weight = unit(torch.rand(NEURONS, INPUTS, generator=random, dtype=torch.float64))
        self.bias = torch.randn(NEURONS, generator=random, dtype=torch.float64)
        trace = torch.rand(STREAMS, INPUTS, generator=random, dtype=torch.float64)
        memory = torch.randn(STREAMS, NEURONS, INPUTS, generator=random, dtype=torch.float64)
        self.state = ShortTermState(0.1 * memory, trace)

    def loop(self, stream: int, trace: Array) -> Iterator[tuple[Array, float | None]]:
        """The input of each time step, and the number that chooses who spikes, if one does."""
        for step in range(STEPS):
            trace += self.raster[step, stream].numpy()
            spikes = bool(self.moments[step, stream])
            x = float(self.scale[step * FRAMES // STEPS, stream]) * trace
            yield x, float(self.choices[step, stream]) if spikes else None
            trace *= math.exp(-DT / TIMING.trace_tau)


def answered(grid: Grid, constants: ShortTerm, **changes: Any) -> tuple[Events, ShortTermState]:
    names = ("course", "state", "weight", "bias")
    given = (changes.get(name, getattr(grid, name)) for name in names)
    return respond(*given, constants=constants, timing=TIMING)


def unlearned(networks: int, seed: int) -> LongTermState:
    weight = torch.rand(networks, NEURONS, INPUTS, generator=stream(seed), dtype=torch.float64)
    return LongTermState(unit(weight), *torch.zeros(2, networks, NEURONS).double())


def spiking_neuron(
    x: Array, efficacy: Array, bias: Array, constants: Any, number: float, hard: bool = False
) -> int:
    drive, squared = efficacy @ x, (efficacy**2).sum(1)
    scores = {"cosine": drive / np.sqrt(squared), "dot": drive, "distance": drive - squared / 2}
    u = bias + constants.kappa * scores[constants.score]
    shares = np.exp(u - u.max()).cumsum()
    return int(u.argmax() if hard else (shares <= number * shares[-1]).sum())


@settings(max_examples=5)
@given(
    st.integers(0, 1000),
    st.sampled_from(["track", "accumulate"]),
    st.sampled_from(["cosine", "dot", "distance"]),
    st.sampled_from(["soft", "hard"]),
    st.sampled_from(["synapse", "none"]),
)
def test_lazy_decay_is_stepwise_decay(
    seed: int, rule: Any, score: Any, competition: Any, site: Any
) -> None:
    grid = Grid(seed)
    constants = ShortTerm(8.0, 0.1, 0.12, rule, site, competition, score)
    outputs, last = answered(grid, constants)
    weight, bias, winners = grid.weight.numpy(), grid.bias.numpy(), []
    for s in range(STREAMS):
        memory, trace = (part[s].numpy().copy() for part in grid.state)
        for x, number in grid.loop(s, trace):
            if number is not None:
                efficacy = weight + memory
                k = spiking_neuron(x, efficacy, bias, constants, number, competition == "hard")
                winners.append(k)
                if site == "synapse":
                    memory[k] += 0.1 * (x - (efficacy[k] if rule == "track" else weight[k]))
            memory *= math.exp(-DT / 0.12)  # without plasticity all the same
        np.testing.assert_allclose(last.F[s].numpy(), memory, atol=1e-9)
        np.testing.assert_allclose(last.trace[s].numpy(), trace, atol=1e-9)
    assert outputs.source.tolist() == winners


@pytest.mark.parametrize("score", ["cosine", "dot", "distance"])
def test_events_and_time_steps_learn_the_same(score: Any) -> None:
    grid = Grid(7)
    constants = LongTerm(0.2, 10.0, 0.3, 8.0, score)
    begun = unlearned(STREAMS, seed=8)
    outputs, trace, found = learn(grid.course, grid.state.trace, begun, constants, TIMING)
    winners = []
    for s in range(STREAMS):
        weight, bias, fired = (part[s].numpy().copy() for part in begun)
        expected_trace = grid.state.trace[s].numpy().copy()
        for x, number in grid.loop(s, expected_trace):
            if number is not None:
                k = spiking_neuron(x, weight, bias, constants, number)
                winners.append(k)
                weight[k] += 0.2 / (1 + fired[k] / 10) * (x - weight[k])
                bias += 0.3 / NEURONS
                bias[k] -= 0.3
                fired[k] += 1
        np.testing.assert_allclose(trace[s].numpy(), expected_trace, atol=1e-9)
        for mine, expected in zip(found, (weight, bias, fired), strict=True):
            np.testing.assert_allclose(mine[s].numpy(), expected, atol=1e-9)
    assert outputs.source.tolist() == winners


def test_learning_in_torch_is_that_of_the_compiled_loop() -> None:
    """From one spike to the next, at the beginnings of time steps, all networks side by side."""
    grid, constants = Grid(7), LongTerm(0.2, 10.0, 0.3, 8.0)
    _, _, expected = learn(grid.course, grid.state.trace, unlearned(3, 8), constants, TIMING)
    found, trace = unlearned(3, 8), grid.state.trace
    for now in range(STEPS):
        trace = trace + grid.raster[now]
        x = grid.scale[now * FRAMES // STEPS].unsqueeze(1) * trace
        learn_spike(x, grid.moments[now], grid.choices[now], found, constants)
        trace = trace * math.exp(-DT / TIMING.trace_tau)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


def test_static_synapses_need_no_memory() -> None:
    grid = Grid(21)
    static, begun = ShortTerm(8.0, site="none"), initial_state(STREAMS, grid.weight, "none")
    outputs, after = answered(grid, static, state=begun)
    without_gain = initial_state(STREAMS, grid.weight)
    expected, other = answered(grid, ShortTerm(8.0, gamma=0.0), state=without_gain)
    assert torch.equal(outputs.source, expected.source)
    assert torch.equal(after.trace, other.trace) and after.F.shape == begun.F.shape


def test_output_spikes_are_samples_of_the_posterior() -> None:
    """A constant input (a trace that doesn't decay), 100,000 spikes, with a memory that stays."""
    spikes, weight = 100_000, unit(torch.rand(6, 8, generator=stream(9)).double())
    trace = torch.rand(1, 8, generator=stream(10)).double()
    memory = 0.3 * torch.rand(1, 6, 8, generator=stream(11)).double()
    none = torch.zeros(0, dtype=torch.int64)
    course = SpikeCourse(
        none.double(),
        none,
        torch.tensor([0, 0]),
        torch.arange(spikes).double() * DT,
        torch.rand(spikes, generator=stream(12), dtype=torch.float64),
        torch.tensor([0, spikes]),
        torch.ones(1, 1).double(),
        spikes * DT,
        spikes * DT,
    )
    constants = ShortTerm(kappa=4.0, gamma=0.0, tau=1e12)
    bias = torch.randn(6, generator=stream(13)).double()
    timing = SpikeTiming(trace_tau=1e12)
    begun = ShortTermState(memory, trace)
    outputs, _ = respond(course, begun, weight, bias, constants=constants, timing=timing)
    share = torch.bincount(outputs.source, minlength=6) / spikes
    efficacy = weight + memory[0]
    potential = bias + 4 * (efficacy @ trace[0]) / efficacy.norm(dim=1)
    assert float((share - potential.softmax(0)).abs().sum() / 2) < 0.02


def test_spikes_and_posteriors_change_the_same_in_the_mean() -> None:
    """20,000 streams in the same state: one output spike each, against a soft update of one."""
    streams, weight = 20_000, unit(torch.rand(4, 6, generator=stream(21)).double())
    trace = unit(torch.rand(1, 6, generator=stream(22)).double()).expand(streams, -1)
    memory = 0.2 * torch.rand(1, 4, 6, generator=stream(23)).double().expand(streams, -1, -1)
    none, each = torch.zeros(0, dtype=torch.int64), torch.arange(streams + 1)
    course = SpikeCourse(
        none.double(),
        none,
        0 * each,
        torch.zeros(streams).double(),
        torch.rand(streams, generator=stream(24), dtype=torch.float64),
        each,
        torch.ones(1, streams).double(),
        1e-9,
        1e-9,
    )
    bias, constants = torch.zeros(4).double(), ShortTerm(kappa=5.0, gamma=0.3)
    begun = ShortTermState(memory, trace)
    _, last = respond(course, begun, weight, bias, constants=constants, timing=TIMING)
    one = ShortTermState(memory[:1], trace[:1])
    y = compete(scores(trace[:1], one, weight, bias, constants))
    soft = update(trace[:1], y, one, weight, constants).F[0]
    error = LIMIT * last.F.std(0) / math.sqrt(streams) + 1e-6
    assert bool(((last.F.mean(0) - soft).abs() < error).all())


def test_pieces_are_the_whole() -> None:
    """What was remembered goes on from one call to the next."""
    values = torch.rand(4, 2, INPUTS, generator=stream(14)).double()
    weight, bias = unit(torch.rand(NEURONS, INPUTS).double()), torch.zeros(NEURONS).double()
    course = encode(values, TIMING, stream(15))
    zeros = initial_state(2, weight)
    constants = ShortTerm(10.0, 0.1, 0.1)
    whole, last = respond(course, zeros, weight, bias, constants=constants, timing=TIMING)
    state, found = zeros, []
    for half in range(2):
        part = _half(course, half)
        outputs, state = respond(part, state, weight, bias, constants=constants, timing=TIMING)
        found.append(spike_counts(outputs, FRAME, 2, NEURONS))
    assert torch.equal(torch.cat(found), spike_counts(whole, FRAME, 4, NEURONS))
    torch.testing.assert_close(state.F, last.F)
    torch.testing.assert_close(state.trace, last.trace)


def _half(course: SpikeCourse, half: int) -> SpikeCourse:
    """Two of four frames."""

    def cut(times: Tensor, offsets: Tensor, *others: Tensor) -> list[Tensor]:
        kept = (times >= half * 0.1) & (times < half * 0.1 + 0.1)
        stream = torch.arange(2).repeat_interleave(offsets.diff())
        starts = torch.cat([torch.zeros(1), torch.bincount(stream[kept], minlength=2).cumsum(0)])
        return [times[kept] - half * 0.1, starts.long(), *(other[kept] for other in others)]

    times, first, source = cut(course.times, course.first, course.source)
    moments, starts, choices = cut(course.moments, course.starts, course.choices)
    scale = course.scale[2 * half : 2 * half + 2]
    return SpikeCourse(times, source, first, moments, choices, starts, scale, FRAME, 0.1)


def test_traces_are_inputs_of_norm_one_in_the_mean() -> None:
    """c ε at the end of a long frame, over 4,000 streams; its variance is that of shot noise."""
    values = torch.tensor([0.2, 0.9, 0.0, 0.5])
    timing, streams = SpikeTiming(frame=0.2), 4000
    course = encode(values.expand(1, streams, 4), timing, stream(16))
    weight = torch.eye(1, 4).double()
    zeros, bias = initial_state(streams, weight), torch.zeros(1).double()
    _, state = respond(course, zeros, weight, bias, constants=ShortTerm(), timing=timing)
    x = course.scale.mT * state.trace
    expected = unit(values).double()
    rates, c = timing.input_rate * values.double(), float(course.scale[0, 0])
    variance = c**2 * rates * timing.trace_tau / 2
    error = LIMIT * (variance / streams).sqrt()
    assert bool(((x.mean(0) - expected).abs() <= error + 1e-5 * expected).all())
    assert bool(((x.var(0) - variance).abs() <= 0.2 * variance).all())


@settings(max_examples=200)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 7, 100, 1000]),
    st.floats(1e-4, 10.0),
    st.floats(0.0, 1.0),
    st.integers(2, 5),
)
def test_spikes_are_in_order_and_in_their_frames(
    seed: int, frames: int, frame: float, value: float, inputs: int
) -> None:
    """Ten courses, in each frame of which one input alone spikes: every so many frames the same."""
    rate = 1000 / (frames * frame)
    timing = SpikeTiming(input_rate=rate, output_rate=rate, frame=frame)
    values = value * torch.eye(inputs).repeat(-(-frames // inputs), 1)[:frames]
    course = encode(values.unsqueeze(1).expand(-1, 10, -1), timing, stream(seed))
    check_events(Events(course.times, course.source, course.first), inputs)
    turn = ((course.times / frame - course.source + 0.5) / inputs).floor()
    number = course.source + inputs * turn
    assert bool((number < frames).all())
    assert bool((course.times >= number * frame).all())
    assert bool((course.times <= (number + 1) * frame).all())
    assert course.duration == frames * frame
    assert bool((course.moments < course.duration).all())


def test_rates_of_spikes() -> None:
    values = torch.full((5, 40, 10), 0.3)
    values[2] = 0
    course = encode(values, TIMING, stream(17))
    expected = 4 * 40 * 10 * 100 * 0.3 * FRAME
    assert len(course.times) == pytest.approx(expected, abs=LIMIT * math.sqrt(expected))
    expected = 40 * 200 * 5 * FRAME
    assert len(course.moments) == pytest.approx(expected, abs=LIMIT * math.sqrt(expected))
    number = (course.times / FRAME).long()
    assert 2 not in number and bool((course.scale[2] == 0).all())
    check_events(Events(course.times, course.source, course.first), 10)
    check_events(Events(course.moments, 0 * course.moments.long(), course.starts), 1)


def test_counts_are_those_of_a_loop() -> None:
    outputs, _ = answered(Grid(18), ShortTerm(8.0, 0.1, 0.1))
    expected = torch.zeros(FRAMES, STREAMS, NEURONS)
    for s in range(STREAMS):
        for e in range(int(outputs.offsets[s]), int(outputs.offsets[s + 1])):
            step = round(float(outputs.times[e]) / DT)
            expected[step // (STEPS // FRAMES), s, outputs.source[e]] += 1
    assert torch.equal(spike_counts(outputs, FRAME, FRAMES, NEURONS), expected)


def test_bad_input() -> None:
    for values in (torch.full((1, 1, 2), 1.5), torch.full((1, 1, 2), math.nan)):
        with pytest.raises(InputError, match="values go from"):
            encode(values, TIMING, stream(0))
    grid = Grid(20)
    with pytest.raises(InputError, match="site is 'neuron'; expected one of synapse, none"):
        answered(grid, ShortTerm(site="neuron"))
    constants, learning = ShortTerm(8.0, 0.1, 0.1), LongTerm()
    none = torch.zeros(STREAMS, NEURONS).double()
    learned = LongTermState(grid.weight.expand(STREAMS, -1, -1), none, none)
    for changes, words in (
        ({"times": grid.course.times.flip(0)}, "times fall from"),
        ({"moments": grid.course.moments.flip(0)}, "times fall from"),
        ({"source": grid.course.source + 1}, "source goes from"),
        ({"scale": grid.scale[:, :2]}, r"scale is \[6, 2\]; expected \[any, 3\]"),
        (
            {"scale": grid.scale[:0]},
            r"scale has shape \(0, 3\).* one frame or more",
        ),
        ({"choices": grid.course.choices + 0.5}, "choices goes from 0.5.*; expected 0 to 0.99"),
        ({"choices": grid.course.choices[1:]}, "choices is "),
        ({"starts": grid.course.starts[1:]}, r"starts is \[3\]; expected \[4\]"),
        ({"starts": grid.course.starts.flip(0)}, "offsets from"),
        ({"moments": grid.course.moments.float()}, "moments is torch.float32; expected torch.f"),
        ({"duration": 0.1}, "times goes from 0.0 to 0.2.*; expected 0 to 0.1"),
        ({"frame": 0.0}, "frame is 0.0"),
    ):
        course = grid.course._replace(**changes)
        with pytest.raises(InputError, match=words):
            answered(grid, constants, course=course)
        with pytest.raises(InputError, match=words):
            learn(course, grid.state.trace, learned, learning, TIMING)
    with pytest.raises(InputError, match="weight holds NaN"):
        answered(grid, constants, weight=math.nan * grid.weight)
    with pytest.raises(InputError, match="weight is on meta; expected cpu"):
        answered(grid, constants, weight=grid.weight.to("meta"))
    huge = grid.state._replace(trace=1e200 * grid.state.trace)
    for state, bias, words in (
        (grid.state, grid.bias[1:], r"bias is \[4\]; expected \[5\]"),
        (grid.state, math.nan * grid.bias, "bias holds NaN"),
        (grid.state._replace(F=grid.state.F[:, 1:]), grid.bias, r"F is \[3, 4, 12\]"),
        (grid.state._replace(F=grid.state.F.float()), grid.bias, "F is torch.float32"),
        (grid.state._replace(trace=grid.state.trace[:, 1:]), grid.bias, r"weight is \[5, 12\]"),
        (huge, 1e300 * grid.bias, "potentials overflow"),
    ):
        with pytest.raises(InputError, match=words):
            answered(grid, ShortTerm(kappa=1e200), state=state, bias=bias)
    for part in ("bias", "spikes"):
        foreign = learned._replace(**{part: none[:, 1:]})
        with pytest.raises(InputError, match=rf"{part} is \[3, 4\]; expected \[3, 5\]"):
            learn(grid.course, grid.state.trace, foreign, learning, TIMING)
    for name in ("input_rate", "output_rate", "trace_tau", "frame"):
        with pytest.raises(InputError, match=f"{name} is 0.0"):
            SpikeTiming(**{name: 0.0})
