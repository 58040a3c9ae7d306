"""Weights [N, K] of the layer of :mod:`plastorch.spiking.kernels`, before and after networks run.

Before, they are brought within their bounds; afterward, the networks' changes are summed.
"""

from functools import partial
from typing import Any

import numpy as np

from plastorch.engine.numba_options import NoOverlap, kernel

_compiled: Any = partial(kernel, pipeline_class=NoOverlap)


@_compiled
def bring_within(weight, bounds, norm, inside, change):  # type: ignore[no-untyped-def]
    """Writes finite weights as :func:`plastorch.spiking.stdp.within` has them, and the change;
    ``norm`` is 0 for none."""
    low, high = bounds
    neurons, one = weight.shape[1], weight.dtype.type(1)
    beyond, factor = np.zeros(neurons, np.bool_), np.zeros(neurons, weight.dtype)
    for j in range(len(weight)):
        for k in range(neurons):
            value = min(max(weight[j, k], low), high)
            beyond[k] |= value != weight[j, k]
            factor[k] += value
            inside[j, k] = value
    for k in range(neurons):
        factor[k] = norm / factor[k] if norm > 0 and beyond[k] and factor[k] > 0 else one
    for j in range(len(weight)):
        for k in range(neurons):
            inside[j, k] = min(inside[j, k] * factor[k], high)
            change[j, k] = inside[j, k] - weight[j, k]


@_compiled
def take(learners, count, weight, changed, rows):  # type: ignore[no-untyped-def]
    """Appends the changes of the learners' weights, input by input, to those of ``rows`` learners
    before, and forgets the learners; returns the larger arrays."""
    neurons, changes = changed
    inputs, before = len(weight), rows * len(weight)
    if rows + count > len(neurons):
        size = 2 * (rows + count)
        wider_neurons, wider = np.empty(size, np.int64), np.empty(size * inputs, weight.dtype)
        wider_neurons[:rows], wider[:before] = neurons[:rows], changes[:before]
        neurons, changes = wider_neurons, wider
    for place in range(count):
        neurons[rows + place] = learners.neuron[place]
        learners.place[learners.neuron[place]] = -1
    for j in range(inputs):
        for place in range(count):
            change = learners.weight[j, place] - weight[j, learners.neuron[place]]
            changes[before + j * count + place] = change
    return neurons, changes


@_compiled
def add_changes(counts, neurons, changes, total):  # type: ignore[no-untyped-def]
    """Adds the changes of weights in all networks, from :func:`plastorch.spiking.kernels.respond`,
    to their sum [N, K]."""
    first, at = 0, 0
    for count in counts:
        for j in range(len(total)):
            for place in range(count):
                total[j, neurons[first + place]] += changes[at]
                at += 1
        first += count
