"""CPU kernels of running pools; see :mod:`plastorch.rank.running_pool`."""

from functools import partial
from typing import Any

import numpy as np

from plastorch.engine.numba_options import NoOverlap, kernel

_compiled: Any = partial(kernel, pipeline_class=NoOverlap)


# Rows are indexed in place: a function of a row would take longer to call than to run.
@_compiled
def pool(values, steps, total, most, pooled):  # type: ignore[no-untyped-def]
    """Fills mean and maximum of values [B, T, F] over all steps so far, [T, B, 2, F].

    ``total`` and ``most`` [B, F] are sum and maximum of the ``steps`` [B] before, then of all.
    """
    batch, length, features = values.shape
    for b in range(batch):
        for t in range(length):
            count = steps[b] + np.float32(t + 1)
            for f in range(features):
                total[b, f] += values[b, t, f]
                higher = values[b, t, f] > most[b, f]
                most[b, f] = values[b, t, f] if higher else most[b, f]
                pooled[t, b, 0, f] = total[b, f] / count
                pooled[t, b, 1, f] = most[b, f]


@_compiled
def pool_backward(  # type: ignore[no-untyped-def]
    gradient, values, steps, pooled, of_total, of_most, of_values
):
    """Fills the gradient of values, given that of the pools [T, B, 2, F].

    ``of_total`` and ``of_most`` [B, F] are gradients of last sum and maximum, then of the first
    ones. A maximum that several steps share is the latest one's.
    """
    batch, length, features = values.shape
    zero = values.dtype.type(0)
    for b in range(batch):
        for t in range(length - 1, -1, -1):
            count = steps[b] + np.float32(t + 1)
            for f in range(features):
                of_total[b, f] += gradient[t, b, 0, f] / count
                whole = of_most[b, f] + gradient[t, b, 1, f]
                highest = values[b, t, f] == pooled[t, b, 1, f]
                of_values[b, t, f] = of_total[b, f] + (whole if highest else zero)
                of_most[b, f] = zero if highest else whole
