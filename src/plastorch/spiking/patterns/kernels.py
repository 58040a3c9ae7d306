"""Kernels of :func:`plastorch.spiking.patterns.rule.respond`, for CPUs.

Patterns are computed one by one. Spikes select rows of the weights, so that the first layer costs a
row per input instead of a matrix product per step; hidden spikes select rows of the second layer. A
layer runs through all steps before the next one does, so that all its spikes are found together;
its potentials overwrite its drive.
"""

from typing import Any, NamedTuple

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, vector_kernel

WORD = 8
"""Number of bytes that are checked together."""


class PatternConstants(NamedTuple):
    """Constants in the weights' type, and the target's trace."""

    membrane: Any
    """Decay factor of the membrane per step."""
    synapse: Any
    """Decay factor of the current per step."""
    gain: Any
    """(1 - membrane) R."""
    trace: Any
    """Decay factor of the trace per step."""
    slope: Any
    input_steps: int
    target: Any
    """Trace of the target [S]."""


class Memory(NamedTuple):
    """Arrays that the backward pass needs; without one, they hold no patterns."""

    hidden: Any
    """Potentials [B, S, H]."""
    output: Any
    """Potentials [B, S, C]."""
    trace: Any
    """Traces [B, S, C]."""


class Scratch(NamedTuple):
    """Buffers that patterns use one after the other."""

    current: Any
    """Currents [H]."""
    membrane: Any
    """Potentials [H]."""
    fired: Any
    """1 where a hidden neuron fired in a step, else 0 [S, H, rounded up to whole words]."""
    words: Any
    """Indices of the words of ``fired`` that hold spikes."""
    places: Any
    """Indices of spikes in ``fired``."""


@vector_kernel
def scratch_for(weights, steps):  # type: ignore[no-untyped-def]
    """Allocates buffers for networks of that size."""
    neurons, dtype = len(weights[1]), weights[1].dtype
    fired = np.zeros((steps, -(-neurons // WORD) * WORD), np.uint8)
    words, places = np.empty(fired.size // WORD + 1, np.int64), np.empty(fired.size + 1, np.int64)
    return Scratch(np.empty(neurons, dtype), np.empty(neurons, dtype), fired, words, places)


@vector_kernel
def memory_of_one(weights, steps):  # type: ignore[no-untyped-def]
    """Allocates memory for one pattern."""
    (neurons, classes), dtype = weights[2].shape, weights[2].dtype
    hidden = np.empty((1, steps, neurons), dtype)
    output = np.empty((1, steps, classes), dtype)
    return Memory(hidden, output, np.empty((1, steps, classes), dtype))


@vector_kernel(**UNCOUNTED)
def rest(bias, drive):  # type: ignore[no-untyped-def]
    """Fills the drive of a layer without spikes, which is its bias [S, K]."""
    for step in range(len(drive)):
        for k in range(len(bias)):
            drive[step, k] = bias[k]


@vector_kernel(**UNCOUNTED)
def add_spikes(bins, weight, first, steps, drive):  # type: ignore[no-untyped-def]
    """Adds the spikes, bins [n], of inputs from ``first`` on to the hidden drive [S, H]."""
    for i in range(len(bins)):
        step = bins[i]
        if step < steps:
            for k in range(weight.shape[1]):
                drive[step, k] += weight[first + i, k]


@vector_kernel(**UNCOUNTED)
def _hidden(drive, constants, current, membrane, fired):  # type: ignore[no-untyped-def]
    """Turns the drive of hidden neurons into their potentials, and marks which fired."""
    neurons, one = drive.shape[1], drive.dtype.type(1)
    for k in range(neurons):
        current[k] = membrane[k] = 0
    for step in range(len(drive)):
        for k in range(neurons):
            reset = one if membrane[k] > one else one - one
            current[k] = constants.synapse * current[k] + drive[step, k]
            inflow = constants.gain * current[k]
            membrane[k] = constants.membrane * membrane[k] + inflow - reset
            fired[step, k] = membrane[k] > one
            drive[step, k] = membrane[k]


@vector_kernel(**UNCOUNTED)
def list_spikes(fired, in_words, words, places):  # type: ignore[no-untyped-def]
    """Lists the indices of ones among zeros in ``places``; returns their number.

    There is no branch at a spike, as the processor would mispredict it most times.
    """
    hits = count = 0
    for word in range(len(in_words)):
        words[hits] = word
        hits += in_words[word] != 0
    for hit in range(hits):
        for place in range(WORD * words[hit], WORD * (words[hit] + 1)):
            places[count] = place
            count += fired[place]
    return count


@vector_kernel
def _output(answer, constants, traces, distance, potential):  # type: ignore[no-untyped-def]
    """Turns the drive of output neurons into their potentials; returns their number of spikes."""
    classes, one = answer.shape[1], answer.dtype.type(1)
    current, membrane = np.zeros(classes, answer.dtype), np.zeros(classes, answer.dtype)
    trace = np.zeros(classes, answer.dtype)
    total, count = one - one, 0
    for c in range(classes):
        distance[c] = 0
        potential[c] = -np.inf
    for step in range(len(answer)):
        wanted = constants.target[step]
        total += wanted * wanted
        for c in range(classes):
            reset = one if membrane[c] > one else one - one
            current[c] = constants.synapse * current[c] + answer[step, c]
            inflow = constants.gain * current[c]
            membrane[c] = constants.membrane * membrane[c] + inflow - reset
            fires = membrane[c] > one
            count += fires
            trace[c] = constants.trace * trace[c] + (one if fires else one - one)
            total += trace[c] * trace[c]
            distance[c] -= 2 * trace[c] * wanted
            potential[c] = max(potential[c], membrane[c])
            answer[step, c] = membrane[c]
            traces[step, c] = trace[c]
    for c in range(classes):
        distance[c] += total
    return count


@vector_kernel
def answer_drive(weights, constants, scratch, memory, place, results, b):  # type: ignore[no-untyped-def]
    """Answers the pattern whose drive is in the memory; fills the results of pattern b."""
    distance, potential, hidden_spikes, output_spikes = results
    drive, answer, fired = memory.hidden[place], memory.output[place], scratch.fired
    _hidden(drive, constants, scratch.current, scratch.membrane, fired)
    flat = fired.reshape(fired.size)
    count = list_spikes(flat, flat.view(np.uint64), scratch.words, scratch.places)
    rest(weights[3], answer)
    for spike in range(count):
        step = np.uint32(scratch.places[spike]) // np.uint32(fired.shape[1])
        k = scratch.places[spike] - np.int64(step) * fired.shape[1]
        for c in range(answer.shape[1]):
            answer[step, c] += weights[2][k, c]
    hidden_spikes[b] = count
    traces = memory.trace[place]
    output_spikes[b] = _output(answer, constants, traces, distance[b], potential[b])


@vector_kernel
def forward(bins, weights, constants, begin, end, memory, results):  # type: ignore[no-untyped-def]
    """Fills distance [B, C], potential [B, C], hidden_spikes [B], output_spikes [B]."""
    scratch = scratch_for(weights, len(constants.target))
    keep = len(memory.hidden) > 0
    if not keep:
        memory = memory_of_one(weights, len(constants.target))
    for b in range(begin, end):
        place = b if keep else 0
        rest(weights[1], memory.hidden[place])
        add_spikes(bins[b], weights[0], 0, constants.input_steps, memory.hidden[place])
        answer_drive(weights, constants, scratch, memory, place, results, b)
