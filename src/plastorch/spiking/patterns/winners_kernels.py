"""Kernels of the layer of :mod:`plastorch.spiking.patterns.winners_rule`, for CPUs.

Between spikes there is only decay, so a spike's effect at the decision depends only on its step: a
pattern costs a row of weights, [N, K] here, per input that fires before the decision. Learning
changes one column.
"""

from typing import Any, NamedTuple

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, vector_kernel


class WinnerArrays(NamedTuple):
    """State of the layer, changed in place by learning."""

    weight: Any
    """Weights [N, K]."""
    half_norm: Any
    """½ Σ w² of each neuron [K]."""
    theta: Any
    """Thresholds [K]."""
    wins: Any
    """Number of patterns that each neuron has learned [K]."""


class WinnerConstants(NamedTuple):
    """Constants in the weights' type."""

    effect: Any
    """Effect of a spike in each step up to the decision."""
    inhibition: Any
    learning_rate: Any
    homeostasis: Any


class Results(NamedTuple):
    """Answers to B patterns."""

    order: Any
    """Neurons that fire first, second, … [B, S]."""
    lack: Any
    """Drive that they lack [B, S]."""


@vector_kernel(**UNCOUNTED)
def _integrate(bins, b, arrays, constants, lack):  # type: ignore[no-untyped-def]
    """Fills the drive that each neuron lacks [K]."""
    weight, half_norm, theta, _ = arrays
    effect, inhibition = constants.effect, constants.inhibition
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


@vector_kernel(**UNCOUNTED)
def _compete(b, lack, results):  # type: ignore[no-untyped-def]
    """Fills the answer to pattern b; overwrites ``lack``."""
    for place in range(results.order.shape[1]):
        first = 0
        for k in range(1, len(lack)):
            if lack[k] < lack[first]:
                first = k
        results.order[b, place], results.lack[b, place] = first, lack[first]
        lack[first] = np.inf


@vector_kernel(**UNCOUNTED)
def _learn(bins, b, k, arrays, constants):  # type: ignore[no-untyped-def]
    """Makes neuron k learn pattern b."""
    weight, half_norm, theta, wins = arrays
    number, steps = weight.dtype.type, len(constants.effect)
    wins[k] += 1
    one, mismatch, norm = number(1), number(0), number(0)
    rate = max(one / number(wins[k] + 1), constants.learning_rate)
    for i in range(len(weight)):
        error = (one if bins[b, i] < steps else one - one) - weight[i, k]
        after = weight[i, k] + rate * error
        weight[i, k] = after
        mismatch += error * error
        norm += after * after
    half_norm[k] = norm / number(2)
    rise = constants.homeostasis * rate * mismatch * mismatch / number(len(weight))
    for other in range(len(theta)):
        theta[other] -= rise / number(len(theta))
    theta[k] += rise


@vector_kernel
def respond(bins, begin, end, arrays, constants, results):  # type: ignore[no-untyped-def]
    """Answers the patterns from ``begin`` to ``end``, bins [B, N]."""
    lack = np.empty_like(arrays.theta)
    for b in range(begin, end):
        _integrate(bins, b, arrays, constants, lack)
        _compete(b, lack, results)


@vector_kernel
def learn(bins, arrays, constants, results):  # type: ignore[no-untyped-def]
    """Answers and learns all patterns one after the other."""
    lack = np.empty_like(arrays.theta)
    for b in range(len(bins)):
        _integrate(bins, b, arrays, constants, lack)
        _compete(b, lack, results)
        _learn(bins, b, results.order[b, 0], arrays, constants)
