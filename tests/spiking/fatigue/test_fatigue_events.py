"""Fatiguing STDP from spike to spike: the clocked engine's spikes and weights, and bad input."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.spiking.encode import poisson
from plastorch.spiking.events import Events, from_raster, to_raster
from plastorch.spiking.fatigue.events import run_events, within
from plastorch.spiking.fatigue.rule import FatigueState, FatiguingSTDP, initial_state, run_raster
from plastorch.spiking.phase_change import PhaseChangeSynapses
from plastorch.spiking.synapses import IdealSynapses

DT = 1e-3
KINDS = {
    "fatigue": FatiguingSTDP(initial_theta=0.3),
    "none": FatiguingSTDP(fatigue=0.0, initial_theta=0.3),
    "efficacy": FatiguingSTDP(trace_fatigue=False, initial_theta=0.3),
    "pair": FatiguingSTDP(window="pair", initial_theta=0.3, depression=0.3, potentiation=0.3),
    "strong": FatiguingSTDP(0.9, 0.05, 0.01, 0.04, 0.3, initial_theta=0.3, theta_step=0.2),
    "frozen": FatiguingSTDP(initial_theta=0.3).frozen(),
}


def assert_same(one: FatigueState, other: FatigueState) -> None:
    pairs = zip([*one.synapses, *one[1:-1]], [*other.synapses, *other[1:-1]], strict=True)
    assert one.time == pytest.approx(other.time)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(sorted(KINDS)), st.floats(0.01, 0.3))
def test_spikes_on_the_grid_give_what_the_clocked_engine_gives(
    seed: int, kind: str, density: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    raster = torch.rand(80, 2, 6, generator=generator) < density
    rule = KINDS[kind]
    start = initial_state(rule, 2, 6)
    course, clocked = run_raster(raster, start, rule, DT)
    spikes, driven = run_events(from_raster(raster, DT), start, rule, stop=80 * DT)
    fired = to_raster(spikes, 1, DT, 80)[:, :, 0]
    assert torch.equal(fired, course.spikes)
    assert_same(driven, clocked)


def test_a_spike_without_recent_input() -> None:
    """Weights fall, as there is nothing by which they could rise."""
    rule, raster = KINDS["none"], torch.ones(1, 1, 4)
    start = initial_state(rule, 1, 4)._replace(membrane=torch.ones(1, dtype=torch.float64))
    start = start._replace(resource=torch.zeros(1, 4, dtype=torch.float64))
    course, clocked = run_raster(raster, start, rule, DT)
    _, driven = run_events(from_raster(raster, DT), start, rule, DT)
    assert bool(course.spikes) and float(clocked.synapses.weight[0, 0]) < 0.5
    assert_same(driven, clocked)


def test_spikes_at_any_time_are_the_limit_of_small_steps() -> None:
    rule = KINDS["fatigue"]
    events = poisson(torch.full((1, 20), 30.0), 0.5, torch.Generator().manual_seed(0))
    _, driven = run_events(events, initial_state(rule, 1, 20), rule, 0.5)
    errors = []
    for dt in (1e-3, 1e-4):
        raster = to_raster(events, 20, dt, round(0.5 / dt))
        _, clocked = run_raster(raster, initial_state(rule, 1, 20), rule, dt)
        errors.append(float((clocked.synapses.weight - driven.synapses.weight).abs().max()))
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_run_in_pieces_is_the_whole(kind: str) -> None:
    rule, rates = KINDS[kind], torch.full((2, 20), 30.0)
    events = poisson(rates, 2.0, torch.Generator().manual_seed(1))
    state = initial_state(rule, 2, 20)
    spikes, whole = run_events(events, state, rule, 2.0)
    times, start = [], 0.0
    for stop in (0.3, 0.31, 1.5, 2.0):
        some, state = run_events(within(events, start, stop), state, rule, stop)
        times.append(some.times)
        start = stop
    assert_same(state, whole)
    assert torch.equal(torch.cat(times).sort().values, spikes.times.sort().values)


class Other(IdealSynapses):
    """Ideal synapses that the engine has to read and program like any others."""


def test_synapses_that_are_programmed_by_themselves_give_the_compiled_rule() -> None:
    for kind in ("fatigue", "efficacy", "strong"):
        rule = KINDS[kind]
        events = poisson(torch.full((2, 20), 30.0), 1.0, torch.Generator().manual_seed(3))
        start = initial_state(rule, 2, 20)
        compiled = run_events(events, start, rule, 1.0)
        programmed = run_events(events, start, rule, 1.0, synapses=Other())
        torch.testing.assert_close(compiled[0].times, programmed[0].times)
        assert compiled[0].offsets.tolist() == programmed[0].offsets.tolist()
        assert_same(compiled[1], programmed[1])


def test_devices_learn_what_ideal_synapses_do_as_far_as_they_can() -> None:
    rule = FatiguingSTDP(fatigue=0.0, initial_theta=0.3, learning_rate=0.01)
    rates = torch.cat([torch.full((10,), 60.0), torch.full((10,), 5.0)]).expand(4, 20)
    events = poisson(rates, 10.0, torch.Generator().manual_seed(4))
    synapses = PhaseChangeSynapses(pairs=7)
    generator = torch.Generator().manual_seed(5)
    state = initial_state(rule, 4, 20, synapses)
    _, state = run_events(events, state, rule, 10.0, synapses=synapses, generator=generator)
    _, ideal = run_events(events, initial_state(rule, 4, 20), rule, 10.0)
    weight = synapses.read(state.synapses, 10.0, generator)
    assert state.synapses.conductance.shape == (4, 20, 2, 7)
    # Pulses that a device has had make the next ones smaller, so weights lag behind.
    moved, wanted = weight - 0.5, ideal.synapses.weight - 0.5
    assert 0.6 < float((moved * wanted).sum() / (wanted * wanted).sum()) < 1
    assert float(torch.corrcoef(torch.stack([moved.flatten(), wanted.flatten()]))[0, 1]) > 0.98


def test_pieces_of_events() -> None:
    times = torch.tensor([0.0, 0.1, 0.2, 0.1, 0.3], dtype=torch.float64)
    events = Events(times, torch.arange(5), torch.tensor([0, 3, 3, 5]))
    some = within(events, 0.1, 0.3)
    assert some.source.tolist() == [1, 2, 3] and some.offsets.tolist() == [0, 2, 2, 3]
    assert len(within(events, 0.5, 0.9).times) == 0


def test_silence_only_recovers() -> None:
    rule = FatiguingSTDP(initial_theta=3.0)
    state = initial_state(rule, 1, 4)._replace(resource=torch.full((1, 4), 0.2).double())
    none = Events(torch.empty(0).double(), torch.empty(0).long(), torch.tensor([0, 0]))
    spikes, state = run_events(none, state, rule, 1.0)
    assert len(spikes.times) == 0
    expected = 1 - 0.8 * torch.exp(torch.tensor(-2.0)).double()
    torch.testing.assert_close(state.resource, expected.expand(1, 4))
    torch.testing.assert_close(state.theta, 3 * torch.exp(torch.tensor([-0.2])).double())


START, LARGE = (initial_state(KINDS["none"], 2, inputs) for inputs in (4, 9))
DEVICES = initial_state(KINDS["none"], 2, 4, PhaseChangeSynapses())
LATER = initial_state(KINDS["none"], 2, 4)._replace(time=0.001)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"events": from_raster(torch.ones(5, 3, 4), DT)}, "events are of 3 networks; expected 2"),
        ({"stop": 0.003}, r"times go from 0.0 to 0.004; expected from 0.0 on and before 0.003"),
        ({"state": LATER}, "times go from 0.0"),
        ({"state": LATER, "stop": 0.0005}, "stop is 0.0005; expected the state's time, 0.001, or"),
        ({"stop": float("nan")}, "stop is nan"),
        (
            {"state": initial_state(KINDS["none"], 2, 4, dtype=torch.float32)},
            "resource is torch.float32",
        ),
        (
            {"state": START._replace(trace=START.trace[:, :1])},
            r"trace is \[2, 1\]; expected \[2, 4",
        ),
        (
            {"state": START._replace(synapses=LARGE.synapses)},
            r"weight is \[2, 9\]; expected \[2, 4",
        ),
        ({"state": START._replace(membrane=START.membrane * math.nan)}, "membrane holds NaN"),
        ({"state": START._replace(theta=-START.theta)}, "theta goes from -0.3 to -0.3; expected 0"),
        ({"state": START._replace(post_trace=START.theta[:1])}, r"post_trace is \[1\]"),
        ({"state": START._replace(resource=START.resource + 1)}, "resource goes from 2.0 to 2.0"),
        (
            {"state": START._replace(time=-math.inf)},
            "stop is 0.005; expected the state's time, -inf",
        ),
        ({"state": DEVICES}, "synapses of state are PhaseChangeState; expected IdealState"),
        (
            {"state": START._replace(synapses=LARGE.synapses), "synapses": Other()},
            r"weight is \[1, 9\]; expected \[1, 4\]",
        ),
        ({"state": initial_state(KINDS["none"], 2, 3)}, "source goes from 0 to 3"),
        ({"rule": KINDS["pair"], "synapses": PhaseChangeSynapses()}, "window is 'pair'"),
    ],
)
def test_bad_input(change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {
        "events": from_raster(torch.ones(5, 2, 4), DT),
        "state": initial_state(KINDS["none"], 2, 4),
        "rule": KINDS["none"],
        "stop": 0.005,
    }
    run_events(**good)
    with pytest.raises(InputError, match=words):
        run_events(**{**good, **change})


def test_events_out_of_order() -> None:
    times = torch.tensor([0.2, 0.1], dtype=torch.float64)
    events = Events(times, torch.tensor([0, 1]), torch.tensor([0, 2]))
    with pytest.raises(InputError, match="times fall"):
        run_events(events, initial_state(KINDS["none"], 1, 2), KINDS["none"], 1.0)
