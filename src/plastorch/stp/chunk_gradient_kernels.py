"""Backpropagation through :mod:`plastorch.stp.chunk_kernels`, chunk by chunk.

The gradient of F has the same form as F: within a chunk whose last F has gradient D, with numbers π
and μ of each neuron,

    Ā_t = π_t D + sum over s > t of μ_(t,s) z_s

for F_t = a_t F_(t-1) + c_t z_t, where Ā_(t-1) = a_t Ā_t + v̄_t z_t, and v̄_t is the gradient of
F_(t-1) z_t. Those of r = W . F and q = |F|² are numbers of their own, and join D where a chunk
begins. The gradient of a_t, by which the one of λ and that of the norm are found, needs no pass
over F either, since for κ_t = Ā_t . F_t

    a_t (Ā_t . F_(t-1)) = κ_t - c_t (Ā_t . z_t)
    κ_(t-1) = a_t (Ā_t . F_(t-1)) + v̄_t (F_(t-1) . z_t).
"""

import numpy as np

from plastorch.engine.numba_options import copy_part
from plastorch.engine.numba_vectors import LANES, aligned_zeros, full, load, plus, store, times
from plastorch.stp.chunk_kernels import (
    add_products,
    copy_rotated,
    dot,
    load_signals,
    multiply,
    squares_and_products,
    sums_of_products,
)
from plastorch.stp.kernels import FREE, PRE, compiled, inlined, longest, slope, uncounted
from plastorch.stp.rule import EPSILON

SIDE_BY_SIDE = 2
"""Number of samples that are run side by side."""
WIDE = 4 * LANES
"""Number of signals whose sums are in registers at a time."""


@inlined
def _four(array, at):  # type: ignore[no-untyped-def]
    """Returns four vectors of an array from a place on."""
    return (
        load(array, at),
        load(array, at + LANES),
        load(array, at + 2 * LANES),
        load(array, at + 3 * LANES),
    )


@inlined
def _store_four(array, at, four):  # type: ignore[no-untyped-def]
    """Writes four vectors to an array from a place on."""
    store(array, at, four[0])
    store(array, at + LANES, four[1])
    store(array, at + 2 * LANES, four[2])
    store(array, at + 3 * LANES, four[3])


@uncounted
def _replay(b, start, steps, memory, weight, own, parameters, settings, saved):  # type: ignore[no-untyped-def]
    """Computes the numbers of the forward pass for a chunk that begins with a memory."""
    z, a, c, alpha, v, r, q = own
    _, decay, rate = parameters
    norm = settings[1]
    output, norms, drives, responses = saved
    squares_and_products(memory, weight, q[0], r[0])
    alpha[0] = 1
    for k in range(steps):
        t, squared = start + k, dot(z, k, k)
        for i in range(len(decay)):
            length, response = norms[t, b, i], responses[t, b, i]
            scale = decay[i] / length if norm == PRE else decay[i]
            factor = rate[i] * output[t, b, i]
            v[k, i] = drives[t, b, i] * length - response
            grown = scale * v[k, i]
            q[k + 1, i] = scale * scale * q[k, i] + factor * (grown + grown + factor * squared)
            r[k + 1, i] = scale * r[k, i] + factor * response
            alpha[k + 1, i] = alpha[k, i] * scale
            a[k, i], c[k, i] = scale, factor


@uncounted
def _neurons_backward(  # type: ignore[no-untyped-def]
    b, start, k, steps, d_next, own, of_own, sums, parameters, settings, saved, d_output
):
    """Backpropagates step k of a chunk of sample b, except to the signals.

    Writes factors by which W, F, D and the chunk's signals enter the gradient of its signals.
    """
    z, a, c, _, v, r, q = own
    of_d, y, pi, mu, of_r, of_q, kappa, of_v, of_w, of_z = of_own
    of_squares, d_bias, d_decay, d_rate = sums
    rate, norm, activation, bound = parameters[2], settings[1], settings[2], settings[4]
    output, norms, drives, responses = saved
    dtype, t, squared = z.dtype.type, start + k, dot(z, k, k)
    for i in range(len(rate)):
        y[i] = pi[i] * of_d[k, i]
    for later in range(k + 1, steps):
        product = dot(z, later, k)
        for i in range(len(rate)):
            y[i] += mu[later, i] * product
            mu[later, i] *= a[k, i]
    zero, one, two, epsilon = dtype(0), dtype(1), dtype(2), dtype(EPSILON)
    of_square = zero
    for i in range(len(rate)):
        h, scale, length = output[t, b, i], a[k, i], norms[t, b, i]
        factor, grown = c[k, i], scale * v[k, i]
        of_c = y[i] + of_r[i] * responses[t, b, i] + two * of_q[i] * (grown + factor * squared)
        rest = kappa[i] - factor * y[i]
        of_scale = rest + two * of_q[i] * (scale * scale * q[k, i] + factor * grown)
        of_scale += scale * of_r[i] * r[k, i]
        d_decay[i] += of_scale
        d_rate[i] += of_c * h
        of_drive = d_output[t, b, i] + d_next[i] + of_c * rate[i]
        of_drive = bound if of_drive > bound else of_drive
        of_drive = -bound if of_drive < -bound else of_drive
        of_drive = of_drive * slope(h, activation, one) if abs(h) < bound else zero
        d_bias[i] += of_drive
        of_norm = zero
        if norm != FREE:
            of_drive /= length
            of_norm = -of_drive * drives[t, b, i]
            if norm == PRE:
                of_norm -= of_scale / length
            raw = length - epsilon
            of_norm = of_norm / (raw + raw) if raw > zero else zero
        of_squares[i] += of_norm
        of_square += of_q[i] * factor * factor
        of_w[k, i] = of_drive + of_r[i] * factor
        of_v[k, i] = of_drive + two * of_q[i] * scale * factor
        of_r[i] = scale * of_r[i] + two * of_norm
        of_q[i] = scale * scale * of_q[i] + of_norm
        kappa[i] = rest + of_v[k, i] * v[k, i]
        pi[i] *= scale
    for i in range(len(rate)):
        mu[k, i] = y[i] = of_v[k, i]
    of_z[k, k] = of_square + of_square
    for earlier in range(k - 1, -1, -1):
        total = zero
        for i in range(len(rate)):
            total += y[i] * c[earlier, i]
            y[i] *= a[earlier, i]
        of_z[k, earlier] = of_z[earlier, k] = total


@inlined
def _add_row(sums, matrix, at, number):  # type: ignore[no-untyped-def]
    """Returns four vectors plus a number times those of a matrix from a place on."""
    s0, s1, s2, s3 = sums
    factor = full(number)
    s0 = plus(s0, times(load(matrix, at), factor))
    s1 = plus(s1, times(load(matrix, at + LANES), factor))
    s2 = plus(s2, times(load(matrix, at + 2 * LANES), factor))
    s3 = plus(s3, times(load(matrix, at + 3 * LANES), factor))
    return s0, s1, s2, s3


@uncounted
def _signals_backward(  # type: ignore[no-untyped-def]
    k, side, weight, memories, of_f, of_w, of_z, z, by_grads, recurrent, d_h
):
    """Backpropagates step k of a chunk to the activities among the signals, of one or two samples.

    Sums of 64 signals over all neurons stay in registers, of both samples, which share W."""
    (size, width), chunk, last = weight.shape, z.shape[1], side - 1
    wide, none = recurrent // WIDE * WIDE, full(weight.dtype.type(0))
    for j in range(0, wide, WIDE):
        one = _four(by_grads, k * width + j)
        two = _four(by_grads, (last * chunk + k) * width + j)
        for i in range(size):
            at, other = i * width + j, (last * size + i) * width + j
            one = _add_row(one, weight, at, of_w[0, k, i])
            two = _add_row(two, weight, at, of_w[last, k, i])
            one = _add_row(one, memories, at, of_f[0, i])
            two = _add_row(two, memories, other, of_f[last, i])
        for step in range(chunk):
            one = _add_row(one, z, step * width + j, of_z[0, k, step])
            two = _add_row(two, z, (last * chunk + step) * width + j, of_z[last, k, step])
        _store_four(d_h, j, one)
        _store_four(d_h, last * d_h.shape[1] + j, two)
    for j in range(wide, recurrent, LANES):
        for s in range(side):
            s0, s1, s2 = load(by_grads, (s * chunk + k) * width + j), none, none
            for i in range(size):
                at, of_s = i * width + j, (s * size + i) * width + j
                s0 = plus(s0, times(load(weight, at), full(of_w[s, k, i])))
                s1 = plus(s1, times(load(memories, of_s), full(of_f[s, i])))
            for step in range(chunk):
                at = (s * chunk + step) * width + j
                s2 = plus(s2, times(load(z, at), full(of_z[s, k, step])))
            store(d_h, s * d_h.shape[1] + j, plus(plus(s0, s1), s2))


@uncounted
def _inputs_backward(b, start, steps, weight, memory, factors, z, by_grad, recurrent, d_x, part):  # type: ignore[no-untyped-def]
    """Writes the gradients of a chunk's inputs."""
    of_v, alpha, of_w, of_z = factors
    at = np.uintp(recurrent)  # unsigned, see multiply
    inputs = np.uintp(d_x.shape[2])
    for k in range(steps):
        for j in range(inputs):
            part[k, j] = by_grad[k, at + j]
    for i in range(len(weight)):
        for k in range(steps):
            one, two = of_v[k, i] * alpha[k, i], of_w[k, i]
            for j in range(inputs):
                part[k, j] += one * memory[i, at + j] + two * weight[i, at + j]
    for k in range(steps):
        for step in range(steps):
            for j in range(inputs):
                part[k, j] += of_z[k, step] * z[step, at + j]
        for j in range(inputs):
            d_x[start + k, b, j] = part[k, j]


@uncounted
def _last_factors(b, start, steps, alpha, beta, parameters, settings, saved):  # type: ignore[no-untyped-def]
    """Writes α [H] and β [C, H] of a chunk's last F."""
    _, decay, rate = parameters
    output, norms = saved[0], saved[1]
    alpha[:] = 1
    beta[:] = 0
    for k in range(steps - 1, -1, -1):
        t = start + k
        for i in range(len(decay)):
            beta[k, i] = rate[i] * output[t, b, i] * alpha[i]
            alpha[i] *= decay[i] / norms[t, b, i] if settings[1] == PRE else decay[i]


@uncounted
def _memory_backward(memory, weight, grad, d_weight, of_r, of_q):  # type: ignore[no-untyped-def]
    """Backpropagates r = W . F and q = |F|² of a chunk's first F."""
    for i in range(len(memory)):
        one, two = of_r[i], of_q[i] + of_q[i]
        for j in range(memory.shape[1]):
            grad[i, j] += one * weight[i, j] + two * memory[i, j]
            d_weight[i, j] += one * memory[i, j]


@inlined
def _start_chunk(  # type: ignore[no-untyped-def]
    end, memory, grad, z, a, c, of_d, y, pi, mu, of_r, of_q, kappa, by_grad, ones, factors
):
    """Begins with the gradient D of a chunk's last F; ``end`` is the chunk's number of steps.

    Writes products of D with the signals, and the part of the signals' gradients that D makes."""
    multiply(grad, z, np.int64(0), of_d)
    kappa[:] = 0
    factors[:, end:] = 0
    pi[:] = 1
    for k in range(end - 1, -1, -1):
        for i in range(len(kappa)):
            y[i] = c[k, i] * pi[i]
            kappa[i] += y[i] * of_d[k, i]
            pi[i] *= a[k, i]
        for i in range(len(kappa)):
            factors[i, k] = y[i]
    sums_of_products(grad, memory, y)
    for i in range(len(kappa)):
        kappa[i] += y[i] * pi[i]
    by_grad[:] = 0
    add_products(by_grad, ones, factors, grad)
    pi[:] = 1
    mu[:] = 0
    of_r[:] = 0
    of_q[:] = 0


@uncounted
def _backward_chunk(  # type: ignore[no-untyped-def]
    first, side, start, memories, grads, d_next, forth, back, sums, given, gradients
):
    """Backpropagates a chunk of sample ``first`` and its neighbors."""
    weight, x, h0, parameters, lengths, settings, saved = given
    z, a, c, alpha, v, r, q = forth
    of_d, y, pi, mu, of_r, of_q, kappa, of_v, of_w, of_z, by_grads, ones, factors = back
    d_output, d_x, of_x = gradients
    d_weight, of_squares, d_bias, d_decay, d_rate = sums
    recurrent, most = settings[0], 0
    of_w[:] = 0
    of_z[:] = 0
    for s in range(side):
        b = first + s
        steps = max(0, min(z.shape[1], lengths[b] - start))
        most = max(most, steps)
        load_signals(z[s], x, saved[0], h0, start, steps, recurrent, b)
        own = z[s], a[s], c[s], alpha[s], v[s], r[s], q[s]
        _replay(b, start, steps, memories[s], weight, own, parameters, settings, saved)
        _start_chunk(
            steps,
            memories[s],
            grads[s],
            z[s],
            a[s],
            c[s],
            of_d[s],
            y[s],
            pi[s],
            mu[s],
            of_r[s],
            of_q[s],
            kappa[s],
            by_grads[s],
            ones,
            factors,
        )
    for k in range(most - 1, -1, -1):
        for s in range(side):
            steps = min(z.shape[1], lengths[first + s] - start)
            if k < steps:
                own = z[s], a[s], c[s], alpha[s], v[s], r[s], q[s]
                of_own = (
                    of_d[s],
                    y[s],
                    pi[s],
                    mu[s],
                    of_r[s],
                    of_q[s],
                    kappa[s],
                    of_v[s],
                    of_w[s],
                    of_z[s],
                )
                _neurons_backward(
                    first + s,
                    start,
                    k,
                    steps,
                    d_next[s],
                    own,
                    of_own,
                    (of_squares, d_bias, d_decay, d_rate),
                    parameters,
                    settings,
                    saved,
                    d_output,
                )
            else:
                of_v[s, k] = 0
            for i in range(len(weight)):
                y[s, i] = of_v[s, k, i] * alpha[s, k, i]
        if recurrent > 0:
            _signals_backward(
                k, side, weight, memories, y, of_w, of_z, z, by_grads, recurrent, d_next
            )
    for s in range(side):
        steps = max(0, min(z.shape[1], lengths[first + s] - start))
        own_factors = of_v[s], alpha[s], of_w[s], of_z[s]
        if len(d_x) > 0:
            _inputs_backward(
                first + s,
                start,
                steps,
                weight,
                memories[s],
                own_factors,
                z[s],
                by_grads[s],
                recurrent,
                d_x,
                of_x,
            )
        add_products(grads[s], pi[s], mu[s], z[s])
        add_products(d_weight, ones, of_w[s], z[s])
        _memory_backward(memories[s], weight, grads[s], d_weight, of_r[s], of_q[s])


@uncounted
def _backward_samples(  # type: ignore[no-untyped-def]
    first, side, course, grads, d_next, forth, back, sums, given, kept, gradients
):
    """Backpropagates all steps of sample ``first`` and its neighbors."""
    _, x, h0, parameters, lengths, settings, saved = given
    z, _, c, alpha, _, _, _ = forth
    chunk, every = settings[5], settings[6]
    steps_of_all = longest(lengths, first, side)
    for block in range((steps_of_all - 1) // (chunk * every), -1, -1):
        start = block * chunk * every
        chunks = min(every, (steps_of_all - start + chunk - 1) // chunk)
        for s in range(side):
            copy_part(kept[block, first + s], course[0, s])
        for n in range(chunks - 1):
            for s in range(side):
                copy_part(course[n, s], course[n + 1, s])
                b, at = first + s, start + n * chunk
                steps = max(0, min(chunk, lengths[b] - at))
                load_signals(z[s], x, saved[0], h0, at, steps, settings[0], b)
                _last_factors(b, at, steps, alpha[s, 0], c[s], parameters, settings, saved)
                add_products(course[n + 1, s], alpha[s, 0], c[s], z[s])
        for n in range(chunks - 1, -1, -1):
            _backward_chunk(
                first,
                side,
                start + n * chunk,
                course[n],
                grads,
                d_next,
                forth,
                back,
                sums,
                given,
                gradients,
            )


@compiled
def backward(  # type: ignore[no-untyped-def]
    begin,
    end,
    groups,
    sums,
    d_memories,
    weight,
    x,
    h0,
    parameters,
    lengths,
    settings,
    saved,
    gradients,
):
    """Computes gradients of the groups of samples from ``begin`` to before ``end``.

    Arguments are as in :func:`plastorch.stp.chunk_kernels.forward`. In addition, ``groups`` holds
    the first sample of each group and the number of samples [G + 1]; ``d_memories`` [B, H, K],
    gradients of the last memories, are replaced by those of the first ones; if empty, the former
    are 0, and the latter are not needed. Gradients of parameters are added to the group's row in
    the ``sums`` of W [G, H, P], b, and, times λ, of λ, and of γ [G, H]. ``saved`` are activities,
    |W + F|, drives, W z, and memories of the forward pass; the ``gradients`` are those of the
    activities [T, B, H], and arrays that receive those of the inputs and of the first activities.
    """
    (size, width), dtype = weight.shape, weight.dtype
    chunk, every, n = settings[5], settings[6], SIDE_BY_SIDE
    course = aligned_zeros(every * n * size * width, dtype).reshape(every, n, size, width)
    grads = aligned_zeros(n * size * width, dtype).reshape(n, size, width)
    z = aligned_zeros(n * chunk * width, dtype).reshape(n, chunk, width)
    alpha = np.zeros((n, chunk + 1, size), dtype)
    r, q = np.empty((n, chunk + 1, size), dtype), np.empty((n, chunk + 1, size), dtype)
    parts, rows = np.empty((7, n, chunk, size), dtype), np.empty((2, n, size), dtype)
    a, c, v, of_d, mu = parts[0], parts[1], parts[2], parts[3], parts[4]
    of_v, of_w = parts[5], parts[6]
    y, pi, d_next = rows[0], rows[1], np.empty((n, size + LANES), dtype)
    wide = np.empty((3, n, size), dtype)
    of_r, of_q, kappa = wide[0], wide[1], wide[2]
    of_z, of_x = np.empty((n, chunk, chunk), dtype), np.empty((chunk, x.shape[2]), dtype)
    of_squares = np.empty(size, dtype)
    forth = z, a, c, alpha, v, r, q
    by_grads = aligned_zeros(n * chunk * width, dtype).reshape(n, chunk, width)
    factors = np.empty((size, chunk), dtype)
    ones = np.ones(max(size, chunk), dtype)
    back = of_d, y, pi, mu, of_r, of_q, kappa, of_v, of_w, of_z, by_grads, ones, factors
    d_output, d_x, d_h = gradients
    given = weight, x, h0, parameters, lengths, settings, saved[:4]
    for group in range(begin, end):
        of_squares[:] = 0
        d_weight = sums[0][group]
        own = d_weight, of_squares, sums[1][group], sums[2][group], sums[3][group]
        for first in range(groups[group], groups[group + 1], n):
            side = min(n, groups[group + 1] - first)
            grads[:] = 0
            d_next[:] = 0
            for s in range(side if len(d_memories) > 0 else 0):
                copy_rotated(d_memories[first + s], x.shape[2], grads[s])
            _backward_samples(
                first,
                side,
                course,
                grads,
                d_next,
                forth,
                back,
                own,
                given,
                saved[4],
                (d_output, d_x, of_x),
            )
            for s in range(side):
                if len(d_memories) > 0:
                    copy_rotated(grads[s], settings[0], d_memories[first + s])
                for i in range(size):
                    d_h[first + s, i] = d_next[s, i]
        for i in range(size):
            for j in range(width):
                d_weight[i, j] += (of_squares[i] + of_squares[i]) * weight[i, j]
