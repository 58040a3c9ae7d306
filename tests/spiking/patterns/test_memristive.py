"""Networks in phase-change devices: what is written and read, drift and its compensation."""

import numpy as np
import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.spiking.patterns.memristive import MemristiveNetwork
from plastorch.spiking.patterns.network import PatternNetwork

DAY = 86400.0


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(inputs: int = 200, hidden: int = 100, classes: int = 5) -> PatternNetwork:
    return PatternNetwork(inputs, hidden, classes, generator=random(7))


def test_what_has_just_been_written_is_the_weight_and_the_noise_of_writing() -> None:
    """Deviations of both devices of a pair, by the published polynomial of the conductance."""
    net = network()
    found = MemristiveNetwork(net, random()).read(0.0, random(1)).hidden_weight.numpy()
    weight = net.hidden_weight.detach().numpy()
    bound = np.abs(weight).max()
    share = np.abs(weight) / bound
    deviation = (-1.1731 * share**2 + 1.965 * share + 0.2635) / 25
    middle = (share > 0.2) & (share < 0.8)  # neither full nor empty, but for the partner
    error = (found - weight)[middle] / bound
    partner = 0.2635 / 25 * np.sqrt(0.5)  # empty: its noise is cut off at 0
    low, high = deviation[middle], np.sqrt(deviation[middle] ** 2 + 4 * partner**2)
    assert 0.97 * np.sqrt((low**2).mean()) < error.std() < 1.1 * np.sqrt((high**2).mean())
    assert torch.equal(net.hidden_weight, network().hidden_weight)


def test_weights_drift_by_a_power_of_time_and_compensation_makes_up_for_it() -> None:
    net = network()
    devices = MemristiveNetwork(net, random())
    for name in ("hidden_weight", "output_weight"):
        exact = getattr(net, name).detach().abs().sum()
        sums, scaled = [], []
        for time in (25.0, 3600.0, DAY, 30 * DAY, 365 * DAY):
            sums.append(float(getattr(devices.read(time, random(2)), name).abs().sum() / exact))
            made_up = devices.read(time, random(2), compensated=True)
            scaled.append(float(getattr(made_up, name).abs().sum() / exact))
        assert sums == sorted(sums, reverse=True) and sums[-1] < 0.6
        weight = getattr(net, name).detach().abs().numpy()
        mean = np.clip(-0.0155 * np.log(weight / weight.max() + 1e-9) + 0.0244, 0.049, 0.1)
        exponent = np.log(sums[2] / sums[1]) / np.log((DAY + 20) / 3620)
        assert exponent == pytest.approx(-np.average(mean, weights=weight), abs=0.01)
        assert max(abs(one / scaled[0] - 1) for one in scaled) < 1e-3


def test_biases_and_constants_stay() -> None:
    net = network()
    with torch.no_grad():
        net.hidden_bias.fill_(0.25)
    found = MemristiveNetwork(net, random()).read(DAY, random(1))
    assert torch.equal(found.hidden_bias, net.hidden_bias) and found.neuron == net.neuron
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_more_pairs_are_less_noisy() -> None:
    net = network()
    errors = []
    for pairs in (1, 8):
        found = MemristiveNetwork(net, random(), pairs).read(0.0, random(1))
        errors.append(float((found.hidden_weight - net.hidden_weight).detach().std()))
    assert errors[1] < 0.5 * errors[0]


def test_equal_seeds_give_equal_networks_and_other_ones_others() -> None:
    net = network()
    found = [
        MemristiveNetwork(net, random(one)).read(DAY, random(two)).hidden_weight
        for one, two in ((0, 1), (0, 1), (0, 2), (3, 1))
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2]) and not torch.equal(found[0], found[3])


def test_a_layer_without_weights_stays_empty() -> None:
    net = network()
    with torch.no_grad():
        net.output_weight.zero_()
    synapses = MemristiveNetwork(net, random())
    for compensated in (False, True):
        weight = synapses.read(DAY, random(1), compensated).output_weight
        assert bool(weight.isfinite().all()) and float(weight.abs().max()) < 0.1


def test_bad_input() -> None:
    net = network()
    with pytest.raises(InputError, match="pairs is 0"):
        MemristiveNetwork(net, random(), 0)
    with pytest.raises(InputError, match="time is -1"):
        MemristiveNetwork(net, random()).read(-1.0, random())
    with torch.no_grad():
        net.hidden_weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"weight holds nan|low is nan"):
        MemristiveNetwork(net, random())
