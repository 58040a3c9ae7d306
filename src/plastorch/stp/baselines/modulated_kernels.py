"""Time loop of modulated plasticity, sample by sample, for CPUs.

A sample's trace Hb stays in the processor's cache through all its steps. The backward pass computes
it again, from activities and modulations. The equations are those of
:class:`plastorch.stp.baselines.ModulatedPlasticity`.
"""

from math import tanh

import numpy as np

from plastorch.engine.numba_options import copy_part
from plastorch.stp.kernels import compiled, inlined, uncounted


@inlined
def _learn(hebb, activity, modulation, before, clamp, new):  # type: ignore[no-untyped-def]
    """Writes the next trace into ``new``, which may be the trace itself."""
    for i in range(len(before)):
        rate = modulation * activity[i]
        for j in range(len(before)):
            value = hebb[i, j] + rate * before[j]
            value = clamp if value > clamp else value
            new[i, j] = -clamp if value < -clamp else value


@uncounted
def _forward_sample(b, before, hebb, weight, alpha, modulator, offset, drives, clamp, results):  # type: ignore[no-untyped-def]
    """Runs all steps of sample b; ``before`` holds h and ``hebb`` Hb, from first to last."""
    output, modulations = results
    for t in range(len(drives)):
        modulation = offset
        for i in range(len(before)):
            total = drives[t, b, i]
            for j in range(len(before)):
                total += (weight[i, j] + alpha[i, j] * hebb[i, j]) * before[j]
            output[t, b, i] = tanh(total)
            modulation += modulator[i] * output[t, b, i]
        modulations[t, b] = tanh(modulation)
        _learn(hebb, output[t, b], modulations[t, b], before, clamp, hebb)
        for i in range(len(before)):
            before[i] = output[t, b, i]


@compiled
def forward(h, hebb, *arguments):  # type: ignore[no-untyped-def]
    """Runs all steps of all samples; activities h [B, H] and traces Hb [B, H, H] become the last.

    The other arguments are: W and α [H, H]; M [H] and d; V x + c of all steps [T, B, H]; bound of
    Hb; and a tuple of arrays that receive activities [T, B, H] and modulations [T, B].
    """
    for b in range(len(h)):
        _forward_sample(b, h[b], hebb[b], *arguments)


@uncounted
def _backward_sample(  # type: ignore[no-untyped-def]
    b, course, grad, d_h, d_after, weight, alpha, modulator, clamp, h0, output, modulations,
    d_output, d_drives, d_weight, d_alpha, d_modulator
):  # fmt: skip
    """Backpropagates sample b; ``grad`` [H, H] is the gradient of Hb. Returns that of d."""
    size, d_offset = len(weight), grad.dtype.type(0)
    for t in range(len(output)):
        before = output[t - 1, b] if t > 0 else h0[b]
        _learn(course[t], output[t, b], modulations[t, b], before, clamp, course[t + 1])
    d_after[:] = 0
    for t in range(len(output) - 1, -1, -1):
        before = output[t - 1, b] if t > 0 else h0[b]
        modulation, of_modulation = modulations[t, b], grad.dtype.type(0)
        d_h[:] = 0
        for i in range(size):
            rate, of_rate = modulation * output[t, b, i], grad.dtype.type(0)
            for j in range(size):
                value = 0 if abs(course[t + 1, i, j]) >= clamp else grad[i, j]
                grad[i, j] = value
                of_rate += value * before[j]
                d_h[j] += value * rate
            of_modulation += of_rate * output[t, b, i]
            d_after[i] += d_output[t, b, i] + of_rate * modulation
        of_modulation *= 1 - modulation * modulation
        d_offset += of_modulation
        for i in range(size):
            d_modulator[i] += of_modulation * output[t, b, i]
            of_h = d_after[i] + of_modulation * modulator[i]
            of_drive = of_h * (1 - output[t, b, i] * output[t, b, i])
            d_drives[t, b, i] = of_drive
            for j in range(size):
                trace = course[t, i, j]
                of_weight = of_drive * before[j]
                d_weight[i, j] += of_weight
                d_alpha[i, j] += of_weight * trace
                d_h[j] += of_drive * (weight[i, j] + alpha[i, j] * trace)
                grad[i, j] += of_weight * alpha[i, j]
        for i in range(size):
            d_after[i] = d_h[i]
    return d_offset


@compiled
def backward(d_first, d_hebb, hebb, d_offset, *arguments):  # type: ignore[no-untyped-def]
    """Computes the gradients of all samples.

    ``d_first`` [B, H] receives the gradient of the first activities; ``d_hebb`` [B, H, H], that of
    the last traces, is replaced by that of the first ones, ``hebb``. ``d_offset`` [1] receives that
    of d. The other arguments are: W, α, M, and the bound; first activities; activities,
    modulations and the gradient of activities; and arrays for the gradients of V x + c, W, α and M,
    of which the last three are added to.
    """
    size, steps = hebb.shape[1], arguments[5].shape[0]
    course = np.empty((steps + 1, size, size), hebb.dtype)
    d_h = np.empty(size, hebb.dtype)
    for b in range(len(hebb)):
        copy_part(hebb[b], course[0])
        d_offset[0] += _backward_sample(b, course, d_hebb[b], d_h, d_first[b], *arguments)
