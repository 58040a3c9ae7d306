"""Backpropagation through the time loop of :mod:`plastorch.stp.kernels`, one or two samples at
a time.

Steps run backward. Of each, the gradient first passes the memory's update, then the response. As
far as the rule allows, a neuron's synapses are passed once for a step's response and for the update
before it; if two samples have as many steps, in :mod:`plastorch.stp.pair_kernels`.
"""

from math import sqrt

import numpy as np

from plastorch.engine.numba_options import copy_part
from plastorch.engine.numba_vectors import aligned_zeros
from plastorch.stp.kernels import (
    FREE,
    POST,
    PRE,
    compiled,
    gather,
    inlined,
    next_memories,
    saturated,
    slope,
    uncounted,
    update,
)
from plastorch.stp.pair_kernels import fixed_backward, gather_numbers, pair_backward
from plastorch.stp.rule import EPSILON

SIDE_BY_SIDE = 2
"""Number of samples that are run side by side."""


@inlined
def _renormalize_backward(i, weight, clamped, divided, bound, grad, d_weight):  # type: ignore[no-untyped-def]
    """Backpropagates F / |W + F|, F ``clamped`` before and ``divided`` after; changes ``grad``."""
    plastic = grad.shape[1]
    squared = of_norm = grad.dtype.type(0)
    for j in range(plastic):
        total = weight[i, j] + clamped[i, j]
        squared += total * total
        of_norm -= grad[i, j] * divided[i, j]
    for j in range(plastic, weight.shape[1]):
        squared += weight[i, j] * weight[i, j]
    raw = grad.dtype.type(sqrt(squared))
    norm = raw + grad.dtype.type(EPSILON)
    of_norm = saturated(of_norm / (norm * raw), bound) if raw > 0 else grad.dtype.type(0)
    for j in range(plastic):
        of_total = of_norm * (weight[i, j] + clamped[i, j])
        d_weight[i, j] += of_total
        grad[i, j] = saturated(grad[i, j] / norm + of_total, bound)
    for j in range(plastic, weight.shape[1]):
        d_weight[i, j] += of_norm * weight[i, j]


@inlined
def _limit_backward(i, updated, limit, grad):  # type: ignore[no-untyped-def]
    """Zeroes the gradient where F was clamped."""
    for j in range(grad.shape[1]):
        grad[i, j] = 0 if abs(updated[i, j]) >= limit else grad[i, j]


@inlined
def _update_backward(i, memory, decay, rate, z, h, scale, grad, d_decay, d_rate):  # type: ignore[no-untyped-def]
    """Backpropagates F = Λ F scale + Γ h z, except to F and z; returns grads of h and scale."""
    of_h = of_scale = grad.dtype.type(0)
    for j in range(grad.shape[1]):
        of_memory, of_product = grad[i, j] * memory[i, j], grad[i, j] * z[j]
        of_h += of_product * rate[i, j]
        of_scale += of_memory * decay[i, j]
        d_rate[i, j] += of_product * h
        d_decay[i, j] += scale * of_memory
    return of_h, of_scale


@inlined
def _signals_backward(i, rate, h, grad, d_z):  # type: ignore[no-untyped-def]
    """Backpropagates Γ h z to z."""
    for j in range(grad.shape[1]):
        d_z[j] += grad[i, j] * rate[i, j] * h


@inlined
def _respond_backward(  # type: ignore[no-untyped-def]
    i, weight, memory, decay, rate, z, h, scale, of_drive, of_norm, bound, grad, d_weight, d_z
):
    """Backpropagates Γ h z to z, and all uses of F to F: Λ F scale, G z and |G|, with G = W + F.
    ``of_norm`` is the norm's gradient divided by the norm. ``grad`` is turned from the gradient of
    the next F into that of the current one."""
    for j in range(memory.shape[1]):
        total = weight[i, j] + memory[i, j]
        of_total = of_drive * z[j] + of_norm * total
        d_weight[i, j] += of_total
        d_z[j] += of_drive * total + grad[i, j] * rate[i, j] * h
        of_memory = grad[i, j] * (scale * decay[i, j]) + of_total
        of_memory = bound if of_memory > bound else of_memory
        grad[i, j] = -bound if of_memory < -bound else of_memory
    fixed_backward(i, weight, memory.shape[1], z, of_drive, of_norm, d_weight, d_z)


@inlined
def _both_backward(  # type: ignore[no-untyped-def]
    i,
    weight,
    memory,
    decay,
    rate,
    z,
    h,
    scale,
    of_drive,
    of_norm,
    bound,
    earlier,
    z_before,
    h_before,
    scale_before,
    grad,
    d_weight,
    d_z,
    d_decay,
    d_rate,
):
    """Runs :func:`_respond_backward`, then :func:`_update_backward` of the update before, of the
    memory ``earlier``, in one pass."""
    of_h = of_scale = grad.dtype.type(0)
    for j in range(memory.shape[1]):
        total = weight[i, j] + memory[i, j]
        of_total = of_drive * z[j] + of_norm * total
        d_weight[i, j] += of_total
        d_z[j] += of_drive * total + grad[i, j] * rate[i, j] * h
        new = grad[i, j] * (scale * decay[i, j]) + of_total
        new = bound if new > bound else new
        new = -bound if new < -bound else new
        grad[i, j] = new
        of_memory, of_product = new * earlier[i, j], new * z_before[j]
        of_h += of_product * rate[i, j]
        of_scale += of_memory * decay[i, j]
        d_rate[i, j] += of_product * h_before
        d_decay[i, j] += scale_before * of_memory
    fixed_backward(i, weight, memory.shape[1], z, of_drive, of_norm, d_weight, d_z)
    return of_h, of_scale


@uncounted
def _recompute(b, start, stop, seen, course, weight, x, h0, parameters, settings, saved):  # type: ignore[no-untyped-def]
    """Writes the memories after the steps from ``start`` to before ``stop`` behind the first, the
    last only if needed, and the signals of their updates."""
    _, decay, rate = parameters
    x_at, h_at, norm, _, current, limit, clamps, bound, _ = settings
    output, norms = saved[0], saved[1]
    for t in range(start, stop):
        h, z = output[t, b], seen[t - start]
        before = output[t - 1, b] if t > 0 else h0[b]
        gather(z, x, h if current else before, t, b, x_at, h_at, bound)
        memory, new = course[t - start], course[t - start + 1]
        if t < stop - 1 or norm == POST or clamps:
            next_memories(memory, weight, decay, rate, z, h, norms[t, b], norm, limit, new)


@uncounted
def _updates_backward(  # type: ignore[no-untyped-def]
    b, t, z, clamped, memory, new, grad, sums, weight, parameters, settings, saved
):
    """Backpropagates the update of step t to all but F and z; ``grad`` is the gradient of F."""
    of_hs, of_scales, d_weight, d_decay, d_rate = sums
    _, decay, rate = parameters
    _, _, norm, _, _, limit, clamps, bound, _ = settings
    output, norms = saved[0], saved[1]
    one = weight.dtype.type(1)
    for i in range(len(weight)):
        h = output[t, b, i]
        if norm == POST:
            update(i, memory, decay, rate, z, h, one, limit, clamped)
            _renormalize_backward(i, weight, clamped, new, bound, grad, d_weight)
        if clamps:
            _limit_backward(i, clamped if norm == POST else new, limit, grad)
        scale = one / norms[t, b, i] if norm == PRE else one
        of_hs[i], of_scales[i] = _update_backward(
            i, memory, decay, rate, z, h, scale, grad, d_decay, d_rate
        )


@uncounted
def _neurons_backward(b, t, of_hs, of_scales, of_drives, of_norms, d_bias, settings, saved):  # type: ignore[no-untyped-def]
    """Backpropagates the responses of step t to drives and norms.

    ``of_hs`` and ``of_scales`` are gradients of Γ h z by h and of Λ F scale by the scale."""
    _, _, norm, activation, _, _, _, bound, _ = settings
    output, norms, drives, _, d_output, _, d_h = saved
    dtype = d_bias.dtype.type
    one, zero, epsilon = dtype(1), dtype(0), dtype(EPSILON)
    for i in range(len(d_bias)):
        h = output[t, b, i]
        of_drive = saturated(d_output[t, b, i] + d_h[b, i] + of_hs[i], bound)
        of_drive *= slope(h, activation, one)
        of_drive = of_drive if abs(h) < bound else zero
        d_bias[i] += of_drive
        of_norm = zero
        if norm != FREE:
            length = norms[t, b, i]
            of_drive = saturated(of_drive / length, bound)
            scale = one / length
            of_norm = -of_scales[i] * scale * scale if norm == PRE else zero
            raw = length - epsilon
            of_norm = saturated((of_norm - of_drive * drives[t, b, i]) / raw, bound)
            of_norm = of_norm if raw > 0 else zero
        of_drives[i], of_norms[i] = of_drive, of_norm


@uncounted
def _drives_backward(b, t, alone, scratch, grad, sums, weight, parameters, settings, saved):  # type: ignore[no-untyped-def]
    """Backpropagates step t of sample b to drives and norms; ``alone`` says that the step's update
    is still to come."""
    d_z, of_hs, of_scales, of_drives, of_norms, clamped, _, z, _, memory, new = scratch
    d_weight, d_bias, d_decay, d_rate = sums
    _, h_at, _, _, current, _, _, _, _ = settings
    h, rate = saved[0][t, b], parameters[2]
    d_z[:] = 0
    if alone:
        _updates_backward(
            b,
            t,
            z,
            clamped,
            memory,
            new,
            grad,
            (of_hs, of_scales, d_weight, d_decay, d_rate),
            weight,
            parameters,
            settings,
            saved,
        )
        if current:
            for i in range(len(h)):
                _signals_backward(i, rate, h[i], grad, d_z)
            for i in range(len(h)):
                of_hs[i] += d_z[h_at + i]
                d_z[h_at + i] = 0
    _neurons_backward(b, t, of_hs, of_scales, of_drives, of_norms, d_bias, settings, saved)


@uncounted
def _responses_backward(  # type: ignore[no-untyped-def]
    b, t, together, scratch, grad, sums, given
):
    """Backpropagates drives and norms of step t of sample b to memories and signals; ``together``
    says that the update of the step before is done, too."""
    d_z, of_hs, of_scales, of_drives, of_norms, _, z_before, z, earlier, memory, _ = scratch
    d_weight, _, d_decay, d_rate = sums
    weight, x, h0, (_, decay, rate), settings, saved = given
    x_at, h_at, norm, _, current, _, _, bound, _ = settings
    output, norms = saved[0], saved[1]
    one = weight.dtype.type(1)
    h, before = output[t, b], output[t - 1, b] if t > 0 else h0[b]
    if current:
        gather(z, x, before, t, b, x_at, h_at, bound)
    for i in range(len(h)):
        scale = one / norms[t, b, i] if norm == PRE else one
        of_drive, of_norm = of_drives[i], of_norms[i]
        if together:
            of_hs[i], of_scales[i] = _both_backward(
                i,
                weight,
                memory,
                decay,
                rate,
                z,
                h[i],
                scale,
                of_drive,
                of_norm,
                bound,
                earlier,
                z_before,
                before[i],
                one / norms[t - 1, b, i] if norm == PRE else one,
                grad,
                d_weight,
                d_z,
                d_decay,
                d_rate,
            )
        else:
            of_h = weight.dtype.type(0) if current else h[i]
            _respond_backward(
                i,
                weight,
                memory,
                decay,
                rate,
                z,
                of_h,
                scale,
                of_drive,
                of_norm,
                bound,
                grad,
                d_weight,
                d_z,
            )


@uncounted
def _step_backward(  # type: ignore[no-untyped-def]
    first, side, t, start, stop, scratch, seen, course, grads, sums, given
):
    """Backpropagates step t of a block from ``start`` to before ``stop``, of one or two samples."""
    d_z, of_hs, of_scales, of_drives, of_norms, clamped, numbers = scratch
    weight, x, _, parameters, settings, saved = given
    x_at, h_at, norm, _, current, _, clamps, bound, _ = settings
    output, norms, _, _, _, d_x, d_h = saved
    one_by_one = norm == POST or current or clamps
    alone, together = one_by_one or t == stop - 1, not one_by_one and t > start
    at, one_less = t - start, max(t - start - 1, 0)
    for s in range(side):
        own = (
            d_z[s],
            of_hs[s],
            of_scales[s],
            of_drives[s],
            of_norms[s],
            clamped,
            seen[s, one_less],
            seen[s, at],
            course[s, one_less],
            course[s, at],
            course[s, at + 1],
        )
        _drives_backward(
            first + s, t, alone, own, grads[s], sums, weight, parameters, settings, saved
        )
        if side == 1 or not together:
            _responses_backward(first + s, t, together, own, grads[s], sums, given)
    if side == 2 and together:
        gather_numbers(first, t, numbers, norm, output, norms)
        all_numbers = of_drives, of_norms, numbers[0], numbers[1], numbers[2], numbers[3]
        pair_backward(
            at, weight, parameters, all_numbers, bound, course, seen, grads, d_z, of_hs,
            of_scales, sums,
        )  # fmt: skip
    for s in range(side):
        for j in range(x.shape[2]):
            d_x[t, first + s, j] = d_z[s, x_at + j]
        for i in range(len(weight)):
            d_h[first + s, i] = d_z[s, h_at + i] if h_at >= 0 else 0


@uncounted
def _backward_samples(  # type: ignore[no-untyped-def]
    first, side, scratch, seen, course, grads, sums, memories, lengths, given
):
    """Backpropagates all steps of sample ``first``, or of two samples of equal length; ``grads``
    [2, H, P] are the gradients of F."""
    weight, x, h0, parameters, settings, saved = given
    _, _, _, kept, _, d_x, d_h = saved
    last, block = lengths[first], settings[8]
    for b in range(first, first + side):
        d_x[last:, b] = 0
        d_h[b] = 0
    for start in range((last - 1) // block * block, -1, -block):
        stop = min(start + block, last)
        for s in range(side):
            b, own_memory = first + s, memories[(first + s) % len(memories)]
            copy_part(kept[start // block - 1, b] if start > 0 else own_memory, course[s, 0])
            _recompute(
                b, start, stop, seen[s], course[s], weight, x, h0, parameters, settings, saved
            )
        for t in range(stop - 1, start - 1, -1):
            _step_backward(first, side, t, start, stop, scratch, seen, course, grads, sums, given)


@compiled
def backward(begin, end, course, groups, sums, d_memories, memories, weight, *arguments):  # type: ignore[no-untyped-def]
    """Computes gradients of the groups of samples from ``begin`` to ``end``.

    Arguments are as in :func:`plastorch.stp.kernels.forward`. In addition, ``groups`` holds the
    first sample of each group and the number of samples [G + 1]; ``d_memories`` [B, H, Kp],
    gradients of the last memories, are replaced by those of the first ones; if empty, the former
    are 0, and the latter are not needed. Parameter gradients are added to the group's row in the
    ``sums`` of W [G, H, P + S], b [G, H], Λ and Γ [G, H, P]. ``course`` [2, block + 1, H, P] is
    scratch, zeros at first. The results are activities, norms, drives and memories of
    :func:`forward`, followed by gradients of the activities [T, B, H], and by arrays that receive
    those of the inputs and first activities.

    Two samples of a group are run side by side if they have as many steps, and if the rule lets
    a step's response and the update before it be done together.
    """
    (size, signals), dtype, n = weight.shape, weight.dtype, SIDE_BY_SIDE
    d_weights, d_biases, d_decays, d_rates = sums
    block, plastic = course.shape[1] - 1, d_decays.shape[2]
    seen = aligned_zeros(n * block * signals, dtype).reshape(n, block, signals)
    d_z = aligned_zeros(n * signals, dtype).reshape(n, signals)
    grads = aligned_zeros(n * size * plastic, dtype).reshape(n, size, plastic)
    clamped, rows = np.empty((size, plastic), dtype), np.empty((8, n, size), dtype)
    numbers = rows[4], rows[5], rows[6], rows[7]
    scratch = d_z, rows[0], rows[1], rows[2], rows[3], clamped, numbers
    x, h0, parameters, lengths, settings, saved = arguments
    given = weight, x, h0, parameters, settings, saved
    one_by_one = settings[2] == POST or settings[4] or settings[6]
    for group in range(begin, end):
        own = d_weights[group], d_biases[group], d_decays[group], d_rates[group]
        first, stop = groups[group], groups[group + 1]
        while first < stop:
            paired = not one_by_one and first + 1 < stop and lengths[first] == lengths[first + 1]
            side = 2 if paired else 1
            grads[:] = 0
            for s in range(side if len(d_memories) > 0 else 0):
                copy_part(d_memories[first + s], grads[s])
            _backward_samples(
                first, side, scratch, seen, course, grads, own, memories, lengths, given
            )
            for s in range(side if len(d_memories) > 0 else 0):
                copy_part(grads[s], d_memories[first + s])
            first += side
