"""Event-driven kernels of the neuron of :mod:`plastorch.spiking.fatigue.rule`, for CPUs.

An input's variables are updated when it spikes; all weights when the neuron does.
"""

from math import exp
from typing import Any, NamedTuple

import numpy as np

from plastorch.engine.numba_options import kernel


class FatigueArrays(NamedTuple):
    """Arrays of weights and state, float64, changed in place."""

    weight: Any
    """Weights [B, N]."""
    resource: Any
    """Resources [B, N]."""
    trace: Any
    """Presynaptic traces [B, N]."""
    membrane: Any
    """Membrane potentials [B]."""
    theta: Any
    """Thresholds [B]."""
    post_trace: Any
    """Postsynaptic traces [B]."""


class FatigueConstants(NamedTuple):
    """Constants of the rule, as in :class:`plastorch.spiking.fatigue.rule.FatiguingSTDP`."""

    fatigue: Any
    tau_fatigue: Any
    tau_membrane: Any
    tau_trace: Any
    tau_theta: Any
    theta_step: Any
    rate: Any
    """Learning rate, or A+ of the pair window."""
    depression: Any
    pair: Any
    """Whether the window is the pair window."""
    trace_fatigue: Any


@kernel
def _learn(weight, trace, trace_time, t, tau_trace, rate, pair):  # type: ignore[no-untyped-def]
    """Applies an output spike at time t and updates traces to it."""
    total = 0.0
    for i in range(len(weight)):
        trace[i] *= exp((trace_time[i] - t) / tau_trace)
        trace_time[i] = t
        total += trace[i]
    mean = total / len(weight) if total > 0 else 1.0  # without recent input, all traces are 0
    for i in range(len(weight)):
        growth = (1 - weight[i]) * trace[i]
        change = growth if pair else growth / mean - weight[i]
        weight[i] = min(max(weight[i] + rate * change, 0.0), 1.0)


@kernel
def run(b, times, source, start, stop, arrays, constants, learn, found):  # type: ignore[no-untyped-def]
    """Runs network b from ``start`` to ``stop``, or to its first output spike if not ``learn``, on
    spikes at ``times`` [E], in order, of inputs ``source`` [E].

    Fills ``found`` with output times: of length E or more, or 1 if not ``learn``. Returns the
    numbers of output spikes and of input spikes that came in.
    """
    c, weight, resource, trace = constants, arrays.weight[b], arrays.resource[b], arrays.trace[b]
    v, threshold, post = arrays.membrane[b], arrays.theta[b], arrays.post_trace[b]
    spiked, trace_time = np.full(len(weight), start), np.full(len(weight), start)
    clock, count, e = start, 0, 0
    while e < len(times):
        t = times[e]
        v *= exp((clock - t) / c.tau_membrane)
        threshold *= exp((clock - t) / c.tau_theta)
        post *= exp((clock - t) / c.tau_trace)
        clock = t
        while e < len(times) and times[e] == t:
            i = source[e]
            e += 1
            sent = 1 - (1 - resource[i]) * exp((spiked[i] - t) / c.tau_fatigue)
            arrived = sent if c.trace_fatigue else 1.0
            v += weight[i] * sent
            trace[i] = trace[i] * exp((trace_time[i] - t) / c.tau_trace) + arrived
            if c.pair:
                weight[i] = max(weight[i] - c.depression * weight[i] * arrived * post, 0.0)
            resource[i] = sent * (1 - c.fatigue)
            spiked[i] = trace_time[i] = t
        if v > threshold:
            found[count] = t
            count += 1
            v = 0.0
            threshold *= 1 + c.theta_step
            post += 1
            if not learn:
                stop = t
                break
            _learn(weight, trace, trace_time, t, c.tau_trace, c.rate, c.pair)
    for i in range(len(weight)):
        resource[i] = 1 - (1 - resource[i]) * exp((spiked[i] - stop) / c.tau_fatigue)
        trace[i] *= exp((trace_time[i] - stop) / c.tau_trace)
    arrays.membrane[b] = v * exp((clock - stop) / c.tau_membrane)
    arrays.theta[b] = threshold * exp((clock - stop) / c.tau_theta)
    arrays.post_trace[b] = post * exp((clock - stop) / c.tau_trace)
    return count, e


@kernel
def run_all(times, source, offsets, start, stop, arrays, constants):  # type: ignore[no-untyped-def]
    """Runs all networks, which learn, from ``start`` to ``stop``; network b has the input spikes
    ``times`` [E] and ``source`` [E] from ``offsets[b]`` to ``offsets[b + 1]`` [B + 1]. Returns the
    times of the output spikes, and where each network's end."""
    found, ends = np.empty(len(times)), np.zeros_like(offsets)
    for b in range(len(offsets) - 1):
        own = slice(offsets[b], offsets[b + 1])
        count, _ = run(
            b, times[own], source[own], start, stop, arrays, constants, True, found[ends[b] :]
        )
        ends[b + 1] = ends[b] + count
    return found[: ends[-1]], ends
