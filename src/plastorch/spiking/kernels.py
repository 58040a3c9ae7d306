"""Event-driven kernels of the layer of :mod:`plastorch.spiking.stdp_step`, for CPUs.

Work is done only at input spikes, on K synapses each, and at output spikes, on N synapses each.
Weights are [N, K] here, so the synapses of an input lie side by side. All networks start from the
same weights, which nothing writes to: a neuron that learns gets a copy of its synapses first, side
by side with those of the other learners of its network. Few neurons of a large layer ever fire in
one presentation, so all else is read only, and networks run on several threads.

Neurons are updated whenever an input spikes; in between they only decay. Traces and thresholds need
no such update: x is stored as x exp((t - start) / tau), constant between spikes; ``start`` moves at
times.

Functions that run at every input spike count no references to arrays: that took half of the time.
"""

from functools import partial
from math import exp
from typing import Any, NamedTuple

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, NoOverlap, copy_part, kernel
from plastorch.spiking.change_kernels import take
from plastorch.spiking.events_kernels import with_room

SAME_TIME = 1e-9
"""Seconds, as in :mod:`plastorch.spiking.neurons`."""
SPAN = 20.0
"""Time constants after which ``start`` moves; exp(20) is far below the largest number."""
NOTHING = 1e-25
"""Smallest trace kept; smaller ones become 0, as some processors take 100 times as long for numbers
too small for full precision."""
LEARNERS = 8
"""Neurons of a network for which there is room at first."""


class LayerConstants(NamedTuple):
    """Constants of neurons and plasticity; times are float64, all else of the arrays' type."""

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
    norm: Any
    """Sum of a neuron's weights; 0 for no normalization."""
    soft: Any
    """1 for multiplicative bounds, else 0."""
    plastic: Any
    """Whether weights change, bool."""


class LayerArrays(NamedTuple):
    """Arrays of weights, which stay as they are, and of state, which is written to."""

    weight: Any
    """Weights at the beginning, within bounds [N, K]."""
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


class Learners(NamedTuple):
    """Neurons of a network whose weights change; there is room for M of them."""

    place: Any
    """Place of each neuron, -1 if it does not learn [K]."""
    neuron: Any
    """Neuron at each place [M]."""
    weight: Any
    """Weights [N, M]."""
    post: Any
    """Trace of the neurons, as stored [M]."""
    drive: Any
    """Input of the neurons [M]."""


_compiled: Any = partial(kernel, pipeline_class=NoOverlap)
_uncounted: Any = _compiled(**UNCOUNTED)


@_compiled
def _new_learners(inputs, neurons, room, dtype):  # type: ignore[no-untyped-def]
    return Learners(
        np.full(neurons, -1, np.int64),
        np.empty(room, np.int64),
        np.zeros((inputs, room), dtype),
        np.zeros(room, dtype),
        np.zeros(room, dtype),
    )


@_compiled
def _add_learners(b, neurons, learners, count, weight, post):  # type: ignore[no-untyped-def]
    """Copies the weights of those neurons that don't learn yet; returns learners with room for
    them, and their number."""
    if count + len(neurons) > len(learners.neuron):
        wider = _new_learners(
            len(weight), len(learners.place), 2 * (count + len(neurons)), weight.dtype
        )
        for k in range(len(learners.place)):
            wider.place[k] = learners.place[k]
        for place in range(count):
            wider.neuron[place], wider.post[place] = learners.neuron[place], learners.post[place]
        copy_part(learners.weight, wider.weight)
        learners = wider
    first = count
    for k in neurons:
        if learners.place[k] < 0:
            learners.place[k], learners.neuron[count] = count, k
            learners.post[count], learners.drive[count] = post[b, k], 0
            count += 1
    for j in range(len(weight)):
        for place in range(first, count):
            learners.weight[j, place] = weight[j, learners.neuron[place]]
    return learners, count


@_uncounted
def _transmit(source, event, end, weight, drive):  # type: ignore[no-untyped-def]
    """Transmits spikes of inputs, four at a time: neurons receive their weights."""
    while event + 3 < end:
        h, i = source[event], source[event + 1]
        j, m = source[event + 2], source[event + 3]
        for k in range(len(drive)):
            drive[k] = drive[k] + weight[h, k] + weight[i, k] + weight[j, k] + weight[m, k]
        event += 4
    while event < end:
        h = source[event]
        for k in range(len(drive)):
            drive[k] += weight[h, k]
        event += 1


@_uncounted
def _transmit_and_depress(source, event, end, weight, drive, post, count, rates):  # type: ignore[no-untyped-def]
    """Transmits spikes of inputs to the first ``count`` neurons with weights as they are, each of
    which is then decreased; ``rates`` are depression, 1 for soft bounds, and the lower bound."""
    depression, soft, low = rates
    hard = weight.dtype.type(1) - soft
    while event < end:
        j = source[event]
        for c in range(count):
            before = weight[j, c]
            drive[c] += before
            after = before - depression * post[c] * (hard + soft * (before - low))
            weight[j, c] = after if after > low else low
        event += 1


@_uncounted
def _potentiate(b, c, weight, pre, gain, constants):  # type: ignore[no-untyped-def]
    """Applies a spike of the learner at place c: the weights of all inputs that spiked before grow,
    then all are normalized."""
    soft, high, low, norm = constants.soft, constants.high, constants.low, constants.norm
    hard, total = weight.dtype.type(1) - soft, weight.dtype.type(0)
    for j in range(len(weight)):
        before = weight[j, c]
        after = before + gain * pre[b, j] * (hard + soft * (high - before))
        after = after if after < high else high
        weight[j, c] = after
        total += after
    if norm > 0 and total > 0:
        scale = norm / total
        for j in range(len(weight)):
            weight[j, c] = min(max(weight[j, c] * scale, low), high)


@_uncounted
def _fade(b, trace, factor):  # type: ignore[no-untyped-def]
    nothing, zero = trace.dtype.type(NOTHING), trace.dtype.type(0)
    for i in range(trace.shape[1]):
        faded = trace[b, i] * factor
        trace[b, i] = faded if faded > nothing else zero


@_uncounted
def _scale(b, theta, factor):  # type: ignore[no-untyped-def]
    for k in range(theta.shape[1]):
        theta[b, k] *= factor


@_uncounted
def _integrate(b, drive, membrane, theta, closed, levels, keep, theta_scale):  # type: ignore[no-untyped-def]
    """Decays membranes, adds ``drive`` to those that take input, and clears it; ``closed`` has the
    refractory neurons. Returns the number of the others that are above their threshold."""
    rest, threshold = levels
    zero = membrane.dtype.type(0)
    for k in closed:
        drive[k] = zero
    above = 0
    for k in range(membrane.shape[1]):
        membrane[b, k] = rest + (membrane[b, k] - rest) * keep + drive[k]
        drive[k] = zero
        above += int(membrane[b, k] - theta[b, k] * theta_scale > threshold)
    for k in closed:
        above -= int(membrane[b, k] - theta[b, k] * theta_scale > threshold)
    return above


@_compiled
def _fire(b, t, above, arrays, c, theta_scale, found):  # type: ignore[no-untyped-def]
    """Fires the ``above`` neurons over their threshold and inhibits the others; appends the spikes
    to ``found``."""
    membrane, theta, ready = arrays.membrane, arrays.theta, arrays.refractory
    times, source, count = found
    times, source = with_room(times, source, count, above)
    for k in range(membrane.shape[1]):
        if not ready[b, k] <= t + SAME_TIME:
            continue
        if not membrane[b, k] - theta[b, k] * theta_scale > c.threshold:  # as counted, with NaN
            membrane[b, k] -= c.inhibition * above
            continue
        times[count], source[count] = t, k
        count += 1
        membrane[b, k] = c.reset
        theta[b, k] += c.theta_increase / theta_scale
        ready[b, k] = t + c.refractory
    return times, source, count


@_uncounted
def _still_closed(b, t, closed, count, ready):  # type: ignore[no-untyped-def]
    """Moves neurons that are refractory at t to the front of ``closed``; returns their number."""
    kept = 0
    for i in range(count):
        k = closed[i]
        if not ready[b, k] <= t + SAME_TIME:
            closed[kept] = k
            kept += 1
    return kept


@_compiled
def _learn(b, spikes, arrays, constants, gain, trace, learners, count):  # type: ignore[no-untyped-def]
    """Lets neurons that fired learn; returns the learners and their number."""
    learners, count = _add_learners(b, spikes, learners, count, arrays.weight, arrays.post)
    for k in spikes:
        place = learners.place[k]
        learners.post[place] += trace
        _potentiate(b, place, learners.weight, arrays.pre, gain, constants)
    return learners, count


@_uncounted
def _hand_over(neurons, given, count, drive):  # type: ignore[no-untyped-def]
    """Makes the input of learners that of their neurons, and clears it."""
    for place in range(count):
        drive[neurons[place]] = given[place]
        given[place] = 0


@_uncounted
def _rescale(b, t, starts, arrays, learners, count, constants):  # type: ignore[no-untyped-def]
    """Moves those starts to t that are ``SPAN`` time constants ago, for all stored values to stay
    in range: of traces of inputs and neurons, and of thresholds."""
    c, dtype = constants, arrays.weight.dtype.type
    if t - starts[0] > SPAN * c.tau_plus:
        _fade(b, arrays.pre, dtype(exp((starts[0] - t) / c.tau_plus)))
        starts[0] = t
    if t - starts[1] > SPAN * c.tau_minus:
        for place in range(count):
            arrays.post[b, learners.neuron[place]] = learners.post[place]
        _fade(b, arrays.post, dtype(exp((starts[1] - t) / c.tau_minus)))
        for place in range(count):
            learners.post[place] = arrays.post[b, learners.neuron[place]]
        starts[1] = t
    if t - starts[2] > SPAN * c.theta_tau:
        _scale(b, arrays.theta, dtype(exp((starts[2] - t) / c.theta_tau)))
        starts[2] = t


@_uncounted
def _finish(b, now, duration, starts, arrays, drive, constants):  # type: ignore[no-untyped-def]
    """Lets everything decay from the last input spike, at ``now``, to the end."""
    c, dtype = constants, arrays.weight.dtype.type
    _fade(b, arrays.pre, dtype(exp((starts[0] - duration) / c.tau_plus)))
    _fade(b, arrays.post, dtype(exp((starts[1] - duration) / c.tau_minus)))
    _scale(b, arrays.theta, dtype(exp((starts[2] - duration) / c.theta_tau)))
    keep = dtype(exp((now - duration) / c.tau))
    for k in range(len(drive)):
        arrays.membrane[b, k] = c.rest + (arrays.membrane[b, k] - c.rest) * keep
        arrays.refractory[b, k] = max(arrays.refractory[b, k] - duration, 0.0)


@_uncounted
def _listen(b, times, source, at, clock, arrays, learners, count, drives, constants):  # type: ignore[no-untyped-def]
    """Runs network b from the input spike ``at`` on until neurons are above their threshold, or to
    the last spike. Returns the next spike, the time, the number of refractory neurons, and of those
    above their threshold.

    ``at`` comes with the time before and the number of refractory neurons; ``clock`` holds starts
    of traces and spans after which they move; ``drives`` are inputs of neurons, and an array of
    refractory ones."""
    c, dtype = constants, arrays.weight.dtype.type
    (event, now, shut), (starts, spans), (drive, closed) = at, clock, drives
    levels, above = (c.rest, c.threshold), 0
    due = min(starts[0] + spans[0], starts[1] + spans[1], starts[2] + spans[2])
    while event < len(times) and above == 0:
        t, end = times[event], event + 1
        while end < len(times) and times[end] == t:
            end += 1
        if t > due:
            _rescale(b, t, starts, arrays, learners, count, c)
            due = min(starts[0] + spans[0], starts[1] + spans[1], starts[2] + spans[2])
        scale = dtype(exp((t - starts[0]) / c.tau_plus))
        for place in range(event, end):
            arrays.pre[b, source[place]] += scale
        if count < len(drive):
            _transmit(source, event, end, arrays.weight, drive)
        if count > 0 and c.depression > 0:
            post_scale = dtype(exp((t - starts[1]) / c.tau_minus))
            rates = c.depression / post_scale, c.soft, c.low
            _transmit_and_depress(
                source, event, end, learners.weight, learners.drive, learners.post, count, rates
            )
        elif count > 0:
            _transmit(source, event, end, learners.weight, learners.drive)
        _hand_over(learners.neuron, learners.drive, count, drive)
        if shut > 0:
            shut = _still_closed(b, t, closed, shut, arrays.refractory)
        keep, theta_scale = dtype(exp((now - t) / c.tau)), dtype(exp((starts[2] - t) / c.theta_tau))
        above = _integrate(
            b, drive, arrays.membrane, arrays.theta, closed[:shut], levels, keep, theta_scale
        )
        now, event = t, end
    return event, now, shut, above


@_compiled
def _run(b, times, source, duration, arrays, constants, found, learners):  # type: ignore[no-untyped-def]
    """Runs network b for ``duration``; appends its output spikes to ``found``, and returns it with
    the network's learners and their number."""
    c, dtype = constants, arrays.weight.dtype.type
    neurons = arrays.membrane.shape[1]
    drive, closed = np.zeros(neurons, dtype), np.arange(neurons)
    shut = _still_closed(b, 0.0, closed, neurons, arrays.refractory)
    count = np.int64(0)  # for a literal, what is called would be compiled once more
    if c.plastic and c.depression > 0:
        active = np.nonzero(arrays.post[b] > 0)[0]
        learners, count = _add_learners(b, active, learners, count, arrays.weight, arrays.post)
    starts, t, event = np.zeros(3), 0.0, np.int64(0)
    clock = starts, (SPAN * c.tau_plus, SPAN * c.tau_minus, SPAN * c.theta_tau)
    while event < len(times):
        event, t, shut, above = _listen(
            b, times, source, (event, t, shut), clock, arrays, learners, count, (drive, closed), c
        )
        if above == 0:
            break
        first, theta_scale = found[2], dtype(exp((starts[2] - t) / c.theta_tau))
        post_scale = dtype(exp((t - starts[1]) / c.tau_minus))
        found = _fire(b, t, above, arrays, c, theta_scale, found)
        for k in found[1][first : found[2]]:
            closed[shut] = k
            shut += 1
            if not c.plastic:
                arrays.post[b, k] += post_scale
        if c.plastic:
            spikes, scale = found[1][first : found[2]], dtype(exp((t - starts[0]) / c.tau_plus))
            gain = c.potentiation / scale
            learners, count = _learn(b, spikes, arrays, c, gain, post_scale, learners, count)
    for place in range(count):
        arrays.post[b, learners.neuron[place]] = learners.post[place]
    _finish(b, t, duration, starts, arrays, drive, c)
    return found, learners, count


@_compiled
def respond(first, last, spikes, duration, arrays, constants):  # type: ignore[no-untyped-def]
    """Runs networks from ``first`` to before ``last`` for ``duration`` seconds; ``spikes`` are
    times, seconds [E], inputs [E] and offsets of all networks [B + 1].

    Returns times, neurons and offsets of the output spikes [last - first + 1], then what
    :func:`plastorch.spiking.change_kernels.add_changes` takes: numbers of neurons that learned in
    each network, these neurons and the changes of their weights.
    """
    times, source, offsets = spikes
    weight = arrays.weight
    found = (np.empty(256), np.empty(256, np.int64), np.int64(0))
    room = min(LEARNERS, weight.shape[1])
    learners = _new_learners(len(weight), weight.shape[1], room, weight.dtype)
    changed, rows = (np.empty(0, np.int64), np.empty(0, weight.dtype)), np.int64(0)
    ends, counts = np.zeros(last - first + 1, np.int64), np.empty(last - first, np.int64)
    for b in range(first, last):
        begin, end = offsets[b], offsets[b + 1]
        found, learners, count = _run(
            b, times[begin:end], source[begin:end], duration, arrays, constants, found, learners
        )
        changed = take(learners, count, weight, changed, rows)
        rows += count
        ends[b - first + 1], counts[b - first] = found[2], count
    return found[0][: found[2]], found[1][: found[2]], ends, counts, changed[0], changed[1]
