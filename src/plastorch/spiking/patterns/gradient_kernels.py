"""Gradient of :mod:`plastorch.spiking.patterns.kernels`, pattern by pattern, for CPUs.

It needs only the kept potentials and traces: it goes back through the output neurons, then through
the hidden ones, to the gradients of their drives in each step. Gradients of weights are sums of
these over patterns; that of an input's spike is its weights times the gradient at its time.
"""

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, vector_kernel


@vector_kernel(**UNCOUNTED)
def _retreat(d_spikes, potentials, step, d_current, d_membrane, constants):  # type: ignore[no-untyped-def]
    """Goes back one step in a layer: from the gradient of spikes [K] to that of currents."""
    one = d_membrane.dtype.type(1)
    for k in range(len(d_membrane)):
        away = one + constants.slope * abs(potentials[step, k] - one)
        surrogate = d_spikes[k] / (away * away)
        d_membrane[k] = constants.membrane * d_membrane[k] + surrogate
        d_current[k] = constants.synapse * d_current[k] + constants.gain * d_membrane[k]


@vector_kernel
def _answer_gradient(memory, b, d_distance, constants, d_answer):  # type: ignore[no-untyped-def]
    """Fills the gradient of the output neurons' drive [S, C]."""
    steps, classes = d_answer.shape
    current, membrane = np.zeros(classes, d_answer.dtype), np.zeros(classes, d_answer.dtype)
    d_trace, two = np.zeros(classes, d_answer.dtype), d_answer.dtype.type(2)
    of_total = d_distance[b].sum()
    for step in range(steps - 1, -1, -1):
        for c in range(classes):
            own = d_distance[b, c] * constants.target[step]
            d_trace[c] *= constants.trace
            d_trace[c] += two * (of_total * memory.trace[b, step, c] - own)
        _retreat(d_trace, memory.output[b], step, current, membrane, constants)
        for c in range(classes):
            d_answer[step, c] = current[c]


@vector_kernel
def _drive_gradient(memory, b, of_spike, d_answer, transposed, constants, d_drive):  # type: ignore[no-untyped-def]
    """Fills the gradient of the hidden neurons' drive [S, H]; output weights are [C, H] here."""
    steps, neurons = d_drive.shape
    current, membrane = np.zeros(neurons, d_drive.dtype), np.zeros(neurons, d_drive.dtype)
    d_spikes = np.empty(neurons, d_drive.dtype)
    for step in range(steps - 1, -1, -1):
        for k in range(neurons):
            d_spikes[k] = of_spike
        for c in range(len(transposed)):
            of_answer = d_answer[step, c]
            for k in range(neurons):
                d_spikes[k] += transposed[c, k] * of_answer
        _retreat(d_spikes, memory.hidden[b], step, current, membrane, constants)
        for k in range(neurons):
            d_drive[step, k] = current[k]


@vector_kernel
def backward(  # type: ignore[no-untyped-def]
    bins, weights, constants, begin, end, memory, d_distance, d_hidden_spikes, gradients
):
    """Adds the gradients of the patterns from ``begin`` to ``end`` to those of the weights."""
    d_hidden, d_hidden_bias, d_output, d_output_bias = gradients
    (neurons, classes), dtype = weights[2].shape, weights[2].dtype
    steps = len(constants.target)
    d_answer, d_drive = np.empty((steps, classes), dtype), np.empty((steps, neurons), dtype)
    transposed = weights[2].T.copy()
    for b in range(begin, end):
        _answer_gradient(memory, b, d_distance, constants, d_answer)
        _drive_gradient(memory, b, d_hidden_spikes[b], d_answer, transposed, constants, d_drive)
        for step in range(steps):
            for c in range(classes):
                d_output_bias[c] += d_answer[step, c]
            for k in range(neurons):
                d_hidden_bias[k] += d_drive[step, k]
            for k in range(neurons):
                if memory.hidden[b, step, k] > 1:
                    for c in range(classes):
                        d_output[k, c] += d_answer[step, c]
        for i in range(bins.shape[1]):
            step = bins[b, i]
            if step < constants.input_steps:
                for k in range(neurons):
                    d_hidden[i, k] += d_drive[step, k]


@vector_kernel
def attribute(bins, weights, constants, begin, end, memory, d_distance, of_inputs):  # type: ignore[no-untyped-def]
    """Fills the gradient of each input's spike [B, N]; 0 for inputs that don't fire."""
    (neurons, classes), dtype = weights[2].shape, weights[2].dtype
    steps = len(constants.target)
    d_answer, d_drive = np.empty((steps, classes), dtype), np.empty((steps, neurons), dtype)
    transposed, zero = weights[2].T.copy(), dtype.type(0)
    for b in range(begin, end):
        _answer_gradient(memory, b, d_distance, constants, d_answer)
        _drive_gradient(memory, b, zero, d_answer, transposed, constants, d_drive)
        for i in range(bins.shape[1]):
            step, total = bins[b, i], zero
            if step < constants.input_steps:
                for k in range(neurons):
                    total += weights[0][i, k] * d_drive[step, k]
            of_inputs[b, i] = total
