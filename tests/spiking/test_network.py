"""The layer: both engines against a loop over single spikes, and against each other."""

from dataclasses import dataclass
from math import exp, inf, nan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from plastorch import learn, set_gradients
from plastorch.engine.errors import InputError
from plastorch.spiking import Events, FatiguingNeuron, FatiguingSTDP, from_raster, to_raster
from plastorch.spiking.encode import bernoulli, poisson
from plastorch.spiking.event_engine import constants_of
from plastorch.spiking.events import network_of
from plastorch.spiking.kernels import LayerArrays, _fire
from plastorch.spiking.layer import SpikingLayer
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.phase_change import PhaseChangeSynapses
from plastorch.spiking.stdp import PairSTDP
from plastorch.spiking.stochastic import ExpLIF
from plastorch.spiking.synapses import IdealSynapses

DT, INPUTS, NEURONS, SAMPLES = 1e-3, 12, 5, 3
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


class Clocked(STDPLayer):
    """Layer that always goes step by step, as on a GPU."""

    def _compiles(self) -> bool:
        return False


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(kind: type[STDPLayer] = STDPLayer, **more: Any) -> STDPLayer:
    settings = {"neuron": NEURON, "rule": ADDITIVE, "inhibition": 0.1, "dtype": torch.float64}
    return kind(INPUTS, NEURONS, **(settings | {"generator": generator(0)} | more))


def raster_of(seed: int, steps: int = 120, rate: float = 60.0, samples: int = SAMPLES) -> Tensor:
    return torch.rand(steps, samples, INPUTS, generator=generator(seed)) < rate * DT


class Naive:
    """One network, spike by spike: traces are sums over the spikes so far."""

    def __init__(self, layer: STDPLayer) -> None:
        self.neuron, self.stdp = layer.circuit.neuron, layer.circuit.rule
        self.inhibition = layer.circuit.inhibition
        self.weight = layer.weight.tolist()
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
                if stdp.norm:
                    scale = stdp.norm / sum(self.weight[k])
                    self.weight[k] = [min(scale * w, stdp.high) for w in self.weight[k]]
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
    Case(stdp=PairSTDP(0.05, 0.0, 0.015, 0.025, norm=2.0)),
    Case(stdp=PairSTDP(0.05, 0.04, 0.015, 0.025, "multiplicative", high=0.5, norm=2.0)),
]


def layer_of(case: Case, kind: type[STDPLayer] = STDPLayer) -> STDPLayer:
    return make(kind, neuron=case.neuron, rule=case.stdp, inhibition=case.inhibition)


def assert_state(naive: Naive, state: Any, b: int) -> None:
    def check(tensor: Tensor, expected: Any) -> None:
        wanted = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(tensor[b], wanted, rtol=1e-9, atol=1e-11)

    check(state.neurons.membrane, naive.membrane)
    check(state.neurons.theta, naive.theta)
    remaining = [naive.last[k] + naive.neuron.refractory - naive.now for k in range(NEURONS)]
    check(state.neurons.refractory, [max(r, 0.0) for r in remaining])
    stdp = naive.stdp
    check(state.traces.pre, [naive.trace(spikes, stdp.tau_plus) for spikes in naive.pre])
    check(state.traces.post, [naive.trace(spikes, stdp.tau_minus) for spikes in naive.post])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["grid", "any time", "clocked"])
def test_update_is_the_mean_change_of_naive_loops_over_spikes(case: Case, kind: str) -> None:
    """Each sample starts from the layer's weights; nothing of the layer changes yet."""
    layer, raster = layer_of(case, Clocked if kind == "clocked" else STDPLayer), raster_of(1)
    before = layer.weight.clone()
    events = from_raster(raster, DT)
    if kind == "any time":
        events = poisson(torch.full((SAMPLES, INPUTS), 70.0), 0.119, generator(1))
        step = layer.learn_events(events, 0.12)
        spikes = spikes_of(step.output)
    else:
        step = layer.learn(raster)
        found = from_raster(step.output, DT)
        spikes = spikes_of(found)
    assert sum(map(len, spikes)) > 10 and step.state.time == pytest.approx(0.12)
    weights, thetas = [], []
    for b in range(SAMPLES):
        naive = Naive(layer)
        assert spikes[b] == [(pytest.approx(t), k) for t, k in naive.run(events, b, 0.12)]
        assert_state(naive, step.state, b)
        weights.append(naive.weight)
        thetas.append(naive.theta)
    changes = {
        "weight": torch.tensor(weights, dtype=torch.float64).mean(dim=0) - before,
        "theta": torch.tensor(thetas, dtype=torch.float64).mean(dim=0),
    }
    torch.testing.assert_close(step.updates, changes, rtol=1e-9, atol=1e-11)
    assert torch.equal(layer.weight, before) and not layer.theta.any()


@pytest.mark.parametrize("kind", [STDPLayer, Clocked])
def test_single_samples_and_a_rate_of_one_are_the_online_rule(kind: type[STDPLayer]) -> None:
    """A sequence in pieces, each learned with a torch optimizer, against one naive loop."""
    layer = make(kind, rule=SOFT)
    naive, raster = Naive(layer), raster_of(2, 300, samples=1)
    optimizer, state = torch.optim.SGD(layer.parameters(), lr=1.0), None
    for piece in raster.split(70):
        step = layer.learn(piece, state)
        change = step.updates["weight"].clone()
        set_gradients(layer, step)
        assert torch.equal(layer.weight.grad, -change)
        optimizer.step()
        state = step.state
    naive.run(from_raster(raster, DT), 0, 0.3)
    wanted = torch.tensor(naive.weight, dtype=torch.float64)
    torch.testing.assert_close(layer.weight.data, wanted, rtol=1e-9, atol=1e-11)
    wanted = torch.tensor(naive.theta, dtype=torch.float64)
    torch.testing.assert_close(layer.theta.data, wanted, rtol=1e-9, atol=1e-11)
    assert_state(naive, state, 0)
    assert (layer.weight - make(rule=SOFT).weight).abs().max() > 0.05


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
    settings = {"neuron": neuron, "rule": SOFT if soft else ADDITIVE, "inhibition": inhibition}
    first, second = raster_of(seed, 40, rate), raster_of(seed + 1, 40, rate)
    one, other = (make(kind, **settings).learn(first) for kind in (STDPLayer, Clocked))
    for state in (one.state, other.state):  # from one engine's state with the other
        driven, clocked = (make(k, **settings).learn(second, state) for k in (STDPLayer, Clocked))
        assert torch.equal(driven.output, clocked.output)
        torch.testing.assert_close(driven.state, clocked.state, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(driven.updates, clocked.updates, rtol=1e-9, atol=1e-11)


def test_engines_agree_in_single_precision() -> None:
    raster = raster_of(3, steps=300)
    one, other = (make(kind, dtype=torch.float32).learn(raster) for kind in (STDPLayer, Clocked))
    assert one.output.sum() > 100 and torch.equal(one.output, other.output)
    torch.testing.assert_close(one.updates, other.updates, rtol=0, atol=1e-5)
    assert one.updates["weight"].dtype == torch.float32


@pytest.mark.parametrize("kind", [STDPLayer, Clocked])
def test_answering_changes_neither_weights_nor_thresholds(kind: type[STDPLayer]) -> None:
    layer, raster = make(kind), raster_of(6)
    layer.theta.fill_(0.05)
    spikes, state = layer(raster)
    assert spikes.sum() > 10 and (state.neurons.theta == 0.05).all()
    rule = PairSTDP(0.0, 0.0)
    still = make(kind, rule=rule, neuron=LIF(0.02, 0.9, -0.1, 0.1, 0.004))
    still.load_state_dict(layer.state_dict())
    assert torch.equal(still.learn(raster).output, spikes)
    first, middle = layer(raster[:50])
    assert torch.equal(torch.cat([first, layer(raster[50:], middle)[0]]), spikes)


def test_events_and_rasters_give_the_same() -> None:
    layer, raster = make(), raster_of(4)
    events, state = layer.respond(from_raster(raster, DT), 0.12)
    spikes, other = layer(raster)
    assert torch.equal(to_raster(events, NEURONS, DT, 120), spikes)
    torch.testing.assert_close(state, other)


class Halves(nn.Module):
    """A layer that sees a raster in two halves within one pass."""

    def __init__(self, layer: SpikingLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        half = len(x) // 2
        first, state = self.layer(x[:half])
        second, _ = self.layer(x[half:], state)
        return torch.cat([first, second])


STILL = PhaseChangeSynapses(drift=0.0, read_noise=0.0, writing_noise=0.0)


@pytest.mark.parametrize(
    "layer",
    [
        make(rule=PairSTDP(0.0, 0.0)),
        make(Clocked, rule=PairSTDP(0.0, 0.0)),
        make(synapses=STILL),
        FatiguingNeuron(INPUTS, rule=FatiguingSTDP(initial_theta=0.5, learning_rate=0.0)),
        FatiguingNeuron(INPUTS, rule=FatiguingSTDP(initial_theta=0.5), synapses=STILL),
    ],
)
def test_two_halves_in_one_pass_are_the_whole(layer: SpikingLayer) -> None:
    raster = raster_of(7)
    torch.manual_seed(0)
    whole = layer.learn(raster)
    torch.manual_seed(0)
    assert torch.equal(learn(Halves(layer), raster), whole.output) and whole.output.any()
    for name, update in whole.updates.items():
        change = -layer.get_parameter(name).grad
        torch.testing.assert_close(change, update, rtol=1e-5, atol=1e-6)
    assert whole.updates["theta"].any()


def test_states_are_left_alone() -> None:
    layer = make()
    state = layer.learn(raster_of(4)).state
    kept = [part.clone() for part in (*state.neurons, *state.traces)]
    layer.learn(raster_of(5), state)
    parts = (*state.neurons, *state.traces)
    assert all(torch.equal(one, other) for one, other in zip(kept, parts, strict=True))


class Coin(nn.Module):
    """Encoder: pixels as rates of random spikes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.rand(40, *x.shape, dtype=x.dtype, device=x.device) < 0.3 * x


def test_learning_behind_an_encoder() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), Coin(), make())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    before, x = net[2].weight.clone(), torch.rand(8, 3, 4)
    torch.manual_seed(1)
    spikes, state = learn(net, x)
    torch.manual_seed(1)
    step = net[2].learn(Coin()(x.flatten(1)))
    assert torch.equal(spikes, step.output) and state.time == pytest.approx(0.04)
    optimizer.step()
    torch.testing.assert_close(net[2].weight.data, before + 0.5 * step.updates["weight"])
    assert {"2.weight", "2.theta"} == net.state_dict().keys()
    net.eval()
    learn(net, x)
    assert net[2].weight.grad is None


@pytest.mark.parametrize("synapses", [None, PhaseChangeSynapses(pairs=2)])
def test_meta_tensors(synapses: Any) -> None:
    """No value is looked at, so no GPU is waited for."""
    with torch.device("meta"):
        layer, x = make(synapses=synapses, generator=None), torch.rand(4, 2, INPUTS)
    spikes, state = learn(layer, x)
    assert spikes.shape == (4, 2, NEURONS) and layer.weight.grad.shape == layer.weight.shape
    assert layer(x, state)[0].is_meta and layer.learn(x, state).updates["theta"].is_meta


@pytest.mark.parametrize("samples", [1, 3])
def test_weights_beyond_the_bounds_count_as_the_bound(samples: int) -> None:
    """They are brought back once in a mini-batch, at a rate of its size."""
    for kind in (STDPLayer, Clocked):
        layer, inside = make(kind), make(kind)
        layer.weight[0] = 1.5
        inside.weight[0] = 1.0
        raster = raster_of(0, samples=samples)
        one, other = layer.learn(raster), inside.learn(raster)
        assert torch.equal(one.output, other.output)
        after = layer.weight + samples * one.updates["weight"]
        torch.testing.assert_close(after, inside.weight + samples * other.updates["weight"])


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plastorch.spiking.event_engine.WORK_PER_THREAD", 1)
    layer, threads = make(), torch.get_num_threads()
    events = poisson(torch.full((7, INPUTS), 70.0), 0.1, generator(1))
    found = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(layer.learn_events(events, 0.1))
    finally:
        torch.set_num_threads(threads)
    assert len(found[0].output.times) > 50
    for step in found[1:]:
        torch.testing.assert_close(step, found[0], rtol=0, atol=0)


def test_normalized_weights_keep_their_sum() -> None:
    """Also when the changes of a mini-batch add up."""
    layer = make(rule=PairSTDP(0.05, 0.0, high=4.0, norm=3.0), inhibition=0.5)
    sums = torch.full((NEURONS,), 3.0, dtype=torch.float64)
    torch.testing.assert_close(layer.weight.sum(dim=1), sums)
    optimizer = torch.optim.SGD(layer.parameters(), lr=4.0)
    before = layer.weight.clone()
    for number in range(5):
        set_gradients(layer, layer.learn(raster_of(number, 60, samples=4)))
        optimizer.step()
    torch.testing.assert_close(layer.weight.sum(dim=1), sums)
    assert (layer.weight - before).abs().max() > 0.1


def test_engines_agree_where_a_mini_batch_has_overshot() -> None:
    """Weights beyond a bound count as the bound, and as scaled to the norm."""
    rule = PairSTDP(0.05, 0.0, high=4.0, norm=3.0)
    layers = [make(kind, rule=rule, inhibition=0.5) for kind in (STDPLayer, Clocked)]
    steps = []
    for layer in layers:
        layer.weight[1, :6] -= 0.4
        layer.weight[2] = 0.1
        steps.append(layer.learn(raster_of(3)))
        sums = (layer.weight + SAMPLES * steps[-1].updates["weight"]).sum(dim=1)
        assert sums[:2].tolist() == pytest.approx([3.0, 3.0])
    assert steps[0].output.any() and torch.equal(steps[0].output, steps[1].output)
    torch.testing.assert_close(steps[0].updates, steps[1].updates)


def test_sizes_that_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"neurons is 100000000: needs about .* GB"):
        STDPLayer(10**8, 10**8)
    layer = make(Clocked)
    monkeypatch.setattr("plastorch.engine.device.memory", lambda: 3 * 8 * 2 * INPUTS * NEURONS)
    layer(raster_of(0, samples=2))
    with pytest.raises(InputError, match="samples is 3 and neurons is 5: needs about"):
        layer(raster_of(0, samples=3))


def test_long_silence_leaves_nothing() -> None:
    """Traces that start anew after long pauses, and none that lingers."""
    layer = make()
    times = torch.tensor([0.0, 0.001, 1.0, 100.0, 100.002, 5000.0], dtype=torch.float64)
    events = Events(times, torch.tensor([0, 1, 2, 0, 1, 3]), torch.tensor([0, 6]))
    step = layer.learn_events(events, 5000.001)
    naive = Naive(layer)
    naive.run(events, 0, 5000.001)
    assert_state(naive, step.state, 0)
    learned = torch.tensor(naive.weight, dtype=torch.float64)
    torch.testing.assert_close(layer.weight + step.updates["weight"], learned)
    none = Events(times[:0], events.source[:0], torch.zeros(2).long())
    quiet = layer.learn_events(none, 1e4, step.state)
    assert not any(trace.any() for trace in quiet.state.traces)
    assert not quiet.updates["weight"].any()
    membrane = quiet.state.neurons.membrane
    assert torch.equal(membrane, torch.full_like(membrane, NEURON.rest))


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
    step, expected = layer.learn(raster), make().learn(raster)
    assert torch.equal(step.output, expected.output)
    torch.testing.assert_close(step.updates, expected.updates)
    times = sorted({time for _, time in watched.calls})
    assert times == pytest.approx([step * DT for step in range(121)])
    kinds = [kind for kind, time in watched.calls if time < 0.1195]
    assert kinds == ["read", "program"] * 240
    watched.calls.clear()
    layer(raster)
    assert {kind for kind, _ in watched.calls} == {"read"}


@pytest.mark.single_precision
def test_memristive_synapses_learn_in_the_mean_as_ideal_ones() -> None:
    """Noise of pulses is averaged over samples; drift is switched off."""
    memristive = PhaseChangeSynapses(drift=0.0, read_noise=0.0, writing_noise=0.0)
    settings: Any = {"neuron": LIF(threshold=0.6), "rule": PairSTDP(0.02, 0.0)}
    lively, ideal = STDPLayer(3, 2, synapses=memristive, **settings), STDPLayer(3, 2, **settings)
    for layer in (lively, ideal):
        layer.weight.fill_(0.5)
    raster = torch.rand(60, 200, 3, generator=generator(1)) < 0.1
    step = lively.learn(raster, generator=generator(2))
    wanted = float(ideal.learn(raster).updates["weight"].mean())
    assert wanted > 0.05
    assert float(step.updates["weight"].mean()) == pytest.approx(wanted, rel=0.3)
    # The state goes on with the devices, and the weights follow them.
    set_gradients(lively, step)
    torch.optim.SGD(lively.parameters(), lr=1.0).step()
    read = memristive.read(step.state.synapses, step.state.time).mean(dim=0)
    torch.testing.assert_close(lively.weight.data, read)
    silent = lively.learn(torch.zeros_like(raster), step.state)
    torch.testing.assert_close(silent.updates["weight"], torch.zeros(2, 3), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("potentiation", "depression"), [(0.9, 0.0), (0.9, 0.5), (0.1, 0.9)])
def test_weights_never_leave_their_bounds(potentiation: float, depression: float) -> None:
    rule = PairSTDP(potentiation, depression, low=-0.1, high=0.4)
    layer = make(rule=rule, inhibition=0.0)
    optimizer, state = torch.optim.SGD(layer.parameters(), lr=1.0), None
    for number in range(10):
        events = bernoulli(torch.full((3, INPUTS), 200.0), 0.02, generator=generator(number))
        step = layer.learn_events(events, 0.02, state)
        set_gradients(layer, step)
        optimizer.step()
        state = step.state
        smallest, largest = layer.weight.aminmax()
        assert -0.1 - 1e-12 <= float(smallest) < float(largest) <= 0.4 + 1e-12


def test_a_step_longer_than_a_time_constant_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"dt is 0\.03 s, more than tau of 0\.02 s"):
        make(rule=PairSTDP(tau_plus=0.05, tau_minus=0.05), dt=0.03)
    with pytest.warns(UserWarning, match=r"more than tau_minus of 0\.025 s"):
        make(neuron=LIF(tau=1.0), rule=PairSTDP(tau_plus=1.0, tau_minus=0.025), dt=0.03)


EVENTS = from_raster(raster_of(1), DT)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make(inhibition=-1.0), r"inhibition is -1\.0; expected 0 or more"),
        (lambda: STDPLayer(0, 3), "in_features is 0"),
        (lambda: make(dt=0.0), "dt is 0"),
        (lambda: PairSTDP(norm=0.0), "norm is 0"),
        (lambda: PairSTDP(norm=1.0, low=-0.1), r"low is -0\.1; expected 0 or more"),
        (
            lambda: make(rule=PairSTDP(norm=12.5)),
            r"norm is 12\.5; expected at most 12, the sum of 12 weights of 1",
        ),
        (
            lambda: make(synapses=IdealSynapses(0.0, 2.0)),
            r"high=2\.0.*; expected the bounds 0 and 1$",
        ),
        (
            lambda: make(synapses=PhaseChangeSynapses(low=-1.0)),
            r"low=-1\.0.*; expected the bounds 0 and 1$",
        ),
        (lambda: make(neuron=ExpLIF()), "neuron is a ExpLIF; expected a LIF"),
        (lambda: make()(raster_of(0).float().to_sparse()), "x is a torch.sparse_coo tensor; exp"),
        (lambda: make()(EVENTS), "x is a Events; expected a dense raster; for events call respond"),
        (lambda: make().respond(raster_of(0), 0.12), "events are a Tensor; expected Events"),
        (lambda: make()(torch.zeros(5, 2, 9)), r"x has shape \(5, 2, 9\); expected \(T, B, 12\)"),
        (lambda: make()(torch.zeros(0, SAMPLES, INPUTS)), r"x has shape \(0, 3, 12\)"),
        (lambda: make()(torch.full((2, SAMPLES, INPUTS), 0.5)), "x holds other numbers"),
        (lambda: make()(torch.full((2, SAMPLES, INPUTS), nan)), "x holds other numbers"),
        (
            lambda: make()(raster_of(0), make().initial_state(1)),
            r"membrane of state is \[1, 5\]; expected \[3, 5\]",
        ),
        (lambda: make().respond(EVENTS, inf), "duration is inf"),
        (
            lambda: make().respond(EVENTS, 0.12, make().initial_state(3)._replace(time=nan)),
            "time of state is nan; expected a finite one",
        ),
        (lambda: make().half().respond(EVENTS, 0.12), "weights are torch.float16 on cpu; expected"),
        (
            lambda: make(inhibition=1e300, dtype=torch.float32).respond(EVENTS, 0.12),
            r"inhibition is 1e\+300; expected at most 3\.4e\+38",
        ),
        (lambda: make().respond(EVENTS, 0.1), r"times go up to 0\.1.*; expected less than the du"),
        (lambda: make().respond(EVENTS, 0.0), "duration is 0"),
        (
            lambda: make().learn_events(Events(EVENTS.times.flip(0), *EVENTS[1:]), 0.12),
            "times fall from",
        ),
        (
            lambda: make().respond(EVENTS._replace(source=EVENTS.source + 1), 0.12),
            "source goes from 1 to 12",
        ),
        (
            lambda: make(synapses=PhaseChangeSynapses()).respond(EVENTS, 0.12),
            "synapses are PhaseChangeSynapses; expected ideal ones",
        ),
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
        ({"refractory": torch.zeros(3, 5)}, "refractory of state is torch.float32; expected"),
        ({"pre": torch.zeros(3, 2)}, r"pre of state is \[3, 2\]; expected \[3, 12\]"),
        ({"post": torch.zeros(1, 5)}, r"post of state is \[1, 5\]"),
    ],
)
def test_states_that_are_not_of_the_layer(change: dict[str, Any], words: str) -> None:
    state = make().initial_state(3)
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


def test_states_of_another_kind() -> None:
    layer, other = make(), make(synapses=PhaseChangeSynapses())
    for one, state, words in (
        (layer, (1, 2), "state is a tuple; expected a STDPState"),
        (layer, torch.ones(3, 5), "state is a Tensor"),
        (layer, other.initial_state(3), "synapses of state are PhaseChangeState; expected those"),
        (other, layer.initial_state(3), "synapses of state are NoneType; expected those of Phase"),
        (
            make(dtype=torch.float32),
            layer.initial_state(3),
            r"membrane of state is torch\.float64; expected torch\.float32",
        ),
    ):
        with pytest.raises(InputError, match=words):
            one(raster_of(0), state)


@pytest.mark.parametrize("name", ["weight", "theta"])
def test_parameters_that_are_no_numbers(name: str) -> None:
    layer = make()
    layer.load_state_dict(layer.state_dict() | {name: torch.full_like(getattr(layer, name), nan)})
    with pytest.raises(InputError, match=f"{name} holds NaN"):
        layer.respond(EVENTS, 0.12)


def test_kernels_count_the_neurons_that_fire() -> None:
    """Room is made for as many: a NaN is above no threshold, however it is compared."""
    layer = make()
    state = layer.initial_state()
    parts = [torch.zeros(INPUTS, NEURONS).double(), *state.neurons, *state.traces]
    arrays = LayerArrays(*(part.numpy() for part in parts))
    constants = constants_of(layer.circuit, layer.weight.dtype)
    arrays.membrane[0, :3], arrays.refractory[0, 3:] = nan, nan
    found = _fire(0, 0.0, 0, arrays, constants, 1.0, (np.empty(9), np.empty(9, np.int64), 0))
    assert found[2] == 0
