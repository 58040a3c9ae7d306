"""Claims about rank coding of spoken words, and whether a run supports them."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.run import Claim, Record
from plastorch.experiments.claims import above, asserted, at_least, at_most, below
from plastorch.experiments.rank.frontier import sampling_error
from plastorch.experiments.rank.reading import gains, least_rise
from plastorch.experiments.rank.speech_figures import EARLY_MS
from plastorch.experiments.rank.work import answer_claims, training_claims

EARLY = 0.76
"""Accuracy that answers after 700 ms on average are to have."""
Figures = Mapping[str, float]
Curves = Mapping[str, Tensor]
Points = NDArray[np.float64]


def claims(
    figures: Figures,
    curves: Curves,
    records: Sequence[Record],
    test_words: int,
    ordinary: bool,
) -> list[Claim]:
    """Returns the claims that the trained networks can test; judged of ordinary runs only."""
    error = sampling_error(figures["last_last_accuracy"], test_words)
    found = [
        *_grid_claims(curves, error),
        *_curve_claims(curves, error),
        *_chosen_claims(figures, error),
        *_early_claims(figures),
        *_threshold_claims(curves, error),
        *_entropy_claims(curves["grid"]),
        *_work_claims(records),
        *training_claims(records, _rank_phases(records), "last"),
        *answer_claims(figures, "chosen"),
    ]
    return asserted(found, ordinary)


def _grid_claims(curves: Curves, error: float) -> Iterator[Claim]:
    """Compares each network at its trained threshold with the last-step network, read as early."""
    theirs = curves["last.curve"].numpy()
    theirs = theirs[theirs[:, 0].argsort()]
    times, right = curves["grid"].numpy()[:, 2:].T
    gain = right - np.interp(times, *theirs[:, :2].T)
    statement = (
        "rank-coded networks, each at the threshold that it was trained with, are right more often "
        "than the one trained at the last step is at the same mean time: gain"
    )
    average, least = float(gain.mean()), float(gain.min())
    yield above("trained-gain", f"{statement}, mean over them", average, 0.0, origin="paper")
    statement += ", but for two standard errors; least of them"
    yield at_least("trained-gain-least", statement, least, -2 * error)


def _curve_claims(curves: Curves, error: float) -> Iterator[Claim]:
    """Compares at equal mean answer times; an answer may also be given later."""
    ours = curves["chosen.curve"].numpy()
    if len(gain := _gain(ours, curves["last.curve"].numpy())):
        average, least = float(gain.mean()), float(gain.min())
        statement = (
            "at equal times, answers of the rank-coded network that validation chose are right "
            "more often than those of one trained at the last step: gain"
        )
        yield above("gain", f"{statement}, mean", average, 0.0, origin="paper")
        statement += " at every time, but for two standard errors; least"
        yield at_least("gain-least", statement, least, -2 * error)
    if len(gain := _gain(ours, curves["all.curve"].numpy())):
        statement = "beside one trained at all steps, of which nothing is claimed: mean gain"
        yield from asserted([above("gain-all", statement, float(gain.mean()), 0.0)], False)


def _gain(ours: Points, theirs: Points) -> Points:
    """Returns the gain in accuracy from where both answer to where the other ends; may be empty."""
    last = max(ours[-1, 0], theirs[:, 0].max())
    return gains(np.vstack([ours[:, :2], [last, ours[-1, 1]]]), theirs)[:, 1]


def _chosen_claims(figures: Figures, error: float) -> Iterator[Claim]:
    mine, theirs = figures["chosen_mean_ms"], figures["last_same_accuracy_ms"]
    statement = "one trained at the last step needs longer for the same accuracy; ms"
    yield below("equal-accuracy", statement, mine, theirs, origin="paper")
    loss = figures["last_last_accuracy"] - figures["chosen_accuracy"]
    statement = (
        "answering early costs little: at most two standard errors below what is right at the end"
    )
    yield at_most("early-loss", statement, loss, 2 * error)
    skipped = figures["chosen_skipped"]
    statement = "half of all steps or more come after the answers, which need none of them; share"
    yield at_least("skipped", statement, skipped, 0.5)


def _early_claims(figures: Figures) -> Iterator[Claim]:
    """Judges the network that is best on validation words, however it was trained."""
    kind = "_validation_early_accuracy"
    found = {name.removesuffix(kind): figures[name] for name in figures if name.endswith(kind)}
    if found:
        best = max(found, key=lambda name: found[name])
        statement = (
            f"answers after {EARLY_MS} ms on average are right, by the network that is best at "
            f"that on validation words, {best}; share of test words"
        )
        yield at_least("early-accuracy", statement, figures[f"{best}_early_accuracy"], EARLY)


def _threshold_claims(curves: Curves, error: float) -> Iterator[Claim]:
    gain = least_rise(curves["chosen.curve"][:, 1].tolist())
    statement = "a higher threshold is not less right, but for two standard errors: least rise"
    yield at_least("threshold-accuracy", statement, gain, -2 * error)


def _entropy_claims(grid: Tensor) -> Iterator[Claim]:
    """Makes claims about networks trained with the same θ, averaged over θ."""
    rows = grid.tolist()
    weights = sorted({row[1] for row in rows})
    if len(weights) < 2:
        return
    times = [mean(row[2] for row in rows if row[1] == weight) for weight in weights]
    rise = least_rise(times)
    statement = "the more entropy is rewarded, the later answers come: least rise of t*, in frames"
    yield above("entropy-time", statement, rise, 0.0, origin="paper")
    right = [mean(row[3] for row in rows if row[1] == weight) for weight in weights]
    gain = right[-1] - right[0]
    statement = (
        "the more entropy is rewarded, the more answers are right: rise from the least weight of "
        "entropy to the largest"
    )
    yield above("entropy-accuracy", statement, gain, 0.0, origin="paper")


def _work_claims(records: Sequence[Record]) -> Iterator[Claim]:
    """Claims that training needs less and less work, averaged over the rank-coded networks."""
    courses = [[row for row in records if row["phase"] == phase] for phase in _rank_phases(records)]
    if not courses or min(len(course) for course in courses) < 2:
        return
    for what, field in (("steps are computed", "computed_steps"), ("seconds pass", "seconds")):
        share = mean(float(c[-1][field]) for c in courses) / mean(
            float(c[0][field]) for c in courses
        )
        statement = f"fewer {what} in the last epochs of training than in the first; share"
        yield below(f"training-{field.split('_')[0]}", statement, share, 1.0, origin="paper")


def _rank_phases(records: Sequence[Record]) -> list[str]:
    phases = dict.fromkeys(str(row["phase"]) for row in records)
    return [phase for phase in phases if phase.startswith("rank")]
