"""Time loop of short-term plasticity neurons, a few samples side by side, for CPUs.

Their synapses stay in the processor's cache through all steps. The forward pass stores three
numbers per neuron and step, and the synaptic memory F once per block of steps. The backward pass,
in :mod:`plastorch.stp.gradient_kernels`, recomputes the memories of a block, sample by sample. The
equations are those of :mod:`plastorch.stp.rule`. Columns of plastic synapses come first; those of
fixed ones follow from column P on. Both are padded with zeros, to whole vectors of the processor.

Functions that run at every step count no references to arrays: in small networks, that took half of
the time.
"""

from functools import partial
from math import exp, isfinite, sqrt
from typing import Any

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, NoOverlap, copy_part, kernel
from plastorch.engine.numba_vectors import (
    LANES,
    aligned_zeros,
    full,
    greater,
    load,
    plus,
    smaller,
    store,
    sums_of,
    times,
)
from plastorch.stp.rule import EPSILON

SIDE_BY_SIDE = 4
"""Number of samples that are run side by side."""
NORM = {"none": 0, "efficacy": 1, "pre": 2, "post": 3}
ACTIVATION = {"tanh": 0, "sigmoid": 1, "relu": 2, "identity": 3}
FREE, PRE, POST = NORM["none"], NORM["pre"], NORM["post"]

# Sums may be reordered, but values may be infinite: overflow must saturate.
compiled: Any = partial(
    kernel,
    fastmath={"reassoc", "contract"},
    pipeline_class=NoOverlap,
)
uncounted: Any = compiled(**UNCOUNTED)
inlined: Any = compiled(inline="always")


@inlined
def _tanh(x, dtype):  # type: ignore[no-untyped-def]
    """Returns tanh x to a few units in the last place, without a call, so that loops vectorize.

    It is Lambert's continued fraction for x / 32, doubled five times by tanh 2y = 2 tanh y /
    (1 + tanh² y), which makes no relative error larger."""
    most, one = dtype(20), dtype(1)
    x = most if x > most else x
    x = -most if x < -most else x
    y = x * dtype(1 / 32)
    square = y * y
    above = dtype(135135) + square * (dtype(17325) + square * (dtype(378) + square))
    below = dtype(135135) + square * (dtype(62370) + square * (dtype(3150) + square * dtype(28)))
    y *= above / below
    for _ in range(5):
        y = (y + y) / (one + y * y)
    return y


@inlined
def _activate(drive, kind):  # type: ignore[no-untyped-def]
    if kind == 1:
        return 1 / (1 + exp(-drive)) if drive >= 0 else exp(drive) / (1 + exp(drive))
    return max(drive, 0.0) if kind == 2 else drive


@uncounted
def activate_all(drives, bias, kind, bound, h):  # type: ignore[no-untyped-def]
    """Writes the activities of all neurons of a sample."""
    dtype = bias.dtype.type
    if kind == 0:
        for i in range(len(h)):
            h[i] = _tanh(drives[i] + bias[i], dtype)
    else:
        for i in range(len(h)):
            h[i] = saturated(dtype(_activate(drives[i] + bias[i], kind)), bound)


@inlined
def slope(h, kind, one):  # type: ignore[no-untyped-def]
    """Returns the derivative of the activation function where the activity is h; ``one`` is 1 in
    the precision of the result."""
    if kind == 0:
        return (one - h) * (one + h)
    if kind == 1:
        return h * (one - h)
    return one if kind == 3 or h > 0 else one - one


@inlined
def saturated(value, bound):  # type: ignore[no-untyped-def]
    """Returns a number within a bound either way."""
    return min(max(value, -bound), bound)


@inlined
def longest(lengths, first, n):  # type: ignore[no-untyped-def]
    """Returns the most steps of n samples from ``first`` on."""
    most = lengths[first]
    for b in range(first + 1, first + n):
        most = max(most, lengths[b])
    return most


@inlined
def gather(z, x, h, t, b, x_at, h_at, bound):  # type: ignore[no-untyped-def]
    """Writes presynaptic signals z from inputs x [T, B, I] and activities h [H]."""
    for j in range(x.shape[2]):
        z[x_at + j] = saturated(x[t, b, j], bound)
    if h_at >= 0:
        for j in range(len(h)):
            z[h_at + j] = h[j]


@inlined
def _respond(i, weight, memory, z):  # type: ignore[no-untyped-def]
    """Returns the squared norm of neuron i's synapses W + F, and (W + F) z."""
    squared = drive = weight.dtype.type(0)
    for j in range(memory.shape[1]):
        total = weight[i, j] + memory[i, j]
        squared += total * total
        drive += total * z[j]
    for j in range(memory.shape[1], weight.shape[1]):
        squared += weight[i, j] * weight[i, j]
        drive += weight[i, j] * z[j]
    return squared, drive


@inlined
def update(i, memory, decay, rate, z, h, scale, limit, new):  # type: ignore[no-untyped-def]
    """Writes F = clamp(Λ F scale + Γ h z) into ``new``, which may be the memory itself."""
    for j in range(memory.shape[1]):
        value = decay[i, j] * (memory[i, j] * scale) + rate[i, j] * (h * z[j])
        value = limit if value > limit else value
        new[i, j] = -limit if value < -limit else value


@inlined
def _renormalized(i, memory, weight, decay, rate, z, h, limit, new):  # type: ignore[no-untyped-def]
    """Writes neuron i's memory after a step, divided by the norm |W + F| that it then has."""
    one = weight.dtype.type(1)
    update(i, memory, decay, rate, z, h, one, limit, new)
    squared, _ = _respond(i, weight, new, z)
    scale = one / weight.dtype.type(sqrt(squared) + EPSILON)
    for j in range(memory.shape[1]):
        new[i, j] *= scale


@uncounted
def next_memories(memory, weight, decay, rate, z, h, lengths, norm, limit, new):  # type: ignore[no-untyped-def]
    """Writes all neurons' memories after a step; ``lengths`` are |W + F| before it.

    Loops that choose a norm for each neuron would take half as long again."""
    one = weight.dtype.type(1)
    if norm == POST:
        for i in range(len(h)):
            _renormalized(i, memory, weight, decay, rate, z, h[i], limit, new)
    else:
        for i in range(len(h)):
            scale = one / lengths[i] if norm == PRE else one
            update(i, memory, decay, rate, z, h[i], scale, limit, new)


@inlined
def _advance(i, s, memory, weight, decay, rate, z, h, scale, limit, following):  # type: ignore[no-untyped-def]
    """Updates the memory of sample s's neuron i as :func:`update`, and responds to the
    ``following`` signals as :func:`_respond`, in one pass."""
    squared = drive = weight.dtype.type(0)
    for j in range(memory.shape[2]):
        value = decay[i, j] * (memory[s, i, j] * scale) + rate[i, j] * (h * z[s, j])
        value = limit if value > limit else value
        value = -limit if value < -limit else value
        memory[s, i, j] = value
        total = weight[i, j] + value
        squared += total * total
        drive += total * following[s, j]
    for j in range(memory.shape[2], weight.shape[1]):
        squared += weight[i, j] * weight[i, j]
        drive += weight[i, j] * following[s, j]
    return squared, drive


@inlined
def _advanced(memory, at, decay, rate, scale, h, z, limit):  # type: ignore[no-untyped-def]
    """Returns sixteen numbers of a memory after an update as of :func:`update`; NaN stays NaN."""
    kept = times(decay, times(load(memory, at), full(scale)))
    value = plus(kept, times(rate, times(full(h), z)))
    return greater(full(-limit), smaller(full(limit), value))


@uncounted
def _advance_all(memory, weight, decay, rate, z, h, scale, limit, following, squared, drive):  # type: ignore[no-untyped-def]
    """Does the same as :func:`_advance` for all neurons of four samples, which share W, Λ and Γ in
    registers."""
    (_, size, plastic), width = memory.shape, weight.shape[1]
    one, none = size * plastic, full(weight.dtype.type(0))
    for i in range(size):
        s0 = s1 = s2 = s3 = d0 = d1 = d2 = d3 = none
        for j in range(0, plastic, LANES):
            at = i * plastic + j
            w, a, c = load(weight, i * width + j), load(decay, at), load(rate, at)
            f0 = _advanced(memory, at, a, c, scale[0, i], h[0, i], load(z, j), limit)
            store(memory, at, f0)
            at, there = at + one, width + j
            f1 = _advanced(memory, at, a, c, scale[1, i], h[1, i], load(z, there), limit)
            store(memory, at, f1)
            at, there = at + one, there + width
            f2 = _advanced(memory, at, a, c, scale[2, i], h[2, i], load(z, there), limit)
            store(memory, at, f2)
            at, there = at + one, there + width
            f3 = _advanced(memory, at, a, c, scale[3, i], h[3, i], load(z, there), limit)
            store(memory, at, f3)
            g0, g1, g2, g3 = plus(w, f0), plus(w, f1), plus(w, f2), plus(w, f3)
            s0, s1 = plus(s0, times(g0, g0)), plus(s1, times(g1, g1))
            s2, s3 = plus(s2, times(g2, g2)), plus(s3, times(g3, g3))
            d0 = plus(d0, times(g0, load(following, j)))
            d1 = plus(d1, times(g1, load(following, width + j)))
            d2 = plus(d2, times(g2, load(following, 2 * width + j)))
            d3 = plus(d3, times(g3, load(following, 3 * width + j)))
        fixed = none
        for j in range(plastic, width, LANES):
            w = load(weight, i * width + j)
            fixed = plus(fixed, times(w, w))
            d0 = plus(d0, times(w, load(following, j)))
            d1 = plus(d1, times(w, load(following, width + j)))
            d2 = plus(d2, times(w, load(following, 2 * width + j)))
            d3 = plus(d3, times(w, load(following, 3 * width + j)))
        s0, s1, s2, s3 = plus(s0, fixed), plus(s1, fixed), plus(s2, fixed), plus(s3, fixed)
        sums = sums_of((s0, s1, s2, s3, d0, d1, d2, d3))
        for s in range(SIDE_BY_SIDE):
            squared[s, i], drive[s, i] = sums[s], sums[SIDE_BY_SIDE + s]


@uncounted
def _fire(squared, drive, bias, settings, lengths, drives, h):  # type: ignore[no-untyped-def]
    """Writes norms |W + F|, drives divided by them, and activities."""
    _, _, norm, activation, _, _, _, bound, _ = settings
    dtype = bias.dtype.type
    for i in range(len(h)):
        length = dtype(sqrt(squared[i])) + dtype(EPSILON) if norm != FREE else dtype(1)
        lengths[i] = length
        drives[i] = drive[i] * (dtype(1) / length)
    activate_all(drives, bias, activation, bound, h)


@uncounted
def _forward_samples(first, n, scratch, weight, x, h0, parameters, lengths, settings, results):  # type: ignore[no-untyped-def]
    """Runs all steps of n samples from ``first`` on, on their memories; see :func:`forward`."""
    z, following, squared, drive, h_all, scales, memory = scratch
    bias, decay, rate = parameters
    x_at, h_at, norm, _, current, limit, _, bound, block = settings
    output, norms, drives, kept, _ = results
    size, one, shortest = len(weight), weight.dtype.type(1), lengths[first]
    for s in range(n):
        b, own, signals = first + s, memory[s], following[s]
        shortest = min(shortest, lengths[b])
        output[lengths[b] :, b] = 0
        gather(signals, x, h0[b], 0, b, x_at, h_at, bound)
        for i in range(size):
            squared[s, i], drive[s, i] = _respond(i, weight, own, signals)
    for t in range(longest(lengths, first, n)):
        for s in range(n):
            b = first + s
            if t < lengths[b]:
                if t % block == 0 and 0 < t <= block * len(kept):
                    copy_part(memory[s], kept[t // block - 1, b])
                h = output[t, b]
                _fire(squared[s], drive[s], bias, settings, norms[t, b], drives[t, b], h)
                for j in range(z.shape[1]):
                    z[s, j] = following[s, j]
                if current:
                    gather(z[s], x, h, t, b, x_at, h_at, bound)
                gather(following[s], x, h, min(t + 1, len(x) - 1), b, x_at, h_at, bound)
                if norm == POST:
                    own = memory[s]
                    for i in range(size):
                        _renormalized(i, own, weight, decay, rate, z[s], h[i], limit, own)
                        squared[s, i], drive[s, i] = _respond(i, weight, own, following[s])
        if norm != POST and n == SIDE_BY_SIDE and t < shortest:
            for s in range(n):
                for i in range(size):
                    h_all[s, i] = output[t, first + s, i]
                    scales[s, i] = one / norms[t, first + s, i] if norm == PRE else one
            _advance_all(
                memory, weight, decay, rate, z, h_all, scales, limit, following, squared, drive
            )
            continue
        # Apart from the views above, which would keep the compiler from vectorizing this loop.
        for i in range(size if norm != POST else 0):
            for s in range(n):
                b = first + s
                if t < lengths[b]:
                    squared[s, i], drive[s, i] = _advance(
                        i,
                        s,
                        memory,
                        weight,
                        decay,
                        rate,
                        z,
                        output[t, b, i],
                        one / norms[t, b, i] if norm == PRE else one,
                        limit,
                        following,
                    )


@compiled
def forward(begin, end, memories, weight, *arguments):  # type: ignore[no-untyped-def]
    """Runs all steps of the samples from ``begin`` to before ``end``.

    Some samples are run side by side, neuron by neuron, so that they share W, Λ and Γ in the
    nearest cache. They have a function call of their own, with all arrays, scratch too, as
    arguments: only arguments, and members of tuples among them, are guaranteed not to overlap.

    The arguments after ``end`` are: memories F [B, H, Kp], or [1, H, Kp] if all are equal; weights
    W [H, P + S]; inputs x [T, B, I]; activities before the first step [B, H]; a tuple of bias b
    [H], Λ and Γ [H, P]; steps of each sample [B]; settings; and results.

    The settings are: column of the first input; column of the first neuron, -1 if none is
    presynaptic; norm, see NORM; activation, see ACTIVATION; whether Δ takes the outgoing activity;
    bound of F; whether this bound is the user's and enters gradients; bound of activities and of
    exploding gradients; steps between stored memories. The results are: activities [T, B, H];
    |W + F| at each step [T, B, H]; (W + F) z / |W + F| at each step [T, B, H]; F before each block
    but the first [blocks - 1, B, H, P], empty to store none; the last F [B, H, Kp].
    """
    results, (size, signals), dtype = arguments[-1], weight.shape, weight.dtype
    n, plastic = SIDE_BY_SIDE, arguments[2][1].shape[1]
    signal = aligned_zeros(2 * n * signals, dtype).reshape(2, n, signals)
    memory = aligned_zeros(n * size * plastic, dtype).reshape(n, size, plastic)
    rows = np.empty((4, n, size), dtype)
    scratch = signal[0], signal[1], rows[0], rows[1], rows[2], rows[3], memory
    for first in range(begin, end, SIDE_BY_SIDE):
        n = min(SIDE_BY_SIDE, end - first)
        for s in range(n):
            copy_part(memories[(first + s) % len(memories)], memory[s])
        _forward_samples(first, n, scratch, weight, *arguments)
        for s in range(n):
            copy_part(memory[s], results[4][first + s])


@inlined
def _seems_finite(array):  # type: ignore[no-untyped-def]
    total = array.dtype.type(0)
    for value in array.flat:
        total += value
    return isfinite(total)


@uncounted
def _step_sample(b, scratch, memory, new, weight, x, h0, parameters, settings, h):  # type: ignore[no-untyped-def]
    """Runs one step of sample b; returns whether the squared norms of its synapses are finite."""
    z, squared, drive, lengths, drives = scratch
    bias, decay, rate = parameters
    x_at, h_at, norm, _, current, limit, _, bound, _ = settings
    gather(z, x, h0[b], 0, b, x_at, h_at, bound)
    total = weight.dtype.type(0)
    for i in range(len(weight)):
        squared[i], drive[i] = _respond(i, weight, memory, z)
        total += squared[i]
    _fire(squared, drive, bias, settings, lengths, drives, h)
    if current:
        gather(z, x, h, 0, b, x_at, h_at, bound)
    next_memories(memory, weight, decay, rate, z, h, lengths, norm, limit, new)
    return isfinite(total)


@compiled
def step(begin, end, memories, weight, x, h, parameters, settings, results):  # type: ignore[no-untyped-def]
    """Runs one step of the samples from ``begin`` to before ``end``, without what gradients need.

    Arguments are as in :func:`forward`, with a single step and no padding. The results are
    activities [1, B, H] and memories after the step [B, H, Kp]. Returns whether all arguments seem
    finite, which large numbers don't whose sums overflow.
    """
    output, new = results
    bias, decay, rate = parameters
    rows = np.empty((4, len(weight)), weight.dtype)
    scratch = np.empty(weight.shape[1], weight.dtype), rows[0], rows[1], rows[2], rows[3]
    finite = _seems_finite(weight) and _seems_finite(decay) and _seems_finite(rate)
    finite = finite and _seems_finite(bias) and _seems_finite(x) and _seems_finite(h)
    for b in range(begin, end):
        finite &= _step_sample(
            b, scratch, memories[b], new[b], weight, x, h, parameters, settings, output[0, b]
        )
    return finite
