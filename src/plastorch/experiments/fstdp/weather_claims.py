"""Metrics and claims of an fstdp-weather run from its log."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean

from plastorch.engine.run import Claim, Record
from plastorch.experiments.claims import above, asserted, below

CLUSTERS = 4
"""Number of clusters of k-means, so that they are as large as a selection on average."""
DRAWS = 1000
"""Number of random selections."""
KINDS = ("hours with rain", "beginnings of rain")
COVARIANCE = {
    "rank_with_covariance": (
        "rank correlation of weights with row sums of the normalized covariance"
    ),
    "agreement": (
        "adjusted Rand index of the selected stations and the clusters of the normalized covariance"
    ),
    "covariance_inside": "mean normalized covariance between selected stations",
    "cluster": "share that is selected of the cluster of that covariance that is selected most",
}
"""Figures by which a selection is compared with the normalized covariance."""

Figures = dict[str, float]


def metrics(records: Sequence[Record]) -> Figures:
    """Returns the figures of a run by name: means over years, or over stand-in worlds."""
    groups: dict[str, list[float]] = defaultdict(list)
    for record in records:
        where = record.get("spikes", record["phase"])
        for name, value in record.items():
            if name not in ("phase", "step", "year", "spikes", "by"):
                key = f"{where}_{record['by']}_{name}".replace("-", "_")
                groups[key].append(float(value))
    return {name: mean(values) for name, values in groups.items()}


def claims(found: Figures, years: int, worlds: int, pairs: int, evidence: bool) -> list[Claim]:
    """Returns the paper's claims and our own; ``years`` is 0 if there are no real records."""
    world = f"stand-in world, mean of {worlds}"
    share = f"{world}: share of the selected stations that are of the strong cluster, FSTDP"
    rain = f"{world}: rank correlation of STDP's weights with the frequency of rain"
    fatigued, plain = found["stand_in_fstdp_precision"], found["stand_in_stdp_precision"]
    made = _nearness(found, years, pairs) + _agreement(found) if years else []
    made += [
        above("stand-in", share, fatigued, 0.9),
        below("stand-in-stdp", share.replace("FSTDP", "STDP"), plain, 0.1),
        above("stand-in-rain", rain, found["stand_in_stdp_rank_with_rain"], 0.9),
    ]
    return asserted(made, evidence)


def _nearness(found: Figures, years: int, pairs: int) -> list[Claim]:
    """Makes claims about the distance between the real stations that are selected."""
    near = f"mean distance between selected stations, km, mean of {years} years"
    fstdp, stdp = found["hours_fstdp_distance"], found["hours_stdp_distance"]
    onsets = found["onsets_fstdp_distance"], found["onsets_stdp_distance"]
    random = f"{near}: FSTDP below the least of {DRAWS} random selections"
    means = f"{near}: FSTDP below the clusters of k-means (k = {CLUSTERS})"
    devices = "of phase-change devices per weight below STDP"
    several, one = found["hours_several_pairs_distance"], found["hours_one_pair_distance"]
    many, single = (f"{near}: FSTDP with {n} {devices}" for n in (f"{pairs} pairs", "one pair"))
    hours, starts = (f"{rain}, {near}: FSTDP below STDP" for rain in KINDS)
    return [
        below("near-hours", hours, fstdp, stdp),
        below("near-onsets", starts, *onsets),
        below("near-random", random, fstdp, found["hours_random_nearest"]),
        below("near-k-means", means, fstdp, found["hours_k_means_distance"]),
        below("memristive-several-pairs", many, several, stdp, origin="paper"),
        below("memristive-one-pair", single, one, stdp),
    ]


def _agreement(found: Figures) -> list[Claim]:
    """Makes claims about covariances and rain at the real stations."""
    made = []
    for name, words in COVARIANCE.items():
        fatigued, plain = found[f"hours_fstdp_{name}"], found[f"hours_stdp_{name}"]
        label, statement = f"normcov-{name.replace('_', '-')}", f"{words}: FSTDP above STDP"
        made.append(above(label, statement, fatigued, plain))
    rain = "size of the rank correlation of weights with the frequency of rain: FSTDP below STDP"
    sizes = (abs(found[f"hours_{name}_rank_with_rain"]) for name in ("fstdp", "stdp"))
    return [*made, below("rain", rain, *sizes)]
