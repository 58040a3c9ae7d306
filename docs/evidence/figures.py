"""Figures in words, as pages show them; each is of runs that are picked by their settings."""

import json
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from committed import RESULTS, runs
from scipy.stats import nct, t

from plastorch.experiments.stec.figures import Interval, paired

Also = Sequence[dict[str, Any]]
"""Settings of further runs that count, which do the same but for what is left out of them."""


def values(
    experiment: str, metric: str, scale: float = 1.0, also: Also = (), **where: Any
) -> list[float]:
    """Returns a metric of the runs with some settings, by seed."""
    found = [run for settings in (where, *also) for run in runs(experiment, **settings)]
    return [scale * run["metrics"][metric] for run in found]


def mean(experiment: str, metric: str, digits: int = 2, scale: float = 1.0, **where: Any) -> str:
    """Returns a metric's mean over seeds, with its standard deviation if there are several."""
    return _mean_and_deviation(values(experiment, metric, scale, **where), digits)


def steps(experiment: str, metric: str, **where: Any) -> str:
    """Returns a number of steps, counted from 1, while the metric counts them from 0."""
    return _mean_and_deviation([1 + v for v in values(experiment, metric, **where)], 1)


def minutes(experiment: str, **where: Any) -> str:
    """Returns how long the runs took."""
    found = [run["wall_s"] / 60 for run in runs(experiment, **where)]
    return f"{_mean_and_deviation(found, 1)} minutes"


def _mean_and_deviation(found: list[float], digits: int) -> str:
    spread = f" ± {stdev(found):,.{digits}f}" if len(found) > 1 else ""
    return f"{rounded(fmean(found), digits)}{spread}"


def rounded(value: float, digits: int) -> str:
    """Returns a number in decimals, never as minus zero.

    Example:
        >>> rounded(-0.01, 1)
        '0.0'
    """
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def percent(experiment: str, metric: str, digits: int = 2, **where: Any) -> str:
    """Returns a fraction's mean over seeds in per cent."""
    return f"{mean(experiment, metric, digits, 100.0, **where)} %"


def target(experiment: str, claim: str, scale: float = 1.0, digits: int = 1, **where: Any) -> str:
    """Returns a claim's target."""
    found = {row["target"] for run in runs(experiment, **where) for row in run["claims"]
             if row["id"] == claim}  # fmt: skip
    (value,) = found
    return f"{scale * value:,.{digits}f}"


def holds(experiment: str, claim: str, also: Also = (), **where: Any) -> str:
    """Returns on how many seeds a claim holds, in words."""
    found = [row["holds"] for settings in (where, *also) for run in runs(experiment, **settings)
             for row in run["claims"] if row["id"] == claim]  # fmt: skip
    if len(found) == 1:
        return {True: "holds", False: "does not hold", None: "is not asserted"}[found[0]]
    return f"holds on {sum(map(bool, found))} of {len(found)} seeds"


def best(experiment: str, seed: int, table: str, metrics: str, **where: Any) -> str:
    """Returns the largest of a seed's metrics of a table that it has, in per cent; see files.md."""
    (run,) = runs(experiment, of_seeds=[seed], **where)
    names = [f"{table}_{metric}" for metric in metrics.split("|")]
    return f"{100 * max(run['metrics'][name] for name in names if name in run['metrics']):.1f}"


def gain(experiment: str, metric: str, **where: Any) -> str:
    """Returns a mean difference in points, with its interval over the seeds of a run or of several
    runs with one seed each."""
    means, lows, highs = (
        values(experiment, metric % part, 100.0, **where) for part in ("mean", "low", "high")
    )
    mean, low, high = pooled(means) if len(means) > 1 else (means[0], lows[0], highs[0])
    return f"{rounded(mean, 1)} ({rounded(low, 1)} to {rounded(high, 1)})"


def seeds_to_show(experiment: str, metric: str, points: float, **where: Any) -> int:
    """Returns how many paired seeds would show a gain of so many points with a power of 80 %, given
    the interval of a run's own."""
    (run,) = runs(experiment, **where)
    low, high = (run["metrics"][metric % part] for part in ("low", "high"))
    seeds = run["config"]["seeds"]
    deviation = (high - low) / 2 * seeds**0.5 / float(t.ppf(0.975, seeds - 1))
    return seeds_for(points / 100 / deviation)


def seeds_for(effect: float, power: float = 0.8) -> int:
    """Returns the number of pairs by which a t-test at 5 %, of both sides, finds an effect, in
    standard deviations of the differences, with this power.

    Example:
        >>> seeds_for(0.5)
        34
    """
    count = 2
    while True:
        limit, center = t.ppf(0.975, count - 1), effect * count**0.5
        if nct.sf(limit, count - 1, center) + nct.cdf(-limit, count - 1, center) >= power:
            return count
        count += 1


def pooled(differences: list[float]) -> Interval:
    """Returns the mean of paired differences of several runs, and its 95 % interval."""
    numbered = dict(enumerate(differences))
    return paired(numbered, dict.fromkeys(numbered, 0.0))


def ratio_of(experiment: str, claim: str, **where: Any) -> str:
    """Returns what was measured for a claim, by seed."""
    found = [row["measured"] for run in runs(experiment, **where) for row in run["claims"]
             if row["id"] == claim]  # fmt: skip
    return ", ".join(f"{value:.2f}" for value in found)


def percent_of(experiment: str, claim: str, digits: int = 1, **where: Any) -> str:
    """Returns the mean over seeds of a fraction that was measured for a claim, in per cent."""
    found = [100 * row["measured"] for run in runs(experiment, **where) for row in run["claims"]
             if row["id"] == claim]  # fmt: skip
    return f"{_mean_and_deviation(found, digits)} %"


def ratio(group: str, row: str, digits: int = 1) -> str:
    """Returns how many times as fast as its peer a row of a bench group is."""
    return f"{bench(group)[row]['ratio']:.{digits}f}"


def bench(group: str) -> dict[str, dict[str, Any]]:
    """Returns the rows of a bench group by name."""
    rows = json.loads((RESULTS / f"bench-{group}.json").read_text())["rows"]
    return {row["name"]: row for row in rows}
