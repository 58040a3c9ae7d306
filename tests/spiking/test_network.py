"""The layer: both engines against a loop over single spikes, and against each other."""

from dataclasses import dataclass
from math import exp, inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.device import generator
from plastorch.engine.errors import InputError
from plastorch.spiking import Events, from_raster, to_raster
from plastorch.spiking.draw_kernels import draw
from plastorch.spiking.encode import poisson
from plastorch.spiking.event_engine import _arguments, _copied
from plastorch.spiking.events import network_of
from plastorch.spiking.kernels import _fire
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.stdp import PairSTDP
from plastorch.spiking.synapses import IdealState, IdealSynapses, PhaseChangeSynapses

DT, INPUTS, NEURONS, NETWORKS = 1e-3, 12, 5, 3
LIMIT = 4.5
"""Standard deviations: one of a hundred thousand normal numbers is farther out."""
NEURON = LIF(
    tau=0.02,
    threshold=0.9,
    reset=-0.1,
    rest=0.1,
    refractory=0.004,
    theta_increase=0.05,
    theta_tau=0.5,
)
ADDITIVE = PairSTDP(0.05, 0.04, 0.015, 0.025)
SOFT = PairSTDP(0.05, 0.06, 0.015, 0.025, "multiplicative", low=-0.2, high=1.5)


def make(
    neuron: LIF = NEURON, stdp: PairSTDP = ADDITIVE, inhibition: float = 0.1, **more: Any
) -> STDPLayer:
    settings = {"networks": NETWORKS, "generator": generator(0), "dtype": torch.float64} | more
    return STDPLayer(INPUTS, NEURONS, neuron, stdp, inhibition, **settings)  # type: ignore[arg-type]


def raster_of(seed: int, steps: int = 120, rate: float = 60.0) -> Tensor:
    return torch.rand(steps, NETWORKS, INPUTS, generator=generator(seed)) < rate * DT


class Naive:
    """One network, spike by spike: traces are sums over the spikes so far."""

    def __init__(self, layer: STDPLayer, b: int) -> None:
        self.neuron, self.stdp = layer.circuit.neuron, layer.circuit.stdp
        self.inhibition = layer.circuit.inhibition
        self.weight = layer.weight[b].tolist()
        self.membrane = [self.neuron.rest] * NEURONS
        self.theta = [0.0] * NEURONS
        self.last = [-inf] * NEURONS
        self.pre: list[list[float]] = [[] for _ in range(INPUTS)]
        self.post: list[list[float]] = [[] for _ in range(NEURONS)]
        self.now = 0.0

    def go_to(self, t: float) -> None:
        n = self.neuron
        for k in range(NEURONS):
            membrane = self.membrane[k] - n.rest
            self.membrane[k] = n.rest + membrane * exp((self.now - t) / n.tau)
            self.theta[k] *= exp((self.now - t) / n.theta_tau)
        self.now = t

    def trace(self, spikes: list[float], tau: float) -> float:
        return sum(exp((spike - self.now) / tau) for spike in spikes)

    def change(self, k: int, j: int, delta: float) -> None:
        stdp = self.stdp
        if stdp.bounds == "multiplicative":
            delta *= stdp.high - self.weight[k][j] if delta > 0 else self.weight[k][j] - stdp.low
        self.weight[k][j] = min(max(self.weight[k][j] + delta, stdp.low), stdp.high)

    def moment(self, t: float, inputs: list[int]) -> list[int]:
        """All that happens at t; who fires."""
        self.go_to(t)
        n, stdp = self.neuron, self.stdp
        open_ = [t - last > n.refractory - 1e-9 for last in self.last]
        for j in inputs:
            for k in range(NEURONS):
                self.membrane[k] += self.weight[k][j] if open_[k] else 0.0
        for j in inputs:
            self.pre[j].append(t)
            for k in range(NEURONS):
                self.change(k, j, -stdp.depression * self.trace(self.post[k], stdp.tau_minus))
        fired = [
            k for k in range(NEURONS) if open_[k] and self.membrane[k] > n.threshold + self.theta[k]
        ]
        for k in range(NEURONS):
            if k in fired:
                for j in range(INPUTS):
                    self.change(k, j, stdp.potentiation * self.trace(self.pre[j], stdp.tau_plus))
                self.membrane[k] = n.reset
                self.theta[k] += n.theta_increase
                self.last[k] = t
                self.post[k].append(t)
            elif open_[k]:
                self.membrane[k] -= self.inhibition * len(fired)
        return fired

    def run(self, events: Events, b: int, duration: float) -> list[tuple[float, int]]:
        part = slice(int(events.offsets[b]), int(events.offsets[b + 1]))
        times, source = events.times[part].tolist(), events.source[part].tolist()
        found = []
        for t in sorted(set(times)):
            inputs = [j for time, j in zip(times, source, strict=True) if time == t]
            found += [(t, k) for k in self.moment(t, inputs)]
        self.go_to(duration)
        return found


def spikes_of(events: Events) -> list[list[tuple[float, int]]]:
    found: list[list[tuple[float, int]]] = [[] for _ in range(events.networks)]
    rows = (network_of(events).tolist(), events.times.tolist(), events.source.tolist())
    for b, t, k in zip(*rows, strict=True):
        found[b].append((t, k))
    return found


@dataclass(frozen=True)
class Case:
    neuron: LIF = NEURON
    stdp: PairSTDP = ADDITIVE
    inhibition: float = 0.1


CASES = [
    Case(),
    Case(stdp=SOFT),
    Case(inhibition=0.0),
    Case(LIF(tau=0.02), inhibition=0.3),
    Case(LIF(tau=0.01, refractory=0.03, theta_increase=0.2, theta_tau=0.01), SOFT),
    Case(LIF(tau=inf, threshold=3.0), PairSTDP(0.3, 0.3)),
]


def layer_of(case: Case) -> STDPLayer:
    return make(case.neuron, case.stdp, case.inhibition)


def assert_same(layer: STDPLayer, naive: Naive, state: Any, b: int) -> None:
    def check(tensor: Tensor, expected: Any) -> None:
        wanted = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(tensor[b], wanted, rtol=1e-9, atol=1e-11)

    check(state.synapses.weight, naive.weight)
    check(state.neurons.membrane, naive.membrane)
    check(state.neurons.theta, naive.theta)
    remaining = [naive.last[k] + naive.neuron.refractory - naive.now for k in range(NEURONS)]
    check(state.neurons.refractory, [max(r, 0.0) for r in remaining])
    stdp = naive.stdp
    check(state.traces.pre, [naive.trace(spikes, stdp.tau_plus) for spikes in naive.pre])
    check(state.traces.post, [naive.trace(spikes, stdp.tau_minus) for spikes in naive.post])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("grid", [True, False])
def test_event_engine_equals_a_loop_over_spikes(case: Case, grid: bool) -> None:
    layer = layer_of(case)
    events = (
        from_raster(raster_of(1), DT)
        if grid
        else poisson(torch.full((NETWORKS, INPUTS), 70.0), 0.119, generator(1))
    )
    found, state = layer.respond(events, 0.12)
    assert len(found.times) > 10 and state.time == 0.12
    for b in range(NETWORKS):
        naive = Naive(layer, b)
        assert spikes_of(found)[b] == naive.run(events, b, 0.12)
        assert_same(layer, naive, state, b)


@pytest.mark.parametrize("case", CASES)
def test_clocked_engine_equals_a_loop_over_spikes(case: Case) -> None:
    layer, raster = layer_of(case), raster_of(2)
    spikes, state = layer(raster)
    assert spikes.sum() > 10
    for b in range(NETWORKS):
        naive = Naive(layer, b)
        found = naive.run(from_raster(raster, DT), b, 0.12)
        steps = spikes[:, b].nonzero().tolist()
        assert [(round(t / DT), k) for t, k in found] == [(t, k) for t, k in steps]
        assert_same(layer, naive, state, b)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    refractory=st.sampled_from([0.0, 0.001, 0.005, 0.0075]),
    inhibition=st.floats(0, 1),
    theta_increase=st.floats(0, 0.3),
    soft=st.booleans(),
    rate=st.floats(1, 300),
)
def test_engines_agree(
    seed: int,
    refractory: float,
    inhibition: float,
    theta_increase: float,
    soft: bool,
    rate: float,
) -> None:
    """Same spikes, same state, when spikes lie on the grid; from any state on."""
    neuron = LIF(0.03, 0.8, -0.2, -0.1, refractory, theta_increase, 0.2)
    layer = make(neuron, SOFT if soft else ADDITIVE, inhibition, generator=generator(seed))
    first, second = raster_of(seed, 40, rate), raster_of(seed + 1, 40, rate)
    spikes, state = layer(first)
    events, other = layer.respond(from_raster(first, DT), 0.04)
    assert torch.equal(to_raster(events, NEURONS, DT, 40), spikes)
    # From one engine's state with the other.
    again, state_after = layer(second, other)
    events, other_after = layer.respond(from_raster(second, DT), 0.04, state)
    assert torch.equal(to_raster(events, NEURONS, DT, 40), again)
    torch.testing.assert_close(state_after, other_after, rtol=1e-9, atol=1e-11)


def test_engines_agree_in_single_precision() -> None:
    layer = make(dtype=torch.float32)
    raster = raster_of(3, steps=300)
    spikes, state = layer(raster)
    events, other = layer.respond(from_raster(raster, DT), 0.3)
    assert spikes.sum() > 100 and torch.equal(to_raster(events, NEURONS, DT, 300), spikes)
    torch.testing.assert_close(state.synapses, other.synapses, rtol=0, atol=1e-5)
    assert other.synapses.weight.dtype == torch.float32


@pytest.mark.parametrize("events", [True, False])
def test_going_on_from_a_state_is_going_on(events: bool) -> None:
    layer, raster = make(), raster_of(4)

    def run(part: Tensor, state: Any = None) -> Any:
        if not events:
            return layer(part, state)
        found, state = layer.respond(from_raster(part, DT), len(part) * DT, state)
        return to_raster(found, NEURONS, DT, len(part)), state

    whole, last = run(raster)
    first, state = run(raster[:50])
    kept = state.synapses.weight.clone()
    second, end = run(raster[50:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last, rtol=1e-9, atol=1e-11)
    assert torch.equal(state.synapses.weight, kept)  # states are left alone


def test_long_silence_leaves_nothing() -> None:
    """Traces that start anew after long pauses, and none that lingers."""
    layer = make()
    times = torch.tensor([0.0, 0.001, 1.0, 100.0, 100.002, 5000.0], dtype=torch.float64)
    source = torch.tensor([0, 1, 2, 0, 1, 3])
    offsets = torch.tensor([0, 6, 6, 6])
    events = Events(times, source, offsets)
    _, state = layer.respond(events, 5000.001)
    naive = Naive(layer, 0)
    naive.run(events, 0, 5000.001)
    assert_same(layer, naive, state, 0)
    _, quiet = layer.respond(Events(times[:0], source[:0], torch.zeros(4).long()), 1e4, state)
    assert not any(trace.any() for trace in quiet.traces)
    assert torch.equal(quiet.synapses.weight, state.synapses.weight)
    assert torch.equal(quiet.neurons.membrane, torch.full_like(quiet.neurons.membrane, NEURON.rest))


def test_networks_are_independent() -> None:
    layer, raster = make(), raster_of(5)
    _, together = layer(raster)
    alone = make(networks=1)
    alone.weight.copy_(layer.weight[1:2])
    spikes, state = alone.respond(from_raster(raster[:, 1:2], DT), 0.12)
    assert spikes.networks == 1
    torch.testing.assert_close(state.synapses.weight[0], together.synapses.weight[1])


def test_eval_mode_leaves_weights_and_thresholds() -> None:
    layer, raster = make(), raster_of(6)
    _, learned = layer(raster)
    layer.eval()
    spikes, clocked = layer(raster, learned)
    events, driven = layer.respond(from_raster(raster, DT), 0.12, learned)
    assert spikes.sum() > 10 and torch.equal(to_raster(events, NEURONS, DT, 120), spikes)
    for state in (clocked, driven):
        assert torch.equal(state.synapses.weight, learned.synapses.weight)
        assert torch.equal(state.neurons.theta, learned.neurons.theta)


def test_keep_is_where_later_states_begin() -> None:
    layer = make()
    _, state = layer(raster_of(7))
    layer.keep(state)
    other = make()
    other.load_state_dict(layer.state_dict())
    first = other.initial_state()
    assert torch.equal(first.synapses.weight, state.synapses.weight)
    assert torch.equal(first.neurons.theta, state.neurons.theta) and not first.traces.pre.any()


def test_present_is_responding_to_what_it_draws() -> None:
    layer = make()
    rates = 300 * torch.rand(2, NETWORKS, INPUTS, generator=generator(8))
    found, state = layer.present(rates, 0.1, generator=generator(9))
    seeds = torch.randint(2**62, (2, NETWORKS), generator=generator(9))
    chances = (rates.double() * DT).numpy()
    expected: list[list[tuple[float, int]]] = [[] for _ in range(NETWORKS)]
    other = None
    for s in range(2):
        drawn = [draw(chances, s, b, 100, DT, int(seeds[s, b])) for b in range(NETWORKS)]
        times, source = (
            torch.from_numpy(np.concatenate(part)) for part in zip(*drawn, strict=True)
        )
        offsets = torch.tensor([0] + [len(part[0]) for part in drawn]).cumsum(0)
        spikes, other = layer.respond(Events(times, source, offsets), 0.1, other)
        for b, row in enumerate(spikes_of(spikes)):
            expected[b] += [(t + s * 0.1, k) for t, k in row]
    assert spikes_of(found) == expected
    assert other is not None
    torch.testing.assert_close(state, other)


def test_drawn_spikes_are_independent_coin_flips() -> None:
    """Counts in steps and of inputs within confidence limits, as are pairs of successive steps."""
    chances, steps = np.array([[[0.0, 1.0, 0.3, 0.007, 0.95]]]), 20_000
    times, source = draw(chances, 0, 0, steps, DT, 12345)
    assert np.all(np.diff(times) >= 0) and times[-1] < steps * DT
    step = np.rint(times / DT).astype(int)
    raster = np.zeros((steps, 5), bool)
    raster[step, source] = True
    assert raster.sum() == len(times)  # at most one spike in a step
    assert not raster[:, 0].any() and raster[:, 1].all()
    for j in (2, 3, 4):
        p = chances[0, 0, j]
        for hits, chance in (
            (raster[:, j], p),
            (raster[:-1, j] & raster[1:, j], p * p),
            (raster[: steps // 2, j], p),
            (raster[:, j] & raster[:, 2], p * 0.3 if j != 2 else p),
        ):
            error = sqrt(3 * chance * (1 - chance) / len(hits))  # neighbors share a step
            assert abs(hits.mean() - chance) < LIMIT * error
    again, _ = draw(chances, 0, 0, steps, DT, 12345)
    other, _ = draw(chances, 0, 0, steps, DT, 12346)
    assert np.array_equal(times, again) and not np.array_equal(times[:999], other[:999])


def test_nobody_spikes_at_rate_zero() -> None:
    found, state = make().present(torch.zeros(2, NETWORKS, INPUTS), 0.05)
    assert len(found.times) == 0 and state.time == pytest.approx(0.1)
    assert torch.equal(state.synapses.weight, make().weight)


@dataclass(frozen=True)
class Watched:
    """Ideal synapses that write down what they are asked."""

    ideal: IdealSynapses
    calls: list[tuple[str, float]]

    def initial(self, weight: Tensor) -> Any:
        return self.ideal.initial(weight)

    def read(self, state: Any, time: float, generator: torch.Generator | None = None) -> Tensor:
        self.calls.append(("read", time))
        return self.ideal.read(state, time)

    def program(
        self, state: Any, delta: Tensor, time: float, generator: torch.Generator | None = None
    ) -> Any:
        self.calls.append(("program", time))
        return self.ideal.program(state, delta, time)


def test_any_synapses_can_be_used_by_the_clock() -> None:
    watched = Watched(IdealSynapses(), [])
    layer, raster = make(synapses=watched), raster_of(10)
    spikes, state = layer(raster)
    expected, same = make()(raster)
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(state, same)
    times = sorted({time for _, time in watched.calls})
    assert times == pytest.approx([step * DT for step in range(120)])
    for time in times:
        kinds = [kind for kind, when in watched.calls if when == time]
        assert kinds in (["read", "program"], ["read", "program"] * 2)
    layer.eval()
    watched.calls.clear()
    layer(raster)
    assert {kind for kind, _ in watched.calls} == {"read"}


def test_memristive_synapses_learn_in_the_mean_as_ideal_ones() -> None:
    """Noise of pulses is averaged over networks; drift is switched off."""
    memristive = PhaseChangeSynapses(drift=0.0, read_noise=0.0, writing_noise=0.0)
    neuron, rule = LIF(threshold=1e3), PairSTDP(0.0, 0.0)
    layer = STDPLayer(3, 2, neuron, rule, networks=20, synapses=memristive)
    layer.weight.fill_(0.5)
    found, state = layer.present(torch.full((1, 20, 3), 100.0), 0.05, generator=generator(0))
    assert len(found.times) == 0 and state.time == pytest.approx(0.05)
    torch.testing.assert_close(memristive.read(state.synapses, state.time), layer.weight)
    lively = STDPLayer(
        3, 2, LIF(threshold=0.6), PairSTDP(0.02, 0.0), networks=200, synapses=memristive
    )
    lively.weight.fill_(0.5)
    raster = torch.rand(60, 200, 3, generator=generator(1)) < 0.1
    random = generator(2)
    _, state = lively(raster, generator=random)
    ideal = STDPLayer(3, 2, LIF(threshold=0.6), PairSTDP(0.02, 0.0), networks=200)
    ideal.weight.fill_(0.5)
    _, expected = ideal(raster)
    grown = memristive.read(state.synapses, state.time) - 0.5
    wanted = expected.synapses.weight - 0.5
    assert float(wanted.mean()) > 0.05
    assert float(grown.mean()) == pytest.approx(float(wanted.mean()), rel=0.3)


@pytest.mark.parametrize(("potentiation", "depression"), [(0.9, 0.0), (0.9, 0.5), (0.1, 0.9)])
def test_weights_never_leave_their_bounds(potentiation: float, depression: float) -> None:
    layer = make(stdp=PairSTDP(potentiation, depression, low=-0.1, high=0.4), inhibition=0.0)
    state = None
    for step in range(10):
        rates = torch.full((1, NETWORKS, INPUTS), 200.0)
        _, state = layer.present(rates, 0.02, state, generator(step))
        smallest, largest = state.synapses.weight.aminmax()
        assert -0.1 <= float(smallest) < float(largest) <= 0.4


def test_a_step_longer_than_a_time_constant_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"dt is 0\.03 s, more than tau of 0\.02 s"):
        make(stdp=PairSTDP(tau_plus=0.05, tau_minus=0.05), dt=0.03)
    with pytest.warns(UserWarning, match=r"more than tau_minus of 0\.025 s"):
        make(LIF(tau=1.0), PairSTDP(tau_plus=1.0, tau_minus=0.025), dt=0.03)


def outside(layer: STDPLayer, value: float) -> Any:
    state = layer.initial_state()
    weight = state.synapses.weight.clone()
    weight[0, 0, 0] = value
    return state._replace(synapses=IdealState(weight))


EVENTS = from_raster(raster_of(1), DT)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make(inhibition=-1.0), r"inhibition is -1\.0; expected 0 or more"),
        (lambda: make(networks=0), "networks is 0"),
        (lambda: make(dt=0.0), "dt is 0"),
        (
            lambda: make(synapses=IdealSynapses(0.0, 2.0)),
            r"expected the bounds of stdp, .*high=1\.0",
        ),
        (
            lambda: make()(torch.zeros(5, 2, INPUTS)),
            r"x has shape \(5, 2, 12\); expected \(T, 3, 12\)",
        ),
        (lambda: make()(torch.zeros(0, NETWORKS, INPUTS)), r"x has shape \(0, 3, 12\)"),
        (lambda: make()(torch.full((2, NETWORKS, INPUTS), 0.5)), "x holds other numbers"),
        (lambda: make()(torch.full((2, NETWORKS, INPUTS), nan)), "x holds other numbers"),
        (
            lambda: make()(raster_of(0), make(networks=1).initial_state()),
            r"membrane of state is \[1, 5\]; expected \[3, 5\]",
        ),
        (
            lambda: make()(raster_of(0), outside(make(), 1.5)),
            r"weight holds 1\.5; expected 0\.0 to 1",
        ),
        (lambda: make().respond(EVENTS, 0.12, outside(make(), nan)), "weight holds NaN"),
        (lambda: make().respond(EVENTS, inf), "duration is inf"),
        (
            lambda: make().present(torch.ones(1, NETWORKS, INPUTS), 1e300),
            r"duration is 1e\+300 s; expected less than 2147483648 steps of 0\.001 s",
        ),
        (
            lambda: make().respond(EVENTS, 0.12, make().initial_state()._replace(time=nan)),
            "time of state is nan; expected a finite one",
        ),
        (lambda: make().half().respond(EVENTS, 0.12), "weight is torch.float16; expected torch.f"),
        (
            lambda: make(inhibition=1e300, dtype=torch.float32).respond(EVENTS, 0.12),
            r"inhibition is 1e\+300; expected at most 3\.4e\+38",
        ),
        (
            lambda: make().respond(EVENTS, 0.1),
            r"events go on until 0\.1.*; expected less than the du",
        ),
        (lambda: make().respond(EVENTS, 0.0), "duration is 0"),
        (lambda: make(networks=1).respond(EVENTS, 0.12), "events are of 3 networks; expected 1"),
        (
            lambda: make().respond(Events(EVENTS.times.flip(0), *EVENTS[1:]), 0.12),
            "times fall from",
        ),
        (
            lambda: make().respond(EVENTS._replace(source=EVENTS.source + 1), 0.12),
            "source goes from 1 to 12",
        ),
        (
            lambda: make(synapses=PhaseChangeSynapses()).respond(EVENTS, 0.12),
            "synapses are PhaseChangeSynapses on cpu; expected ideal ones",
        ),
        (lambda: make().present(torch.zeros(NETWORKS, INPUTS), 0.1), r"rates have shape \(3, 12\)"),
        (lambda: make().present(-torch.ones(1, NETWORKS, INPUTS), 0.1), r"rates hold -1\.0 Hz"),
        (lambda: make().present(torch.full((1, NETWORKS, INPUTS), nan), 0.1), "rates hold nan Hz"),
        (
            lambda: make().present(torch.full((1, NETWORKS, INPUTS), 1001.0), 0.1),
            r"rates hold 1001\.0 Hz; expected 0 to one spike per dt of 0\.001 s",
        ),
        (lambda: make().present(torch.ones(1, NETWORKS, INPUTS), -0.1), "duration is -0.1"),
    ],
)
def test_bad_input(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"membrane": nan}, "membrane holds NaN; expected finite values"),
        ({"theta": inf}, "theta holds inf; expected finite values"),
        ({"refractory": -0.1}, r"refractory goes from -0\.1 to 0\.0; expected 0 or more"),
        ({"pre": nan}, "pre holds NaN"),
        ({"post": -1.0}, r"post goes from -1\.0"),
        ({"theta": torch.zeros(3, 4)}, r"theta of state is \[3, 4\]; expected \[3, 5\]"),
        ({"refractory": torch.zeros(3, 1)}, r"refractory of state is \[3, 1\]"),
        ({"refractory": torch.zeros(3, 5)}, "refractory is torch.float32; expected torch.float64"),
        ({"pre": torch.zeros(3, 2)}, r"pre of state is \[3, 2\]; expected \[3, 12\]"),
        ({"post": torch.zeros(1, 5)}, r"post of state is \[1, 5\]"),
    ],
)
def test_states_that_are_not_of_the_layer(change: dict[str, Any], words: str) -> None:
    state = make().initial_state()
    for part in (*state.neurons, *state.traces):
        part.zero_()
    for name, value in change.items():
        of = "traces" if name in ("pre", "post") else "neurons"
        old = getattr(state, of)
        if isinstance(value, float):
            getattr(old, name)[0, 0] = value
        else:
            state = state._replace(**{of: old._replace(**{name: value})})
    with pytest.raises(InputError, match=words):
        make().respond(EVENTS, 0.12, state)
    with pytest.raises(InputError, match=words):
        make().present(torch.ones(1, NETWORKS, INPUTS), 0.1, state)


def test_thresholds_that_are_no_numbers() -> None:
    layer = make()
    layer.load_state_dict(layer.state_dict() | {"theta": torch.full((NETWORKS, NEURONS), nan)})
    with pytest.raises(InputError, match="theta holds NaN"):
        layer.respond(EVENTS, 0.12)


def test_kernels_count_the_neurons_that_fire() -> None:
    """Room is made for as many: a NaN is above no threshold, however it is compared."""
    layer = make(networks=1)
    tensors = _copied(layer.initial_state(), layer.circuit)
    arrays, constants = _arguments(tensors, layer.circuit)
    arrays.membrane[0, :3], arrays.refractory[0, 3:] = nan, nan
    found = _fire(0, 0.0, 0.0, 0, arrays, constants, 0.1, (np.empty(9), np.empty(9, np.int64), 0))
    assert found[2] == 0


def test_kept_weights_out_of_bounds() -> None:
    layer = make()
    layer.weight[0, 0, 0] = -0.5
    with pytest.raises(InputError, match=r"weight holds -0\.5"):
        layer(raster_of(0))
