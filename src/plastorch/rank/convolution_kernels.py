"""CPU kernels of causal convolutions; see :mod:`plastorch.rank.convolution_pass`.

Features of all layers are one array [B, T, L, F].
"""

import numba
import numpy as np

from plastorch.engine.numba_options import vector_kernel

# Rows are indexed in place: a function of a row would take longer to call than to run.


@numba.njit(inline="always")
def _random(number, key):  # type: ignore[no-untyped-def]
    """Returns a random number of 32 bits for a number; each key of 64 bits has its own ones.

    Casts keep the products in 32 bits, of which a vector holds twice as many as of 64.
    """
    bits = np.uint32(number ^ np.uint32(key))
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D))
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B))
    bits = np.uint32(bits ^ (bits >> np.uint32(16)) ^ np.uint32(key >> np.uint64(32)))
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@numba.njit(inline="always")
def _moments(sums, b, t, eps):  # type: ignore[no-untyped-def]
    """Returns mean and 1 / deviation of a step's sums."""
    count, one = sums.dtype.type(sums.shape[2]), sums.dtype.type(1)
    mean = spread = sums.dtype.type(0)
    for f in range(sums.shape[2]):
        mean += sums[b, t, f]
    mean /= count
    for f in range(sums.shape[2]):
        spread += (sums[b, t, f] - mean) ** 2
    return mean, one / np.sqrt(spread / count + eps)


@vector_kernel
def rectify(  # type: ignore[no-untyped-def]
    sums, gain, shift, eps, key, limit, layer, begin, end, out
):
    """Fills the features of a layer of some series, given its sums [B, T, F].

    They are normalized at each step, unless ``gain`` is empty, rectified, and added to those of the
    layer before. Features whose random number is below ``limit`` of 2³² are left out.
    """
    batch, length, features = sums.shape
    zero, one = sums.dtype.type(0), sums.dtype.type(1)
    rest = one / (one - sums.dtype.type(limit) / sums.dtype.type(2**32))
    for b in range(begin, end):
        for t in range(length):
            if len(gain) > 0:
                mean, scale = _moments(sums, b, t, eps)
                for f in range(features):
                    value = (sums[b, t, f] - mean) * scale * gain[f] + shift[f]
                    out[b, t, layer, f] = zero if value < zero else value
            else:
                for f in range(features):
                    value = sums[b, t, f]
                    out[b, t, layer, f] = zero if value < zero else value
            if layer > 0:
                for f in range(features):
                    out[b, t, layer, f] += out[b, t, layer - 1, f]
            if limit > 0:
                first = np.uint32(((layer * batch + b) * length + t) * features)
                for f in range(features):
                    kept = _random(np.uint32(first + np.uint32(f)), key) >= limit
                    out[b, t, layer, f] = out[b, t, layer, f] * rest if kept else zero


@vector_kernel
def rectify_backward(  # type: ignore[no-untyped-def]
    sums, gain, shift, eps, key, limit, layer, begin, end, gradient, of_sums, of_gain, of_shift
):
    """Fills the gradient of a layer's sums, given that of all features.

    To that of the layer before is added what comes past this layer. ``of_gain`` and ``of_shift``
    [B, F] are filled with the gradients of each series.
    """
    batch, length, features = sums.shape
    zero, one, count = sums.dtype.type(0), sums.dtype.type(1), sums.dtype.type(features)
    rest = one / (one - sums.dtype.type(limit) / sums.dtype.type(2**32))
    for b in range(begin, end):
        of_gain[b], of_shift[b] = zero, zero
        for t in range(length):
            if limit > 0:
                first = np.uint32(((layer * batch + b) * length + t) * features)
                for f in range(features):
                    kept = _random(np.uint32(first + np.uint32(f)), key) >= limit
                    of_sums[b, t, f] = gradient[b, t, layer, f] * rest if kept else zero
            else:
                for f in range(features):
                    of_sums[b, t, f] = gradient[b, t, layer, f]
            if layer > 0:
                for f in range(features):
                    gradient[b, t, layer - 1, f] += of_sums[b, t, f]
            if len(gain) > 0:
                mean, scale = _moments(sums, b, t, eps)
                total, along = zero, zero
                for f in range(features):
                    unit = (sums[b, t, f] - mean) * scale
                    down = of_sums[b, t, f] if unit * gain[f] + shift[f] > zero else zero
                    of_gain[b, f] += down * unit
                    of_shift[b, f] += down
                    down *= gain[f]
                    of_sums[b, t, f] = down
                    total += down
                    along += down * unit
                total, along = total / count, along / count
                for f in range(features):
                    unit = (sums[b, t, f] - mean) * scale
                    of_sums[b, t, f] = scale * (of_sums[b, t, f] - total - unit * along)
            else:
                for f in range(features):
                    of_sums[b, t, f] = of_sums[b, t, f] if sums[b, t, f] > zero else zero


@vector_kernel
def pool(values, steps, begin, end, total, most, pooled):  # type: ignore[no-untyped-def]
    """Fills mean and maximum of some series' values [B, T, F] over all steps so far, [T, B, 2, F].

    ``total`` and ``most`` [B, F] are sum and maximum of the ``steps`` [B] before, then of all.
    """
    _, length, features = values.shape
    one = values.dtype.type(1)
    for b in range(begin, end):
        for t in range(length):
            share = one / (steps[b] + values.dtype.type(t + 1))
            for f in range(features):
                total[b, f] += values[b, t, f]
                higher = values[b, t, f] > most[b, f]
                most[b, f] = values[b, t, f] if higher else most[b, f]
                pooled[t, b, 0, f] = total[b, f] * share
                pooled[t, b, 1, f] = most[b, f]


@vector_kernel
def pool_backward(  # type: ignore[no-untyped-def]
    values, gradient, steps, pooled, begin, end, of_total, of_most, of_values
):
    """Fills the gradient of some series' values, given that of the pools [T, B, 2, F].

    ``of_total`` and ``of_most`` [B, F] are gradients of last sum and maximum, then of the first
    ones. A maximum that several steps share is the latest one's.
    """
    _, length, features = values.shape
    zero, one = values.dtype.type(0), values.dtype.type(1)
    for b in range(begin, end):
        for t in range(length - 1, -1, -1):
            share = one / (steps[b] + values.dtype.type(t + 1))
            for f in range(features):
                of_total[b, f] += gradient[t, b, 0, f] * share
                whole = of_most[b, f] + gradient[t, b, 1, f]
                highest = values[b, t, f] == pooled[t, b, 1, f]
                of_values[b, t, f] = of_total[b, f] + (whole if highest else zero)
                of_most[b, f] = zero if highest else whole
