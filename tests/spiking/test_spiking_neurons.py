"""Neurons: closed forms of regular firing, exact decay, and statistics of chance."""

from math import exp, inf, nan, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream as generator
from plastorch.spiking.neurons import LIF, LIFState, Neurons, fire, relax
from plastorch.spiking.stochastic import ExpLIF, SoftWTA, SoftWTAState

DT = 1e-3
LIMIT = 4.5
"""Standard deviations: one of a hundred thousand normal numbers is farther out."""


def spike_steps(neuron: LIF, drive: float, steps: int) -> list[int]:
    """When a neuron with a constant drive fires."""
    x = torch.tensor([[drive]], dtype=torch.float64)
    state, found = neuron.initial(x), []
    for step in range(steps):
        spikes, state = neuron.step(x, state, DT)
        found += [step] if spikes.item() else []
    return found


@pytest.mark.parametrize("drive", [0.055, 0.1, 0.4, 2.0])
@pytest.mark.parametrize("refractory", [0.0, 0.003, 0.1])
def test_a_constant_drive_gives_regular_spikes(drive: float, refractory: float) -> None:
    """After n inputs, v = drive (1 - d^n) / (1 - d), d = exp(-dt / tau); input begins again when
    the refractory time is over, and a spike at the same time as the last input at the earliest."""
    d = exp(-DT / 0.02)
    needed = 1
    while drive * (1 - d**needed) / (1 - d) <= 1:
        needed += 1
    interval = needed - 1 + max(round(refractory / DT), 1)
    steps = spike_steps(LIF(refractory=refractory), drive, 400)
    assert steps == list(range(needed - 1, 400, interval))


def test_too_weak_a_drive_gives_none() -> None:
    d = exp(-DT / 0.02)
    assert spike_steps(LIF(), 0.999 * (1 - d), 2000) == []


@given(st.floats(1e-4, 0.5), st.floats(1e-4, 0.5), st.integers(0, 10**6))
def test_decay_is_exact(first: float, second: float, seed: int) -> None:
    """Two steps are one of their sum, and the closed form."""
    neuron = LIF(tau=0.03, rest=-0.4, reset=-1.0, theta_increase=0.1, theta_tau=0.5)
    random = torch.Generator().manual_seed(seed)
    state = LIFState(*(torch.rand(3, 2, 5, generator=random, dtype=torch.float64).unbind()))
    state = state._replace(membrane=state.membrane - 0.5)
    twice, once = (
        relax(relax(state, neuron, first), neuron, second),
        relax(state, neuron, first + second),
    )
    torch.testing.assert_close(twice, once, rtol=1e-12, atol=1e-12)
    membrane = -0.4 + (state.membrane + 0.4) * exp(-(first + second) / 0.03)
    torch.testing.assert_close(once.membrane, membrane)


def test_the_threshold_adapts() -> None:
    """n spikes, one per step, leave theta_increase times a geometric sum."""
    neuron = LIF(theta_increase=0.5, theta_tau=0.1)
    x = torch.full((1, 1), 1e3, dtype=torch.float64)
    state = neuron.initial(x)
    for _ in range(20):
        spikes, state = neuron.step(x, state, DT)
        assert spikes.all()
    d = exp(-DT / 0.1)
    assert float(state.theta) == pytest.approx(0.5 * d * (1 - d**20) / (1 - d))
    raised = state._replace(membrane=torch.zeros_like(x))
    assert not fire(torch.full_like(x, float(state.theta) + 0.99), raised, neuron)[0].any()
    assert fire(torch.full_like(x, float(state.theta) + 1.01), raised, neuron)[0].all()


def test_a_refractory_neuron_takes_no_input_but_relaxes() -> None:
    neuron = LIF(reset=-2.0, rest=-1.0, refractory=0.005)
    x = torch.full((1, 1), 5.0, dtype=torch.float64)
    _, state = neuron.step(x, neuron.initial(x), DT)
    for step in range(1, 5):
        assert float(state.membrane) == pytest.approx(-1 - exp(-step * DT / 0.02))
        spikes, state = neuron.step(x, state, DT)
        assert not spikes.any()
    assert neuron.step(x, state, DT)[0].all()


@given(st.integers(0, 10**6))
def test_no_neuron_fires_without_input(seed: int) -> None:
    """What is not above its threshold does not come above it, however theta and membrane decay."""
    random = torch.Generator().manual_seed(seed)
    neuron = LIF(tau=0.02, rest=-0.5, reset=-0.7, theta_increase=0.1, theta_tau=0.02)
    theta = 3 * torch.rand(1, 50, generator=random, dtype=torch.float64)
    membrane = (1 + theta) * torch.rand(1, 50, generator=random, dtype=torch.float64)
    state = LIFState(membrane, theta, torch.zeros_like(theta))
    for _ in range(50):
        spikes, state = neuron.step(torch.zeros_like(theta), state, DT)
        assert not spikes.any()


def assert_share(hits: Tensor, expected: float) -> None:
    """The share of trues among independent ones is as expected, within confidence limits."""
    error = sqrt(expected * (1 - expected) / hits.numel())
    assert abs(float(hits.double().mean()) - expected) < LIMIT * error


@pytest.mark.parametrize("height", [-1.0, 0.0, 0.3, 1.0])
def test_escape_rate(height: float) -> None:
    """The chance of a spike in dt is 1 - exp(-rate e^(height / width) dt)."""
    neuron = ExpLIF(width=0.5, rate=80.0)
    x = torch.full((1, 200_000), 1 + height)
    spikes, state = neuron.step(x, neuron.initial(x), DT, generator(0))
    assert_share(spikes, 1 - exp(-80 * exp(height / 0.5) * DT))
    assert not state.membrane[spikes].any()
    assert state.membrane[~spikes].allclose(x[~spikes] * exp(-DT / neuron.tau))


def test_intervals_of_escape_noise_are_refractory_time_and_an_exponential() -> None:
    """With reset at a potential that stays, intervals have mean refractory + 1 / rate."""
    neuron = ExpLIF(tau=inf, width=1.0, rate=200.0 * exp(1), refractory=0.01)
    x, dt = torch.zeros(1, 400), 1e-4
    state, count, random = neuron.initial(x), 0, generator(1)
    for _ in range(5000):
        spikes, state = neuron.step(x, state, dt, random)
        count += int(spikes.sum())
    chance = 1 - exp(-200 * dt)
    # The geometric distribution of steps, of which the first is the last refractory one's end.
    interval = 0.01 + (1 / chance - 1) * dt
    deviation = sqrt(1 - chance) / chance * dt
    expected = 400 * 0.5 / interval
    renewal_error = sqrt(400 * 0.5 * deviation**2 / interval**3)
    # They start together and receptive, with at most one spike more each.
    assert -LIMIT * renewal_error < count - expected < LIMIT * renewal_error + 400


def test_output_spikes_are_samples_of_the_posterior() -> None:
    """A hundred thousand spikes: total variation to softmax(u) below 0.02, rate as given."""
    potential = torch.tensor([[0.0, 1.0, -1.0, 2.0, 0.5, -3.0]]).expand(100_000, 6)
    neuron, steps, total = SoftWTA(tau=inf, rate=200.0), 5, torch.zeros(6)
    state, random = SoftWTAState(potential), generator(2)
    for _ in range(steps):
        spikes, state = neuron.step(torch.zeros(1, 6), state, DT, random)
        assert int(spikes.sum(dim=1).max()) <= 1
        total += spikes.sum(dim=0)
    expected = potential[0].softmax(0)
    assert 0.5 * float((total / total.sum() - expected).abs().sum()) < 0.02
    assert_share(torch.arange(100_000 * steps) < total.sum(), 200.0 * DT)


def test_competing_potentials_leak_and_go_on_after_spikes() -> None:
    neuron, x = SoftWTA(tau=0.01, rate=1000.0), torch.ones(2, 3)
    spikes, state = neuron.step(x, neuron.initial(x), DT)
    assert spikes.sum(dim=1).tolist() == [1, 1]
    torch.testing.assert_close(state.membrane, x * exp(-0.1))


def test_extreme_potentials_have_one_winner() -> None:
    potential = torch.tensor([[1e30, 0.0, -1e30], [-1e30, 0.0, 1e30], [0.0, 1e4, 0.0]])
    spikes, _ = SoftWTA(rate=1000.0).step(potential, SoftWTAState(torch.zeros(3, 3)), DT)
    assert spikes.int().tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("constants", [LIF(), ExpLIF(), SoftWTA()])
def test_meta_tensors(constants: LIF | ExpLIF | SoftWTA) -> None:
    """No value is looked at, so no GPU is waited for."""
    neurons, x = Neurons(constants), torch.rand(2, 3, device="meta")
    spikes, state = neurons(x)
    assert spikes.is_meta and neurons(x, state)[0].shape == (2, 3)


@pytest.mark.parametrize("constants", [LIF(), ExpLIF(), SoftWTA()])
def test_modules_are_their_steps(constants: LIF | ExpLIF | SoftWTA) -> None:
    module, x = Neurons(constants), torch.full((2, 3), 0.7)
    spikes, state = module(x, generator=generator(3))
    again, _ = module(x, state, generator(4))
    expected, same = constants.step(x, constants.initial(x), DT, generator(3))  # type: ignore[arg-type]
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(state, same)
    assert torch.equal(again, constants.step(x, same, DT, generator(4))[0])  # type: ignore[arg-type]
    assert type(constants).__name__ in repr(module)


@pytest.mark.parametrize("constants", [LIF(), ExpLIF(), SoftWTA()])
@pytest.mark.parametrize("kind", [torch.bool, torch.int64])
def test_spikes_are_inputs(constants: LIF | ExpLIF | SoftWTA, kind: torch.dtype) -> None:
    neurons, x = Neurons(constants), torch.eye(3)
    _, before = neurons(x)
    for state in (None, before):
        found, expected = (neurons(each, state, generator(5)) for each in (x.to(kind), x))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("constants", [LIF(), ExpLIF(rate=1e9), SoftWTA(rate=1000.0)])
def test_nobody_fires_where_input_is_nan(constants: LIF | ExpLIF | SoftWTA) -> None:
    x = torch.tensor([[nan, nan, nan], [9.0, 9.0, 9.0]])
    spikes, state = Neurons(constants)(x)
    assert spikes.any(dim=1).tolist() == [False, True]
    assert state.membrane[0].isnan().all() and not state.membrane[1].isnan().any()


def test_a_large_step_gives_a_warning_with_both_figures() -> None:
    with pytest.warns(UserWarning, match=r"dt is 0\.05 s, more than tau of 0\.02 s"):
        Neurons(LIF(), dt=0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LIF(tau=0.0), "tau is 0"),
        (lambda: LIF(tau=nan), "tau is nan"),
        (lambda: LIF(reset=1.0), r"reset is 1\.0; expected less than the threshold 1\.0"),
        (lambda: LIF(rest=2.0), r"rest is 2\.0"),
        (lambda: LIF(threshold=nan), "threshold nan"),
        (lambda: LIF(refractory=-1.0), r"refractory is -1\.0; expected 0 or more"),
        (lambda: LIF(theta_increase=-0.1), "theta_increase is -0.1"),
        (lambda: LIF(theta_tau=0.01), r"theta_tau is 0\.01; expected at least 0\.02"),
        (lambda: ExpLIF(width=0.0), "width is 0"),
        (lambda: ExpLIF(rate=-1.0), "rate is -1"),
        (lambda: ExpLIF(reset=3.0), "reset is 3"),
        (lambda: ExpLIF(refractory=nan), "refractory is nan"),
        (lambda: SoftWTA(rate=0.0), "rate is 0"),
        (lambda: SoftWTA(tau=-1.0), "tau is -1"),
        (lambda: Neurons(SoftWTA(rate=2000.0))(torch.zeros(1, 2)), r"rate is 2000\.0 Hz; expected"),
        (lambda: Neurons(LIF(), dt=0.0), "dt is 0"),
        (lambda: Neurons(LIF())(torch.zeros(3)), r"x has shape \(3,\); expected \(B, K\)"),
        (
            lambda: Neurons(LIF())(torch.zeros(1, 2), SoftWTA().initial(torch.zeros(1, 2))),
            "state is a SoftWTAState; expected a LIFState",
        ),
        (
            lambda: Neurons(LIF())(torch.zeros(1, 2), LIF().initial(torch.zeros(1, 3))),
            r"membrane of state is \[1, 3\]; expected \[1, 2\]",
        ),
        (
            lambda: Neurons(LIF())(
                torch.zeros(1, 2),
                LIF().initial(torch.zeros(1, 2))._replace(theta=torch.zeros(1, 3)),
            ),
            r"theta of state is \[1, 3\]; expected \[1, 2\]",
        ),
    ],
)
def test_bad_input(call: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()  # type: ignore[operator]
