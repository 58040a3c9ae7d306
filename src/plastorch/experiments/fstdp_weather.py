"""Fatiguing STDP on rain in the USA: which stations share their weather, however much it rains?

Each station is an input that spikes in hours with rain, or when rain begins; an hour is 10 ms.
Paper: Moraitis et al., *Fatiguing STDP: Learning from Spike-Timing Codes in the Presence of Rate
Codes*, IJCNN 2017, whose experiment with US weather and phase-change memory this follows.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from statistics import mean
from typing import Any, Literal

import torch
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn

from plastorch.data.weather import (
    Precipitation,
    load_precipitation,
    rain_hours,
    rain_onsets,
    stand_in_world,
)
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record, result
from plastorch.experiments.fstdp_parts import Job
from plastorch.experiments.fstdp_streams import area_under_roc
from plastorch.experiments.session import Session
from plastorch.spiking.covariance import normalised_covariance
from plastorch.spiking.events import from_raster
from plastorch.spiking.fatigue import IDEAL, FatiguingSTDP, initial_state
from plastorch.spiking.fatigue_events import run_events
from plastorch.spiking.synapses import PhaseChangeSynapses, Synapses

PAPER = "Moraitis et al. 2017, Fatiguing STDP, IJCNN, arXiv 1706.05563"
YEARS = (2014, 2015, 2016, 2017, 2018)
SHOWN = 2017
"""Year whose map the report draws."""
HOUR = 0.01
"""Seconds of network time."""
SHARE = 0.25
"""Of the stations that count as selected: those of the largest weights."""
CLUSTERS = 4
"""Of k-means, so that they are as large as a selection, on average."""
DRAWS = 1000
"""Random selections."""
SPIKES = {"hours": rain_hours, "onsets": rain_onsets}


@dataclass(frozen=True)
class FstdpWeatherConfig:
    """Settings of fstdp-weather.

    Args:
        world: real stations and the stand-in world, or the stand-in world alone.
        fatigue: U, share of its resource that an input's spike uses up.
        tau_fatigue: of its recovery, seconds of network time, 100 of the stations' hours each.
        pairs: of phase-change devices per weight, besides one.
        writings: of the devices per year, each with noise of its own.
        worlds: stand-in worlds.
    """

    world: Literal["both", "stand-in"] = "both"
    fatigue: float = 0.5
    tau_fatigue: float = 4.0
    pairs: int = 7
    writings: int = 4
    worlds: int = 20

    def __post_init__(self) -> None:
        if self.world not in ("both", "stand-in"):
            raise InputError(f"world is {self.world!r}; expected both or stand-in")
        check_positive(pairs=self.pairs, writings=self.writings, worlds=self.worlds)
        self.rules()

    def rules(self) -> dict[str, FatiguingSTDP]:
        """What learns, by name; "brief" fatigue is that of the synthetic spike trains."""
        full = FatiguingSTDP(fatigue=self.fatigue, tau_fatigue=self.tau_fatigue)
        return {
            "stdp": replace(full, fatigue=0.0),
            "fstdp": full,
            "brief": replace(full, tau_fatigue=0.5),
            "efficacy": replace(full, trace_fatigue=False),
            "pair": replace(full, fatigue=0.0, window="pair"),
        }


def measure(config: FstdpWeatherConfig, session: Session) -> dict[str, Any]:
    """Runs all parts; writes arrays and result into the run folder.

    Args:
        config: what to run.
        session: where, on what, with which seed.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: if the stations' records or a checkpoint to resume are missing or unusable.
        Interrupted: if the user stopped it; the run folder can be resumed.
    """
    ordinary = config == FstdpWeatherConfig() and not session.quick
    stations = load_precipitation(session.data) if config.world == "both" else None
    years: tuple[int, ...] = YEARS if stations else ()
    if session.quick:
        config, years = replace(config, writings=1, worlds=2), years[3:4]
        session.tell("smoke run of a single year and two stand-in worlds")
    loop = Loop(session.run, nn.Module())
    started = _result(config, session, stations)
    session.run.write_result(started)
    arrays: dict[str, Tensor] = {}
    if stations:
        records = {year: stations.year(year) for year in years}
        loop.run(Jobs("stations", _station_jobs(config, session.seed, records)))
        shown = partial(_map, config, session.seed, records[SHOWN], arrays)
        loop.recompute(Jobs("map", [shown]))
    loop.run(Jobs("stand-in", _stand_in_jobs(config, session.seed)))
    session.run.write_arrays(arrays)
    found = metrics(session.run.records())
    return session.finish(started, loop, found, claims(found, config, ordinary))


def learn(
    rain: Tensor,
    rule: FatiguingSTDP,
    synapses: Synapses[Any] = IDEAL,
    random: torch.Generator | None = None,
) -> Tensor:
    """Weights that a neuron learns from rain.

    Args:
        rain: spikes, bool [T, S].
        rule: constants, of one network.
        synapses: what stores the weights.
        random: of the synapses' noise.

    Returns:
        [S].
    """
    hours, stations = rain.shape
    state = initial_state(rule, 1, stations, synapses)
    if isinstance(synapses, PhaseChangeSynapses):
        first = torch.full((1, stations), rule.initial_weight, dtype=torch.float64)
        state = state._replace(synapses=synapses.write(first, 0.0, random))
    events = from_raster(rain[:, None], HOUR)
    _, state = run_events(events, state, rule, hours * HOUR, synapses, random)
    return synapses.read(state.synapses, hours * HOUR, random)[0]


def selected(weight: Tensor, count: int) -> Tensor:
    """Which stations have the largest weights, bool [S]."""
    chosen = torch.zeros(len(weight), dtype=torch.bool)
    chosen[weight.argsort(descending=True, stable=True)[:count]] = True
    return chosen


def mean_distance(distances: Tensor, chosen: Tensor) -> float:
    """Mean distance between two of the chosen stations, km.

    Args:
        distances: km [S, S].
        chosen: bool [S], or their indices.

    Example:
        >>> mean_distance(torch.tensor([[0.0, 5.0], [5.0, 0.0]]), torch.tensor([True, True]))
        5.0
    """
    inner = distances[chosen][:, chosen]
    return float(inner.sum() / (len(inner) * (len(inner) - 1)))


def _station_jobs(
    config: FstdpWeatherConfig, seed: int, records: dict[int, Precipitation]
) -> list[Job]:
    """Each year and kind of spikes by all rules; devices; k-means; chance."""

    def by_rules(year: int, kind: str) -> list[Record]:
        rain, distances = SPIKES[kind](records[year].amount), records[year].distances()
        covariance = normalised_covariance(rain.double())
        weights = {name: learn(rain, rule) for name, rule in config.rules().items()}
        weights["covariance"] = covariance.sum(dim=1)
        place: Record = {"year": year, "spikes": kind}
        return [
            {**place, "by": name, **_judge(weight, rain, distances, covariance)}
            for name, weight in weights.items()
        ]

    def by_devices(year: int, pairs: int, number: int) -> list[Record]:
        rain, distances = rain_hours(records[year].amount), records[year].distances()
        random, synapses = generator(seed, year, pairs, number), PhaseChangeSynapses(pairs=pairs)
        weight = learn(rain, config.rules()["fstdp"], synapses, random)
        found = _judge(weight, rain, distances, normalised_covariance(rain.double()))
        by = "one-pair" if pairs == 1 else "several-pairs"
        return [{"year": year, "spikes": "hours", "by": by, **found}]

    def otherwise(year: int) -> list[Record]:
        rain, distances = rain_hours(records[year].amount), records[year].distances()
        stations = len(distances)
        means = KMeans(CLUSTERS, n_init=4, random_state=seed).fit(rain.T.double().numpy())
        labels = torch.from_numpy(means.labels_)
        parts = [labels == label for label in range(CLUSTERS)]
        near = [int(p.sum()) / stations * mean_distance(distances, p) for p in parts if p.sum() > 1]
        random, count = generator(seed, year), round(SHARE * stations)
        draws = [
            mean_distance(distances, torch.randperm(stations, generator=random)[:count])
            for _ in range(DRAWS)
        ]
        place: Record = {"year": year, "spikes": "hours"}
        return [
            {**place, "by": "k-means", "distance": sum(near)},
            {**place, "by": "random", "distance": mean(draws), "nearest": min(draws)},
        ]

    jobs: list[Job] = [partial(by_rules, *point) for point in product(records, SPIKES)]
    devices = product(records, (1, config.pairs), range(config.writings))
    jobs += [partial(by_devices, *point) for point in devices]
    return jobs + [partial(otherwise, year) for year in records]


def _judge(weight: Tensor, rain: Tensor, distances: Tensor, covariance: Tensor) -> Record:
    """How near each other the selected stations are, and how it compares with the covariances."""
    count, sums = round(SHARE * len(weight)), covariance.sum(dim=1)
    chosen = selected(weight, count)
    inner = covariance[chosen][:, chosen]
    return {
        "distance": mean_distance(distances, chosen),
        "covariance_inside": float(inner.sum() / (count * (count - 1))),
        "rank_with_covariance": _spearman(weight, sums),
        "rank_with_rain": _spearman(weight, rain.double().mean(dim=0)),
        "agreement": float(adjusted_rand_score(selected(sums, count).numpy(), chosen.numpy())),
    }


def _stand_in_jobs(config: FstdpWeatherConfig, seed: int) -> list[Job]:
    """Worlds whose strongly correlated cluster is known, and dry."""

    def job(number: int) -> list[Record]:
        world = stand_in_world(generator(seed, 0, number))
        strong = world.cluster == 0
        made: list[Record] = []
        for name, rule in config.rules().items():
            weight = learn(world.rain, rule)
            chosen = selected(weight, int(strong.sum()))
            made.append(
                {
                    "by": name,
                    "precision": float(strong[chosen].double().mean()),
                    "auc": area_under_roc(weight, strong),
                    "rank_with_rain": _spearman(weight, world.rain.double().mean(dim=0)),
                }
            )
        return made

    return [partial(job, number) for number in range(config.worlds)]


def _map(
    config: FstdpWeatherConfig,
    seed: int,
    records: Precipitation,
    arrays: dict[str, Tensor],
) -> list[Record]:
    """Where the stations of a year are, how often it rains there, and what is learned of them."""
    rain, rules = rain_hours(records.amount), config.rules()
    arrays["latitude"], arrays["longitude"] = records.latitude, records.longitude
    arrays["rain"] = rain.double().mean(dim=0)
    arrays["covariance_sums"] = normalised_covariance(rain.double()).sum(dim=1)
    for name in ("stdp", "fstdp"):
        arrays[f"weights_{name}"] = learn(rain, rules[name])
    synapses, random = PhaseChangeSynapses(pairs=config.pairs), generator(seed, SHOWN, 0)
    arrays["weights_memristive"] = learn(rain, rules["fstdp"], synapses, random)
    return []


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """The figures of a run by name: means over years, or over stand-in worlds.

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


def claims(found: dict[str, float], config: FstdpWeatherConfig, asserted: bool) -> list[Claim]:
    """What the paper says of weather data, and our own tests, as rows.

    Args:
        found: what :func:`metrics` gave.
        config: of the run.
        asserted: False where the run is no evidence: smoke runs and other settings.
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

    if config.world == "both":
        _station_claims(found, claim)
    worlds = f"stand-in world, mean of {config.worlds}"
    claim(
        "stand-in",
        f"{worlds}: share of the selected stations that are of the strong cluster, FSTDP",
        found["stand_in_fstdp_precision"],
        "above",
        0.9,
    )
    claim(
        "stand-in-stdp",
        f"{worlds}: the same with STDP",
        found["stand_in_stdp_precision"],
        "below",
        0.1,
    )
    claim(
        "stand-in-rain",
        f"{worlds}: rank correlation of STDP's weights with the frequency of rain",
        found["stand_in_stdp_rank_with_rain"],
        "above",
        0.9,
    )
    return rows


def _station_claims(found: dict[str, float], claim: Any) -> None:
    """Of the real stations."""
    near = f"mean distance between selected stations, km, mean of {len(YEARS)} years"
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
    for by, words in (("several_pairs", "7 pairs"), ("one_pair", "one pair")):
        claim(
            f"memristive-{by.replace('_', '-')}",
            f"{near}: FSTDP with {words} of phase-change devices per weight below STDP",
            found[f"hours_{by}_distance"],
            "below",
            found["hours_stdp_distance"],
            "paper",
        )
    for name, words in (
        ("rank_with_covariance", "rank correlation of weights with row sums of normcov"),
        ("agreement", "adjusted Rand index with the largest row sums of normcov"),
        ("covariance_inside", "mean normcov between selected stations"),
    ):
        claim(
            f"normcov-{name.replace('_', '-')}",
            f"{words} (the normalised covariance): FSTDP above STDP",
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


def _spearman(first: Tensor, second: Tensor) -> float:
    """Rank correlation."""
    return float(spearmanr(first.numpy(), second.numpy()).statistic)


def _result(
    config: FstdpWeatherConfig, session: Session, stations: Precipitation | None
) -> dict[str, Any]:
    data = {
        "name": "stand-in world of rain" if stations is None else "US precipitation",
        "n_train": config.worlds if stations is None else len(stations.station),
        "n_test": 0,
        "source": "generated; counted are worlds" if stations is None else stations.source,
        "sha256": "" if stations is None else stations.sha256,
        "notice": "no real stations: a made-up world alone" if stations is None else "",
    }
    settings = {**asdict(config), "seed": session.seed, "quick": session.quick}
    return result("fstdp-weather", PAPER, settings, data, torch.device("cpu"))
