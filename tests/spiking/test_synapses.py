"""Ideal and phase-change synapses: growth, noise, drift and refresh, by loops and statistics."""

from math import log, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.spiking import LIF, FatiguingNeuron, FatiguingSTDP, STDPLayer
from plastorch.spiking.phase_change import PhaseChangeState, PhaseChangeSynapses
from plastorch.spiking.synapses import IdealSynapses

MANY = 20_000
QUIET = {"pulse_noise": 0.0, "writing_noise": 0.0, "drift": 0.0, "read_noise": 0.0}


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def alike(weight: float, count: int = MANY) -> torch.Tensor:
    return torch.full((count,), weight, dtype=torch.float64)


def test_ideal_weights_change_by_what_they_are_told_within_bounds() -> None:
    synapses = IdealSynapses(-1.0, 1.0)
    state = synapses.initial(torch.tensor([[-0.5, 0.0], [0.9, 1.0]]))
    state = synapses.program(state, torch.tensor([[0.25, -2.0], [0.05, 0.1]]), 3.0)
    expected = torch.tensor([[-0.25, -1.0], [0.95, 1.0]])
    torch.testing.assert_close(synapses.read(state, 7.0), expected)


@pytest.mark.parametrize("pulses", [1, 5, 40])
def test_growth_by_pulses_is_that_of_a_naive_loop_and_of_its_closed_form(pulses: int) -> None:
    synapses = PhaseChangeSynapses(drift=0.0, read_noise=0.0)
    state, generator = synapses.initial(alike(0.5)), random()
    for number in range(pulses):
        state = synapses.program(state, alike(synapses.weight_step), number, generator)
    found = state.conductance[:, 0, 0].numpy()
    rng, loop = np.random.default_rng(1), np.zeros(MANY)
    for _ in range(pulses):
        loop += (1 - loop / 25) * (1 + 0.5 * rng.standard_normal(MANY))
        loop = loop.clip(0, 25)
    error = 5 * sqrt(found.var() / MANY + loop.var() / MANY)
    assert abs(found.mean() - loop.mean()) < error
    assert found.std() == pytest.approx(loop.std(), rel=5 / sqrt(MANY))
    assert found.mean() == pytest.approx(25 * (1 - (1 - 1 / 25) ** pulses), abs=error)
    assert (state.conductance[:, 1] == 0).all()
    quiet, state = PhaseChangeSynapses(**QUIET), synapses.initial(alike(0.5, 3))
    for number in range(pulses):
        state = quiet.program(state, alike(1.0001 * quiet.weight_step, 3), number, random())
    expected = 25 * (1 - (1 - 1 / 25) ** pulses)
    if pulses < 40:  # a rare second pulse apart
        torch.testing.assert_close(state.conductance[:, 0, 0], alike(expected, 3))


@pytest.mark.parametrize("share", [0.1, 0.7, 2.4])
@pytest.mark.parametrize("sign", [1, -1])
def test_changes_are_right_on_average_whatever_the_size_of_a_pulse(share: float, sign: int) -> None:
    for pairs in (1, 7):
        synapses = PhaseChangeSynapses(low=-2.0, high=3.0, pairs=pairs, **QUIET | {"pulse": 0.01})
        delta = sign * share * synapses.weight_step
        state = synapses.program(synapses.initial(alike(0.5)), alike(delta), 0.0, random(2))
        change = synapses.read(state, 0.0) - 0.5
        error = 5 * float(change.std()) / sqrt(MANY) + 1e-3 * abs(delta)
        assert float(change.mean()) == pytest.approx(delta, abs=error)


def test_several_pairs_change_in_smaller_steps_and_are_read_with_less_noise() -> None:
    deviations = []
    for pairs in (1, 7):
        synapses = PhaseChangeSynapses(pairs=pairs, drift=0.0)
        assert synapses.weight_step == pytest.approx(0.02 / pairs)
        state = synapses.initial(alike(0.8))
        deviations.append(float(synapses.read(state, 10.0, random()).std()))
        changed = synapses.program(state, alike(synapses.weight_step), 1.0, random())
        touched = (changed.conductance != state.conductance).any(dim=1)
        assert (touched.sum(dim=1) == 1).all()  # one pair of each
        assert float(touched.double().mean(dim=0).std(correction=0)) < 0.02  # any of them
    assert deviations[1] == pytest.approx(deviations[0] / sqrt(7), rel=0.05)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_noise_of_writing_has_its_deviation(share: float) -> None:
    synapses = PhaseChangeSynapses()
    weight = 0.5 + share / 2
    state = synapses.write(alike(weight), 3.0, random())
    found = state.conductance[:, 0, 0]
    expected = -1.1731 * share**2 + 1.9650 * share + 0.2635
    if 0 < share < 1:  # inside the range, nothing is cut off
        assert float(found.mean()) == pytest.approx(25 * share, abs=5 * expected / sqrt(MANY))
        assert float(found.std()) == pytest.approx(expected, rel=5 / sqrt(2 * MANY))
    else:  # half of the noise is cut off: the mean of half a normal distribution
        error = abs(float(found.mean()) - 25 * share)
        assert error == pytest.approx(expected / sqrt(2 * np.pi), rel=0.05)
    assert float(found.min()) >= 0 and float(found.max()) <= 25
    assert (state.programmed == 3.0).all()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_exponents_of_drift_have_their_statistics(share: float) -> None:
    synapses = PhaseChangeSynapses(writing_noise=0.0, read_noise=0.0)
    state = synapses.write(alike(0.5 + share / 2), 0.0, random())
    mean = min(max(-0.0155 * log(share) + 0.0244, 0.049), 0.1)
    deviation = min(max(-0.0125 * log(share) - 0.0059, 0.008), 0.045)
    found = state.exponent[:, 0, 0]
    assert float(found.mean()) == pytest.approx(mean, abs=6 * deviation / sqrt(MANY))
    assert float(found.std()) == pytest.approx(deviation, rel=0.05)
    early, late = (synapses.conductance(state, t)[:, 0, 0] for t in (1e6, 1e8))
    torch.testing.assert_close((early / late).log() / log(100), found, rtol=1e-4, atol=1e-6)


def test_drift_begins_at_programming_and_starts_again_with_a_pulse() -> None:
    synapses = PhaseChangeSynapses(pulse_noise=0.0, read_noise=0.0)
    state = synapses.initial(alike(0.8, 5))
    torch.testing.assert_close(synapses.read(state, 0.0), alike(0.8, 5))
    assert (synapses.read(state, 1e4) < 0.79).all()
    drifted = synapses.conductance(state, 1e4)[:, 0, 0]
    pulsed = synapses.program(state, alike(0.02, 5), 1e4, random())
    grown = drifted + 1 - drifted / 25
    torch.testing.assert_close(synapses.conductance(pulsed, 1e4)[:, 0, 0], grown)


@pytest.mark.parametrize("time", [1.0, 1e5])
@pytest.mark.parametrize("share", [0.02, 0.4])
def test_noise_of_reading_has_its_deviation(share: float, time: float) -> None:
    synapses = PhaseChangeSynapses(drift=0.0)
    weight = synapses.read(synapses.initial(alike(0.5 + share / 2)), time, random())
    relative = min(0.0088 * share**-0.65, 0.2) * sqrt(log((time + 250e-9) / 500e-9))
    expected = 0.5 * share * relative
    assert float(weight.mean()) == pytest.approx(0.5 + share / 2, abs=5 * expected / sqrt(MANY))
    assert float(weight.std()) == pytest.approx(expected, rel=5 / sqrt(2 * MANY))


def test_refresh_keeps_the_weight() -> None:
    full = torch.tensor([21.0, 23.0], dtype=torch.float64).view(2, 1).expand(MANY, 2, 1)
    state = PhaseChangeState(full, torch.zeros_like(full), torch.zeros_like(full))
    up = alike(0.02)
    quiet = PhaseChangeSynapses(**QUIET)
    after = quiet.program(state, up, 5.0, random())
    grown = 21 + (1 - 21 / 25)
    torch.testing.assert_close(after.conductance[:, 1, 0], alike(23 - grown))
    assert (after.conductance[:, 0] == 0).all() and (after.programmed == 5.0).all()
    torch.testing.assert_close(quiet.read(after, 5.0), alike(0.5 + (grown - 23) / 50))
    noisy = PhaseChangeSynapses()
    found = noisy.read(noisy.program(state, up, 5.0, random()), 5.0, random(1))
    written = -1.1731 * 0.074**2 + 1.9650 * 0.074 + 0.2635
    # Noise of writing the empty device is cut off at 0, which moves the mean by 0.4 deviations.
    assert float(found.mean()) == pytest.approx(
        0.5 + (grown - 23) / 50, abs=0.4 * 0.2635 / 50 + 2e-3
    )
    assert float(found.std()) < 5 * written / 50


def test_pairs_that_are_left_alone_keep_their_devices() -> None:
    synapses, state = PhaseChangeSynapses(), PhaseChangeSynapses().initial(alike(0.7, 10))
    delta = torch.zeros(10, dtype=torch.float64)
    delta[3] = 0.1
    after = synapses.program(state, delta, 9.0, random())
    others = torch.arange(10) != 3
    for old, new in zip(state, after, strict=True):
        assert torch.equal(old[others], new[others])
    assert float(after.conductance[3, 0, 0]) > float(state.conductance[3, 0, 0])


def test_growth_saturates_within_the_bounds() -> None:
    synapses, generator = PhaseChangeSynapses(low=-1.0, high=1.0), random()
    state = synapses.initial(torch.zeros(50, 2))
    course = []
    for number in range(300):
        state = synapses.program(state, torch.full((50, 2), 0.04), number, generator)
        course.append(float(synapses.read(state, number, generator).mean()))
    assert course[20] - course[0] > 3 * (course[120] - course[100]) > 0
    assert 0.85 < course[-1] <= 1.0
    assert float(state.conductance.max()) <= 25


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=20))
def test_weights_stay_within_bounds_and_are_the_seeds(seed: int, deltas: list[float]) -> None:
    synapses = PhaseChangeSynapses(low=0.0, high=1.0, pairs=2)
    ends = []
    for _ in range(2):
        generator = random(seed)
        state = synapses.write(torch.rand(2, 3, 4, generator=generator), 0.0, generator)
        for number, delta in enumerate(deltas):
            state = synapses.program(state, torch.full((2, 3, 4), delta), number, generator)
            weight = synapses.read(state, number, generator)
            assert weight.shape == (2, 3, 4) and weight.dtype == torch.float32
            assert float(weight.min()) >= 0 and float(weight.max()) <= 1
        ends.append(weight)
    assert torch.equal(*ends)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_single_precision_inside(kind: torch.dtype) -> None:
    """Readings of a layer's devices are those of the same weights in single precision."""
    synapses, x = PhaseChangeSynapses(), torch.rand(40, 2, 6, generator=random(3)) < 0.2
    for layer in (
        STDPLayer(6, 4, synapses=synapses, neuron=LIF(threshold=0.5), dtype=kind),
        FatiguingNeuron(6, synapses=synapses, rule=FatiguingSTDP(initial_theta=0.4), dtype=kind),
    ):
        step = layer.learn(x, generator=random())
        assert step.output.any() and step.updates["weight"].dtype == kind
        assert step.updates["weight"].isfinite().all()
        weight = layer.weight.detach()
        both = [synapses.write(each, 1e4, random(1)) for each in (weight, weight.float())]
        one, other = (synapses.read(state, 2e4, random(2)) for state in both)
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 1.0}, "low is 1.0 and high is 1.0"),
        ({"pairs": 0}, "pairs is 0"),
        ({"pairs": 1.5}, "pairs is 1.5; expected a whole number"),
        ({"pulse": -1.0}, "pulse is -1.0"),
        ({"max_conductance": float("nan")}, "max_conductance is nan"),
        ({"refresh": 0.0}, "refresh is 0.0"),
        ({"drift": -0.1}, "drift is -0.1; expected 0 or more"),
        ({"read_noise": float("nan")}, "read_noise is nan"),
    ],
)
def test_bad_constants(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PhaseChangeSynapses(**arguments)


@pytest.mark.parametrize("weight", [1.5, -0.1, float("nan")])
def test_weights_out_of_bounds(weight: float) -> None:
    for synapses in (IdealSynapses(), PhaseChangeSynapses()):
        with pytest.raises(InputError, match=f"weight holds {weight}"):
            synapses.initial(torch.tensor([0.5, weight], dtype=torch.float64))
    with pytest.raises(InputError, match="expected low below high"):
        IdealSynapses(2.0, 1.0)
