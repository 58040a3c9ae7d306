"""The event-driven engine of ``STDPLayer``."""

from typing import Any

import torch
from kernel_fuzz import Hostile

from plastorch.spiking.encode import bernoulli, poisson
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF
from plastorch.spiking.stdp import PairSTDP

torch.set_default_dtype(torch.float64)  # kernels are compiled for it by other tests

SAMPLES = 2


def _layer(inputs: int = 9, neurons: int = 7) -> STDPLayer:
    neuron = LIF(threshold=0.3, refractory=0.002, theta_increase=0.01)
    return STDPLayer(inputs, neurons, neuron=neuron, inhibition=0.1)


def _events(layer: STDPLayer) -> Any:
    return poisson(torch.full((SAMPLES, layer.in_features), 200.0), 0.05)


def learn_events(hostile: Hostile) -> Any:
    layer = _layer()
    state = layer.initial_state(SAMPLES)._replace(synapses=())
    events, duration, state = hostile.damaged((_events(layer), 0.05, state))
    return layer.learn_events(events, duration, state._replace(synapses=None))._replace(state=())


def learn_from_foreign_state(hostile: Hostile) -> Any:
    layer = _layer()
    inputs, neurons, samples = (hostile.random.choice([1, 2, 7, 9, 40]) for _ in range(3))
    foreign = _layer(inputs, neurons).initial_state(samples)
    state = hostile.mixed(layer.initial_state(SAMPLES), foreign)
    return layer.learn_events(_events(layer), 0.05, state)._replace(state=())


def learn_after_load_state_dict(hostile: Hostile) -> Any:
    layer = hostile.tampered(_layer())
    assert isinstance(layer, STDPLayer)
    return layer.learn_events(_events(layer), 0.05)._replace(state=())


def encode(hostile: Hostile) -> Any:
    return bernoulli(hostile.damaged(torch.full((2, SAMPLES, 9), 200.0)), 0.05)


def constants(hostile: Hostile) -> Any:
    neuron = {"tau": 0.02, "threshold": 0.3, "reset": 0.0, "rest": 0.0, "refractory": 0.002}
    rule = {"potentiation": 0.01, "depression": 0.01, "tau_plus": 0.02, "low": 0.0, "high": 1.0}
    given = {"inhibition": 0.1, "dt": 1e-3}
    neuron, rule, given = hostile.damaged(
        (neuron | {"theta_increase": 0.01, "theta_tau": 10.0}, rule, given)
    )
    layer = STDPLayer(9, 7, neuron=LIF(**neuron), rule=PairSTDP(**rule), **given)
    return layer.learn_events(_events(layer), 0.05)._replace(state=())
