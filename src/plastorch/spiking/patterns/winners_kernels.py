"""The layer of :mod:`plastorch.spiking.patterns.winners_rule`, pattern after pattern, for CPUs.

Nothing happens between spikes but decay, so that a spike's effect at the decision depends on its
step alone: a pattern costs a row of weights, [N, K] here, per input that fires before it. Learning
goes through one column.
"""

import numpy as np

from plastorch.spiking.patterns.kernels import compiled


@compiled
def _integrate(bins, b, weight, half_norm, theta, effect, inhibition, lack):  # type: ignore[no-untyped-def]
    """Fills what each neuron lacks [K]."""
    inhibited = inhibition - inhibition
    for k in range(len(lack)):
        lack[k] = theta[k] + half_norm[k]
    for i in range(bins.shape[1]):
        step = bins[b, i]
        if step < len(effect):
            strength = effect[step]
            inhibited += inhibition * strength
            for k in range(len(lack)):
                lack[k] -= strength * weight[i, k]
    for k in range(len(lack)):
        lack[k] += inhibited


@compiled
def _compete(b, lack, order, least):  # type: ignore[no-untyped-def]
    """Fills who fires first, second, … and what they lack [B, S]; ``lack`` is used up."""
    for place in range(order.shape[1]):
        first = 0
        for k in range(1, len(lack)):
            if lack[k] < lack[first]:
                first = k
        order[b, place], least[b, place] = first, lack[first]
        lack[first] = np.inf


@compiled
def _learn(bins, b, k, weight, half_norm, theta, rate, homeostasis, steps):  # type: ignore[no-untyped-def]
    """Neuron k learns the pattern."""
    inputs, zero, one = weight.shape[0], rate - rate, weight.dtype.type(1)
    mismatch, norm = zero, zero
    for i in range(inputs):
        error = (one if bins[b, i] < steps else zero) - weight[i, k]
        after = weight[i, k] + rate * error
        weight[i, k] = after
        mismatch += error * error
        norm += after * after
    half_norm[k] = norm / 2
    rise = homeostasis * rate * mismatch * mismatch / weight.dtype.type(inputs)
    for other in range(len(theta)):
        theta[other] -= rise / weight.dtype.type(len(theta))
    theta[k] += rise


@compiled
def respond(bins, begin, end, weight, half_norm, theta, effect, inhibition, order, least):  # type: ignore[no-untyped-def]
    """Fills the answers to some patterns; see :func:`_compete`."""
    lack = np.empty(len(theta), theta.dtype)
    for b in range(begin, end):
        _integrate(bins, b, weight, half_norm, theta, effect, inhibition, lack)
        _compete(b, lack, order, least)


@compiled
def learn(  # type: ignore[no-untyped-def]
    bins,
    weight,
    half_norm,
    theta,
    wins,
    effect,
    inhibition,
    lowest_rate,
    homeostasis,
    order,
    least,
):
    """Shows all patterns in turn; weight, half_norm, theta and wins change."""
    lack, one = np.empty(len(theta), theta.dtype), theta.dtype.type(1)
    for b in range(len(bins)):
        _integrate(bins, b, weight, half_norm, theta, effect, inhibition, lack)
        _compete(b, lack, order, least)
        k = order[b, 0]
        wins[k] += 1
        rate = max(one / theta.dtype.type(wins[k] + 1), lowest_rate)
        _learn(bins, b, k, weight, half_norm, theta, rate, homeostasis, len(effect))
