"""The event-driven engine of ``FatiguingNeuron``."""

from typing import Any

import torch
from kernel_fuzz import Hostile

from plastorch.spiking.encode import poisson
from plastorch.spiking.fatigue.layer import FatiguingNeuron
from plastorch.spiking.fatigue.rule import FatiguingSTDP
from plastorch.spiking.synapses import PhaseChangeSynapses


def _events(neuron: FatiguingNeuron) -> Any:
    return poisson(torch.full((neuron.networks, neuron.inputs), 100.0), 0.1)


def _neuron(inputs: int = 9, networks: int = 2, **more: Any) -> FatiguingNeuron:
    return FatiguingNeuron(inputs, FatiguingSTDP(initial_theta=0.3, **more), networks)


def respond(hostile: Hostile) -> Any:
    neuron = _neuron(window=hostile.random.choice(["one-sided", "pair"]))
    arguments = hostile.damaged((_events(neuron), 0.1, neuron.initial_state()))
    return neuron.respond(*arguments)


def respond_from_foreign_state(hostile: Hostile) -> Any:
    neuron = _neuron()
    sizes = [hostile.random.choice([1, 2, 9, 40]) for _ in range(2)]
    state = hostile.mixed(neuron.initial_state(), _neuron(*sizes).initial_state())
    return neuron.respond(_events(neuron), 0.1, state)


def respond_with_devices(hostile: Hostile) -> Any:
    rule, synapses = FatiguingSTDP(initial_theta=0.3), PhaseChangeSynapses()
    neuron = FatiguingNeuron(9, rule, 2, synapses=synapses)
    state, inputs = neuron.initial_state(), hostile.random.choice([1, 8, 9, 40])
    foreign = FatiguingNeuron(inputs, rule, 2, synapses=synapses).initial_state().synapses
    rest = hostile.damaged(state._replace(synapses=()))
    state = rest._replace(synapses=hostile.random.choice([state.synapses, foreign]))
    return neuron.respond(_events(neuron), 0.1, state)


def constants(hostile: Hostile) -> Any:
    given = {"tau_fatigue": 0.5, "tau_membrane": 0.02, "tau_trace": 0.02, "learning_rate": 0.0025}
    more = {"fatigue": torch.tensor([0.2, 0.5]), "theta_step": 0.02, "target_rate": 10.0}
    window = {"window": hostile.random.choice(["one-sided", "pair"])}
    neuron = _neuron(**hostile.damaged(given | more), **window)
    return neuron.respond(_events(neuron), 0.1)
