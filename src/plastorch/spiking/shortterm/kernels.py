"""Kernels of circuits with short-term plasticity, one stream after the other, for CPUs.

The equations are those of :mod:`plastorch.spiking.shortterm.rule`. Decay is lazy: a neuron's
synapses change only when it wins; whenever they are read, they are decayed by the time since then.
"""

from functools import partial
from math import exp, isfinite, sqrt
from typing import Any, NamedTuple

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, kernel

SCORE = {"cosine": 0, "dot": 1, "distance": 2}
_COSINE, _DISTANCE = SCORE["cosine"], SCORE["distance"]
NEGLIGIBLE = 1e-9
"""Size below which changes of a synapse and remainders of F are ignored: float32 weights of inputs
of norm 1 are rounded by more."""

# Sums may be reordered.
_compiled: Any = partial(kernel, fastmath={"reassoc", "contract", "nsz"})
_uncounted: Any = _compiled(**UNCOUNTED)


@_uncounted
def _match(k, weight, memory, left, x):  # type: ignore[no-untyped-def]
    """Returns G x and |G|² of neuron k, with G = W + left F."""
    drive = squared = weight.dtype.type(0)
    for j in range(weight.shape[1]):
        total = weight[k, j] + left * memory[k, j]
        drive += total * x[j]
        squared += total * total
    return drive, squared


@_uncounted
def _drive(weight, x, drive):  # type: ignore[no-untyped-def]
    """Computes W x of all neurons."""
    for k in range(len(weight)):
        total = weight.dtype.type(0)
        for j in range(len(x)):
            total += weight[k, j] * x[j]
        drive[k] = total


@_uncounted
def _square(k, weight):  # type: ignore[no-untyped-def]
    """Returns |W|² of neuron k."""
    squared = weight.dtype.type(0)
    for j in range(weight.shape[1]):
        squared += weight[k, j] * weight[k, j]
    return squared


@_compiled
def _squares(weight):  # type: ignore[no-untyped-def]
    """Returns |W|² of all neurons."""
    squares = np.empty(len(weight), weight.dtype)
    for k in range(len(weight)):
        squares[k] = _square(k, weight)
    return squares


@_uncounted
def _potential(drive, squared, bias, kappa, score):  # type: ignore[no-untyped-def]
    """Returns the potential u of a neuron."""
    if score == _COSINE:
        drive = drive / sqrt(max(squared, 1e-30))
    elif score == _DISTANCE:
        drive = drive - squared / 2
    return bias + kappa * drive


@_compiled
def _awake(memory, left):  # type: ignore[no-untyped-def]
    """Sets the remaining share of each neuron's F: 1, or 0 if F is 0."""
    for k in range(len(memory)):
        left[k] = 1.0 if memory[k].any() else 0.0


@_uncounted
def _decay(left, kept):  # type: ignore[no-untyped-def]
    """Decays the remaining share of each F; less than ``NEGLIGIBLE`` becomes 0."""
    for k in range(len(left)):
        left[k] = left[k] * kept if left[k] * kept > NEGLIGIBLE else 0.0


@_compiled
def _settle(memory, left):  # type: ignore[no-untyped-def]
    """Applies the pending decay to F."""
    for k in range(len(memory)):
        memory[k] *= memory.dtype.type(left[k])


@_uncounted
def _potentials(x, weight, bias, squares, memory, left, kappa, score, u):  # type: ignore[no-untyped-def]
    """Replaces W x by the potentials u of all neurons."""
    for k in range(len(weight)):
        drive, squared = u[k], squares[k]
        if left[k] > 0:
            drive, squared = _match(k, weight, memory, weight.dtype.type(left[k]), x)
        u[k] = _potential(drive, squared, bias[k], kappa, score)


@_compiled
def _compete(u, hard):  # type: ignore[no-untyped-def]
    """Replaces potentials by the posterior, which holds NaN unless they are finite."""
    best = u.max()
    if hard:
        winner = u.argmax()
        u[:] = 0
        u[winner] = 1.0 if isfinite(best) else np.nan
        return
    total = u.dtype.type(0)
    for k in range(len(u)):
        u[k] = exp(u[k] - best)
        total += u[k]
    for k in range(len(u)):
        u[k] /= total


@_compiled
def _choose(posterior, choice):  # type: ignore[no-untyped-def]
    """Chooses the neuron that spikes by a number in [0, 1); -1 if the posterior isn't finite."""
    reached = posterior.dtype.type(0)
    for k in range(len(posterior)):
        reached += posterior[k]
        if choice < reached:
            return k
    # Rounding may leave the sum below 1; a NaN sum is not above 0.
    return posterior.argmax() if reached > 0 else -1


@_uncounted
def _take_up(k, x, weight, memory, left, share, track):  # type: ignore[no-untyped-def]
    """Adds share (x - W - F), or share (x - W), to F after its decay."""
    share = weight.dtype.type(share)
    kept = weight.dtype.type(left[k])
    if track:
        kept *= 1 - share
    for j in range(weight.shape[1]):
        memory[k, j] = kept * memory[k, j] + share * (x[j] - weight[k, j])
    left[k] = 1.0


@_compiled
def frames(  # type: ignore[no-untyped-def]
    x, weight, bias, memory, posterior, kappa, gamma, kept, score, track, hard, begin, end
):
    """Runs all frames [T, S, D] of streams from ``begin`` to ``end``; weights [K, D], biases [K].

    ``memory``, F [S, K, D], is replaced by the final one, and the drive W x [T, S, K] in
    ``posterior`` by the posterior. F decays by the factor ``kept`` per frame, and takes up the
    difference from W + F if ``track``, else from W. If ``hard``, the best neuron wins; ``score`` is
    a value of SCORE.
    """
    squares, left = _squares(weight), np.empty(len(weight))
    for s in range(begin, end):
        _awake(memory[s], left)
        for t in range(len(x)):
            y = posterior[t, s]
            _decay(left, kept)
            _potentials(x[t, s], weight, bias, squares, memory[s], left, kappa, score, y)
            _compete(y, hard)
            for k in range(len(weight)):
                if gamma * y[k] > NEGLIGIBLE:
                    _take_up(k, x[t, s], weight, memory[s], left, gamma * y[k], track)
        _settle(memory[s], left)


@_uncounted
def _advance(course, i, s, trace, clock, now, tau):  # type: ignore[no-untyped-def]
    """Advances traces of stream s from ``clock`` to ``now``, including spikes at ``now``; returns
    the first spike after it."""
    kept = trace.dtype.type(exp((clock - now) / tau))
    for j in range(len(trace)):
        trace[j] *= kept
    while i < course.first[s + 1] and course.times[i] <= now:
        trace[course.source[i]] += exp((course.times[i] - now) / tau)
        i += 1
    return i


@_uncounted
def _scaled(course, s, now, trace, x):  # type: ignore[no-untyped-def]
    """Computes c ε of all inputs."""
    # The frame is as in step_of() of plastorch.spiking.events.
    c = course.scale[int(min(now / course.frame + 1e-6, len(course.scale) - 1.0)), s]
    for j in range(len(x)):
        x[j] = c * trace[j]


class CircuitConstants(NamedTuple):
    """Constants of a circuit that spikes."""

    kappa: Any
    """Scale κ of the scores."""
    trace_tau: Any
    """Time constant of ε, seconds."""
    score: Any
    """Value of SCORE."""
    gamma: Any = 0.0
    """Gain of a spike; 0 for no short-term plasticity."""
    tau: Any = 1.0
    """Time constant of F, seconds."""
    track: Any = True
    """Whether F takes up the difference from W + F, or from W."""
    hard: Any = False
    """Whether only the best neuron spikes."""


class Plasticity(NamedTuple):
    """Constants of long-term learning."""

    rate: Any = 0.0
    """Learning rate of a neuron's first spike; 0 for no learning."""
    decline: Any = 1.0
    homeostasis: Any = 0.0


@_uncounted
def _learn(k, x, weight, bias, fired, squares, plasticity):  # type: ignore[no-untyped-def]
    """Moves the weights of neuron k toward x, and biases toward equal use."""
    share = plasticity.rate / (1 + fired[k] / plasticity.decline)
    for j in range(len(x)):
        weight[k, j] += share * (x[j] - weight[k, j])
    squares[k] = _square(k, weight)
    fired[k] += 1
    for other in range(len(bias)):
        bias[other] += plasticity.homeostasis / len(bias)
    bias[k] -= plasticity.homeostasis


@_compiled
def spikes(  # type: ignore[no-untyped-def]
    course, learned, trace, memory, circuit, plasticity, begin, end, winners
):
    """Runs a course's streams from ``begin`` to ``end``: output spikes, and what they change.

    ``learned`` are W [B, K, D], b [B, K] and numbers of spikes [B, K] of each stream's network,
    changed where they learn; or of one network for all streams. Traces ε [S, D] and memory
    F [S, K, D], or [S, K, 0] for none, are replaced by the final ones. ``winners`` [O] are filled
    in; -1, and the last, where potentials overflowed.
    """
    neurons, inputs = learned[0].shape[1:]
    x, y = np.empty(inputs, trace.dtype), np.empty(neurons, trace.dtype)
    left = np.empty(neurons)
    for s in range(begin, end):
        own = s if len(learned[0]) > 1 else 0
        weight, bias, fired = learned[0][own], learned[1][own], learned[2][own]
        squares = _squares(weight)
        _awake(memory[s], left)
        i, clock = course.first[s], 0.0
        for o in range(course.starts[s], course.starts[s + 1]):
            now = course.moments[o]
            i = _advance(course, i, s, trace[s], clock, now, circuit.trace_tau)
            _decay(left, exp((clock - now) / circuit.tau))
            clock = now
            _scaled(course, s, now, trace[s], x)
            _drive(weight, x, y)
            _potentials(x, weight, bias, squares, memory[s], left, circuit.kappa, circuit.score, y)
            _compete(y, circuit.hard)
            k = _choose(y, course.choices[o])
            winners[o] = k
            if k < 0:
                return
            if circuit.gamma > 0:
                _take_up(k, x, weight, memory[s], left, circuit.gamma, circuit.track)
            if plasticity.rate > 0:
                _learn(k, x, weight, bias, fired, squares, plasticity)
        _advance(course, i, s, trace[s], clock, course.duration, circuit.trace_tau)
        _decay(left, exp((clock - course.duration) / circuit.tau))
        _settle(memory[s], left)
