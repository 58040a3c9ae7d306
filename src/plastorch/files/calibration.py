"""Calibration of confidence: answers with a confidence of 0.8 should be right in 80 % of cases.

Three numbers are chosen on records from which the network has not learned. Distances to the targets
are divided by the temperature: Guo, Pleiss, Sun, Weinberger, *On calibration of modern neural
networks*, ICML 2017, arXiv 1706.04599. Then the log-odds of the most probable class are put on a
line, with a slope and an offset: Platt, *Probabilistic outputs for support vector machines*, 1999.
The most probable class stays the same.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar

from plastorch.engine.errors import InputError

FARTHEST = 3.0
"""Largest absolute value of the logarithms of temperature and slope, and of the offset."""
QUANTILES = 101
"""Number of quantiles of the confidence, from 0 to 100 %, by which a coverage is looked up."""


class Reliability(NamedTuple):
    """Reliability curve: bins of equal width that hold answers."""

    confidence: NDArray[np.float64]
    """Mean confidence in each bin [K]."""
    accuracy: NDArray[np.float64]
    """Share of right answers in each bin [K]."""
    answers: NDArray[np.int64]
    """Number of answers in each bin [K]."""


class Calibration(NamedTuple):
    """Numbers that calibrate a network's confidence, chosen on held-out records."""

    temperature: float = 1.0
    """Number by which distances are divided, besides their fixed scale."""
    slope: float = 1.0
    """Number by which the log-odds of the most probable class are multiplied."""
    offset: float = 0.0
    """Number that is then added to them."""
    confidences: tuple[float, ...] = ()
    """Quantiles of the confidence, ascending; none if no record was held out."""

    def threshold(self, coverage: float) -> float:
        """Returns the confidence reached by a share ``coverage`` of the held-out records."""
        if checked_coverage(coverage) == 1:
            return 0.0
        if not self.confidences:
            raise InputError(
                f"coverage is {coverage}, but no records were held out when the model was fitted; "
                "expected min_confidence instead"
            )
        return float(np.quantile(self.confidences, 1 - coverage))


def reliability_curve(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Reliability:
    """Computes how often answers are right, by their confidence.

    Args:
        confidence: confidence of each answer, 0 to 1 [N].
        right: whether each answer is right [N].
        bins: number of bins of equal width; each includes its upper end. Empty ones are left out.

    Raises:
        InputError: lengths differ, there are no answers, a confidence is outside [0, 1], or bins
            is not positive.

    Example:
        >>> reliability_curve([0.9, 0.9, 0.2], [True, False, False], bins=2)
        Reliability(confidence=array([0.2, 0.9]), accuracy=array([0. , 0.5]), answers=array([1, 2]))
    """
    sure, yes = np.asarray(confidence, np.float64), np.asarray(right, bool)
    if sure.ndim != 1 or sure.shape != yes.shape or not len(sure):
        raise InputError(
            f"confidence and right have shapes {sure.shape} and {yes.shape}; expected one of each "
            "for each answer"
        )
    if not ((sure >= 0) & (sure <= 1)).all():
        raise InputError("confidence holds numbers outside [0, 1]")
    if bins < 1:
        raise InputError(f"bins is {bins}; expected 1 or more")
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    some = count > 0
    sums = (np.bincount(place, weights, bins)[some] for weights in (sure, yes))
    mean, share = (total / count[some] for total in sums)
    return Reliability(mean, share, count[some])


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """Computes the mean distance between confidence and accuracy, over bins of equal width.

    Guo et al., arXiv 1706.04599, equation 3; arguments and errors as for
    :func:`reliability_curve`.

    Returns:
        Error, 0 to 1; 0.02 means that confidence is 2 points off on average.

    Example:
        >>> round(expected_calibration_error([0.9, 0.9, 0.2], [True, False, False], bins=2), 4)
        0.3333
    """
    curve = reliability_curve(confidence, right, bins)
    return float(np.average(abs(curve.confidence - curve.accuracy), weights=curve.answers))


def checked_confidence(min_confidence: float) -> float:
    """Returns a confidence, 0 to 1, or raises InputError."""
    if not 0 <= min_confidence <= 1:
        raise InputError(f"min_confidence is {min_confidence}; expected 0 to 1")
    return float(min_confidence)


def checked_coverage(coverage: float) -> float:
    """Returns a share of records to answer, above 0, up to 1, or raises InputError."""
    if not 0 < coverage <= 1:
        raise InputError(f"coverage is {coverage}; expected more than 0, and 1 at most")
    return float(coverage)


def best_temperature(logits: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Chooses the temperature that makes the right classes [N] of held-out records most probable.

    A few records tell little: the logarithm has a standard normal prior. Logits are [N, C].
    """
    rows = np.arange(len(codes))
    above = logits - logits[rows, codes][:, None]  # 0 for the right class

    def surprise(log: float) -> float:
        scaled = above / np.exp(log)
        highest = scaled.max(1)
        total = np.exp(scaled - highest[:, None]).sum(1)
        return float((highest + np.log(total)).sum()) + log**2 / 2

    found = minimize_scalar(surprise, bounds=(-FARTHEST, FARTHEST), method="bounded")
    return float(np.exp(found.x))


def best_line(log_odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Chooses slope and offset of the log-odds [N] of the most probable class, which make it most
    probable whether it is the right one of held-out records [N].

    A few records tell little: offset and logarithm of the slope have a standard normal prior.
    """
    against = np.where(right, -1.0, 1.0)

    def surprise(place: NDArray[np.float64]) -> float:
        line = np.exp(place[0]) * log_odds + place[1]
        return float(np.logaddexp(0, against * line).sum() + (place**2).sum() / 2)

    found = minimize(surprise, np.zeros(2), bounds=[(-FARTHEST, FARTHEST)] * 2)
    return float(np.exp(found.x[0])), float(found.x[1])


def fold_numbers(labels: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    """Returns the fold that tests each record [B]: at random, each class shared out evenly."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


def held_out(
    codes: NDArray[np.int64], seed: int, parts: int = 5, most: int | None = None
) -> NDArray[np.bool_]:
    """Marks one part of each class at random, or ``most`` records of it at most [B]; none of a
    class with fewer records than parts."""
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    starts = np.searchsorted(codes[order], codes[order])
    places = order[(np.arange(len(codes)) - starts) % parts == parts - 1]
    if most is not None and len(places) > most:
        places = np.random.default_rng(seed).choice(places, most, replace=False)
    held = np.zeros(len(codes), bool)
    held[places] = True
    return held


def quantiles(confidence: NDArray[np.float32]) -> tuple[float, ...]:
    """Returns quantiles of the confidence of held-out records."""
    return tuple(np.quantile(confidence, np.linspace(0, 1, QUANTILES)).astype(float).tolist())
