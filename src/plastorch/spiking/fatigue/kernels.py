"""The fatiguing neuron of :mod:`plastorch.spiking.fatigue.rule` from spike to spike, for CPUs.

What an input has is brought up to date when it spikes; all weights when the neuron does.
"""

from math import exp
from typing import Any

import numpy as np
from numba import njit

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _learn(weight, trace, trace_time, t, tau_trace, rate, pair):  # type: ignore[no-untyped-def]
    """An output spike at time t; traces are brought up to it. ``rate`` is η, or A+ of pairs."""
    total = 0.0
    for i in range(len(weight)):
        trace[i] *= exp((trace_time[i] - t) / tau_trace)
        trace_time[i] = t
        total += trace[i]
    mean = total / len(weight) if total > 0 else 1.0  # without recent input all are 0
    for i in range(len(weight)):
        growth = (1 - weight[i]) * trace[i]
        change = growth if pair else growth / mean - weight[i]
        weight[i] = min(max(weight[i] + rate * change, 0.0), 1.0)


@_compiled
def run(  # type: ignore[no-untyped-def]
    times,
    source,
    start,
    stop,
    weight,
    resource,
    trace,
    membrane,
    theta,
    post_trace,
    fatigue,
    tau_fatigue,
    tau_membrane,
    tau_trace,
    tau_theta,
    theta_step,
    learning_rate,
    potentiation,
    depression,
    pair,
    trace_fatigue,
    learn,
    found,
):
    """One network from ``start`` to ``stop``; or to its first output spike, if it doesn't learn.

    Args:
        times: of its input spikes, in order [E].
        source: their inputs [E].
        start: time of the state.
        stop: time of the state that replaces it, if nothing stops it before.
        weight: [N], replaced like all up to ``post_trace``.
        resource: [N].
        trace: [N].
        membrane: [1].
        theta: [1].
        post_trace: [1].
        fatigue: U.
        tau_fatigue: seconds, like all time constants.
        tau_membrane: of the membrane.
        tau_trace: of both traces.
        tau_theta: of the threshold.
        theta_step: its growth at an output spike.
        learning_rate: of the one-sided window.
        potentiation: of the pair window.
        depression: of the pair window.
        pair: which of both.
        trace_fatigue: whether traces count spikes by the resource.
        learn: whether output spikes change the weights.
        found: takes the times of output spikes; of length E or more, 1 if it doesn't learn.

    Returns:
        How many output spikes there were, and how many input spikes came in.
    """
    spiked, trace_time = np.full(len(weight), start), np.full(len(weight), start)
    v, threshold, post, clock = membrane[0], theta[0], post_trace[0], start
    rate = potentiation if pair else learning_rate
    count = e = 0
    while e < len(times):
        t = times[e]
        v *= exp((clock - t) / tau_membrane)
        threshold *= exp((clock - t) / tau_theta)
        post *= exp((clock - t) / tau_trace)
        clock = t
        while e < len(times) and times[e] == t:
            i = source[e]
            e += 1
            sent = 1 - (1 - resource[i]) * exp((spiked[i] - t) / tau_fatigue)
            arrived = sent if trace_fatigue else 1.0
            v += weight[i] * sent
            trace[i] = trace[i] * exp((trace_time[i] - t) / tau_trace) + arrived
            if pair:
                weight[i] = max(weight[i] - depression * weight[i] * arrived * post, 0.0)
            resource[i] = sent * (1 - fatigue)
            spiked[i] = trace_time[i] = t
        if v > threshold:
            found[count] = t
            count += 1
            v = 0.0
            threshold *= 1 + theta_step
            post += 1
            if not learn:
                stop = t
                break
            _learn(weight, trace, trace_time, t, tau_trace, rate, pair)
    for i in range(len(weight)):
        resource[i] = 1 - (1 - resource[i]) * exp((spiked[i] - stop) / tau_fatigue)
        trace[i] *= exp((trace_time[i] - stop) / tau_trace)
    membrane[0] = v * exp((clock - stop) / tau_membrane)
    theta[0] = threshold * exp((clock - stop) / tau_theta)
    post_trace[0] = post * exp((clock - stop) / tau_trace)
    return count, e
