"""A spiking neuron finds which inputs belong together, though others spike far more often.

    python examples/fatiguing_stdp.py

Of 200 inputs, 40 share some of their spikes, and 100 others spike four times as often,
independently ("loud" below). Plain STDP follows the loud inputs; with fatiguing synapses, it
follows those that spike together.
"""

import torch

from plastorch import set_gradients
from plastorch.spiking import FatiguingNeuron, FatiguingSTDP
from plastorch.spiking.encode import correlated

INPUTS = 200
TOGETHER = torch.arange(INPUTS) < 40
LOUD = torch.arange(INPUTS) >= 100
RATES = torch.where(LOUD, 40.0, 10.0)  # Hz
RULES = {"STDP": FatiguingSTDP(fatigue=0.0), "fatiguing STDP": FatiguingSTDP()}


def learn(rule: FatiguingSTDP, seconds: int, correlation: float) -> torch.Tensor:
    """Weights [inputs] of a neuron after so many seconds of input."""
    random = torch.Generator().manual_seed(0)
    neuron, state = FatiguingNeuron(INPUTS, rule=rule), None
    optimizer = torch.optim.SGD(neuron.parameters(), lr=1.0)
    for _ in range(seconds):
        spikes = correlated(RATES, correlation, TOGETHER, duration=1.0, generator=random)
        step = neuron.learn_events(spikes, 1.0, state)
        set_gradients(neuron, step)
        optimizer.step()
        state = step.state
    return neuron.weight[0]


def main(seconds: int = 60, correlation: float = 0.3) -> dict[str, float]:
    """Returns, per rule, how often a correlated input has a larger weight than a loud one."""
    found = {}
    print("rule            mean weight: together  slow  loud   AUC")
    for name, rule in RULES.items():
        weights = learn(rule, seconds, correlation)
        means = [weights[group].mean() for group in (TOGETHER, ~TOGETHER & ~LOUD, LOUD)]
        found[name] = (weights[TOGETHER, None] > weights[LOUD]).double().mean().item()
        print(f"{name:15} {means[0]:21.2f} {means[1]:5.2f} {means[2]:5.2f} {found[name]:5.2f}")
    return found


if __name__ == "__main__":
    main()
