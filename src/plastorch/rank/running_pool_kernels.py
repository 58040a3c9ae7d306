"""CPU kernels of running pools; see :mod:`plastorch.rank.running_pool`."""

import numpy as np

from plastorch.engine.numba_options import NoOverlap, kernel


@kernel
def pool(values, steps, total, most, pooled):  # type: ignore[no-untyped-def]
    """Fills mean and maximum of values [B, T, F] over all steps so far, [T, B, 2 F].

    ``total`` and ``most`` [B, F] are sum and maximum of the ``steps`` [B] before, then of all.
    """
    batch, length, features = values.shape
    for b in range(batch):
        for t in range(length):
            means, tops = pooled[t, b, :features], pooled[t, b, features:]
            _pool_row(values[b, t], steps[b] + np.float32(t + 1), total[b], most[b], means, tops)


@kernel
def pool_backward(  # type: ignore[no-untyped-def]
    gradient, values, steps, pooled, of_total, of_most, of_values
):
    """Fills the gradient of values, given that of the pools [T, B, 2 F].

    ``of_total`` and ``of_most`` [B, F] are gradients of last sum and maximum, then of the first
    ones. A maximum that several steps share is the latest one's.
    """
    batch, length, features = values.shape
    for b in range(batch):
        for t in range(length - 1, -1, -1):
            means, tops = gradient[t, b, :features], gradient[t, b, features:]
            _backward_row(
                values[b, t], steps[b] + np.float32(t + 1), means, tops, pooled[t, b, features:],
                of_total[b], of_most[b], of_values[b, t],
            )  # fmt: skip


@kernel(pipeline_class=NoOverlap)
def _pool_row(values, count, total, most, means, tops):  # type: ignore[no-untyped-def]
    for f in range(len(values)):
        total[f] += values[f]
        most[f] = max(most[f], values[f])
        means[f] = total[f] / count
        tops[f] = most[f]


@kernel(pipeline_class=NoOverlap)
def _backward_row(  # type: ignore[no-untyped-def]
    values, count, of_means, of_tops, tops, of_total, of_most, of_values
):
    for f in range(len(values)):
        of_total[f] += of_means[f] / count
        whole = of_most[f] + of_tops[f]
        highest = values[f] == tops[f]
        of_values[f] = of_total[f] + (whole if highest else 0)
        of_most[f] = 0 if highest else whole
