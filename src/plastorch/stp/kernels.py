"""The time loop of short-term plasticity neurons, one sample after the other, for CPUs.

A sample's synapses stay in the processor's cache through all its steps. The forward pass keeps
three numbers per neuron and step, and the memory F of the synapses once per block of steps; the
backward pass computes the memories of a block again. The equations are those of
:mod:`plastorch.stp.rule`, with the columns of plastic synapses first.

Rows are given as an array and an index, because a view of a row would be counted as a reference.
"""

from math import exp, sqrt, tanh
from typing import Any

import numpy as np
from numba import njit

from plastorch.engine.compiled import NoOverlap
from plastorch.stp.rule import EPSILON

NORM = {"none": 0, "efficacy": 1, "pre": 2, "post": 3}
ACTIVATION = {"tanh": 0, "sigmoid": 1, "relu": 2, "identity": 3}
_NONE, _PRE, _POST = NORM["none"], NORM["pre"], NORM["post"]


# Sums may be reordered, but numbers need not be finite: what overflows must saturate.
_compiled: Any = njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract"},
    pipeline_class=NoOverlap,
)


@_compiled
def _activate(drive, kind):  # type: ignore[no-untyped-def]
    if kind == 0:
        return tanh(drive)
    if kind == 1:
        return 1 / (1 + exp(-drive)) if drive >= 0 else exp(drive) / (1 + exp(drive))
    return max(drive, 0.0) if kind == 2 else drive


@_compiled
def _slope(h, kind):  # type: ignore[no-untyped-def]
    if kind == 0:
        return 1 - h * h
    if kind == 1:
        return h * (1 - h)
    return 1.0 if kind == 3 or h > 0 else 0.0


@_compiled
def _saturated(value, bound):  # type: ignore[no-untyped-def]
    return min(max(value, -bound), bound)


@_compiled
def _gather(z, x, h, t, b, x_at, h_at):  # type: ignore[no-untyped-def]
    """Presynaptic signals z from inputs x [T, B, I] and activities h [H]."""
    for j in range(x.shape[2]):
        z[x_at + j] = x[t, b, j]
    if len(z) > x.shape[2]:
        for j in range(len(h)):
            z[h_at + j] = h[j]


@_compiled
def _respond(i, weight, memory, z):  # type: ignore[no-untyped-def]
    """Squared norm of neuron i's synapses W + F, and (W + F) z."""
    squared = drive = weight.dtype.type(0)
    for j in range(memory.shape[1]):
        total = weight[i, j] + memory[i, j]
        squared += total * total
        drive += total * z[j]
    for j in range(memory.shape[1], weight.shape[1]):
        squared += weight[i, j] * weight[i, j]
        drive += weight[i, j] * z[j]
    return squared, drive


@_compiled
def _update(i, memory, decay, rate, z, h, scale, limit):  # type: ignore[no-untyped-def]
    """F = clamp(Λ F scale + Γ h z)."""
    for j in range(memory.shape[1]):
        new = decay[i, j] * (memory[i, j] * scale) + rate[i, j] * (h * z[j])
        new = limit if new > limit else new
        memory[i, j] = -limit if new < -limit else new


@_compiled
def _step_memory(memory, weight, decay, rate, z, h, norms, norm, limit):  # type: ignore[no-untyped-def]
    """The memories of all neurons of a sample, one step on."""
    one = weight.dtype.type(1)
    for i in range(len(memory)):
        scale = one / norms[i] if norm == _PRE else one
        _update(i, memory, decay, rate, z, h[i], scale, limit)
        if norm == _POST:
            squared, _ = _respond(i, weight, memory, z)
            scale = one / weight.dtype.type(sqrt(squared) + EPSILON)
            for j in range(memory.shape[1]):
                memory[i, j] *= scale


@_compiled
def forward(  # type: ignore[no-untyped-def]
    x,
    h0,
    memories,
    weight,
    bias,
    decay,
    rate,
    lengths,
    x_at,
    h_at,
    norm,
    activation,
    current,
    limit,
    clamps,
    bound,
    block,
    begin,
    end,
    output,
    norms,
    drives,
    kept,
):
    """All steps of the samples from ``begin`` to ``end``.

    Args:
        x: inputs [T, B, I].
        h0: activities before the first step [B, H].
        memories: F [B, H, Kp]; replaced by the last ones.
        weight: W [H, K], columns of plastic synapses first.
        bias: b [H].
        decay: Λ [H, Kp].
        rate: Γ [H, Kp].
        lengths: steps of each sample [B].
        x_at: column of the first input.
        h_at: column of the first neuron, if they are presynaptic.
        norm: see NORM.
        activation: see ACTIVATION.
        current: whether Δ takes the activity that went out.
        limit: bound of F.
        clamps: whether it is the user's, and counts in gradients.
        bound: of activities and, where they explode, of gradients.
        block: steps between two kept memories.
        begin: first sample.
        end: the one after the last.
        output: takes the activities [T, B, H].
        norms: takes |W + F| of each step [T, B, H].
        drives: takes (W + F) z / |W + F| of each step [T, B, H].
        kept: takes F before each block [blocks, B, H, Kp]; empty if none is to be kept.
    """
    dtype = weight.dtype.type
    one, epsilon = dtype(1), dtype(EPSILON)
    z = np.empty(weight.shape[1], weight.dtype)
    for b in range(begin, end):
        memory, h = memories[b], h0[b]
        for t in range(lengths[b]):
            if len(kept) > 0 and t % block == 0:
                kept[t // block, b] = memory
            _gather(z, x, h, t, b, x_at, h_at)
            h = output[t, b]
            for i in range(len(weight)):
                squared, drive = _respond(i, weight, memory, z)
                if norm != _NONE:
                    length = dtype(sqrt(squared)) + epsilon
                    norms[t, b, i] = length
                    drive *= one / length
                drives[t, b, i] = drive
                h[i] = _saturated(dtype(_activate(drive + bias[i], activation)), bound)
            if current:
                _gather(z, x, h, t, b, x_at, h_at)
            _step_memory(memory, weight, decay, rate, z, h, norms[t, b], norm, limit)
        output[lengths[b] :, b] = 0


@_compiled
def _update_backward(i, memory, decay, rate, z, h, scale, grad, d_decay, d_rate, d_z):  # type: ignore[no-untyped-def]
    """Through F = Λ F scale + Γ h z; returns the gradients of h and of scale, and turns ``grad``,
    of the new F, into that of the old one."""
    of_h = of_scale = grad.dtype.type(0)
    for j in range(grad.shape[1]):
        of_rate = grad[i, j] * rate[i, j]
        of_memory = grad[i, j] * memory[i, j]
        of_h += of_rate * z[j]
        of_scale += of_memory * decay[i, j]
        d_rate[i, j] += grad[i, j] * (h * z[j])
        d_z[j] += of_rate * h
        d_decay[i, j] += scale * of_memory
        grad[i, j] *= scale * decay[i, j]
    return of_h, of_scale


@_compiled
def _respond_backward(i, weight, memory, z, of_drive, of_norm, bound, grad, d_weight, d_z):  # type: ignore[no-untyped-def]
    """Through G z and |G|, G = W + F; adds to ``grad``, of F. ``of_norm`` is the norm's gradient
    divided by the norm."""
    plastic = memory.shape[1]
    for j in range(plastic):
        total = weight[i, j] + memory[i, j]
        of_total = of_drive * z[j] + of_norm * total
        d_weight[i, j] += of_total
        of_memory = grad[i, j] + of_total
        of_memory = bound if of_memory > bound else of_memory
        grad[i, j] = -bound if of_memory < -bound else of_memory
        d_z[j] += of_drive * total
    for j in range(plastic, weight.shape[1]):
        d_weight[i, j] += of_drive * z[j] + of_norm * weight[i, j]
        d_z[j] += of_drive * weight[i, j]


@_compiled
def _renormalise_backward(i, weight, clamped, divided, z, bound, grad, d_weight, d_z):  # type: ignore[no-untyped-def]
    """Through F / |W + F|, F ``clamped`` before and ``divided`` after; changes ``grad``."""
    zero = grad.dtype.type(0)
    squared, _ = _respond(i, weight, clamped, z)
    raw = grad.dtype.type(sqrt(squared))
    norm = raw + grad.dtype.type(EPSILON)
    of_norm = zero
    for j in range(grad.shape[1]):
        of_norm -= grad[i, j] * divided[i, j]
        grad[i, j] /= norm
    if raw > 0:
        of_norm /= norm * raw
        _respond_backward(
            i, weight, clamped, z, zero, _saturated(of_norm, bound), bound, grad, d_weight, d_z
        )


@_compiled
def _limit_backward(i, updated, limit, grad):  # type: ignore[no-untyped-def]
    """What was clamped takes no gradient."""
    for j in range(grad.shape[1]):
        grad[i, j] = 0 if abs(updated[i, j]) >= limit else grad[i, j]


@_compiled
def backward(  # type: ignore[no-untyped-def]
    x,
    h0,
    weight,
    bias,
    decay,
    rate,
    lengths,
    x_at,
    h_at,
    norm,
    activation,
    current,
    limit,
    clamps,
    bound,
    block,
    begin,
    end,
    output,
    norms,
    drives,
    kept,
    d_output,
    d_x,
    d_h,
    d_memories,
    d_weight,
    d_bias,
    d_decay,
    d_rate,
):
    """Gradients of the samples from ``begin`` to ``end``; arguments as in :func:`forward`.

    Besides them, ``d_output`` [T, B, H] are those of the activities; ``d_x`` and ``d_h`` take those
    of the inputs and first activities; ``d_memories``, of the last memories, are replaced by those
    of the first ones; to ``d_weight``, ``d_bias``, ``d_decay`` and ``d_rate`` are added theirs.
    """
    dtype = weight.dtype.type
    one, zero, epsilon = dtype(1), dtype(0), dtype(EPSILON)
    size, signals = weight.shape
    z, after = np.empty(signals, weight.dtype), np.empty(signals, weight.dtype)
    d_z, d_after = np.empty_like(z), np.empty_like(z)
    d_neuron, of_norms = np.empty(size, weight.dtype), np.empty(size, weight.dtype)
    course = np.empty((block + 1, *decay.shape), weight.dtype)
    clamped = np.empty(decay.shape, weight.dtype)
    for b in range(begin, end):
        grad = d_memories[b]
        d_x[lengths[b] :, b] = 0
        d_h[b] = 0
        for start in range((lengths[b] - 1) // block * block, -1, -block):
            stop = min(start + block, lengths[b])
            course[0] = kept[start // block, b]
            for t in range(start, stop):
                before = output[t - 1, b] if t > 0 else h0[b]
                _gather(z, x, output[t, b] if current else before, t, b, x_at, h_at)
                course[t - start + 1] = course[t - start]
                _step_memory(
                    course[t - start + 1],
                    weight,
                    decay,
                    rate,
                    z,
                    output[t, b],
                    norms[t, b],
                    norm,
                    limit,
                )
            for t in range(stop - 1, start - 1, -1):
                memory, updated = course[t - start], course[t - start + 1]
                before = output[t - 1, b] if t > 0 else h0[b]
                _gather(z, x, before, t, b, x_at, h_at)
                _gather(after, x, output[t, b] if current else before, t, b, x_at, h_at)
                d_z[:] = 0
                d_after[:] = 0
                for i in range(size):
                    h = output[t, b, i]
                    if norm == _POST:
                        clamped[i] = memory[i]
                        _update(i, clamped, decay, rate, after, h, one, limit)
                        _renormalise_backward(
                            i, weight, clamped, updated, after, bound, grad, d_weight, d_after
                        )
                    if clamps:
                        _limit_backward(i, clamped if norm == _POST else updated, limit, grad)
                    scale = one / norms[t, b, i] if norm == _PRE else one
                    of_h, of_scale = _update_backward(
                        i, memory, decay, rate, after, h, scale, grad, d_decay, d_rate, d_after
                    )
                    d_neuron[i] = d_output[t, b, i] + d_h[b, i] + of_h
                    of_norms[i] = -of_scale * scale * scale if norm == _PRE else zero
                if current:
                    for i in range(size):
                        d_neuron[i] += d_after[h_at + i]
                        d_after[h_at + i] = 0
                for i in range(size):
                    h = output[t, b, i]
                    of_drive = _saturated(d_neuron[i], bound) * dtype(_slope(h, activation))
                    of_drive = of_drive if abs(h) < bound else zero
                    d_bias[i] += of_drive
                    of_norm = zero
                    if norm != _NONE:
                        of_drive = _saturated(of_drive / norms[t, b, i], bound)
                        raw = norms[t, b, i] - epsilon
                        if raw > 0:
                            of_norm = (of_norms[i] - of_drive * drives[t, b, i]) / raw
                            of_norm = _saturated(of_norm, bound)
                    _respond_backward(
                        i, weight, memory, z, of_drive, of_norm, bound, grad, d_weight, d_z
                    )
                d_z += d_after
                for j in range(x.shape[2]):
                    d_x[t, b, j] = d_z[x_at + j]
                for i in range(size if signals > x.shape[2] else 0):
                    d_h[b, i] = d_z[h_at + i]
                if signals == x.shape[2]:
                    d_h[b] = 0
