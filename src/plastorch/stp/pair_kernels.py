"""Backpropagation through synapses of two samples at once, from a step's response to the update
before it.

W, Λ, Γ and their gradients are read once for both samples. So there is less to read from the L2
cache, which limits the same loop of :mod:`plastorch.stp.gradient_kernels` for a single sample.
"""

from plastorch.engine.numba_vectors import (
    LANES,
    full,
    greater,
    load,
    plus,
    smaller,
    store,
    sums_of,
    times,
)
from plastorch.stp.kernels import PRE, inlined, uncounted


@inlined
def fixed_backward(i, weight, plastic, z, of_drive, of_norm, d_weight, d_z):  # type: ignore[no-untyped-def]
    """Backpropagates W z and |W| of a neuron's synapses that are not plastic."""
    for j in range(plastic, weight.shape[1]):
        d_weight[i, j] += of_drive * z[j] + of_norm * weight[i, j]
        d_z[j] += of_drive * weight[i, j]


@inlined
def _sixteen_backward(  # type: ignore[no-untyped-def]
    s, i, j, here, signals, shared, own, numbers, bound, course, seen, grads, d_z
):
    """Backpropagates step ``here`` of a block through sixteen synapses of sample s.

    ``shared`` are W, Λ, Γ and their gradients; ``own`` are sums for the gradients of the activity
    and of the scale before. Returns the gradients and sums with what the sample adds to them."""
    w, a, c, d_w, d_a, d_c = shared
    of_drive, of_norm, h, scale, h_before, scale_before = numbers
    steps, size, plastic = course.shape[1:]
    step, at = size * plastic, i * plastic + j
    drive = full(of_drive[s, i])
    place = (s * steps + here) * step + at
    total = plus(w, load(course, place))
    of_total = plus(times(drive, load(seen, signals)), times(full(of_norm[s, i]), total))
    grad = load(grads, s * step + at)
    of_z = plus(times(drive, total), times(times(grad, c), full(h[s, i])))
    store(d_z, s * d_z.shape[1] + j, plus(load(d_z, s * d_z.shape[1] + j), of_z))
    new = plus(times(grad, times(full(scale[s, i]), a)), of_total)
    new = greater(full(-bound), smaller(full(bound), new))
    store(grads, s * step + at, new)
    of_memory = times(new, load(course, place - step))
    of_product = times(new, load(seen, signals - seen.shape[2]))
    of_a, of_c = times(full(scale_before[s, i]), of_memory), times(of_product, full(h_before[s, i]))
    d_shared = plus(d_w, of_total), plus(d_a, of_a), plus(d_c, of_c)
    return d_shared, (plus(own[0], times(of_product, c)), plus(own[1], times(of_memory, a)))


@uncounted
def pair_backward(  # type: ignore[no-untyped-def]
    here, weight, parameters, numbers, bound, course, seen, grads, d_z, of_hs, of_scales, sums
):
    """Backpropagates step ``here`` of a block through all neurons of two samples.

    Writes gradients of the activities and of the scales before."""
    _, decay, rate = parameters
    d_weight, _, d_decay, d_rate = sums
    plastic, width, none = decay.shape[1], weight.shape[1], full(weight.dtype.type(0))
    first, second = here * width, (seen.shape[1] + here) * width
    for i in range(len(weight)):
        one = two = (none, none)
        for j in range(0, plastic, LANES):
            at, there = i * plastic + j, i * width + j
            w, a, c = load(weight, there), load(decay, at), load(rate, at)
            d = load(d_weight, there), load(d_decay, at), load(d_rate, at)
            d, one = _sixteen_backward(
                0, i, j, here, first + j, (w, a, c, d[0], d[1], d[2]), one, numbers, bound,
                course, seen, grads, d_z,
            )  # fmt: skip
            d, two = _sixteen_backward(
                1, i, j, here, second + j, (w, a, c, d[0], d[1], d[2]), two, numbers, bound,
                course, seen, grads, d_z,
            )  # fmt: skip
            store(d_weight, there, d[0])
            store(d_decay, at, d[1])
            store(d_rate, at, d[2])
        four = one[0], two[0], one[1], two[1]
        found = sums_of(four + four)
        of_hs[0, i], of_hs[1, i], of_scales[0, i], of_scales[1, i] = found[:4]
    of_drives, of_norms = numbers[0], numbers[1]
    for i in range(len(weight) if plastic < width else 0):
        for s in range(2):
            fixed_backward(
                i, weight, plastic, seen[s, here], of_drives[s, i], of_norms[s, i], sums[0], d_z[s]
            )


@uncounted
def gather_numbers(first, t, numbers, norm, output, norms):  # type: ignore[no-untyped-def]
    """Writes activities of two samples, and what their F is multiplied by, at step t and before."""
    h, scale, h_before, scale_before = numbers
    one = norms.dtype.type(1)
    for s in range(len(h)):
        b = first + s
        for i in range(h.shape[1]):
            h[s, i], h_before[s, i] = output[t, b, i], output[t - 1, b, i]
            scale[s, i] = one / norms[t, b, i] if norm == PRE else one
            scale_before[s, i] = one / norms[t - 1, b, i] if norm == PRE else one
