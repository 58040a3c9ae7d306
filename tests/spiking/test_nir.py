"""Networks to NIR and back, in memory and by file, and what NIR can't say."""

import sys
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from plastorch import learn
from plastorch.engine.errors import InputError
from plastorch.spiking import FatiguingNeuron, from_raster, to_raster
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.nir import from_nir, to_nir
from plastorch.spiking.stdp import PairSTDP

nir = pytest.importorskip("nir", reason="NIR, an extra, is not installed")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


NEURON = LIF(tau=0.03, threshold=0.7, reset=-0.2, rest=0.1)


def layer_of(inputs: int, neurons: int, neuron: LIF = NEURON, **more: Any) -> STDPLayer:
    layer = STDPLayer(inputs, neurons, neuron=neuron, generator=generator(inputs), **more)
    return layer.eval()


def stack(dtype: torch.dtype = torch.float32) -> list[STDPLayer]:
    """Two layers, the first with thresholds that have adapted."""
    first = layer_of(6, 4, dtype=dtype)
    first.theta.copy_(torch.tensor([0.0, 0.25, 0.5, 0.125]))
    return [first, layer_of(4, 3, LIF(tau=0.01, threshold=0.2), dtype=dtype)]


def through(layers: list[STDPLayer], raster: Tensor) -> Tensor:
    for layer in layers:
        raster, _ = layer(raster.to(torch.bool))
    return raster


def assert_same(layers: list[STDPLayer], others: list[STDPLayer]) -> None:
    for one, other in zip(layers, others, strict=True):
        assert torch.equal(one.weight, other.weight) and one.weight.dtype == other.weight.dtype
        assert torch.equal(one.theta, other.theta) and not other.training
        for field in ("tau", "threshold", "reset", "rest"):
            assert getattr(one.circuit.neuron, field) == getattr(other.circuit.neuron, field)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(dtype: torch.dtype, tmp_path: Path) -> None:
    layers = stack(dtype)
    graph = to_nir(layers)
    assert_same(layers, from_nir(graph))
    nir.write(tmp_path / "graph.nir", graph)
    read = from_nir(nir.read(tmp_path / "graph.nir"))
    assert_same(layers, read)
    raster = torch.rand(200, 1, 6, generator=generator(0)) < 0.2
    spikes = through(layers, raster)
    assert spikes.sum() > 10 and torch.equal(through(read, raster), spikes)


def test_graph_of_a_graph_is_the_same() -> None:
    graph = to_nir(stack())
    again = to_nir(from_nir(graph))
    assert graph.edges == again.edges and list(graph.nodes) == list(again.nodes)
    for name, node in graph.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, getattr(again.nodes[name], field))


def test_node_means_what_our_neuron_does() -> None:
    """NIR's equation, tau dv/dt = v_leak - v + r I, by many small steps of Euler; a spike is a
    current of area w."""
    layer = layer_of(1, 1)
    layer.weight.fill_(0.55)
    node = to_nir(layer).nodes["lif"]
    weight = float(to_nir(layer).nodes["linear"].weight[0, 0])
    spikes = {0.001, 0.01, 0.02, 0.04, 0.042}
    tau, r, leak, threshold, reset = (
        float(getattr(node, name)[0]) for name in ("tau", "r", "v_leak", "v_threshold", "v_reset")
    )
    membrane, fired, small = leak, [], 1e-5
    for step in range(6000):
        current = weight / small if any(abs(step * small - t) < small / 2 for t in spikes) else 0
        membrane += small / tau * (leak - membrane + r * current)
        if membrane > threshold:
            fired.append(step * small)
            membrane = reset
    raster = torch.zeros(60, 1, 1)
    raster[[round(t * 1000) for t in spikes]] = 1.0
    output, state = layer(raster)
    assert (output.nonzero()[:, 0] * 1e-3).tolist() == pytest.approx(fired, abs=2e-5)
    assert len(fired) == 2
    assert float(state.neurons.membrane) == pytest.approx(membrane, abs=1e-3)


def test_a_single_layer_and_other_resistances() -> None:
    """Foreign graphs: the jump of the membrane is w r / tau."""
    weight = np.array([[0.5, 1.0], [2.0, -1.0]], np.float32)
    each = np.ones(2)
    neurons = nir.LIF(tau=0.02 * each, r=0.01 * each, v_leak=0 * each, v_threshold=1 * each)
    (layer,) = from_nir(nir.NIRGraph.from_list(nir.Affine(weight, np.zeros(2)), neurons))
    assert torch.equal(layer.weight, torch.from_numpy(weight / 2))
    assert layer.circuit.rule.low == -0.5 and layer.circuit.rule.high == 1.0
    raster = torch.rand(50, 1, 2, generator=generator(1)) < 0.5
    events, _ = layer.respond(from_raster(raster, 1e-3), 0.05)
    assert torch.equal(to_raster(events, 2, 1e-3, 50), layer(raster)[0])


def test_half_precision_goes_out_in_single() -> None:
    layers = stack(torch.bfloat16)
    for layer, again in zip(layers, from_nir(to_nir(layers)), strict=True):
        assert torch.equal(layer.weight.float(), again.weight)


def test_reading_draws_no_random_numbers() -> None:
    graph, before = to_nir(stack()), torch.get_rng_state()
    from_nir(graph)
    assert torch.equal(torch.get_rng_state(), before)


def test_learned_weights_go_out() -> None:
    neuron = LIF(threshold=0.5, theta_increase=0.1)
    layer = STDPLayer(6, 4, neuron=neuron, generator=generator(2))
    before = layer.weight.clone()
    learn(layer, torch.rand(100, 1, 6, generator=generator(3)) < 0.2)
    torch.optim.SGD(layer.parameters(), lr=1.0).step()
    graph = to_nir(layer.eval())
    assert not torch.equal(layer.weight, before) and layer.theta.max() > 0
    np.testing.assert_array_equal(graph.nodes["linear"].weight, layer.weight)
    np.testing.assert_array_equal(graph.nodes["lif"].v_threshold, 0.5 + layer.theta.double())


def test_weights_beyond_the_bounds_go_out_as_they_are_used() -> None:
    layer, x = layer_of(3, 2, LIF(threshold=1.5)), torch.eye(3)[None]
    layer.weight.fill_(2.0)
    assert torch.equal(through(from_nir(to_nir(layer)), x), through([layer], x))


def chain(*nodes: Any) -> Any:
    return nir.NIRGraph.from_list(*nodes)


def linear(neurons: int = 2, inputs: int = 2) -> Any:
    return nir.Linear(np.ones((neurons, inputs), np.float32))


def lif(**more: Any) -> Any:
    each = np.ones(2)
    fields = {"tau": 0.02 * each, "r": 0.02 * each, "v_leak": 0 * each, "v_threshold": each}
    return nir.LIF(**(fields | more))


def branched() -> Any:
    graph = chain(linear(), lif())
    return nir.NIRGraph(graph.nodes, [*graph.edges, ("lif", "linear")])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: to_nir([]), "layers are none"),
        (lambda: to_nir(FatiguingNeuron(5)), "layer 0 is a FatiguingNeuron; expected an STDPLayer"),
        (lambda: to_nir([torch.nn.Linear(3, 4)]), "layer 0 is a Linear"),
        (lambda: to_nir(STDPLayer(2, 2)), "layer 0 learns; expected eval mode"),
        (
            lambda: to_nir([layer_of(2, 2), layer_of(2, 2, LIF(refractory=0.005))]),
            r"layer 1 is refractory for 0\.005 s",
        ),
        (lambda: to_nir(layer_of(2, 2, inhibition=0.5)), "layer 0 has an inhibition of 0.5"),
        (lambda: to_nir(layer_of(2, 2, LIF(tau=inf))), "layer 0 has a tau of inf s; expected a fi"),
        (lambda: to_nir([layer_of(2, 3), layer_of(4, 2)]), "layer 1 has 4 inputs; expected 3"),
        (lambda: from_nir(chain(linear())), "graph has 1 nodes; expected weights and LIF in turn"),
        (
            lambda: from_nir(chain(lif(), linear())),
            "node 'lif' is a LIF; expected Linear or Affine",
        ),
        (lambda: from_nir(chain(linear(), linear())), "node 'linear_1' is a Linear; expected LIF"),
        (lambda: from_nir(branched()), "graph has branches or loops"),
        (
            lambda: from_nir(chain(nir.Affine(np.ones((2, 2)), np.ones(2)), lif())),
            "node 'affine' has a bias",
        ),
        (
            lambda: from_nir(chain(linear(), lif(tau=np.array([0.02, 0.03])))),
            r"tau of node 'lif' goes from 0\.02 to 0\.03; expected one value",
        ),
        (
            lambda: from_nir(chain(linear(), lif(v_leak=np.array([2.0, 2.0])))),
            r"rest is 2\.0; expected less than the threshold",
        ),
    ],
)
def test_what_can_not_be_said(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(
        InputError, match=r'nir is missing; expected: pip install "plastorch\[nir\]"'
    ):
        to_nir(layer_of(2, 2))
    with pytest.raises(InputError, match="nir is missing"):
        from_nir(None)


def test_bounds_let_it_learn_on() -> None:
    (layer,) = from_nir(to_nir(layer_of(6, 4)))
    layer.circuit = type(layer.circuit)(layer.circuit.neuron, PairSTDP(0.1, 0.0))
    assert layer.learn(torch.ones(50, 1, 6)).updates["weight"].sum() > 0
