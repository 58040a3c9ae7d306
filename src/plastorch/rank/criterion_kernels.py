"""CPU kernel of first crossings; see :func:`plastorch.rank.criterion.crossing_before`."""

import numpy as np

from plastorch.engine.numba_options import ordered_kernel

# Logits are indexed in place: a function of a row would take longer to call than to run.


@ordered_kernel
def first_crossings(logits, thresholds, ends, step, crossed):  # type: ignore[no-untyped-def]
    """Fills each sample's first step that crosses, or its last one, and whether there is one.

    Logits are [T, B, C]. The last threshold holds for all later steps. Without ``ends``, all steps
    count. A sum that is too large for the threshold is not continued.
    """
    one = logits.dtype.type(1)
    for b in range(logits.shape[1]):
        end = min(ends[b], len(logits)) if b < len(ends) else len(logits)
        step[b], crossed[b] = end - 1, False
        for t in range(end):
            threshold = thresholds[min(t, len(thresholds) - 1)]
            best = logits[t, b, 0]
            if logits.shape[2] == 1:
                sure = one / (one + np.exp(-abs(best))) > threshold
            else:
                for c in range(1, logits.shape[2]):
                    best = max(best, logits[t, b, c])
                total, sure = best - best, True
                for c in range(logits.shape[2]):
                    total += np.exp(logits[t, b, c] - best)
                    sure = one / total > threshold
                    if not sure:
                        break
            if sure:
                step[b], crossed[b] = t, True
                break
