"""Fatiguing STDP step by step: against a naive loop, in batches, with other synapses; bad input."""

import warnings
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.spiking.fatigue.rule import (
    FatigueState,
    FatiguingSTDP,
    initial_state,
    run_raster,
    weight_change,
)
from plastorch.spiking.phase_change import PhaseChangeSynapses
from plastorch.spiking.synapses import IdealState, IdealSynapses

DT = 1e-3
KINDS = {
    "fatigue": FatiguingSTDP(initial_theta=0.3),
    "none": FatiguingSTDP(fatigue=0.0, initial_theta=0.3),
    "efficacy": FatiguingSTDP(trace_fatigue=False, initial_theta=0.3),
    "pair": FatiguingSTDP(window="pair", initial_theta=0.3, depression=0.3, potentiation=0.3),
    "strong": FatiguingSTDP(0.9, 0.05, 0.01, 0.04, 0.3, initial_theta=0.3, theta_step=0.2),
}


def raster_of(seed: int, steps: int = 300, networks: int = 1, inputs: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(steps, networks, inputs, generator=generator) < 0.08


def naive(raster: np.ndarray, rule: FatiguingSTDP, dt: float) -> tuple[Any, ...]:
    """The equations one by one, in plain numbers: spike times, weights, resources and threshold."""
    steps, inputs = raster.shape
    w, r, a = [rule.initial_weight] * inputs, [1.0] * inputs, [0.0] * inputs
    v, theta, b, fired = 0.0, rule.initial_theta, 0.0, []
    for step in range(steps):
        for i in range(inputs):
            if raster[step, i]:
                v += w[i] * r[i]
                seen = r[i] if rule.trace_fatigue else 1.0
                a[i] += seen
                if rule.window == "pair":
                    w[i] -= rule.depression * w[i] * seen * b
                r[i] *= 1 - rule.fatigue
        if v > theta:
            fired.append(step)
            mean = sum(a) / inputs
            for i in range(inputs):
                if rule.window == "pair":
                    w[i] += rule.potentiation * (1 - w[i]) * a[i]
                else:
                    w[i] += rule.learning_rate * ((1 - w[i]) * a[i] - w[i] * mean) / mean
                w[i] = min(max(w[i], 0.0), 1.0)
            v, theta, b = 0.0, theta * (1 + rule.theta_step), b + 1
        v *= exp(-dt / rule.tau_membrane)
        theta *= exp(-dt * rule.theta_step * rule.target_rate)
        b *= exp(-dt / rule.tau_trace)
        a = [x * exp(-dt / rule.tau_trace) for x in a]
        r = [1 - (1 - x) * exp(-dt / rule.tau_fatigue) for x in r]
    return fired, np.array(w), np.array(r), theta


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_a_naive_loop(kind: str) -> None:
    rule, raster = KINDS[kind], raster_of(1, 500)
    course, state = run_raster(raster, initial_state(rule, 1, 8), rule, DT)
    fired, weight, resource, theta = naive(raster[:, 0].numpy(), rule, DT)
    assert len(fired) > 5 and course.spikes[:, 0].nonzero()[:, 0].tolist() == fired
    np.testing.assert_allclose(state.synapses.weight[0], weight, rtol=1e-12)
    np.testing.assert_allclose(state.resource[0], resource, rtol=1e-12)
    assert float(state.theta) == pytest.approx(theta, rel=1e-12)
    assert torch.equal(course.membrane > course.theta, course.spikes)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_a_batch_are_independent(kind: str) -> None:
    rule, raster = KINDS[kind], raster_of(2, networks=3)
    course, state = run_raster(raster, initial_state(rule, 3, 8), rule, DT)
    for b in range(3):
        alone, after = run_raster(raster[:, b : b + 1], initial_state(rule, 1, 8), rule, DT)
        assert torch.equal(alone.spikes[:, 0], course.spikes[:, b])
        torch.testing.assert_close(after.synapses.weight[0], state.synapses.weight[b])


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_rule_leaves_weights_and_thresholds(kind: str) -> None:
    rule = KINDS[kind].frozen()
    course, state = run_raster(raster_of(2), initial_state(rule, 1, 8), rule, DT)
    assert course.spikes.any() and (state.theta == rule.initial_theta).all()
    assert (state.synapses.weight == rule.initial_weight).all()


def test_a_run_in_pieces_gives_the_same_bits() -> None:
    rule, raster = FatiguingSTDP(initial_theta=0.3), raster_of(3)
    state = initial_state(rule, 1, 8)
    _, whole = run_raster(raster, state, rule, DT)
    for piece in raster.split(70):
        _, state = run_raster(piece, state, rule, DT)
    for one, other in zip(flat(whole), flat(state), strict=True):
        assert torch.equal(one, other)


def flat(state: FatigueState) -> list[torch.Tensor]:
    return [*state.synapses, *state[1:-2]]


def test_single_precision_follows_double_precision() -> None:
    rule, raster = FatiguingSTDP(initial_theta=0.3), raster_of(4)
    ends = [
        run_raster(raster, initial_state(rule, 1, 8, dtype=dtype), rule, DT)[1]
        for dtype in (torch.float32, torch.float64)
    ]
    assert ends[0].theta.dtype == torch.float32
    torch.testing.assert_close(
        ends[0].synapses.weight.double(), ends[1].synapses.weight, rtol=1e-4, atol=1e-4
    )


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 50)), min_size=1, max_size=9),
    st.floats(0, 0.01),
)
def test_weights_rest_where_they_tell_the_trace_and_change_little(
    pairs: list[tuple[float, float]], rate: float
) -> None:
    weight, trace = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    change = weight_change(weight, trace, rate)
    assert torch.isfinite(change).all()
    assert (weight + change >= -1e-12).all() and (weight + change <= 1 + 9 * rate).all()
    if float(trace.sum()) > 1e-6:
        rest = trace / (trace + trace.mean())
        torch.testing.assert_close(weight_change(rest, trace, 1.0), torch.zeros_like(rest))
        towards = (rest - weight) * change
        assert (towards >= -1e-12).all()


class Counting(IdealSynapses):
    """Ideal synapses that note when they are programmed."""

    def program(self, state: Any, delta: Any, time: float, generator: Any = None) -> IdealState:
        PROGRAMMED.append((time, delta))
        return super().program(state, delta, time, generator)


PROGRAMMED: list[tuple[float, torch.Tensor]] = []


def test_synapses_are_changed_at_output_spikes_only() -> None:
    rule, raster = FatiguingSTDP(initial_theta=0.3), raster_of(5, networks=2)
    PROGRAMMED.clear()
    start = initial_state(rule, 2, 8)._replace(time=4.0)
    course, state = run_raster(raster, start, rule, DT, Counting())
    times = [4.0 + step * DT for step in range(len(raster))]
    assert [time for time, _ in PROGRAMMED] == pytest.approx(times)
    for spikes, (_, delta) in zip(course.spikes, PROGRAMMED, strict=True):
        assert torch.equal((delta != 0).any(dim=1), spikes)
    _, plain = run_raster(raster, initial_state(rule, 2, 8), rule, DT)
    assert torch.equal(plain.synapses.weight, state.synapses.weight)


def test_nearly_ideal_devices_learn_nearly_the_same() -> None:
    quiet = {"pulse_noise": 0.0, "writing_noise": 0.0, "drift": 0.0, "read_noise": 0.0}
    synapses = PhaseChangeSynapses(pulse=0.002, **quiet)
    rule, raster = FatiguingSTDP(initial_theta=0.5, learning_rate=0.02), raster_of(6, 1000)
    ends = []
    for kind in (IdealSynapses(), synapses):
        state = initial_state(rule, 1, 8, kind)
        generator = torch.Generator().manual_seed(0)
        _, state = run_raster(raster, state, rule, DT, kind, generator=generator)
        ends.append(kind.read(state.synapses, 1.0))
    change = float((ends[0] - 0.5).abs().max())
    assert change > 0.02
    # A device that has grown by some share grows by as much less.
    torch.testing.assert_close(*ends, rtol=0, atol=3 * change**2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"fatigue": -0.1}, "fatigue is -0.1; expected 0 to 1"),
        ({"fatigue": float("nan")}, "fatigue is nan"),
        ({"tau_fatigue": 0.0}, "tau_fatigue is 0.0"),
        ({"tau_membrane": -1.0}, "tau_membrane is -1.0"),
        ({"tau_membrane": 5.0}, "tau_membrane is 5.0 s; expected less than 5 s"),
        ({"tau_trace": float("nan")}, "tau_trace is nan"),
        ({"learning_rate": 2.0}, "learning_rate is 2.0"),
        ({"initial_weight": 1.5}, "initial_weight is 1.5"),
        ({"initial_theta": 0.0}, "initial_theta is 0.0"),
        ({"target_rate": 0.0}, "target_rate is 0.0"),
        ({"depression": -0.1}, "depression is -0.1"),
        ({"window": "both"}, "window is 'both'"),
    ],
)
def test_bad_constants(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FatiguingSTDP(**arguments)


def test_bad_rasters() -> None:
    rule = FatiguingSTDP()
    state = initial_state(rule, 2, 3)
    for shape in ((4, 2), (4, 1, 3), (0, 2, 3)):
        with pytest.raises(InputError, match=r"raster has shape .*expected \(T, 2, 3\)"):
            run_raster(torch.zeros(shape), state, rule, DT)
    for value in (torch.nan, torch.inf, 0.5, 2.0):
        with pytest.raises(InputError, match="raster holds other numbers"):
            run_raster(torch.full((4, 2, 3), value), state, rule, DT)
    with pytest.raises(InputError, match="dt is 0"):
        run_raster(torch.zeros(4, 2, 3), state, rule, 0)
    with pytest.raises(InputError, match="inputs is 0"):
        initial_state(rule, 1, 0)


def test_long_steps_are_warned_of_with_both_figures() -> None:
    rule = FatiguingSTDP(tau_trace=0.004)
    state = initial_state(rule, 1, 3)
    with pytest.warns(UserWarning, match=r"dt is 0.005 s, more than tau_trace of 0.004 s"):
        run_raster(torch.zeros(2, 1, 3), state, rule, 0.005)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_raster(torch.zeros(2, 1, 3), state, rule, 0.004)
