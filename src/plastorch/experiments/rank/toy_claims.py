"""Claims about rank coding on the toy tasks, and whether a run supports them."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, median

from plastorch.engine.run import Claim, Record
from plastorch.experiments.claims import above, asserted, at_least, at_most, below, within
from plastorch.experiments.rank.frontier import sampling_error
from plastorch.experiments.rank.reading import least_rise
from plastorch.experiments.rank.work import after_as_many

Figures = Mapping[str, float]
BETAS = ("signal-rank", "signal-beta10", "signal-beta30")
"""Models whose thresholds can be crossed, by increasing weight of the entropy."""
RECORDS = 10
"""Number of records over which figures of a training are averaged."""
SHARE = 10
"""Divisor of a training into parts: its first and its last tenth are compared."""


def claims(
    figures: Figures, records: Sequence[Record], test_signals: int, ordinary: bool
) -> list[Claim]:
    """Returns the claims that the trained models can test; judged of ordinary runs only."""
    error = 3 * sampling_error(0.95, test_signals)
    found = [
        *_signal_claims(figures, error),
        *_entropy_claims(figures, records, error),
        *_runs_claims(figures),
        *_work_claims(records),
    ]
    return asserted(found, ordinary)


def _signal_claims(figures: Figures, error: float) -> Iterator[Claim]:
    if "signal_last_last_accuracy" in figures:
        accuracy = figures["signal_last_last_accuracy"]
        statement = (
            "trained at the last step and read there, a noisy signal is told as it can be, "
            "0.969 ± 0.003"
        )
        yield within("signal-last", statement, accuracy, 0.969, tolerance=0.003)
    if "signal_rank_accuracy" in figures:
        accuracy = figures["signal_rank_accuracy"]
        statement = "trained at the first crossing, accuracy there is 0.95 ± 0.01"
        yield within("signal-accuracy", statement, accuracy, 0.95, tolerance=0.01)
        step = figures.get("signal_rank_mean_step_crossed", 40.0) + 1
        statement = "answers that cross come within 14 of 40 steps on average"
        yield at_most("signal-time", statement, step, 14.0)
        rank = figures.get("signal_rank_noise_rank", 0.0)
        statement = "noisier signals are answered later: rank correlation above 0.2"
        yield above("signal-noise", statement, rank, 0.2)
        gain = figures["signal_rank_threshold_gain"]
        statement = (
            "a higher threshold is right more often, but for three standard errors: least rise"
        )
        yield at_least("threshold-accuracy", statement, gain, -error)
    if "beyond_best" in figures:
        beyond = figures["beyond_best"]
        statement = (
            "no network at any threshold or step beats the best rules to stop that know the task, "
            "but for three standard errors"
        )
        yield at_most("signal-frontier", statement, beyond, error)


def _entropy_claims(figures: Figures, records: Sequence[Record], error: float) -> Iterator[Claim]:
    courses = [[row for row in records if row["phase"] == name] for name in BETAS]
    if all(courses):
        steps, right = zip(*after_as_many(courses, RECORDS), strict=True)
        words = "the more entropy is rewarded, with as many updates, the"
        gain = least_rise(steps)
        statement = f"{words} later answers come: least rise of t*"
        yield above("entropy-time", statement, gain, 0.0, origin="paper")
        gain = least_rise(right)
        statement = f"{words} more accurate they are: least rise"
        yield above("entropy-accuracy", statement, gain, 0.0, origin="paper")
    if all(courses) and "signal_last_last_accuracy" in figures:
        most = max(figures[f"{name.replace('-', '_')}_accuracy"] for name in BETAS)
        most -= figures["signal_last_last_accuracy"]
        statement = "accuracy rises up to that of the whole sequence, not above"
        yield at_most("entropy-limit", statement, most, error)
    if "signal_beta40_uncrossed" in figures:
        uncrossed = figures["signal_beta40_uncrossed"]
        statement = "beyond β = 0.36 no answer is worth a crossing of θ = 0.95"
        yield at_least("entropy-bound", statement, uncrossed, 0.99)


def _runs_claims(figures: Figures) -> Iterator[Claim]:
    if "runs_rank_accuracy" in figures:
        accuracy = figures["runs_rank_accuracy"]
        statement = "trained at the first crossing, runs of equal bits are told there"
        yield at_least("runs-accuracy", statement, accuracy, 0.95)
        lag = figures.get("runs_rank_lag", 25.0)
        statement = "answers come less than 1.5 steps after a run's last bit on average"
        yield below("runs-lag", statement, lag, 1.5)
        early = figures["runs_rank_early"]
        statement = "hardly any sequence is answered before it can be known; share"
        yield below("runs-early", statement, early, 0.03)
    if "runs_last_accuracy" in figures:
        last = figures["runs_last_last_accuracy"]
        statement = "trained at the last step, all is known there"
        yield at_least("runs-last", statement, last, 0.995)
        accuracy = figures["runs_last_accuracy"]
        statement = "trained at the last step, a network can't be trusted at the first crossing"
        yield below("runs-untrained", statement, accuracy, 0.65)


def _work_claims(records: Sequence[Record]) -> Iterator[Claim]:
    for name in ("signal-rank", "runs-rank"):
        rows = [row for row in records if row["phase"] == name]
        if not rows:
            continue
        count = max(1, len(rows) // SHARE)
        first, last = rows[:count], rows[-count:]
        steps = [mean(float(row["computed_steps"]) for row in part) for part in (first, last)]
        statement = f"{name}: fewer steps are computed at the end of training than at its start"
        share = steps[1] / steps[0]
        yield below(f"{name}-steps", statement, share, 1.0, origin="paper")
        seconds = [median(float(row["seconds"]) for row in part) for part in (first, last)]
        statement = f"{name}: updates take less time at the end of training than at its start"
        share = seconds[1] / seconds[0]
        yield below(f"{name}-seconds", statement, share, 1.0, origin="paper")
