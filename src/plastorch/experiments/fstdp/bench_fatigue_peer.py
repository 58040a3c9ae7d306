"""The peer of our fatiguing neuron: the same equations, step by step over all inputs, in torch.

It is as fast as such a loop can reasonably be: one network, no batch dimension, all in place.
"""

from math import exp

import torch
from torch import Tensor

from plastorch.spiking.fatigue.rule import FatiguingSTDP


@torch.no_grad()
def dense_loop(spikes: Tensor, rule: FatiguingSTDP, dt: float) -> tuple[Tensor, list[int]]:
    """Simulates a neuron that learns from spike trains.

    Args:
        spikes: 0 or 1, in the type to compute with [T, N].
        rule: constants of one network, with the one-sided window and fatigued traces.
        dt: duration of a step, seconds.

    Returns:
        Final weights [N]; the steps with output spikes.
    """
    fatigue = float(rule.fatigue)
    recovery = exp(-dt / float(rule.tau_fatigue))
    fade, leak = exp(-dt / rule.tau_trace), exp(-dt / rule.tau_membrane)
    fall, rise = exp(-dt / rule.tau_theta), 1 + rule.theta_step
    resource = torch.ones_like(spikes[0])
    weight, trace = rule.initial_weight * resource, torch.zeros_like(resource)
    sent, membrane, theta = torch.empty_like(resource), 0.0, rule.initial_theta
    fired = []
    for step, row in enumerate(spikes.unbind()):
        torch.mul(resource, row, out=sent)
        membrane += float(torch.dot(weight, sent))
        trace.add_(sent)
        if membrane > theta:
            fired.append(step)
            growth = (1 - weight).mul_(trace).div_(trace.mean()).sub_(weight)
            weight.add_(growth, alpha=rule.learning_rate).clamp_(0, 1)
            membrane, theta = 0.0, theta * rise
        resource.sub_(sent, alpha=fatigue).mul_(recovery).add_(1 - recovery)
        trace.mul_(fade)
        membrane, theta = membrane * leak, theta * fall
    return weight, fired
