"""Loops of circuits with short-term plasticity, one stream after the other, for CPUs.

The equations are those of :mod:`plastorch.spiking.shortterm.rule`. Decay is lazy: a neuron's
synapses are touched when it wins, and decayed by the time since then whenever they are read.
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
"""Changes of a synapse, and remainders of F, below which they are left out: float32 weights of
inputs of norm 1 are rounded by more."""

# Sums may be reordered.
_compiled: Any = njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


def in_threads(work: Callable[[int, int], None], streams: int) -> None:
    """Calls ``work(begin, end)`` for shares of the streams, on as many threads as torch may use."""
    shares = max(min(torch.get_num_threads(), streams), 1)
    bounds = [streams * share // shares for share in range(shares + 1)]
    with ThreadPoolExecutor(shares) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


@_compiled
def _match(k, weight, memory, left, x):  # type: ignore[no-untyped-def]
    """G x and |G|² of neuron k, G = W + left F."""
    drive = squared = weight.dtype.type(0)
    for j in range(weight.shape[1]):
        total = weight[k, j] + left * memory[k, j]
        drive += total * x[j]
        squared += total * total
    return drive, squared


@_compiled
def _drive(weight, x, drive):  # type: ignore[no-untyped-def]
    """W x of all neurons."""
    for k in range(len(weight)):
        total = weight.dtype.type(0)
        for j in range(len(x)):
            total += weight[k, j] * x[j]
        drive[k] = total


@_compiled
def _square(k, weight):  # type: ignore[no-untyped-def]
    """|W|² of neuron k."""
    squared = weight.dtype.type(0)
    for j in range(weight.shape[1]):
        squared += weight[k, j] * weight[k, j]
    return squared


@_compiled
def _squares(weight):  # type: ignore[no-untyped-def]
    """|W|² of all neurons."""
    squares = np.empty(len(weight), weight.dtype)
    for k in range(len(weight)):
        squares[k] = _square(k, weight)
    return squares


@_compiled
def _potential(drive, squared, bias, kappa, score):  # type: ignore[no-untyped-def]
    """u of a neuron."""
    if score == _COSINE:
        drive = drive / sqrt(max(squared, 1e-30))
    elif score == _DISTANCE:
        drive = drive - squared / 2
    return bias + kappa * drive


@_compiled
def _awake(memory, left):  # type: ignore[no-untyped-def]
    """What is left of each neuron's F: 1, or 0 if there is none."""
    for k in range(len(memory)):
        left[k] = 1.0 if memory[k].any() else 0.0


@_compiled
def _decay(left, kept):  # type: ignore[no-untyped-def]
    """What is left of each F after some time; less than ``NEGLIGIBLE`` is nothing."""
    for k in range(len(left)):
        left[k] = left[k] * kept if left[k] * kept > NEGLIGIBLE else 0.0


@_compiled
def _settle(memory, left):  # type: ignore[no-untyped-def]
    """F as it is now."""
    for k in range(len(memory)):
        memory[k] *= memory.dtype.type(left[k])


@_compiled
def _potentials(x, weight, bias, squares, memory, left, kappa, score, u):  # type: ignore[no-untyped-def]
    """u of all neurons, in place of W x."""
    for k in range(len(weight)):
        drive, squared = u[k], squares[k]
        if left[k] > 0:
            drive, squared = _match(k, weight, memory, weight.dtype.type(left[k]), x)
        u[k] = _potential(drive, squared, bias[k], kappa, score)


@_compiled
def _compete(u, hard):  # type: ignore[no-untyped-def]
    """The posterior, in place of potentials; it holds NaN unless they are finite."""
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
    """The neuron that spikes, given a number in [0, 1); -1 if the posterior isn't finite."""
    reached = posterior.dtype.type(0)
    for k in range(len(posterior)):
        reached += posterior[k]
        if choice < reached:
            return k
    # A sum may be rounded below 1; one that is NaN is no number above 0.
    return posterior.argmax() if reached > 0 else -1


@_compiled
def _take_up(k, x, weight, memory, left, share, track):  # type: ignore[no-untyped-def]
    """F += share (x - W - F), or share (x - W), after F has decayed."""
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
    """All frames of the streams from ``begin`` to ``end``.

    Args:
        x: inputs [T, S, D].
        weight: W [K, D].
        bias: b [K].
        memory: F [S, K, D]; replaced by the last one.
        posterior: W x [T, S, K]; replaced by the posterior.
        kappa: inverse temperature.
        gamma: gain.
        kept: share of F that a frame leaves.
        score: see SCORE.
        track: whether F takes up the difference from W + F, or from W.
        hard: whether the best neuron takes all.
        begin: first stream.
        end: the one after the last.
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
    """Traces of the inputs of stream s from ``clock`` to ``now``, spikes at ``now`` among them;
    returns the first spike after it."""
    kept = trace.dtype.type(exp((clock - now) / tau))
    for j in range(len(trace)):
        trace[j] *= kept
    while i < course.first[s + 1] and course.times[i] <= now:
        trace[course.source[i]] += exp((course.times[i] - now) / tau)
        i += 1
    return i


@_compiled
def _scaled(course, s, now, trace, x):  # type: ignore[no-untyped-def]
    """c ε of all inputs."""
    # As step_of() of plastorch.spiking.events.
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
    """Output spikes of the streams from ``begin`` to ``end``, and what they change.

    Args:
        course: :class:`plastorch.spiking.shortterm.events.Course`.
        weight: W [K, D].
        bias: b [K].
        trace: ε [S, D]; replaced by the last one.
        memory: F [S, K, D]; replaced by the last one.
        kappa: inverse temperature.
        gamma: gain of a spike.
        tau: time constant of F, seconds.
        trace_tau: of ε, seconds.
        score: see SCORE.
        track: whether F takes up the difference from W + F, or from W.
        hard: whether the best neuron spikes for sure.
        begin: first stream.
        end: the one after the last.
        winners: takes who spiked [O]; -1, and the last, where potentials overflowed.
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
    """Output spikes of the networks from ``begin`` to ``end``, and long-term plasticity.

    Args:
        course: :class:`plastorch.spiking.shortterm.events.Course`.
        weight: W [B, K, D]; changed.
        bias: b [B, K]; changed.
        fired: spikes of each neuron so far [B, K]; changed.
        trace: ε [B, D]; replaced by the last one.
        kappa: inverse temperature.
        rate: η of a neuron's first spike.
        decline: spikes after which it is half of that.
        homeostasis: η of the bias.
        trace_tau: of ε, seconds.
        score: see SCORE.
        begin: first network.
        end: the one after the last.
        winners: takes who spiked [O]; -1, and the last, where potentials overflowed.
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
