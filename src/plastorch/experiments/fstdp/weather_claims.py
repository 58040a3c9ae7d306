"""Metrics and claims of an fstdp-weather run from its log."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean
from typing import Any, Literal

from plastorch.engine.run import Claim, Record

CLUSTERS = 4
"""Number of clusters of k-means, so that they are as large as a selection on average."""
DRAWS = 1000
"""Number of random selections."""


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """Returns the figures of a run by name: means over years, or over stand-in worlds.

    Args:
        records: lines of ``metrics.jsonl``.

    Example:
        >>> metrics([{"phase": "stand-in", "step": 1, "by": "stdp", "precision": 0.5}])
        {'stand_in_stdp_precision': 0.5}
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for record in records:
        where = record.get("spikes", record["phase"])
        for name, value in record.items():
            if name not in ("phase", "step", "year", "spikes", "by"):
                key = f"{where}_{record['by']}_{name}".replace("-", "_")
                groups[key].append(float(value))
    return {name: mean(values) for name, values in groups.items()}


def claims(
    found: dict[str, float], years: int, worlds: int, pairs: int, asserted: bool
) -> list[Claim]:
    """Returns the paper's claims about weather data, and our own, as rows.

    Args:
        found: figures from :func:`metrics`.
        years: number of years of real records; 0 if there are none.
        worlds: number of stand-in worlds.
        pairs: pairs of devices per weight.
        asserted: False if the run is no evidence: a smoke run or other settings.
    """
    rows: list[Claim] = []

    def claim(
        name: str,
        statement: str,
        measured: float,
        side: Literal["above", "below"],
        target: float,
        origin: Literal["paper", "ours"] = "ours",
    ) -> None:
        holds = measured > target if side == "above" else measured < target
        rows.append(Claim(name, statement, target, measured, holds if asserted else None, origin))

    if years:
        _station_claims(found, years, pairs, claim)
    made_up = f"stand-in world, mean of {worlds}"
    claim(
        "stand-in",
        f"{made_up}: share of the selected stations that are of the strong cluster, FSTDP",
        found["stand_in_fstdp_precision"],
        "above",
        0.9,
    )
    claim(
        "stand-in-stdp",
        f"{made_up}: the same with STDP",
        found["stand_in_stdp_precision"],
        "below",
        0.1,
    )
    claim(
        "stand-in-rain",
        f"{made_up}: rank correlation of STDP's weights with the frequency of rain",
        found["stand_in_stdp_rank_with_rain"],
        "above",
        0.9,
    )
    return rows


def _station_claims(found: dict[str, float], years: int, pairs: int, claim: Any) -> None:
    """Makes claims about the real stations."""
    near = f"mean distance between selected stations, km, mean of {years} years"
    for kind, words in (("hours", "hours with rain"), ("onsets", "beginnings of rain")):
        claim(
            f"near-{kind}",
            f"{words}, {near}: FSTDP below STDP",
            found[f"{kind}_fstdp_distance"],
            "below",
            found[f"{kind}_stdp_distance"],
            "paper",
        )
    for by, words in (
        ("random", f"the least of {DRAWS} random selections"),
        ("k_means", f"the clusters of k-means (k = {CLUSTERS})"),
    ):
        claim(
            f"near-{by.replace('_', '-')}",
            f"{near}: FSTDP below {words}",
            found["hours_fstdp_distance"],
            "below",
            found[f"hours_{by}_{'nearest' if by == 'random' else 'distance'}"],
            "paper" if by == "random" else "ours",
        )
    for by, words in (("several_pairs", f"{pairs} pairs"), ("one_pair", "one pair")):
        claim(
            f"memristive-{by.replace('_', '-')}",
            f"{near}: FSTDP with {words} of phase-change devices per weight below STDP",
            found[f"hours_{by}_distance"],
            "below",
            found["hours_stdp_distance"],
            "paper",
        )
    for name, words in (
        (
            "rank_with_covariance",
            "rank correlation of weights with row sums of the normalized covariance",
        ),
        ("agreement", "adjusted Rand index with the largest of these row sums"),
        ("covariance_inside", "mean normalized covariance between selected stations"),
        (
            "cluster",
            "share that is selected of the cluster of that covariance that is selected most",
        ),
    ):
        claim(
            f"normcov-{name.replace('_', '-')}",
            f"{words}: FSTDP above STDP",
            found[f"hours_fstdp_{name}"],
            "above",
            found[f"hours_stdp_{name}"],
            "paper",
        )
    claim(
        "rain",
        "size of the rank correlation of weights with the frequency of rain: FSTDP below STDP",
        abs(found["hours_fstdp_rank_with_rain"]),
        "below",
        abs(found["hours_stdp_rank_with_rain"]),
        "paper",
    )
