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
from plastorch.stp.chunk_kernels import (
    add_products,
    dot,
    load_signals,
    multiply,
    sums_of_products,
)
from plastorch.stp.kernels import FREE, PRE, compiled, inlined, slope
from plastorch.stp.rule import EPSILON

SIDE_BY_SIDE = 2
"""Number of samples that are run side by side."""


@compiled
def _replay(b, start, steps, memory, weight, own, parameters, settings, saved):  # type: ignore[no-untyped-def]
    """Computes the numbers of the forward pass for a chunk that begins with a memory."""
    z, a, alpha, beta, v, r, q = own
    _, decay, rate = parameters
    norm = settings[1]
    output, norms, drives, responses = saved
    sums_of_products(memory, weight, r[0])
    sums_of_products(memory, memory, q[0])
    alpha[0] = 1
    beta[0] = 0
    for k in range(steps):
        t, squared = start + k, dot(z, k, k)
        for i in range(len(decay)):
            length, response = norms[t, b, i], responses[t, b, i]
            scale, c = decay[i] / length if norm == PRE else decay[i], rate[i] * output[t, b, i]
            v[k, i] = drives[t, b, i] * length - response
            grown = scale * v[k, i]
            q[k + 1, i] = scale * scale * q[k, i] + c * (grown + grown + c * squared)
            r[k + 1, i] = scale * r[k, i] + c * response
            alpha[k + 1, i] = alpha[k, i] * scale
            a[k, i] = scale
        beta[k + 1] = 0
        for earlier in range(k):
            for i in range(len(decay)):
                beta[k + 1, earlier, i] = beta[k, earlier, i] * a[k, i]
        for i in range(len(decay)):
            beta[k + 1, k, i] = rate[i] * output[t, b, i]


@compiled
def _neurons_backward(  # type: ignore[no-untyped-def]
    b, start, k, steps, d_next, own, of_own, sums, parameters, settings, saved, d_output
):
    """Backpropagates step k of a chunk of sample b, except to the signals.

    Writes factors by which W, F, D and the chunk's signals enter the gradient of its signals.
    """
    z, a, _, beta, v, r, q = own
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
    zero, two, epsilon = dtype(0), dtype(2), dtype(EPSILON)
    of_square = zero
    for i in range(len(rate)):
        h, scale, length = output[t, b, i], a[k, i], norms[t, b, i]
        c, grown = rate[i] * h, scale * v[k, i]
        of_c = y[i] + of_r[i] * responses[t, b, i] + two * of_q[i] * (grown + c * squared)
        rest = kappa[i] - c * y[i]
        of_scale = rest + two * of_q[i] * (scale * scale * q[k, i] + c * grown)
        of_scale += scale * of_r[i] * r[k, i]
        d_decay[i] += of_scale
        d_rate[i] += of_c * h
        of_drive = d_output[t, b, i] + d_next[i] + of_c * rate[i]
        of_drive = bound if of_drive > bound else of_drive
        of_drive = -bound if of_drive < -bound else of_drive
        of_drive = of_drive * dtype(slope(h, activation)) if abs(h) < bound else zero
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
        of_square += of_q[i] * c * c
        of_w[k, i] = of_drive + of_r[i] * c
        of_v[k, i] = of_drive + two * of_q[i] * scale * c
        of_r[i] = scale * of_r[i] + two * of_norm
        of_q[i] = scale * scale * of_q[i] + of_norm
        kappa[i] = rest + of_v[k, i] * v[k, i]
        pi[i] *= scale
    of_z[k] = 0
    of_z[k, k] = of_square + of_square
    for earlier in range(k):
        total = zero
        for i in range(len(rate)):
            total += of_v[k, i] * beta[k, earlier, i]
        of_z[k, earlier] = total
    for later in range(k + 1, steps):
        total = zero
        for i in range(len(rate)):
            total += rate[i] * output[t, b, i] * mu[later, i]
            mu[later, i] *= a[k, i]
        of_z[k, later] = total
    for i in range(len(rate)):
        mu[k, i] = of_v[k, i]


@inlined
def _signals_backward(  # type: ignore[no-untyped-def]
    k, side, weight, memories, of_v, alpha, of_w, of_z, z, by_grads, recurrent, d_h
):
    """Backpropagates step k of a chunk to the activities among the signals, of all samples."""
    for s in range(side):
        for j in range(recurrent):
            d_h[s, j] = by_grads[s, k, j]
    for i in range(0, len(weight) - 3, 4):
        for s in range(side):
            f0, f1 = of_v[s, k, i] * alpha[s, k, i], of_v[s, k, i + 1] * alpha[s, k, i + 1]
            f2, f3 = of_v[s, k, i + 2] * alpha[s, k, i + 2], of_v[s, k, i + 3] * alpha[s, k, i + 3]
            w0, w1, w2, w3 = of_w[s, k, i], of_w[s, k, i + 1], of_w[s, k, i + 2], of_w[s, k, i + 3]
            for j in range(recurrent):
                one = f0 * memories[s, i, j] + w0 * weight[i, j]
                two = f1 * memories[s, i + 1, j] + w1 * weight[i + 1, j]
                three = f2 * memories[s, i + 2, j] + w2 * weight[i + 2, j]
                four = f3 * memories[s, i + 3, j] + w3 * weight[i + 3, j]
                d_h[s, j] += (one + two) + (three + four)
    for i in range(len(weight) // 4 * 4, len(weight)):
        for s in range(side):
            f0, w0 = of_v[s, k, i] * alpha[s, k, i], of_w[s, k, i]
            for j in range(recurrent):
                d_h[s, j] += f0 * memories[s, i, j] + w0 * weight[i, j]
    for s in range(side):
        for step in range(z.shape[1]):
            for j in range(recurrent):
                d_h[s, j] += of_z[s, k, step] * z[s, step, j]


@compiled
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


@compiled
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


@compiled
def _memory_backward(memory, weight, grad, d_weight, of_r, of_q):  # type: ignore[no-untyped-def]
    """Backpropagates r = W . F and q = |F|² of a chunk's first F."""
    for i in range(len(memory)):
        one, two = of_r[i], of_q[i] + of_q[i]
        for j in range(memory.shape[1]):
            grad[i, j] += one * weight[i, j] + two * memory[i, j]
            d_weight[i, j] += one * memory[i, j]


@inlined
def _start_chunk(  # type: ignore[no-untyped-def]
    end, memory, grad, z, alpha, beta, of_d, pi, mu, of_r, of_q, kappa, by_grad, ones, factors
):
    """Begins with the gradient D of a chunk's last F; ``end`` is the chunk's number of steps.

    Writes products of D with the signals, and the part of the signals' gradients that D makes."""
    multiply(grad, z, 0, of_d)
    by_grad[:] = 0
    for k in range(len(z)):
        for i in range(len(grad)):
            factors[i, k] = beta[end, k, i]
    add_products(by_grad, ones, factors, grad)
    sums_of_products(grad, memory, kappa)
    for i in range(len(kappa)):
        kappa[i] *= alpha[end, i]
    for k in range(end):
        for i in range(len(kappa)):
            kappa[i] += beta[end, k, i] * of_d[k, i]
    pi[:] = 1
    mu[:] = 0
    of_r[:] = 0
    of_q[:] = 0


@compiled
def _backward_chunk(  # type: ignore[no-untyped-def]
    first, side, start, memories, grads, d_next, forth, back, sums, given, gradients
):
    """Backpropagates a chunk of sample ``first`` and its neighbors."""
    weight, x, h0, parameters, lengths, settings, saved = given
    z, a, alpha, beta, v, r, q = forth
    of_d, y, pi, mu, of_r, of_q, kappa, of_v, of_w, of_z, by_grads, ones, factors = back
    d_output, d_x, of_x = gradients
    d_weight, of_squares, d_bias, d_decay, d_rate = sums
    recurrent, most = settings[0], 0
    of_w[:] = 0
    for s in range(side):
        b = first + s
        steps = max(0, min(z.shape[1], lengths[b] - start))
        most = max(most, steps)
        load_signals(z[s], x, saved[0], h0, start, steps, recurrent, b)
        own = z[s], a[s], alpha[s], beta[s], v[s], r[s], q[s]
        _replay(b, start, steps, memories[s], weight, own, parameters, settings, saved)
        _start_chunk(
            steps,
            memories[s],
            grads[s],
            z[s],
            alpha[s],
            beta[s],
            of_d[s],
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
                own = z[s], a[s], alpha[s], beta[s], v[s], r[s], q[s]
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
                of_v[s, k], of_z[s, k] = 0, 0
        if recurrent > 0:
            _signals_backward(
                k,
                side,
                weight,
                memories,
                of_v,
                alpha,
                of_w,
                of_z,
                z,
                by_grads,
                recurrent,
                d_next,
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


@compiled
def _backward_samples(  # type: ignore[no-untyped-def]
    first, side, course, grads, d_next, forth, back, sums, given, kept, gradients
):
    """Backpropagates all steps of sample ``first`` and its neighbors."""
    _, x, h0, parameters, lengths, settings, saved = given
    z, _, alpha, beta, _, _, _ = forth
    chunk, every = settings[5], settings[6]
    longest = lengths[first : first + side].max()
    for block in range((longest - 1) // (chunk * every), -1, -1):
        start = block * chunk * every
        chunks = min(every, (longest - start + chunk - 1) // chunk)
        for s in range(side):
            copy_part(kept[block, first + s], course[0, s])
        for n in range(chunks - 1):
            for s in range(side):
                copy_part(course[n, s], course[n + 1, s])
                b, at = first + s, start + n * chunk
                steps = max(0, min(chunk, lengths[b] - at))
                load_signals(z[s], x, saved[0], h0, at, steps, settings[0], b)
                _last_factors(b, at, steps, alpha[s, 0], beta[s, 0], parameters, settings, saved)
                add_products(course[n + 1, s], alpha[s, 0], beta[s, 0], z[s])
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
    gradients of the last memories, are replaced by those of the first ones. Gradients of parameters
    are added to the group's row in the ``sums`` of W [G, H, P], b, and, times λ, of λ, and of γ
    [G, H]. ``saved`` are activities, |W + F|, drives, W z, and memories of the forward pass; the
    ``gradients`` are those of the activities [T, B, H], and arrays that receive those of the inputs
    and of the first activities.
    """
    (size, width), dtype = weight.shape, weight.dtype
    chunk, every, n = settings[5], settings[6], SIDE_BY_SIDE
    course = np.empty((every, n, size, width), dtype)
    grads, z = np.zeros((n, size, width), dtype), np.zeros((n, chunk, width), dtype)
    beta, alpha = (
        np.zeros((n, chunk + 1, chunk, size), dtype),
        np.zeros((n, chunk + 1, size), dtype),
    )
    r, q = np.empty((n, chunk + 1, size), dtype), np.empty((n, chunk + 1, size), dtype)
    parts, rows = np.empty((6, n, chunk, size), dtype), np.empty((3, n, size), dtype)
    a, v, of_d, mu = parts[0], parts[1], parts[2], parts[3]
    of_v, of_w = parts[4], parts[5]
    y, pi, d_next = rows[0], rows[1], rows[2]
    wide = np.empty((3, n, size), dtype)
    of_r, of_q, kappa = wide[0], wide[1], wide[2]
    of_z, of_x = np.empty((n, chunk, chunk), dtype), np.empty((chunk, x.shape[2]), dtype)
    of_squares = np.empty(size, dtype)
    forth = z, a, alpha, beta, v, r, q
    by_grads, factors = np.empty((n, chunk, width), dtype), np.empty((size, chunk), dtype)
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
            for s in range(side):
                copy_part(d_memories[first + s], grads[s])
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
                copy_part(grads[s], d_memories[first + s])
                for i in range(size):
                    d_h[first + s, i] = d_next[s, i]
        for i in range(size):
            for j in range(width):
                d_weight[i, j] += (of_squares[i] + of_squares[i]) * weight[i, j]
