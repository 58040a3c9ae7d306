"""Time loop of neurons whose synapses share a time constant, chunk by chunk, for CPUs.

If Λ and Γ are the same for all synapses of a neuron, a step multiplies the neuron's row of F by a
number and adds a multiple of the signals: F_t = a_t F_(t-1) + c_t z_t, with a = λ / |W + F| (or λ,
depending on the norm) and c = γ h. So within a chunk that begins with F_c, with numbers α and β of
each neuron:

    F_t = α_t F_c + sum over s of β_(t,s) z_s
    F_(t-1) z_t = α_(t-1) F_c z_t + sum over s of β_(t-1,s) (z_s . z_t)

F itself changes once per chunk. The norm needs no pass over F either: |W + F|² = |W|² + 2r + q, and
r = W . F and q = |F|² of a neuron follow from numbers that are there anyway:

    r_t = a_t r_(t-1) + c_t (W . z_t)
    q_t = a_t² q_(t-1) + 2 a_t c_t (F_(t-1) . z_t) + c_t² |z_t|²

Some samples are run side by side, so that they share W in the nearest cache. Signals are the
activities h(t-1), if presynaptic, then inputs x, then zeros.
"""

from math import sqrt

import numpy as np

from plastorch.engine.numba_options import copy_part
from plastorch.engine.numba_vectors import (
    LANES,
    aligned_zeros,
    full,
    load,
    plus,
    store,
    sums_of,
    times,
)
from plastorch.stp.kernels import FREE, PRE, activate_all, compiled, inlined, uncounted
from plastorch.stp.rule import EPSILON

SIDE_BY_SIDE = 4
"""Number of samples that are run side by side."""
CANCELED = 0.1
"""Share of |W|² + |F|² below which |W + F|² loses too many digits if it is computed from parts."""


@inlined
def load_signals(z, x, h, h0, start, steps, recurrent, b):  # type: ignore[no-untyped-def]
    """Writes the signals [C, P] of the first steps of a chunk, and zeros of the others.

    They are the activities h [T, B, H] of the steps before, h0 before the first, and inputs x
    [T, B, I].
    """
    for k in range(len(z)):
        t = start + k
        for j in range(recurrent):
            z[k, j] = 0 if k >= steps else h[t - 1, b, j] if t > 0 else h0[b, j]
        for j in range(x.shape[2]):
            z[k, recurrent + j] = x[t, b, j] if k < steps else 0


@uncounted
def copy_rotated(source, first, target):  # type: ignore[no-untyped-def]
    """Copies the columns that two matrices have in common: those from ``first`` on, then those
    before."""
    columns = min(source.shape[1], target.shape[1])
    for i in range(len(source)):
        for j in range(columns - first):
            target[i, j] = source[i, first + j]
        for j in range(first):
            target[i, columns - first + j] = source[i, j]


@compiled
def multiply(matrix, z, begin, out):  # type: ignore[no-untyped-def]
    """Writes, for a matrix [H, P] and signals z [C, P], the products [C, H] from a column on.

    Eight vectors, one of each of eight rows, hold sums for sixteen steps in registers."""
    (rows, width), none = matrix.shape, full(matrix.dtype.type(0))
    turned = aligned_zeros(width * LANES, z.dtype).reshape(width, LANES)
    sums = np.empty((8, LANES), z.dtype)
    for start in range(0, len(z), LANES):
        for j in range(begin, width):
            for k in range(LANES):
                turned[j, k] = z[start + k, j]
        for i in range(0, rows - 7, 8):
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = none
            for j in range(begin, width):
                signals = load(turned, j * LANES)
                s0 = plus(s0, times(signals, full(matrix[i, j])))
                s1 = plus(s1, times(signals, full(matrix[i + 1, j])))
                s2 = plus(s2, times(signals, full(matrix[i + 2, j])))
                s3 = plus(s3, times(signals, full(matrix[i + 3, j])))
                s4 = plus(s4, times(signals, full(matrix[i + 4, j])))
                s5 = plus(s5, times(signals, full(matrix[i + 5, j])))
                s6 = plus(s6, times(signals, full(matrix[i + 6, j])))
                s7 = plus(s7, times(signals, full(matrix[i + 7, j])))
            store(sums, 0, s0)
            store(sums, LANES, s1)
            store(sums, 2 * LANES, s2)
            store(sums, 3 * LANES, s3)
            store(sums, 4 * LANES, s4)
            store(sums, 5 * LANES, s5)
            store(sums, 6 * LANES, s6)
            store(sums, 7 * LANES, s7)
            for k in range(LANES):
                for row in range(8):
                    out[start + k, i + row] = sums[row, k]
        for i in range(rows // 8 * 8, rows):
            s0 = none
            for j in range(begin, width):
                s0 = plus(s0, times(load(turned, j * LANES), full(matrix[i, j])))
            store(sums, 0, s0)
            for k in range(LANES):
                out[start + k, i] = sums[0, k]


@inlined
def _three(array, at):  # type: ignore[no-untyped-def]
    """Returns three vectors of an array from a place on."""
    return load(array, at), load(array, at + LANES), load(array, at + 2 * LANES)


@inlined
def _times_number(three, number):  # type: ignore[no-untyped-def]
    """Returns three vectors times a number."""
    same = full(number)
    return times(three[0], same), times(three[1], same), times(three[2], same)


@inlined
def _plus_three(one, other):  # type: ignore[no-untyped-def]
    """Returns the sums of three vectors and three others."""
    return plus(one[0], other[0]), plus(one[1], other[1]), plus(one[2], other[2])


@inlined
def _store_three(array, at, three):  # type: ignore[no-untyped-def]
    """Writes three vectors to an array from a place on."""
    store(array, at, three[0])
    store(array, at + LANES, three[1])
    store(array, at + 2 * LANES, three[2])


@uncounted
def add_products(matrix, scale, factors, z):  # type: ignore[no-untyped-def]
    """Turns rows M_i of a matrix [H, P] into scale_i M_i + sum over k of factors_ki z_k.

    Twelve vectors, three of each of four rows, stay in registers through all steps k. With eight,
    each step would wait for the sums of the one before."""
    rows, width = matrix.shape
    wide, high = width // (3 * LANES) * (3 * LANES), rows // 4 * 4
    for i in range(0, high, 4):
        for j in range(0, wide, 3 * LANES):
            at = i * width + j
            s0 = _times_number(_three(matrix, at), scale[i])
            s1 = _times_number(_three(matrix, at + width), scale[i + 1])
            s2 = _times_number(_three(matrix, at + 2 * width), scale[i + 2])
            s3 = _times_number(_three(matrix, at + 3 * width), scale[i + 3])
            for k in range(len(z)):
                signals = _three(z, k * width + j)
                s0 = _plus_three(s0, _times_number(signals, factors[k, i]))
                s1 = _plus_three(s1, _times_number(signals, factors[k, i + 1]))
                s2 = _plus_three(s2, _times_number(signals, factors[k, i + 2]))
                s3 = _plus_three(s3, _times_number(signals, factors[k, i + 3]))
            _store_three(matrix, at, s0)
            _store_three(matrix, at + width, s1)
            _store_three(matrix, at + 2 * width, s2)
            _store_three(matrix, at + 3 * width, s3)
    _add_rest(matrix, scale, factors, z, 0, high, wide)
    _add_rest(matrix, scale, factors, z, high, rows, 0)


@uncounted
def _add_rest(matrix, scale, factors, z, begin, end, column):  # type: ignore[no-untyped-def]
    """Does the same for some rows, from a column on, four rows at a time."""
    width, last = matrix.shape[1], end - 1
    for i in range(begin, end, 4):
        i1, i2, i3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        for j in range(column, width, LANES):
            s0 = times(load(matrix, i * width + j), full(scale[i]))
            s1 = times(load(matrix, i1 * width + j), full(scale[i1]))
            s2 = times(load(matrix, i2 * width + j), full(scale[i2]))
            s3 = times(load(matrix, i3 * width + j), full(scale[i3]))
            for k in range(len(z)):
                signals = load(z, k * width + j)
                s0 = plus(s0, times(signals, full(factors[k, i])))
                s1 = plus(s1, times(signals, full(factors[k, i1])))
                s2 = plus(s2, times(signals, full(factors[k, i2])))
                s3 = plus(s3, times(signals, full(factors[k, i3])))
            store(matrix, i * width + j, s0)
            store(matrix, i1 * width + j, s1)
            store(matrix, i2 * width + j, s2)
            store(matrix, i3 * width + j, s3)


@uncounted
def sums_of_products(one, other, out):  # type: ignore[no-untyped-def]
    """Writes the scalar products of the rows of two matrices."""
    for i in range(len(one)):
        total = one.dtype.type(0)
        for j in range(one.shape[1]):
            total += one[i, j] * other[i, j]
        out[i] = total


@uncounted
def squares_and_products(one, other, squares, products):  # type: ignore[no-untyped-def]
    """Writes the squared lengths of a matrix's rows and their scalar products with another's."""
    for i in range(len(one)):
        square = product = one.dtype.type(0)
        for j in range(one.shape[1]):
            square += one[i, j] * one[i, j]
            product += one[i, j] * other[i, j]
        squares[i], products[i] = square, product


@inlined
def dot(z, k, other):  # type: ignore[no-untyped-def]
    """Returns the scalar product of two signals of a chunk."""
    total = z.dtype.type(0)
    for j in range(z.shape[1]):
        total += z[k, j] * z[other, j]
    return total


@uncounted
def _recur(k, memories, weight, z, recurrent, p, v):  # type: ignore[no-untyped-def]
    """Writes W h and F h of four samples at step k of the chunk."""
    (size, width), chunk, whole = weight.shape, z.shape[1], recurrent // LANES * LANES
    none, one, other = full(weight.dtype.type(0)), size * width, chunk * width
    for i in range(size):
        w0 = w1 = w2 = w3 = f0 = f1 = f2 = f3 = none
        for j in range(0, whole, LANES):
            at, here = i * width + j, k * width + j
            of_weight, h0, h1 = load(weight, at), load(z, here), load(z, here + other)
            h2, h3 = load(z, here + 2 * other), load(z, here + 3 * other)
            w0 = plus(w0, times(of_weight, h0))
            w1 = plus(w1, times(of_weight, h1))
            w2 = plus(w2, times(of_weight, h2))
            w3 = plus(w3, times(of_weight, h3))
            f0 = plus(f0, times(load(memories, at), h0))
            f1 = plus(f1, times(load(memories, at + one), h1))
            f2 = plus(f2, times(load(memories, at + 2 * one), h2))
            f3 = plus(f3, times(load(memories, at + 3 * one), h3))
        sums = sums_of((w0, w1, w2, w3, f0, f1, f2, f3))
        p[0, i], p[1, i], p[2, i], p[3, i] = sums[0], sums[1], sums[2], sums[3]
        v[0, i], v[1, i], v[2, i], v[3, i] = sums[4], sums[5], sums[6], sums[7]
        for j in range(whole, recurrent):
            for s in range(SIDE_BY_SIDE):
                p[s, i] += weight[i, j] * z[s, k, j]
                v[s, i] += memories[s, i, j] * z[s, k, j]


@uncounted
def _respond(b, t, k, own, squares, parameters, settings, results):  # type: ignore[no-untyped-def]
    """Runs the neurons of sample b at step k of a chunk; returns whether numbers are safe."""
    z, p, v, alpha, beta, a, r, q, of_inputs = own
    bias, decay, rate = parameters
    _, norm, activation, limit, bound, _, _ = settings
    output, norms, drives, responses, _, _ = results
    dtype, squared, unsafe = bias.dtype.type, dot(z, k, k), 0
    zero, one, epsilon, canceled = dtype(0), dtype(1), dtype(EPSILON), dtype(CANCELED)
    for i in range(len(bias)):
        v[i] = (v[i] + of_inputs[k, i]) * alpha[i]
    for earlier in range(k):
        product = dot(z, earlier, k)
        for i in range(len(bias)):
            v[i] += beta[earlier, i] * product
    for i in range(len(bias)):
        response = p[i] + responses[t, b, i]
        drive, length = response + v[i], one
        if norm != FREE:
            parts = squares[i] + q[i]
            square = parts + r[i] + r[i]
            unsafe += 0 if square > canceled * parts else 1
            length = dtype(sqrt(square if square > zero else zero)) + epsilon
            drive /= length
        norms[t, b, i], drives[t, b, i], responses[t, b, i] = length, drive, response
    activate_all(drives[t, b], bias, activation, bound, output[t, b])
    for i in range(len(bias)):
        scale = decay[i] / norms[t, b, i] if norm == PRE else decay[i]
        c, grown = rate[i] * output[t, b, i], scale * v[i]
        q[i] = scale * scale * q[i] + c * (grown + grown + c * squared)
        r[i] = scale * r[i] + c * responses[t, b, i]
        unsafe += 0 if q[i] < limit * limit else 1
        alpha[i] *= scale
        a[i], beta[k, i] = scale, c
    for earlier in range(k):
        for i in range(len(bias)):
            beta[earlier, i] *= a[i]
    return unsafe == 0


@uncounted
def _forward_chunk(  # type: ignore[no-untyped-def]
    first, n, start, scratch, weight, squares, x, h0, parameters, lengths, settings, results
):
    """Runs a chunk of n samples from ``first`` on; returns whether numbers are safe."""
    memories, z, p, v, alpha, beta, a, r, q, of_inputs = scratch
    recurrent, output = settings[0], results[0]
    safe, steps = True, min(z.shape[1], len(x) - start)
    alpha[:] = 1
    beta[:] = 0
    for s in range(n):
        own_steps = lengths[first + s] - start
        load_signals(z[s], x, output, h0, start, own_steps, recurrent, first + s)
        squares_and_products(memories[s], weight, q[s], r[s])
        multiply(memories[s], z[s], recurrent, of_inputs[s])
    for k in range(steps):
        t = start + k
        for s in range(n):
            for j in range(recurrent if 0 < k < lengths[first + s] - start else 0):
                z[s, k, j] = output[t - 1, first + s, j]
        _recur(k, memories, weight, z, recurrent, p, v)
        for s in range(n):
            b = first + s
            if t < lengths[b]:
                own = z[s], p[s], v[s], alpha[s], beta[s], a[s], r[s], q[s], of_inputs[s]
                safe &= _respond(b, t, k, own, squares, parameters, settings, results)
            else:
                output[t, b] = 0
    for s in range(n):
        add_products(memories[s], alpha[s], beta[s], z[s])
    return safe


@compiled
def forward(begin, end, memories, weight, x, h0, parameters, lengths, settings, results):  # type: ignore[no-untyped-def]
    """Runs all steps of the samples from ``begin`` to before ``end``.

    Arguments are: memories F [B, H, K], or [1, H, K] if all are equal, with columns of inputs, then
    of neurons; weights W [H, P], with columns of neurons, then of inputs, then zeros; inputs x
    [T, B, I]; activities before the first step [B, H]; a tuple of bias b, λ and γ [H]; steps of
    each sample [B]; settings; and results.

    The settings are: number of neurons that are presynaptic, H or 0; norm; activation; bound of F;
    bound of activities; steps of a chunk, a multiple of 16; chunks between stored memories. The
    results are: activities [T, B, H]; |W + F|, (W + F) z / |W + F|, and W z at each step [T, B, H],
    the last of them W x before; F before each block of chunks [blocks, B, H, P], empty to store
    none; and the last F [B, H, K].

    Returns whether all numbers stayed so small that the step form would not have bounded any, and
    so large that no norm lost its digits.
    """
    (size, width), dtype, chunk = weight.shape, weight.dtype, settings[5]
    kept, last, every = results[4], results[5], settings[6]
    squares = np.empty(size, dtype)
    sums_of_products(weight, weight, squares)
    memory = aligned_zeros(SIDE_BY_SIDE * size * width, dtype).reshape(SIDE_BY_SIDE, size, width)
    z = aligned_zeros(SIDE_BY_SIDE * chunk * width, dtype).reshape(SIDE_BY_SIDE, chunk, width)
    rows = np.empty((4, SIDE_BY_SIDE, size), dtype)
    parts = np.empty((2, SIDE_BY_SIDE, chunk, size), dtype)
    sums = np.empty((2, SIDE_BY_SIDE, size), dtype)
    p, v, alpha, a = rows[0], rows[1], rows[2], rows[3]
    beta, of_inputs, r, q = parts[0], parts[1], sums[0], sums[1]
    scratch = memory, z, p, v, alpha, beta, a, r, q, of_inputs
    safe = True
    for first in range(begin, end, SIDE_BY_SIDE):
        n = min(SIDE_BY_SIDE, end - first)
        for s in range(n):
            copy_rotated(memories[(first + s) % len(memories)], x.shape[2], memory[s])
        for start in range(0, len(x), chunk):
            if len(kept) > 0 and start // chunk % every == 0:
                for s in range(n):
                    copy_part(memory[s], kept[start // chunk // every, first + s])
            safe &= _forward_chunk(
                first,
                n,
                start,
                scratch,
                weight,
                squares,
                x,
                h0,
                parameters,
                lengths,
                settings,
                results,
            )
        for s in range(n):
            copy_rotated(memory[s], settings[0], last[first + s])
    return safe
