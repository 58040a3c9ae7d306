"""Time loop of short-term plasticity neurons, sample by sample, for CPUs.

A sample's synapses stay in the processor's cache through all its steps. The forward pass stores
three numbers per neuron and step, and the synaptic memory F once per block of steps. The
backward pass recomputes the memories of a block. The equations are those of
:mod:`plastorch.stp.rule`, with the columns of plastic synapses first.

Rows are passed as an array and an index, because a view of a row would be counted as a reference.
"""

from functools import partial
from math import exp, sqrt, tanh
from typing import Any

import numpy as np
from numba import njit

from plastorch.engine.numba_options import NoOverlap
from plastorch.stp.rule import EPSILON

NORM = {"none": 0, "efficacy": 1, "pre": 2, "post": 3}
ACTIVATION = {"tanh": 0, "sigmoid": 1, "relu": 2, "identity": 3}
_NONE, _PRE, _POST = NORM["none"], NORM["pre"], NORM["post"]


# Sums may be reordered, but values may be infinite: overflow must saturate.
compiled: Any = partial(
    njit,
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract"},
    pipeline_class=NoOverlap,
)
inlined: Any = compiled(inline="always")


@inlined
def _activate(drive, kind):  # type: ignore[no-untyped-def]
    if kind == 0:
        return tanh(drive)
    if kind == 1:
        return 1 / (1 + exp(-drive)) if drive >= 0 else exp(drive) / (1 + exp(drive))
    return max(drive, 0.0) if kind == 2 else drive


@inlined
def _slope(h, kind):  # type: ignore[no-untyped-def]
    if kind == 0:
        return 1 - h * h
    if kind == 1:
        return h * (1 - h)
    return 1.0 if kind == 3 or h > 0 else 0.0


@inlined
def _saturated(value, bound):  # type: ignore[no-untyped-def]
    return min(max(value, -bound), bound)


@inlined
def _gather(z, x, h, t, b, x_at, h_at):  # type: ignore[no-untyped-def]
    """Writes presynaptic signals z from inputs x [T, B, I] and activities h [H]."""
    for j in range(x.shape[2]):
        z[x_at + j] = x[t, b, j]
    if len(z) > x.shape[2]:
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
def _update(i, memory, decay, rate, z, h, scale, limit, new):  # type: ignore[no-untyped-def]
    """Writes F = clamp(Λ F scale + Γ h z) into ``new``, which may be the memory itself."""
    for j in range(memory.shape[1]):
        value = decay[i, j] * (memory[i, j] * scale) + rate[i, j] * (h * z[j])
        value = limit if value > limit else value
        new[i, j] = -limit if value < -limit else value


@inlined
def _next_memory(i, memory, weight, decay, rate, z, h, length, norm, limit, new):  # type: ignore[no-untyped-def]
    """Writes neuron i's memory after a step; ``length`` is |W + F|."""
    one = weight.dtype.type(1)
    _update(i, memory, decay, rate, z, h, one / length if norm == _PRE else one, limit, new)
    if norm == _POST:
        squared, _ = _respond(i, weight, new, z)
        scale = one / weight.dtype.type(sqrt(squared) + EPSILON)
        for j in range(memory.shape[1]):
            new[i, j] *= scale


@inlined
def _next_memories(memory, weight, decay, rate, z, h, lengths, norm, limit, new):  # type: ignore[no-untyped-def]
    """Writes the next memories of all neurons of a sample."""
    for i in range(len(memory)):
        _next_memory(i, memory, weight, decay, rate, z, h[i], lengths[i], norm, limit, new)


@compiled
def _forward_sample(b, z, memory, weight, x, h0, parameters, lengths, settings, results):  # type: ignore[no-untyped-def]
    """Runs all steps of sample b; ``z`` is scratch, the others are those of :func:`forward`."""
    bias, decay, rate = parameters
    x_at, h_at, norm, activation, current, limit, _, bound, block = settings
    output, norms, drives, kept = results
    dtype = weight.dtype.type
    one, epsilon = dtype(1), dtype(EPSILON)
    length, h = one, h0[b]
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
            # Now, while the neuron's synapses are in the nearest cache.
            if not current:
                _next_memory(i, memory, weight, decay, rate, z, h[i], length, norm, limit, memory)
        if current:
            _gather(z, x, h, t, b, x_at, h_at)
            _next_memories(memory, weight, decay, rate, z, h, norms[t, b], norm, limit, memory)
    output[lengths[b] :, b] = 0


@compiled
def forward(begin, end, memories, weight, *arguments):  # type: ignore[no-untyped-def]
    """Runs all steps of the samples from ``begin`` to before ``end``; memories become the final F.

    Each sample has its own function call, with all arrays, scratch too, as arguments: only
    arguments, and members of tuples among them, are guaranteed not to overlap.

    The arguments after ``end`` are: memories F [B, H, Kp]; weights W [H, K], columns of plastic
    synapses first; inputs x [T, B, I]; activities before the first step [B, H]; a tuple of bias
    b [H], Λ and Γ [H, Kp]; steps of each sample [B]; settings; and results.

    The settings are: column of the first input; column of the first neuron, if presynaptic; norm,
    see NORM; activation, see ACTIVATION; whether Δ takes the outgoing activity; bound of F; whether
    this bound is the user's and enters gradients; bound of activities and of exploding gradients;
    steps between stored memories. The results are: activities [T, B, H]; |W + F| at each step
    [T, B, H]; (W + F) z / |W + F| at each step [T, B, H]; F before each block [blocks, B, H, Kp],
    empty to store none.
    """
    z = np.empty(weight.shape[1], weight.dtype)
    for b in range(begin, end):
        _forward_sample(b, z, memories[b], weight, *arguments)


@inlined
def _update_backward(i, memory, decay, rate, z, h, scale, grad, d_decay, d_rate):  # type: ignore[no-untyped-def]
    """Backpropagates F = Λ F scale + Γ h z, except to F and z; returns grads of h and scale."""
    of_h = of_scale = grad.dtype.type(0)
    for j in range(grad.shape[1]):
        of_memory = grad[i, j] * memory[i, j]
        of_h += grad[i, j] * rate[i, j] * z[j]
        of_scale += of_memory * decay[i, j]
        d_rate[i, j] += grad[i, j] * (h * z[j])
        d_decay[i, j] += scale * of_memory
    return of_h, of_scale


@inlined
def _signals_backward(i, rate, h, grad, d_z):  # type: ignore[no-untyped-def]
    """Backpropagates Γ h z to z."""
    for j in range(grad.shape[1]):
        d_z[j] += grad[i, j] * rate[i, j] * h


@inlined
def _memory_backward(  # type: ignore[no-untyped-def]
    i, weight, memory, decay, rate, z, h, scale, of_drive, of_norm, bound, grad, d_weight, d_z
):
    """Backpropagates Γ h z to z, and all uses of F to F: Λ F scale, G z and |G|, with G = W + F.
    ``of_norm`` is the norm's gradient divided by the norm. ``grad`` is turned from the gradient of
    the next F into that of the current one."""
    plastic = memory.shape[1]
    for j in range(plastic):
        total = weight[i, j] + memory[i, j]
        of_total = of_drive * z[j] + of_norm * total
        d_weight[i, j] += of_total
        d_z[j] += of_drive * total + grad[i, j] * rate[i, j] * h
        of_memory = grad[i, j] * (scale * decay[i, j]) + of_total
        of_memory = bound if of_memory > bound else of_memory
        grad[i, j] = -bound if of_memory < -bound else of_memory
    for j in range(plastic, weight.shape[1]):
        d_weight[i, j] += of_drive * z[j] + of_norm * weight[i, j]
        d_z[j] += of_drive * weight[i, j]


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
    of_norm = _saturated(of_norm / (norm * raw), bound) if raw > 0 else grad.dtype.type(0)
    for j in range(plastic):
        of_total = of_norm * (weight[i, j] + clamped[i, j])
        d_weight[i, j] += of_total
        grad[i, j] = _saturated(grad[i, j] / norm + of_total, bound)
    for j in range(plastic, weight.shape[1]):
        d_weight[i, j] += of_norm * weight[i, j]


@inlined
def _limit_backward(i, updated, limit, grad):  # type: ignore[no-untyped-def]
    """Zeroes the gradient where F was clamped."""
    for j in range(grad.shape[1]):
        grad[i, j] = 0 if abs(updated[i, j]) >= limit else grad[i, j]


@inlined
def _neuron_backward(  # type: ignore[no-untyped-def]
    i,
    weight,
    memory,
    decay,
    rate,
    z,
    h,
    d_h,
    h_z,
    length,
    of_scale,
    drive,
    norm,
    activation,
    bound,
    grad,
    d_weight,
    d_bias,
    d_z,
):
    """Backpropagates neuron i's response h, with gradient ``d_h``, and its memory step.

    ``h_z`` is h in Γ h z, or 0 if z already has its gradient. ``of_scale`` is the gradient of
    1 / |W + F|, by which the memory was multiplied.
    """
    dtype = weight.dtype.type
    zero, scale = dtype(0), dtype(1)
    of_drive = _saturated(d_h, bound) * dtype(_slope(h, activation))
    of_drive = of_drive if abs(h) < bound else zero
    d_bias[i] += of_drive
    of_norm = zero
    if norm != _NONE:
        of_drive = _saturated(of_drive / length, bound)
        if norm == _PRE:
            scale /= length
            of_norm = -of_scale * scale * scale
        raw = length - dtype(EPSILON)
        of_norm = _saturated((of_norm - of_drive * drive) / raw, bound) if raw > 0 else zero
    _memory_backward(
        i, weight, memory, decay, rate, z, h_z, scale, of_drive, of_norm, bound, grad, d_weight, d_z
    )


@compiled
def _backward_sample(  # type: ignore[no-untyped-def]
    b, scratch, course, grad, sums, weight, x, h0, parameters, lengths, settings, saved
):
    """Backpropagates all steps of sample b; ``grad`` [H, Kp] is the gradient of F."""
    z, after, d_z, d_after, d_neuron, of_scales, clamped = scratch
    d_weight, d_bias, d_decay, d_rate = sums
    _, decay, rate = parameters
    x_at, h_at, norm, activation, current, limit, clamps, bound, block = settings
    output, norms, drives, kept, d_output, d_x, d_h = saved
    dtype = weight.dtype.type
    one, zero = dtype(1), dtype(0)
    size = len(weight)
    d_x[lengths[b] :, b] = 0
    d_h[b] = 0
    for start in range((lengths[b] - 1) // block * block, -1, -block):
        stop = min(start + block, lengths[b])
        course[0] = kept[start // block, b]
        for t in range(start, stop):
            before = output[t - 1, b] if t > 0 else h0[b]
            _gather(after, x, output[t, b] if current else before, t, b, x_at, h_at)
            _next_memories(
                course[t - start],
                weight,
                decay,
                rate,
                after,
                output[t, b],
                norms[t, b],
                norm,
                limit,
                course[t - start + 1],
            )
        for t in range(stop - 1, start - 1, -1):
            memory, updated = course[t - start], course[t - start + 1]
            before = output[t - 1, b] if t > 0 else h0[b]
            _gather(z, x, before, t, b, x_at, h_at)
            _gather(after, x, output[t, b] if current else before, t, b, x_at, h_at)
            d_z[:] = 0
            for i in range(size):
                h = output[t, b, i]
                if norm == _POST:
                    _update(i, memory, decay, rate, after, h, one, limit, clamped)
                    _renormalize_backward(i, weight, clamped, updated, bound, grad, d_weight)
                if clamps:
                    _limit_backward(i, clamped if norm == _POST else updated, limit, grad)
                of_h, of_scales[i] = _update_backward(
                    i,
                    memory,
                    decay,
                    rate,
                    after,
                    h,
                    one / norms[t, b, i] if norm == _PRE else one,
                    grad,
                    d_decay,
                    d_rate,
                )
                d_neuron[i] = d_output[t, b, i] + d_h[b, i] + of_h
                if not current:
                    _neuron_backward(
                        i,
                        weight,
                        memory,
                        decay,
                        rate,
                        z,
                        h,
                        d_neuron[i],
                        h,
                        norms[t, b, i],
                        of_scales[i],
                        drives[t, b, i],
                        norm,
                        activation,
                        bound,
                        grad,
                        d_weight,
                        d_bias,
                        d_z,
                    )
            if current:
                d_after[:] = 0
                for i in range(size):
                    _signals_backward(i, rate, output[t, b, i], grad, d_after)
                for i in range(size):
                    d_neuron[i] += d_after[h_at + i]
                    d_after[h_at + i] = 0
                d_z += d_after
                for i in range(size):
                    _neuron_backward(
                        i,
                        weight,
                        memory,
                        decay,
                        rate,
                        z,
                        output[t, b, i],
                        d_neuron[i],
                        zero,
                        norms[t, b, i],
                        of_scales[i],
                        drives[t, b, i],
                        norm,
                        activation,
                        bound,
                        grad,
                        d_weight,
                        d_bias,
                        d_z,
                    )
            for j in range(x.shape[2]):
                d_x[t, b, j] = d_z[x_at + j]
            if len(z) > x.shape[2]:
                for i in range(size):
                    d_h[b, i] = d_z[h_at + i]
            else:
                d_h[b] = 0


@compiled
def backward(begin, end, course, groups, sums, d_memories, weight, *arguments):  # type: ignore[no-untyped-def]
    """Computes gradients of the groups of samples from ``begin`` to ``end``.

    Arguments are as in :func:`forward`. In addition, ``groups`` holds the first sample of each
    group and the number of samples [G + 1]; ``d_memories``, gradients of the last memories, are
    replaced by those of the first ones. Parameter gradients are added to the group's row in the
    ``sums`` of W [G, H, K], b [G, H], Λ and Γ [G, H, Kp]. ``course`` [block + 1, H, Kp] is scratch.
    The results are followed by gradients of the activities [T, B, H], and by arrays that receive
    those of the inputs and first activities.
    """
    size, signals = weight.shape
    d_weights, d_biases, d_decays, d_rates = sums
    z, after = np.empty(signals, weight.dtype), np.empty(signals, weight.dtype)
    d_z, d_after = np.empty_like(z), np.empty_like(z)
    d_neuron, of_scales = np.empty(size, weight.dtype), np.empty(size, weight.dtype)
    clamped = np.empty(d_decays.shape[1:], weight.dtype)
    scratch = z, after, d_z, d_after, d_neuron, of_scales, clamped
    for group in range(begin, end):
        own = d_weights[group], d_biases[group], d_decays[group], d_rates[group]
        for b in range(groups[group], groups[group + 1]):
            _backward_sample(b, scratch, course, d_memories[b], own, weight, *arguments)
