"""Networks and layers that answer patterns of one spike per input."""

from typing import Any

import numpy as np
import torch
from kernel_fuzz import Hostile
from torch import Tensor

from plastorch.spiking.patterns.attribution import attribute as attribute_answers
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.part_answers import answer_parts
from plastorch.spiking.patterns.parts import Different, Parts, different
from plastorch.spiking.patterns.rule import NetworkWeights, PatternNeuron
from plastorch.spiking.patterns.winners import PatternWinners
from plastorch.spiking.patterns.winners_rule import WinnerRule

torch.set_default_dtype(torch.float64)  # kernels are compiled for it by other tests

PARAMETERS = ("hidden_weight", "hidden_bias", "output_weight", "output_bias")


def _network(inputs: int = 6, hidden: int = 8, classes: int = 3) -> PatternNetwork:
    return PatternNetwork(inputs, hidden, classes)


def _bins(inputs: int = 6, patterns: int = 5) -> Tensor:
    return torch.randint(0, 20, (patterns, inputs), dtype=torch.uint8)


def _set(network: PatternNetwork, weights: Any) -> PatternNetwork:
    """The network with other parameters."""
    for name, weight in zip(PARAMETERS, weights, strict=True):
        if not weight.is_floating_point() or weight.is_complex():
            weight = weight.float()
        setattr(network, name, torch.nn.Parameter(weight.detach()))
    return network


def answer(hostile: Hostile) -> Any:
    network = _network()
    weights, bins = hostile.damaged((network.weights(), _bins()))
    return _set(network, weights)(bins)


def answer_with_foreign_weights(hostile: Hostile) -> Any:
    sizes = [hostile.random.choice([1, 3, 6, 8, 50]) for _ in range(3)]
    weights = hostile.mixed(_network().weights(), _network(*sizes).weights())
    return _set(_network(), weights)(_bins())


def answer_after_load_state_dict(hostile: Hostile) -> Any:
    return hostile.tampered(_network())(_bins())


def gradient(hostile: Hostile) -> Any:
    """Parameters that become others between both passes."""
    network = _network()
    response = network(_bins())
    for parameter, weight in zip(
        network.weights(), hostile.damaged(NetworkWeights(*network.weights())), strict=True
    ):
        if weight.is_floating_point() and weight.dtype == parameter.dtype:
            parameter.data = weight.detach()
    (response.distance.sum() + response.hidden_spikes.sum()).backward()
    return [parameter.grad for parameter in network.parameters()]


def attribute(hostile: Hostile) -> Any:
    network = _network()
    weights, bins = hostile.damaged((network.weights(), _bins()))
    return attribute_answers(_set(network, weights), bins)


def constants(hostile: Hostile) -> Any:
    given = {"tau_membrane": 4e-3, "tau_synapse": 2e-3, "resistance": 2.5, "dt": 1e-3}
    more = {"target_times": (8e-3, 2e-2), "tau_trace": 5e-3, "slope": 1.5}
    neuron = PatternNeuron(**hostile.damaged(given | more))
    return PatternNetwork(6, 8, 3, neuron=neuron)(_bins())


def _parts(sizes: tuple[int, ...] = (2, 1, 3), patterns: int = 20) -> Parts:
    tables = [_bins(size, 4).numpy() for size in sizes]
    codes = torch.randint(0, 4, (patterns, len(sizes))).numpy().astype(np.uint32)
    return Parts(tables, codes)


def parts(hostile: Hostile) -> Any:
    network = _network()
    weights, parts = hostile.damaged((network.weights(), _parts()))
    return answer_parts(_set(network, weights), parts, different(parts))


def parts_of_others(hostile: Hostile) -> Any:
    ours = _parts()
    foreign = different(_parts(patterns=hostile.random.choice([1, 3, 20, 900])))
    found = hostile.mixed(different(ours), foreign)
    ours, found = hostile.damaged((ours, Different(*found)))
    return answer_parts(_network(), ours, found)


def _layer(inputs: int = 6, neurons: int = 7) -> PatternWinners:
    return PatternWinners(inputs, neurons)


def _parameter(values: Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(values.detach(), requires_grad=False)


def winners(hostile: Hostile) -> Any:
    layer = _layer()
    for name, part in hostile.damaged(dict(layer.state_dict())).items():
        setattr(layer, name, _parameter(part.contiguous()))
    call = hostile.random.choice([layer, layer.partial_fit, layer.learn])
    return call(hostile.damaged(_bins())), layer.weight, layer.theta


def winners_of_foreign_layers(hostile: Hostile) -> Any:
    layer = _layer()
    sizes = [hostile.random.choice([3, 6, 7, 60]) for _ in range(2)]
    states = (dict(each.state_dict()) for each in (layer, _layer(*sizes)))
    for name, part in hostile.mixed(*states).items():
        setattr(layer, name, _parameter(part))
    return layer.partial_fit(_bins()), layer.weight, layer.theta


def winners_after_load_state_dict(hostile: Hostile) -> Any:
    layer = hostile.tampered(_layer())
    assert isinstance(layer, PatternWinners)
    return layer.partial_fit(_bins()), layer.weight, layer.theta


def winners_constants(hostile: Hostile) -> Any:
    given = {"tau_membrane": 10e-3, "tau_synapse": 5e-3, "decision": 10e-3, "fall": 1e-4}
    more = {"dt": 1e-3, "learning_rate": 0.01, "homeostasis": 2.0}
    layer = PatternWinners(6, 7, rule=WinnerRule(**hostile.damaged(given | more)))
    return layer.partial_fit(_bins()), layer.weight, layer.theta
