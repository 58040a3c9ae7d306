"""The event-driven engine of ``FatiguingNeuron``."""

from typing import Any

import torch
from kernel_fuzz import Hostile

from plastorch.spiking.encode import poisson
from plastorch.spiking.fatigue.events import run_events
from plastorch.spiking.fatigue.layer import FatiguingNeuron
from plastorch.spiking.fatigue.rule import FatiguingSTDP, initial_state
from plastorch.spiking.phase_change import PhaseChangeSynapses

SAMPLES = 2


def _events(inputs: int = 9) -> Any:
    return poisson(torch.full((SAMPLES, inputs), 100.0), 0.1)


def _rule(**more: Any) -> FatiguingSTDP:
    return FatiguingSTDP(initial_theta=0.3, **more)


def learn_events(hostile: Hostile) -> Any:
    neuron = FatiguingNeuron(9, rule=_rule(window=hostile.random.choice(["one-sided", "pair"])))
    state = neuron.initial_state(SAMPLES)._replace(synapses=())
    events, duration, state = hostile.damaged((_events(), 0.1, state))
    return neuron.learn_events(events, duration, state)._replace(state=())


def run_from_any_state(hostile: Hostile) -> Any:
    rule = _rule()
    return run_events(*hostile.damaged((_events(), initial_state(rule, SAMPLES, 9))), rule, 0.1)


def learn_from_foreign_state(hostile: Hostile) -> Any:
    neuron = FatiguingNeuron(9, rule=_rule())
    inputs, samples = (hostile.random.choice([1, 2, 9, 40]) for _ in range(2))
    foreign = FatiguingNeuron(inputs).initial_state(samples)
    state = hostile.mixed(neuron.initial_state(SAMPLES), foreign)
    return neuron.learn_events(_events(), 0.1, state)._replace(state=())


def learn_with_devices(hostile: Hostile) -> Any:
    settings = {"rule": _rule(), "synapses": PhaseChangeSynapses()}
    neuron, inputs = FatiguingNeuron(9, **settings), hostile.random.choice([1, 8, 9, 40])
    state = neuron.initial_state(SAMPLES)
    foreign = FatiguingNeuron(inputs, **settings).initial_state(SAMPLES).synapses
    rest = hostile.damaged(state._replace(synapses=()))
    state = rest._replace(synapses=hostile.random.choice([state.synapses, foreign]))
    return neuron.learn_events(_events(), 0.1, state)._replace(state=())


def learn_after_load_state_dict(hostile: Hostile) -> Any:
    neuron = hostile.tampered(FatiguingNeuron(9, rule=_rule()))
    assert isinstance(neuron, FatiguingNeuron)
    return neuron.learn_events(_events(), 0.1)._replace(state=())


def constants(hostile: Hostile) -> Any:
    given = {"tau_fatigue": 0.5, "tau_membrane": 0.02, "tau_trace": 0.02, "learning_rate": 0.0025}
    more = {"fatigue": 0.5, "theta_step": 0.02, "target_rate": 10.0}
    window = {"window": hostile.random.choice(["one-sided", "pair"])}
    neuron = FatiguingNeuron(9, rule=_rule(**hostile.damaged(given | more), **window))
    return neuron.learn_events(_events(), 0.1)._replace(state=())
