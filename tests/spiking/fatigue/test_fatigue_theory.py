"""Closed forms of fatiguing STDP against simulation, and the mean field where it is exact."""

from itertools import product
from math import exp, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf

from plastorch.engine.errors import InputError
from plastorch.spiking.encode import correlated, poisson
from plastorch.spiking.events import to_raster
from plastorch.spiking.fatigue.events import run_events, within
from plastorch.spiking.fatigue.rule import FatiguingSTDP, initial_state, step
from plastorch.spiking.fatigue.theory import (
    common_share,
    mean_field,
    mean_resource,
    mean_square_resource,
    passage_threshold,
    timing_margin,
)


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("fatigue", [0.1, 0.5, 1.0])
def test_moments_of_the_resource_are_those_of_a_loop_over_poisson_spikes(
    rate: float, fatigue: float
) -> None:
    rng, tau, trains, spikes = np.random.default_rng(0), 0.5, 2000, 150
    resource, found = np.ones(trains), []
    for number in range(spikes):
        decay = np.exp(-rng.exponential(1 / rate, trains) / tau)
        resource = 1 - (1 - (1 - fatigue) * resource) * decay
        if number >= 100:
            found.append(resource.copy())
    values = np.array(found)
    for power, function in ((1, mean_resource), (2, mean_square_resource)):
        means = (values**power).mean(0)  # of trains, which are independent
        expected = float(function(torch.tensor(rate), fatigue, tau))
        assert abs(means.mean() - expected) < 4 * means.std() / sqrt(trains), power


def test_the_engines_resource_is_the_closed_form_within_one_percent() -> None:
    for (rate, stop), tau in product(((5.0, 60.0), (50.0, 20.0)), (0.05, 0.5)):
        rule = FatiguingSTDP(0.5, tau, tau_trace=1e12, initial_weight=0.0, learning_rate=0.0)
        generator = torch.Generator().manual_seed(round(rate))
        events = poisson(torch.full((1, 400), rate), stop, generator)
        state = initial_state(rule, 1, 400)
        _, state = run_events(within(events, 0, 5.0), state, rule, 5.0)
        state = state._replace(trace=torch.zeros_like(state.trace))
        late = within(events, 5.0, stop)
        _, state = run_events(late, state, rule, stop)
        found = float(state.trace.sum()) / len(late.times)
        assert found == pytest.approx(float(mean_resource(torch.tensor(rate), 0.5, tau)), rel=0.01)


def test_timing_wins_from_a_strength_of_fatigue_on() -> None:
    """10 and 40 Hz, c = 0.5, a share of 0.4: U r τ of the slow input above 0.28."""
    for strength, wins in ((0.0, False), (0.27, False), (0.29, True), (5.0, True)):
        rule = FatiguingSTDP(fatigue=1.0, tau_fatigue=max(strength, 1e-9) / 10)
        assert (timing_margin(10, 40, 0.5, 0.4, rule) > 0) == wins
    assert timing_margin(10, 10, 0.05, 0.1, FatiguingSTDP(fatigue=0.0)) > 0


def test_share_of_spikes_with_common_events() -> None:
    common = torch.arange(1, 50).double()
    chance = 49 * 0.02 / 50
    assert common_share(common, common, 0.02, 50.0) == pytest.approx(1 - chance, abs=1e-6)
    late = common + 0.02
    assert common_share(late, common, 0.02, 50.0) == pytest.approx(exp(-1) - chance, abs=1e-6)
    assert common_share(common[:9] - 0.3, common, 0.02, 50.0) == pytest.approx(-chance, abs=1e-6)
    spread = torch.rand(20_000, generator=torch.Generator().manual_seed(0)).double() * 50
    assert common_share(spread, common, 0.02, 50.0) == pytest.approx(0, abs=5e-3)
    with pytest.raises(InputError, match="expected one output spike or more"):
        common_share(torch.empty(0), common, 0.02, 50.0)


def test_threshold_is_reached_at_the_rate_by_siegerts_formula_and_by_simulation() -> None:
    mean, deviation, tau, rate = 10.0, 2.0, 0.02, 10.0
    theta = passage_threshold(mean, deviation, tau, rate)
    low, high = -mean / deviation / sqrt(2), (theta - mean) / deviation / sqrt(2)
    time = tau * sqrt(pi) * quad(lambda u: np.exp(u * u) * (1 + erf(u)), low, high)[0]
    assert time == pytest.approx(1 / rate, rel=1e-6)
    rng, dt, count, paths = np.random.default_rng(0), 2e-5, 0, 2000
    v = np.zeros(paths)
    decay, noise = exp(-dt / tau), deviation * sqrt(1 - exp(-2 * dt / tau))
    steps = 5000
    for number in range(steps + 2500):  # the first ones are a settling
        v = mean + (v - mean) * decay + noise * rng.standard_normal(paths)
        fired = v > theta
        count += int(fired.sum()) * (number >= 2500)
        v[fired] = 0
    found = count / paths / (steps * dt)
    # Steps miss crossings between them: a few per cent too few.
    assert found == pytest.approx(rate, rel=0.08)


@pytest.mark.parametrize("fatigue", [0.0, 0.5])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_drift_at_given_output_spikes_is_the_mean_fields(fatigue: float, share: float) -> None:
    """Output spikes at common events or at any other time are not caused by chance excess, so that
    the mean traces are exact; what remains is the mean of ratios, that goes with 1 / N."""
    networks, steps, dt, rate = 24, 2000, 1e-3, 10.0
    rates = torch.where(torch.arange(120) < 60, rate, 4 * rate)
    members, c = torch.arange(120) < 24, 0.5
    generator = torch.Generator().manual_seed(1)
    events = correlated(
        rates, c, members, steps * dt, networks=networks, dt=dt, generator=generator
    )
    raster = to_raster(events, 120, dt, steps).double()
    common = raster[:, :, members].sum(-1) >= 5
    rule = FatiguingSTDP(fatigue, 0.3, learning_rate=1e-9)
    state, drifts = initial_state(rule, networks, 120), []
    never, always = torch.full((2, networks), 1e9).double()
    always = -always
    for number in range(steps):
        # Spikes with common events are as many as they should be; the others come at any time.
        chance = torch.rand(networks, generator=generator)
        with_common = common[number] & (chance < share)
        without = ~common[number] & (chance < (1 - share) * rate * dt)
        force = (with_common | without) & (number > 1000)
        state = state._replace(theta=torch.where(force, always, never))
        before = state.synapses.weight
        _, state = step(state, raster[number], rule, dt)
        drifts.append(((state.synapses.weight - before)[force] / 1e-9, with_common[force]))
    weight = state.synapses.weight[0]
    field = mean_field(weight, rates.double(), members, correlation=c, share=0.5, rule=rule)
    quiet = field._replace(other=rule.tau_trace * rates * mean_resource(rates, fatigue, 0.3))
    # At a common event, other inputs have the traces that they have at any time.
    quiet = quiet._replace(
        common=quiet.other + sqrt(c) * members * mean_resource(rates, fatigue, 0.3)
    )
    groups = (members, ~members & (rates == rate), rates > rate)
    for kind, own in ((True, quiet._replace(share=1.0)), (False, quiet._replace(share=0.0))):
        found = torch.cat([drift[which == kind] for drift, which in drifts])
        if kind and share == 0:
            assert len(found) == 0
            continue
        expected = own.drift(weight)
        for group in groups:
            values = found[:, group].mean(1)
            error = 4 * float(values.std()) / sqrt(len(values)) + 0.02
            assert float(values.mean()) == pytest.approx(float(expected[group].mean()), abs=error)


def test_mean_field_of_a_running_neuron_is_right_within_a_twentieth() -> None:
    rates = torch.where(torch.arange(200) < 100, 10.0, 40.0)
    members = torch.arange(200) < 40
    rule, stop, settled = FatiguingSTDP(learning_rate=1e-9), 60.0, 20.0
    events = correlated(rates, 0.5, members, stop, generator=torch.Generator().manual_seed(3))
    state = initial_state(rule, 1, 200)
    _, state = run_events(within(events, 0, settled), state, rule, settled)
    spikes, after = run_events(within(events, settled, stop), state, rule, stop)
    drift = (after.synapses.weight - state.synapses.weight)[0] / 1e-9 / len(spikes.times)
    steps = (events.times[members[events.source]] / 1e-3 + 0.5).long()
    common = (torch.bincount(steps) >= 5).nonzero()[:, 0].double() * 1e-3
    share = common_share(spikes.times, common[common > settled], rule.tau_trace, stop - settled)
    weight = state.synapses.weight[0]
    field = mean_field(weight, rates, members, correlation=0.5, share=share, rule=rule)
    predicted = field.drift(state.synapses.weight[0])
    groups = (members, ~members & (rates == 10), rates == 40)
    found, expected = ([float(x[g].mean()) for g in groups] for x in (drift, predicted))
    assert found[0] > 0 > found[2] > found[1]
    np.testing.assert_allclose(found, expected, atol=0.05 * max(map(abs, found)))


def test_times_in_single_precision_lose_no_common_event() -> None:
    spikes = 0.001 * torch.arange(1, 100_000, 37, dtype=torch.float64)
    exact = common_share(spikes, spikes, 0.02, 100.0)
    assert common_share(spikes, spikes.float(), 0.02, 100.0) == pytest.approx(exact, rel=1e-3)
