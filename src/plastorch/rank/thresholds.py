"""Price of early answers, and the thresholds that make it smallest on held-out samples.

The price is the AvgCost of early classification, α · error + (1 - α) · t / T: a wrong answer costs
α, an answer at the end of the series 1 - α, an early one less (arXiv 2406.18332).
"""

from numbers import Real

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError

MOST_TRIED = 200
"""Number of quantiles of the confidence that are tried as a constant threshold."""
ALWAYS, NEVER = 1e-6, 1.0
"""Thresholds that every confidence crosses, and that none does."""

Floats = NDArray[np.float64]


def check_between(**arguments: object) -> None:
    """Raises InputError naming the first argument that is not a number between 0 and 1."""
    for name, value in arguments.items():
        if not isinstance(value, Real) or not 0 < float(value) < 1:
            raise InputError(f"{name} is {value!r}; expected a number between 0 and 1")


def costs(
    right: NDArray[np.bool_], time: NDArray[np.int64], lengths: NDArray[np.int64], alpha: float
) -> Floats:
    """Returns the price of each answer, α (1 - right) + (1 - α) time / lengths.

    Args:
        right: whether the answers are right [N].
        time: number of steps that were read before each answer [N], from 1.
        lengths: number of steps of each series [N].
        alpha: price α of a wrong answer, in (0, 1).

    Raises:
        InputError: alpha is out of range.

    Example:
        >>> costs(np.array([True, False]), np.array([5, 10]), np.array([10, 10]), alpha=0.75)
        array([0.125, 1.   ])
    """
    check_between(alpha=alpha)
    return np.asarray(alpha * ~right + (1 - alpha) * time / lengths, np.float64)


def answer_times(
    confidence: Floats, thresholds: float | Floats, lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns the number of steps read before each answer [N]: the first confidence above θ.

    Args:
        confidence: confidence after each step [N, T].
        thresholds: threshold θ, or one for each step [T].
        lengths: number of steps of each series [N].

    Example:
        >>> answer_times(np.array([[0.2, 0.9], [0.2, 0.3]]), 0.5, np.array([2, 2])).tolist()
        [2, 2]
    """
    crossed = (confidence > thresholds) & (np.arange(confidence.shape[1]) < lengths[:, None])
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, lengths)


def constant_threshold(
    confidence: Floats, right: NDArray[np.bool_], lengths: NDArray[np.int64], alpha: float
) -> float:
    """Returns the one threshold with the smallest mean price on held-out series.

    Args:
        confidence: confidence after each step [N, T].
        right: whether the most probable class is right after each step [N, T].
        lengths: number of steps of each series [N].
        alpha: price α of a wrong answer, in (0, 1).

    Example:
        >>> sure = np.array([[0.6, 0.9], [0.8, 0.9]])
        >>> right = np.array([[False, True], [True, True]])
        >>> 0.6 <= constant_threshold(sure, right, np.array([2, 2]), alpha=0.9) < 0.8
        True
    """
    read = np.arange(confidence.shape[1]) < lengths[:, None]
    tried = np.unique(np.quantile(confidence[read], np.linspace(0, 1, MOST_TRIED)))
    between = np.concatenate([[ALWAYS], (tried[1:] + tried[:-1]) / 2, [NEVER]])
    rows = np.arange(len(lengths))
    prices = []
    for threshold in between:
        time = answer_times(confidence, float(threshold), lengths)
        prices.append(costs(right[rows, time - 1], time, lengths, alpha).mean())
    return float(np.clip(between[int(np.argmin(prices))], ALWAYS, NEVER))


def thresholds_per_step(
    confidence: Floats, right: NDArray[np.bool_], lengths: NDArray[np.int64], alpha: float
) -> Floats:
    """Returns a threshold for each step, the best given all later ones, from the last step back.

    At each step, series are answered from the most confident down, as long as their total price now
    is less than under the thresholds of later steps. Arguments are those of
    :func:`constant_threshold`.

    Example:
        >>> sure = np.array([[0.6, 0.9], [0.8, 0.9]])
        >>> right = np.array([[False, True], [True, True]])
        >>> thresholds_per_step(sure, right, np.array([2, 2]), alpha=0.9)
        array([0.7, 1. ])
    """
    check_between(alpha=alpha)
    rows, steps = np.arange(len(lengths)), confidence.shape[1]
    later = costs(right[rows, lengths - 1], lengths, lengths, alpha)
    thresholds = np.full(steps, NEVER)
    for step in range(steps - 2, -1, -1):
        live = rows[lengths > step + 1]
        live = live[np.argsort(-confidence[live, step], kind="stable")]
        now = costs(right[live, step], np.full_like(live, step + 1), lengths[live], alpha)
        gain = np.concatenate([[0.0], np.cumsum(now - later[live])])
        sure = np.concatenate([[np.inf], confidence[live, step], [0.0]])
        gain[sure[:-1] == sure[1:]] = np.inf  # equally sure series are answered together
        cut = int(np.argmin(gain))
        thresholds[step] = NEVER if cut == 0 else max(ALWAYS, (sure[cut] + sure[cut + 1]) / 2)
        later[live[:cut]] = now[:cut]
    return thresholds
