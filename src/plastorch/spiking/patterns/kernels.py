"""The loops of :func:`plastorch.spiking.patterns.rule.respond` and of its gradient, for CPUs.

One pattern after the other: its spikes pick rows of the weights, so that the first layer costs a
row per input instead of a matrix product per step, and hidden spikes pick rows of the second. The
forward pass keeps potentials and traces; the backward pass needs no more.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from plastorch.engine.compiled import NoOverlap

_compiled: Any = njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract", "nsz"},
    pipeline_class=NoOverlap,
)


class Constants(NamedTuple):
    """Numbers of the weights' type, and the target's trace."""

    membrane: Any
    """Decay in a step."""
    synapse: Any
    """Decay in a step."""
    gain: Any
    """(1 - membrane) R."""
    trace: Any
    """Decay in a step."""
    slope: Any
    input_steps: int
    target: Any
    """[S]."""


class Memory(NamedTuple):
    """What the backward pass needs: arrays without patterns if there is none."""

    hidden: Any
    """Potentials [B, S, H]."""
    output: Any
    """Potentials [B, S, C]."""
    trace: Any
    """[B, S, C]."""


@_compiled
def _drives(drive, bins, pattern, weight, bias, steps):  # type: ignore[no-untyped-def]
    """What a pattern's spikes add to the hidden currents in each step, drive [S, H]."""
    neurons = len(bias)
    for step in range(len(drive)):
        for k in range(neurons):
            drive[step, k] = bias[k]
    for i in range(bins.shape[1]):
        step = bins[pattern, i]
        if step < steps:
            for k in range(neurons):
                drive[step, k] += weight[i, k]


@_compiled
def _advance(drive, step, current, membrane, constants):  # type: ignore[no-untyped-def]
    """A step of a layer's neurons; ``drive`` is [S, K], or [1, K]."""
    one = membrane.dtype.type(1)
    for k in range(len(membrane)):
        fired = one if membrane[k] > one else one - one
        current[k] = constants.synapse * current[k] + drive[step, k]
        inflow = constants.gain * current[k]
        membrane[k] = constants.membrane * membrane[k] + inflow - fired


@_compiled
def forward(bins, weights, constants, begin, end, memory, results):  # type: ignore[no-untyped-def]
    """Fills distance [B, C], potential [B, C], hidden_spikes [B], output_spikes [B]."""
    hidden_weight, hidden_bias, output_weight, output_bias = weights
    distance, potential, hidden_spikes, output_spikes = results
    dtype, (neurons, classes) = distance.dtype, output_weight.shape
    steps = len(constants.target)
    drive, answer = np.empty((steps, neurons), dtype), np.empty((1, classes), dtype)
    keep = len(memory.hidden) > 0
    squared = dtype.type(0)
    for step in range(steps):
        squared += constants.target[step] * constants.target[step]
    for b in range(begin, end):
        _drives(drive, bins, b, hidden_weight, hidden_bias, constants.input_steps)
        current, membrane = np.zeros(neurons, dtype), np.zeros(neurons, dtype)
        out_current, out_membrane = np.zeros(classes, dtype), np.zeros(classes, dtype)
        trace, total = np.zeros(classes, dtype), squared
        distance[b] = 0
        potential[b] = -np.inf
        fired = answered = 0
        for step in range(steps):
            _advance(drive, step, current, membrane, constants)
            answer[0] = output_bias
            for k in range(neurons):
                if membrane[k] > 1:
                    fired += 1
                    for c in range(classes):
                        answer[0, c] += output_weight[k, c]
            _advance(answer, 0, out_current, out_membrane, constants)
            for c in range(classes):
                trace[c] *= constants.trace
                if out_membrane[c] > 1:
                    answered += 1
                    trace[c] += 1
                total += trace[c] * trace[c]
                distance[b, c] -= 2 * trace[c] * constants.target[step]
                potential[b, c] = max(potential[b, c], out_membrane[c])
            if keep:
                memory.hidden[b, step] = membrane
                memory.output[b, step] = out_membrane
                memory.trace[b, step] = trace
        distance[b] += total
        hidden_spikes[b] = fired
        output_spikes[b] = answered


@_compiled
def _retreat(d_spikes, potentials, pattern, step, d_current, d_membrane, constants):  # type: ignore[no-untyped-def]
    """A step of a layer backwards: from the gradient of its spikes [K] to that of its currents."""
    one = d_membrane.dtype.type(1)
    for k in range(len(d_membrane)):
        away = one + constants.slope * abs(potentials[pattern, step, k] - one)
        surrogate = d_spikes[k] / (away * away)
        d_membrane[k] = constants.membrane * d_membrane[k] + surrogate
        d_current[k] = constants.synapse * d_current[k] + constants.gain * d_membrane[k]


@_compiled
def backward(  # type: ignore[no-untyped-def]
    bins, weights, constants, begin, end, memory, d_distance, d_hidden_spikes, gradients
):
    """Adds to the gradients of the weights."""
    output_weight = weights[2]
    d_hidden, d_hidden_bias, d_output, d_output_bias = gradients
    dtype, (neurons, classes) = output_weight.dtype, output_weight.shape
    steps = len(constants.target)
    drive, answer = np.empty((steps, neurons), dtype), np.empty((steps, classes), dtype)
    d_answer, d_spikes = np.empty(classes, dtype), np.empty(neurons, dtype)
    two = dtype.type(2)
    for b in range(begin, end):
        current, membrane = np.zeros(neurons, dtype), np.zeros(neurons, dtype)
        out_current, out_membrane = np.zeros(classes, dtype), np.zeros(classes, dtype)
        d_trace = np.zeros(classes, dtype)
        of_total = d_distance[b].sum()
        for step in range(steps - 1, -1, -1):
            for c in range(classes):
                own = d_distance[b, c] * constants.target[step]
                d_trace[c] *= constants.trace
                d_trace[c] += two * (of_total * memory.trace[b, step, c] - own)
                d_answer[c] = d_trace[c]
            _retreat(d_answer, memory.output, b, step, out_current, out_membrane, constants)
            for c in range(classes):
                answer[step, c] = out_current[c]
                d_output_bias[c] += out_current[c]
        for step in range(steps - 1, -1, -1):
            for k in range(neurons):
                total = d_hidden_spikes[b]
                for c in range(classes):
                    total += output_weight[k, c] * answer[step, c]
                d_spikes[k] = total
                if memory.hidden[b, step, k] > 1:
                    for c in range(classes):
                        d_output[k, c] += answer[step, c]
            _retreat(d_spikes, memory.hidden, b, step, current, membrane, constants)
            for k in range(neurons):
                drive[step, k] = current[k]
                d_hidden_bias[k] += current[k]
        for i in range(bins.shape[1]):
            step = bins[b, i]
            if step < constants.input_steps:
                for k in range(neurons):
                    d_hidden[i, k] += drive[step, k]
