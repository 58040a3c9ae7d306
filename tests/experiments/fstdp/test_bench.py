"""The peer computes the same as ours, and the rows are written."""

import json
from pathlib import Path

import pytest
import torch

import plastorch.experiments.fstdp.bench as spiking
from plastorch.bench import run_group
from plastorch.bench.peers import peer as peer_of
from plastorch.experiments.fstdp.bench import (
    SIZES,
    SpikingSize,
    fatigue_row,
    layers_agree,
    measure,
    neurons_agree,
    new_layer,
    rates_of,
)
from plastorch.spiking import FatiguingSTDP, from_raster, to_raster
from plastorch.spiking.encode import poisson

TINY = (SpikingSize("stdp-tiny-b1", 7, 1, 2, 2), SpikingSize("stdp-tiny-b3", 7, 3, 1, 2))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def rates() -> torch.Tensor:
    return rates_of(torch.rand(6, 1, 5, 8, generator=generator(0)))


def test_file_of_a_tiny_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rates: torch.Tensor
) -> None:
    monkeypatch.setattr(spiking, "rows", lambda: ({"name": "noise"}, measure(rates, TINY)))
    out, told = tmp_path / "bench.json", []
    run_group("spiking", out, told.append)
    contents = json.loads(out.read_text())
    assert [row["name"] for row in contents["rows"]] == [size.name for size in TINY]
    for row in contents["rows"]:
        assert row["equal"] and row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"], 1e-3)
    # What is gone is flushed to zero in the timings only.
    assert float(torch.tensor(1e-40) * 1.0) > 0


@pytest.mark.parametrize("samples", [1, 4])
def test_peer_is_the_same_network(samples: int) -> None:
    """Same output spikes and weights, given the same input: the layer at its full size."""
    layer = new_layer(784, 100)
    rates = rates_of(torch.rand(samples, 784, generator=generator(1)))
    raster = torch.rand(350, samples, 784, generator=generator(2)) < rates * 1e-3
    peer, step = peer_of("fstdp").PeerLayer(layer, samples), layer.learn(raster)
    spikes = peer.run(raster.float())
    assert int(spikes.sum()) > 20 * samples
    assert torch.equal(step.output, spikes)
    learned = layer.weight + step.updates["weight"]
    torch.testing.assert_close(learned, peer.weight.mean(dim=0), rtol=0, atol=1e-5)
    assert (peer.weight - layer.weight).abs().max() > 0.01
    membrane, theta, post = peer.decaying
    for theirs, ours in (
        (membrane, step.state.neurons.membrane),
        (theta, step.state.neurons.theta),
        (post, step.state.traces.post),
        (peer.pre[:, 0], step.state.traces.pre),
    ):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_a_difference_of_layers_is_noticed(
    rates: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, other = new_layer(40, 7), new_layer(40, 7)
    assert layers_agree(layer, rates[:2])
    other.weight[3, 5] += 0.01
    theirs = peer_of("fstdp").PeerLayer(other, 2)
    monkeypatch.setattr(peer_of("fstdp"), "PeerLayer", lambda *_: theirs)
    assert not layers_agree(layer, rates[:2])


def test_row_of_a_fatiguing_neuron() -> None:
    row = fatigue_row(duration=2.0, rounds=2)
    assert row["name"] == "fstdp-200" and row["equal"] is True
    assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"], abs=1e-3)
    assert row["ratio"] > 5


def test_a_difference_of_neurons_is_noticed() -> None:
    rule = FatiguingSTDP(initial_theta=2.0)
    grid = to_raster(poisson(torch.full((1, 200), 20.0), 1.0, generator(0)), 200, 1e-3, 1000)
    on_grid = from_raster(grid, 1e-3)
    assert neurons_agree(on_grid, grid[:, 0], rule, 1.0)
    other = grid[:, 0].clone()
    other[100:120] = False
    assert not neurons_agree(on_grid, other, rule, 1.0)
    weight, fired = peer_of("fstdp").dense_loop(grid[:, 0].float(), rule, 1e-3)
    assert weight.dtype == torch.float32 and len(fired) > 3


def test_both_sides_see_the_same_amount_of_input(rates: torch.Tensor) -> None:
    assert float(rates.sum(dim=1).mean()) == pytest.approx(7000.0)
    assert [(size.name, size.neurons, size.samples) for size in SIZES] == [
        ("stdp-784x100-b1", 100, 1),
        ("stdp-784x100-b32", 100, 32),
    ]
