"""Kernels of circuits with short-term plasticity, one stream after the other, for CPUs.

The equations are those of :mod:`plastorch.spiking.shortterm.rule`. Decay is lazy: a neuron's
synapses change only when it wins; whenever they are read, they are decayed by the time since then.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import exp, isfinite, sqrt
from typing import Any

import numpy as np
import torch
from numba import njit

SCORE = {"cosine": 0, "dot": 1, "distance": 2}
_COSINE, _DISTANCE = SCORE["cosine"], SCORE["distance"]
NEGLIGIBLE = 1e-9
"""Size below which changes of a synapse and remainders of F are ignored: float32 weights of inputs
of norm 1 are rounded by more."""

# Sums may be reordered.
_compiled: Any = njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


def in_threads(work: Callable[[int, int], None], streams: int) -> None:
    """Calls ``work(begin, end)`` on shares of the streams, in as many threads as torch may use."""
    shares = max(min(torch.get_num_threads(), streams), 1)
    bounds = [streams * share // shares for share in range(shares + 1)]
    with ThreadPoolExecutor(shares) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


@_compiled
def _match(k, weight, memory, left, x):  # type: ignore[no-untyped-def]
    """Returns G x and |G|² of neuron k, with G = W + left F."""
    drive = squared = weight.dtype.type(0)
    for j in range(weight.shape[1]):
        total = weight[k, j] + left * memory[k, j]
        drive += total * x[j]
        squared += total * total
    return drive, squared


@_compiled
def _drive(weight, x, drive):  # type: ignore[no-untyped-def]
    """Computes W x of all neurons."""
    for k in range(len(weight)):
        total = weight.dtype.type(0)
        for j in range(len(x)):
            total += weight[k, j] * x[j]
        drive[k] = total


@_compiled
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


@_compiled
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


@_compiled
def _decay(left, kept):  # type: ignore[no-untyped-def]
    """Decays the remaining share of each F; less than ``NEGLIGIBLE`` becomes 0."""
    for k in range(len(left)):
        left[k] = left[k] * kept if left[k] * kept > NEGLIGIBLE else 0.0


@_compiled
def _settle(memory, left):  # type: ignore[no-untyped-def]
    """Applies the pending decay to F."""
    for k in range(len(memory)):
        memory[k] *= memory.dtype.type(left[k])


@_compiled
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


@_compiled
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
    """Runs all frames of the streams from ``begin`` to ``end``.

    Args:
        x: inputs [T, S, D].
        weight: weights W [K, D].
        bias: biases b [K].
        memory: short-term weights F [S, K, D], replaced by the final ones.
        posterior: drive W x [T, S, K], replaced by the posterior.
        kappa: inverse temperature.
        gamma: gain.
        kept: factor by which F decays per frame.
        score: value of SCORE.
        track: whether F takes up the difference from W + F, or from W.
        hard: whether only the best neuron wins.
        begin: first stream.
        end: stream after the last.
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


@_compiled
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


@_compiled
def _scaled(course, s, now, trace, x):  # type: ignore[no-untyped-def]
    """Computes c ε of all inputs."""
    # The frame is as in step_of() of plastorch.spiking.events.
    c = course.scale[int(min(now / course.frame + 1e-6, len(course.scale) - 1.0)), s]
    for j in range(len(x)):
        x[j] = c * trace[j]


@_compiled
def respond(  # type: ignore[no-untyped-def]
    course,
    weight,
    bias,
    trace,
    memory,
    kappa,
    gamma,
    tau,
    trace_tau,
    score,
    track,
    hard,
    begin,
    end,
    winners,
):
    """Runs the streams from ``begin`` to ``end``: output spikes, and what they change.

    Args:
        course: :class:`plastorch.spiking.shortterm.events.Course`.
        weight: weights W [K, D].
        bias: biases b [K].
        trace: traces ε [S, D], replaced by the final ones.
        memory: short-term weights F [S, K, D], replaced by the final ones.
        kappa: inverse temperature.
        gamma: gain of a spike.
        tau: time constant of F, seconds.
        trace_tau: time constant of ε, seconds.
        score: value of SCORE.
        track: whether F takes up the difference from W + F, or from W.
        hard: whether only the best neuron spikes.
        begin: first stream.
        end: stream after the last.
        winners: output neurons, filled in [O]; -1, and the last, where potentials overflowed.
    """
    squares, left = _squares(weight), np.empty(len(weight))
    x, y = np.empty(weight.shape[1], weight.dtype), np.empty(len(weight), weight.dtype)
    for s in range(begin, end):
        _awake(memory[s], left)
        i, clock = course.first[s], 0.0
        for o in range(course.starts[s], course.starts[s + 1]):
            now = course.moments[o]
            i = _advance(course, i, s, trace[s], clock, now, trace_tau)
            _decay(left, exp((clock - now) / tau))
            clock = now
            _scaled(course, s, now, trace[s], x)
            _drive(weight, x, y)
            _potentials(x, weight, bias, squares, memory[s], left, kappa, score, y)
            _compete(y, hard)
            k = _choose(y, course.choices[o])
            winners[o] = k
            if k < 0:
                return
            if gamma > 0:
                _take_up(k, x, weight, memory[s], left, gamma, track)
        _advance(course, i, s, trace[s], clock, course.duration, trace_tau)
        _decay(left, exp((clock - course.duration) / tau))
        _settle(memory[s], left)


@_compiled
def learn(  # type: ignore[no-untyped-def]
    course,
    weight,
    bias,
    fired,
    trace,
    kappa,
    rate,
    decline,
    homeostasis,
    trace_tau,
    score,
    begin,
    end,
    winners,
):
    """Runs the networks from ``begin`` to ``end``: output spikes, and long-term plasticity.

    Args:
        course: :class:`plastorch.spiking.shortterm.events.Course`.
        weight: weights W [B, K, D], changed in place.
        bias: biases b [B, K], changed in place.
        fired: number of spikes of each neuron so far [B, K], changed in place.
        trace: traces ε [B, D], replaced by the final ones.
        kappa: inverse temperature.
        rate: learning rate η of a neuron's first spike.
        decline: number of spikes after which η is halved.
        homeostasis: learning rate of the bias.
        trace_tau: time constant of ε, seconds.
        score: value of SCORE.
        begin: first network.
        end: network after the last.
        winners: output neurons, filled in [O]; -1, and the last, where potentials overflowed.
    """
    neurons, inputs = weight.shape[1:]
    x, y = np.empty(inputs, weight.dtype), np.empty(neurons, weight.dtype)
    for s in range(begin, end):
        squares = _squares(weight[s])
        i, clock = course.first[s], 0.0
        for o in range(course.starts[s], course.starts[s + 1]):
            now = course.moments[o]
            i = _advance(course, i, s, trace[s], clock, now, trace_tau)
            clock = now
            _scaled(course, s, now, trace[s], x)
            _drive(weight[s], x, y)
            for k in range(neurons):
                y[k] = _potential(y[k], squares[k], bias[s, k], kappa, score)
            _compete(y, False)
            k = _choose(y, course.choices[o])
            winners[o] = k
            if k < 0:
                return
            share = rate / (1 + fired[s, k] / decline)
            for j in range(inputs):
                weight[s, k, j] += share * (x[j] - weight[s, k, j])
            squares[k] = _square(k, weight[s])
            fired[s, k] += 1
            for other in range(neurons):
                bias[s, other] += homeostasis / neurons
            bias[s, k] -= homeostasis
        _advance(course, i, s, trace[s], clock, course.duration, trace_tau)
