"""Event-driven kernels of the layer of :mod:`plastorch.spiking.stdp_step`, for CPUs.

Work is done only at input spikes, on K synapses each, and at output spikes, on N synapses each.
Weights are [N, K] here, so the synapses of an input lie side by side. All networks start from the
same weights; one after the other runs on a copy that stays in the cache, and then adds its change
to a sum. Neurons are updated whenever an input spikes; in between they only decay. Presynaptic
traces need no such update: a trace a is stored as a exp((t - start) / tau), constant between
spikes; ``start`` moves at times.

A row is passed as array and index, because a view of a row would be counted as a reference.
"""

from math import exp
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from plastorch.engine.numba_options import NoOverlap
from plastorch.spiking.draw_kernels import with_room

SAME_TIME = 1e-9
"""Seconds, as in :mod:`plastorch.spiking.neurons`."""
SPAN = 20.0
"""Time constants after which ``start`` moves; exp(20) is far below the largest number."""
NOTHING = 1e-25
"""Smallest trace kept; smaller ones become 0, as some processors take 100 times as long for numbers
too small for full precision."""


class LayerConstants(NamedTuple):
    """LayerConstants of neurons and plasticity; times are float64, all else of the arrays' type."""

    tau: Any
    threshold: Any
    reset: Any
    rest: Any
    refractory: Any
    theta_increase: Any
    theta_tau: Any
    inhibition: Any
    potentiation: Any
    depression: Any
    tau_plus: Any
    tau_minus: Any
    low: Any
    high: Any
    soft: Any
    """1 for multiplicative bounds, else 0."""
    plastic: Any
    """Whether weights change, bool."""


class LayerArrays(NamedTuple):
    """LayerArrays of weights and state, written to except for the first weights."""

    first_weight: Any
    """Weights at the beginning, not changed [N, K]."""
    weight: Any
    """Weights of the network that runs [N, K]."""
    change: Any
    """Sum of the changes of all networks' weights [N, K]."""
    membrane: Any
    """Potential [B, K]."""
    theta: Any
    """Threshold above its lowest value [B, K]."""
    refractory: Any
    """Seconds until a neuron takes input again, float64 [B, K]."""
    pre: Any
    """Trace of the inputs [B, N]."""
    post: Any
    """Trace of the neurons [B, K]."""


_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", pipeline_class=NoOverlap)


@_compiled
def _transmit(j, weight, drive):  # type: ignore[no-untyped-def]
    """Transmits a spike of input j: neurons receive its weights."""
    for k in range(len(drive)):
        drive[k] += weight[j, k]


@_compiled
def _transmit_and_depress(b, j, weight, drive, post, depression, soft, low):  # type: ignore[no-untyped-def]
    """Transmits a spike of input j with its weights as they were, then decreases the weights."""
    hard = weight.dtype.type(1) - soft
    for k in range(len(drive)):
        before = weight[j, k]
        drive[k] += before
        after = before - depression * post[b, k] * (hard + soft * (before - low))
        weight[j, k] = after if after > low else low


@_compiled
def _potentiate(b, k, weight, pre, gain, soft, high):  # type: ignore[no-untyped-def]
    """Applies a spike of neuron k: the weights of all inputs that spiked before grow."""
    hard = weight.dtype.type(1) - soft
    for j in range(len(weight)):
        if pre[b, j] > 0:
            before = weight[j, k]
            after = before + gain * pre[b, j] * (hard + soft * (high - before))
            weight[j, k] = after if after < high else high


@_compiled
def _fade(b, trace, factor):  # type: ignore[no-untyped-def]
    nothing, zero = trace.dtype.type(NOTHING), trace.dtype.type(0)
    for i in range(trace.shape[1]):
        faded = trace[b, i] * factor
        trace[b, i] = faded if faded > nothing else zero


@_compiled
def _integrate(b, drive, membrane, theta, ready, t, rest, threshold, keep, keep_theta):  # type: ignore[no-untyped-def]
    """Decays membranes and thresholds, adds ``drive`` to the membranes and clears it; returns the
    number of neurons above their threshold."""
    one, zero = membrane.dtype.type(1), membrane.dtype.type(0)
    above = 0
    for k in range(membrane.shape[1]):
        open_ = one if ready[b, k] <= t + SAME_TIME else zero
        theta[b, k] *= keep_theta
        membrane[b, k] = rest + (membrane[b, k] - rest) * keep + open_ * drive[k]
        drive[k] = zero
        above += int((open_ > zero) & (membrane[b, k] - theta[b, k] > threshold))
    return above


@_compiled
def _fire(b, t, above, arrays, constants, gain, found):  # type: ignore[no-untyped-def]
    """Fires the ``above`` neurons over their threshold, which learn, and inhibits the others."""
    _, weight, _, membrane, theta, ready, pre, post = arrays
    c = constants
    times, source, count = found
    times, source = with_room(times, source, count, above)
    for k in range(membrane.shape[1]):
        if not ready[b, k] <= t + SAME_TIME:
            continue
        if not membrane[b, k] - theta[b, k] > c.threshold:  # same test as the count, NaN included
            membrane[b, k] -= c.inhibition * above
            continue
        times[count], source[count] = t, k
        count += 1
        membrane[b, k] = c.reset
        theta[b, k] += c.theta_increase
        ready[b, k] = t + c.refractory
        post[b, k] += 1
        if c.plastic:
            _potentiate(b, k, weight, pre, gain, c.soft, c.high)
    return times, source, count


@_compiled
def _run(b, times, source, duration, arrays, constants, found):  # type: ignore[no-untyped-def]
    """Runs network b for ``duration``; appends its output spikes to ``found``."""
    _, weight, _, membrane, theta, ready, pre, post = arrays
    c, dtype = constants, weight.dtype.type
    drive = np.zeros(weight.shape[1], weight.dtype)
    now = start = 0.0
    event = 0
    while event < len(times):
        t = times[event]
        if t - start > SPAN * c.tau_plus:
            _fade(b, pre, dtype(exp((start - t) / c.tau_plus)))
            start = t
        scale = dtype(exp((t - start) / c.tau_plus))
        _fade(b, post, dtype(exp((now - t) / c.tau_minus)))
        keep, keep_theta = dtype(exp((now - t) / c.tau)), dtype(exp((now - t) / c.theta_tau))
        now = t
        while event < len(times) and times[event] == t:
            j = source[event]
            pre[b, j] += scale
            if c.plastic:
                _transmit_and_depress(b, j, weight, drive, post, c.depression, c.soft, c.low)
            else:
                _transmit(j, weight, drive)
            event += 1
        above = _integrate(
            b, drive, membrane, theta, ready, t, c.rest, c.threshold, keep, keep_theta
        )
        if above > 0:
            found = _fire(b, t, above, arrays, c, c.potentiation / scale, found)
    _fade(b, pre, dtype(exp((start - duration) / c.tau_plus)))
    _fade(b, post, dtype(exp((now - duration) / c.tau_minus)))
    keep = dtype(exp((now - duration) / c.tau))
    keep_theta = dtype(exp((now - duration) / c.theta_tau))
    _integrate(b, drive, membrane, theta, ready, duration, c.rest, c.threshold, keep, keep_theta)
    for k in range(membrane.shape[1]):
        ready[b, k] = max(ready[b, k] - duration, 0.0)
    return found


@_compiled
def _begin(first_weight, weight, low, high):  # type: ignore[no-untyped-def]
    """Sets the weights to the first ones, within the bounds."""
    for j in range(weight.shape[0]):
        for k in range(weight.shape[1]):
            weight[j, k] = min(max(first_weight[j, k], low), high)


@_compiled
def _end(first_weight, weight, change):  # type: ignore[no-untyped-def]
    """Adds the change of the weights to the sum of those before."""
    for j in range(weight.shape[0]):
        for k in range(weight.shape[1]):
            change[j, k] += weight[j, k] - first_weight[j, k]


@_compiled
def respond(times, source, offsets, duration, arrays, constants):  # type: ignore[no-untyped-def]
    """Runs all networks for ``duration`` seconds; network b has the input spikes ``times``, seconds
    [E], and ``source`` [E] from ``offsets[b]`` to ``offsets[b + 1]`` [B + 1]. Changes in ``arrays``
    start at 0. Returns times, neurons and offsets of the output spikes."""
    found = (np.empty(256), np.empty(256, np.int64), 0)
    ends = np.zeros_like(offsets)
    for b in range(len(offsets) - 1):
        _begin(arrays.first_weight, arrays.weight, constants.low, constants.high)
        first, end = offsets[b], offsets[b + 1]
        its_times, its_source = times[first:end], source[first:end]
        found = _run(b, its_times, its_source, duration, arrays, constants, found)
        _end(arrays.first_weight, arrays.weight, arrays.change)
        ends[b + 1] = found[2]
    return found[0][: found[2]], found[1][: found[2]], ends
