"""The fatiguing neuron as a module: it only wraps the engines."""

import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.spiking import FatiguingNeuron, FatiguingSTDP, PhaseChangeSynapses
from plastorch.spiking.events import from_raster, to_raster

RULE = FatiguingSTDP(initial_theta=0.5)


def test_both_engines_go_on_from_a_state() -> None:
    raster = torch.rand(200, 2, 10, generator=torch.Generator().manual_seed(0)) < 0.1
    neuron = FatiguingNeuron(10, RULE, networks=2)
    whole, end = neuron(raster)
    assert int(whole.sum()) > 10
    state, found = None, []
    for number, piece in enumerate(raster.split(50)):
        if number % 2:
            spikes, state = neuron(piece, state)
        else:
            events, state = neuron.respond(from_raster(piece, 1e-3), 0.05, state)
            spikes = to_raster(events, 1, 1e-3, 50)[:, :, 0]
        found.append(spikes)
    assert torch.equal(torch.cat(found), whole)
    torch.testing.assert_close(state.synapses.weight, end.synapses.weight, rtol=0, atol=1e-12)
    assert state.time == pytest.approx(0.2)


def test_with_devices_and_their_noise() -> None:
    neuron = FatiguingNeuron(10, RULE, synapses=PhaseChangeSynapses())
    raster = torch.rand(200, 1, 10, generator=torch.Generator().manual_seed(0)) < 0.1
    ends = []
    for seed in (0, 0, 1):
        _, state = neuron(raster, generator=torch.Generator().manual_seed(seed))
        ends.append(state.synapses.conductance)
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_it_has_no_parameters_and_says_its_sizes() -> None:
    neuron = FatiguingNeuron(10, networks=3)
    assert not list(neuron.parameters()) and not neuron.state_dict()
    assert repr(neuron) == "FatiguingNeuron(10, networks=3, dt=0.001)"


@pytest.mark.parametrize("name", ["inputs", "networks", "dt"])
def test_bad_sizes(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0"):
        FatiguingNeuron(**{"inputs": 3, name: 0})
