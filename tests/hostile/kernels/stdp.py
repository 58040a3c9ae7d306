"""The event-driven engine of ``STDPLayer``."""

from typing import Any

import torch
from kernel_fuzz import Hostile

from plastorch.spiking.encode import poisson
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.stdp import PairSTDP


def _layer(inputs: int = 9, neurons: int = 7, networks: int = 2) -> STDPLayer:
    neuron = LIF(threshold=0.3, refractory=0.002, theta_increase=0.01)
    return STDPLayer(inputs, neurons, neuron, inhibition=0.1, networks=networks)


def _events(layer: STDPLayer) -> Any:
    networks, _, inputs = layer.weight.shape
    return poisson(torch.full((networks, inputs), 200.0), 0.05)


def respond(hostile: Hostile) -> Any:
    layer = _layer()
    events, duration, state = hostile.damaged((_events(layer), 0.05, layer.initial_state()))
    return layer.respond(events, duration, state)


def respond_from_foreign_state(hostile: Hostile) -> Any:
    layer = _layer()
    sizes = [hostile.random.choice([1, 3, 7, 9, 40]) for _ in range(3)]
    state = hostile.mixed(layer.initial_state(), _layer(*sizes).initial_state())
    return layer.respond(_events(layer), 0.05, state)


def respond_after_load_state_dict(hostile: Hostile) -> Any:
    layer = hostile.tampered(_layer())
    assert isinstance(layer, STDPLayer)
    return layer.respond(_events(layer), 0.05)


def present(hostile: Hostile) -> Any:
    layer = _layer()
    networks, _, inputs = layer.weight.shape
    rates = torch.full((2, networks, inputs), 200.0)
    rates, state = hostile.damaged((rates, layer.initial_state()))
    return layer.present(rates, 0.05, state)


def constants(hostile: Hostile) -> Any:
    neuron = {"tau": 0.02, "threshold": 0.3, "reset": 0.0, "rest": 0.0, "refractory": 0.002}
    stdp = {"potentiation": 0.01, "depression": 0.01, "tau_plus": 0.02, "low": 0.0, "high": 1.0}
    given = {"inhibition": 0.1, "dt": 1e-3}
    neuron, stdp, given = hostile.damaged(
        (neuron | {"theta_increase": 0.01, "theta_tau": 10.0}, stdp, given)
    )
    layer = STDPLayer(9, 7, LIF(**neuron), PairSTDP(**stdp), networks=2, **given)
    found = layer.respond(_events(layer), 0.05)
    return found, layer.present(torch.full((2, 2, 9), 200.0), 0.05)
