"""Event-driven kernels of the neuron of :mod:`plastorch.spiking.fatigue.rule`, for CPUs.

An input's variables are updated when it spikes; all weights when the neuron does.
"""

from math import exp
from typing import Any

import numpy as np
from numba import njit

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _learn(weight, trace, trace_time, t, tau_trace, rate, pair):  # type: ignore[no-untyped-def]
    """Applies an output spike at time t and updates traces to it; ``rate`` is η, or A+ of pairs."""
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
    """Runs one network from ``start`` to ``stop``, or to its first output spike if not ``learn``.

    Args:
        times: times of input spikes, in order [E].
        source: inputs that spiked [E].
        start: time of the state.
        stop: time of the final state, unless an output spike ends the run before.
        weight: weights [N], changed in place like all up to ``post_trace``.
        resource: resources [N].
        trace: presynaptic traces [N].
        membrane: membrane potential [1].
        theta: threshold [1].
        post_trace: postsynaptic trace [1].
        fatigue: share U of the resource that a spike uses up.
        tau_fatigue: time constant of recovery, seconds, like all time constants.
        tau_membrane: time constant of the membrane.
        tau_trace: time constant of both traces.
        tau_theta: time constant of the threshold.
        theta_step: relative growth of the threshold at an output spike.
        learning_rate: learning rate of the one-sided window.
        potentiation: A+ of the pair window.
        depression: A- of the pair window.
        pair: whether the window is the pair window.
        trace_fatigue: whether traces count spikes by the resource.
        learn: whether output spikes change the weights.
        found: output times, filled in; of length E or more, or 1 if not ``learn``.

    Returns:
        Numbers of output spikes and of input spikes that came in.
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
