"""Plasticity: windows against their closed forms, drifts and fixed points against theory."""

from math import exp, nan, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream as generator
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.stdp import PairSTDP, Traces, bayesian_stdp, pair_stdp

DT = 1e-3
LIMIT = 4.5
"""Standard deviations: one of a hundred thousand normal numbers is farther out."""
LAGS = torch.arange(-100, 101)
"""Of the postsynaptic spike after the presynaptic one, ms."""


def window(stdp: PairSTDP, weight: float) -> Tensor:
    """The closed form of the change by a pair, for each lag."""
    lag = LAGS.double() * DT
    raised = stdp.potentiation * torch.exp(-lag / stdp.tau_plus)
    lowered = -stdp.depression * torch.exp(lag / stdp.tau_minus)
    if stdp.bounds == "multiplicative":
        raised, lowered = raised * (stdp.high - weight), lowered * (weight - stdp.low)
    return torch.where(lag >= 0, raised, lowered)


RULES = [
    PairSTDP(high=4.0),
    PairSTDP(0.02, 0.005, 0.015, 0.04, low=-1.0, high=4.0),
    PairSTDP(0.02, 0.005, 0.015, 0.04, "multiplicative", low=-1.0, high=4.0),
]


@pytest.mark.parametrize("stdp", RULES)
def test_window_of_the_rule(stdp: PairSTDP) -> None:
    """A network per lag; each has a presynaptic spike at 150 ms and a postsynaptic one."""
    count = len(LAGS)
    weight = torch.full((count, 1, 1), 0.3, dtype=torch.float64)
    traces = Traces(*torch.zeros(2, count, 1, dtype=torch.float64).unbind())
    for step in range(300):
        pre = torch.full((count, 1), float(step == 150), dtype=torch.float64)
        post = (step == LAGS + 150).double().unsqueeze(1)
        delta, traces = pair_stdp(pre, post, weight, traces, stdp, DT)
        weight = weight + delta
    torch.testing.assert_close(weight.flatten() - 0.3, window(stdp, 0.3), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("stdp", RULES)
def test_window_of_a_layer(stdp: PairSTDP) -> None:
    """Input 0 has the spike of the pair; input 1 makes the neuron fire at the lag."""
    layer = STDPLayer(2, 1, neuron=LIF(tau=5e-3), rule=stdp, dtype=torch.float64)
    layer.weight.copy_(torch.tensor([[0.3, 3.0]], dtype=torch.float64))
    changes = []
    for lag in LAGS.tolist():
        raster = torch.zeros(300, 1, 2, dtype=torch.bool)
        raster[150, 0, 0] = raster[lag + 150, 0, 1] = True
        changes.append(layer.learn(raster).updates["weight"][0, 0])
    found = torch.stack(changes)
    torch.testing.assert_close(found, window(stdp, 0.3), rtol=1e-9, atol=1e-12)


@given(st.integers(0, 10**6))
def test_all_pairs_count(seed: int) -> None:
    """Additive changes are the sum of the window over all pairs of spikes."""
    raster = torch.rand(40, 2, 1, generator=torch.Generator().manual_seed(seed)) < 0.2
    stdp = PairSTDP(0.02, 0.03, 0.01, 0.015)
    weight = torch.zeros(1, 1, 1, dtype=torch.float64)
    traces = Traces(*torch.zeros(2, 1, 1, dtype=torch.float64).unbind())
    for now in raster.double():
        delta, traces = pair_stdp(now[:1], now[1:], weight, traces, stdp, DT)
        weight = weight + delta
    times = [(raster[:, i, 0].nonzero().flatten().double() * DT).tolist() for i in range(2)]
    expected = 0.0
    for pre in times[0]:
        for post in times[1]:
            if post >= pre:
                expected += 0.02 * exp((pre - post) / 0.01)
            else:
                expected -= 0.03 * exp((post - pre) / 0.015)
    assert float(weight) == pytest.approx(expected, abs=1e-12)


def chance_spikes(rate: float, steps: int, synapses: int, seed: int) -> Tensor:
    spikes = torch.rand(steps, 1, synapses, generator=generator(seed)) < rate * DT
    return spikes.double()


def drifting(stdp: PairSTDP, pre_rate: float, post_rate: float, steps: int) -> Tensor:
    """Weights of synapses from 0.5 on, between independent Poisson neurons: a network each."""
    synapses = 400
    pre = chance_spikes(pre_rate, steps, synapses, 0).mT
    post = chance_spikes(post_rate, steps, synapses, 1).mT
    weight = torch.full((synapses, 1, 1), 0.5, dtype=torch.float64)
    traces = Traces(*torch.zeros(2, synapses, 1, dtype=torch.float64).unbind())
    for x, y in zip(pre, post, strict=True):
        delta, traces = pair_stdp(x, y, weight, traces, stdp, DT)
        weight = weight + delta
    return weight.flatten()


def integral(tau: float) -> float:
    """Sum of exp(-s / tau) over steps s = 0, dt, ...: tau / dt for small steps."""
    return 1 / (1 - exp(-DT / tau))


def test_mean_drift_of_uncorrelated_neurons() -> None:
    """r_pre r_post (A+ tau+ - A- tau-) per second, in its exact form for time steps."""
    stdp, pre_rate, post_rate, steps = PairSTDP(1e-4, 2e-4, 0.02, 0.03), 20.0, 30.0, 2000
    change = drifting(stdp, pre_rate, post_rate, steps) - 0.5
    per_step = 1e-4 * integral(0.02) - 2e-4 * (integral(0.03) - 1)
    # Traces have to fill at first.
    filled = steps - 1e-4 * integral(0.02) * 20 / per_step + 2e-4 * integral(0.03) * 30 / per_step
    expected = pre_rate * post_rate * DT**2 * per_step * filled
    error = float(change.std() / sqrt(len(change)))
    assert abs(float(change.mean()) - expected) < LIMIT * error
    rough = pre_rate * post_rate * steps * DT * (1e-4 * 0.02 - 2e-4 * 0.03)
    assert expected == pytest.approx(rough, rel=0.1)


def test_soft_bounds_have_a_fixed_point() -> None:
    """Uncorrelated neurons: w = A+ tau+ / (A+ tau+ + A- tau-), whatever the rates."""
    stdp = PairSTDP(0.005, 0.0025, 0.02, 0.02, "multiplicative")
    weight = drifting(stdp, 100.0, 100.0, 5000)
    expected = 2 * integral(0.02) / (2 * integral(0.02) + (integral(0.02) - 1))
    error = float(weight.std()) / sqrt(len(weight))
    assert abs(float(weight.mean()) - expected) < LIMIT * error
    assert expected == pytest.approx(2 / 3, abs=0.02)


@given(st.integers(0, 10**6))
def test_soft_bounds_are_never_crossed(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    stdp = PairSTDP(0.1, 0.1, bounds="multiplicative", low=-1.0, high=2.0)
    weight = torch.rand(2, 3, 4, generator=random) * 3 - 1
    traces = Traces(3 * torch.rand(2, 4, generator=random), 3 * torch.rand(2, 3, generator=random))
    pre = (torch.rand(2, 4, generator=random) < 0.5).float()
    post = (torch.rand(2, 3, generator=random) < 0.5).float()
    delta, _ = pair_stdp(pre, post, weight, traces, stdp, DT)
    assert bool((weight + delta >= -1 - 1e-6).all() and (weight + delta <= 2 + 1e-6).all())


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_equilibrium_of_the_bayesian_rule(scale: float) -> None:
    """w = log p(x = 1 | y) + log c; with x independent of y given the cause, from samples."""
    chance = torch.tensor([[0.1, 0.5, 0.9], [0.7, 0.2, 0.4]])
    random, networks = generator(5), 200
    weight = torch.zeros(networks, 2, 3)
    for step in range(3000):
        rate = 0.05 / (1 + step / 300)
        cause = torch.randint(2, (networks,), generator=random)
        post = torch.nn.functional.one_hot(cause, 2).float()
        pre = (torch.rand(networks, 3, generator=random) < chance[cause]).float()
        weight = weight + rate * bayesian_stdp(pre, post, weight, scale)
    # Weights fluctuate; what is exact then is the mean of exp(-w), at which changes cancel.
    inverse = torch.exp(-weight)
    error = inverse.std(dim=0) / sqrt(networks)
    assert bool(((inverse.mean(dim=0) - 1 / (scale * chance)).abs() < LIMIT * error).all())
    torch.testing.assert_close(weight.mean(dim=0), (scale * chance).log(), atol=0.05, rtol=0)


def test_mean_change_of_the_bayesian_rule_is_zero_at_its_fixed_point() -> None:
    chance, scale = 0.3, 2.0
    weight = torch.full((1, 1, 1), scale * chance, dtype=torch.float64).log()
    one = torch.ones(1, 1, dtype=torch.float64)
    active, silent = (bayesian_stdp(x * one, one, weight, scale) for x in (1, 0))
    assert float(chance * active + (1 - chance) * silent) == pytest.approx(0, abs=1e-15)
    assert not bayesian_stdp(one, 0 * one, weight, scale).any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: PairSTDP(potentiation=-0.1), r"potentiation is -0\.1; expected 0 or more"),
        (lambda: PairSTDP(depression=nan), "depression is nan"),
        (lambda: PairSTDP(tau_plus=0.0), "tau_plus is 0"),
        (lambda: PairSTDP(tau_minus=-1.0), "tau_minus is -1"),
        (lambda: PairSTDP(bounds="hard"), "bounds is 'hard'; expected one of additive, mult"),  # type: ignore[arg-type]
        (lambda: PairSTDP(low=1.0), r"low is 1\.0 and high is 1\.0; expected low below high"),
        (lambda: PairSTDP(high=nan), "high is nan"),
        (
            lambda: bayesian_stdp(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1, 1), 0.0),
            "sca",
        ),
    ],
)
def test_bad_input(call: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()  # type: ignore[operator]
