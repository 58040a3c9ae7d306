"""The peer computes the same as ours, and the rows are written."""

import json
from pathlib import Path

import pytest
import torch

import plastorch.experiments.fstdp.bench as spiking
from plastorch.bench import run_group
from plastorch.bench.peers import peer as peer_of
from plastorch.engine.device import generator
from plastorch.experiments.fstdp.bench import (
    SIZES,
    Size,
    layers_agree,
    measure,
    new_layer,
    rates_of,
)
from plastorch.spiking import from_raster, to_raster

TINY = (Size("stdp-tiny-b1", 7, 1, 2, 2), Size("stdp-tiny-b3", 7, 3, 1, 2))


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


@pytest.mark.parametrize("networks", [1, 4])
def test_peer_is_the_same_network(networks: int) -> None:
    """Same output spikes and weights, given the same input: the layer at its full size."""
    layer = new_layer(784, 100, networks)
    rates = rates_of(torch.rand(networks, 784, generator=generator(1)))
    raster = torch.rand(350, networks, 784, generator=generator(2)) < rates * 1e-3
    peer = peer_of("fstdp").PeerLayer(layer)
    spikes = peer.run(raster.float())
    events, state = layer.respond(from_raster(raster, 1e-3), 0.35)
    assert int(spikes.sum()) > 20 * networks
    assert torch.equal(to_raster(events, 100, 1e-3, 350), spikes)
    torch.testing.assert_close(state.synapses.weight, peer.weight, rtol=0, atol=1e-5)
    assert (peer.weight - layer.weight).abs().max() > 0.01
    membrane, theta, post = peer.decaying
    for theirs, ours in (
        (membrane, state.neurons.membrane),
        (theta, state.neurons.theta),
        (post, state.traces.post),
        (peer.pre[:, 0], state.traces.pre),
    ):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_a_difference_is_noticed(rates: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = new_layer(40, 7, 2)
    assert layers_agree(layer, rates[:2])
    other = new_layer(40, 7, 2)
    other.weight[1, 3, 5] += 0.01
    theirs = peer_of("fstdp").PeerLayer(other)
    monkeypatch.setattr(peer_of("fstdp"), "PeerLayer", lambda _: theirs)
    assert not layers_agree(layer, rates[:2])


def test_both_sides_see_the_same_amount_of_input(rates: torch.Tensor) -> None:
    assert float(rates.sum(dim=1).mean()) == pytest.approx(7000.0)
    assert [(size.name, size.neurons, size.networks) for size in SIZES] == [
        ("stdp-784x100-b1", 100, 1),
        ("stdp-784x100-b32", 100, 32),
    ]
