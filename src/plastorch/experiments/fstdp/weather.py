"""Fatiguing STDP on rain in the USA: which stations share their weather, however much it rains?

Each station is an input that spikes in hours with rain, or when rain begins; an hour is 10 ms.
Paper: Moraitis et al., *Fatiguing STDP: Learning from Spike-Timing Codes in the Presence of Rate
Codes*, IJCNN 2017, whose experiment with US weather and phase-change memory this follows.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from statistics import mean
from typing import Any, Literal

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from plastorch.data.tables.weather import (
    Precipitation,
    load_precipitation,
    rain_hours,
    rain_onsets,
    stand_in_world,
)
from plastorch.engine.device import seed32
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.fstdp.parts import Job
from plastorch.experiments.fstdp.stations import (
    SHARE,
    Reference,
    judge,
    learn,
    mean_distance,
    rank_correlation,
    selected,
)
from plastorch.experiments.fstdp.streams import WeatherStream, YearStream
from plastorch.experiments.fstdp.trains import area_under_roc
from plastorch.experiments.fstdp.weather_claims import CLUSTERS, DRAWS, claims, metrics
from plastorch.experiments.preset_defaults import Pairs, Positive, Repeats, Settings, Share
from plastorch.spiking.fatigue.rule import FatiguingSTDP
from plastorch.spiking.phase_change import PhaseChangeSynapses

YEARS = (2014, 2015, 2016, 2017, 2018)
SHOWN = 2017
"""Year of the map in the report."""
SPIKES = {"hours": rain_hours, "onsets": rain_onsets}


@dataclass(frozen=True)
class FstdpWeatherConfig(Settings):
    """Settings of fstdp-weather.

    Args:
        world: real stations and the stand-in world, or the stand-in world alone.
        fatigue: U, share of an input's resource that each of its spikes uses up.
        tau_fatigue: time constant of the resource's recovery, seconds of network time; a second
            is 100 hours of the stations.
        pairs: pairs of phase-change devices per weight, besides one.
        writings: number of times that the devices are written for each year, each with its own
            noise.
        worlds: number of stand-in worlds.
    """

    world: Literal["both", "stand-in"] = "both"
    fatigue: Share = 0.5
    tau_fatigue: Positive = 4.0
    pairs: Pairs = 7
    writings: Repeats = 4
    worlds: Repeats = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rules()

    def rules(self) -> dict[str, FatiguingSTDP]:
        """Returns the rules by name; "brief" fatigue is that of the synthetic spike trains."""
        full = FatiguingSTDP(fatigue=self.fatigue, tau_fatigue=self.tau_fatigue)
        return {
            "stdp": replace(full, fatigue=0.0),
            "fstdp": full,
            "brief": replace(full, tau_fatigue=0.5),
            "efficacy": replace(full, trace_fatigue=False),
            "pair": replace(full, fatigue=0.0, window="pair"),
        }


def measure(config: FstdpWeatherConfig, context: Context) -> dict[str, Any]:
    """Runs all parts; writes arrays and ``result.json``, which it returns, into the run folder."""
    ordinary = config == FstdpWeatherConfig() and not context.quick
    stations = load_precipitation(context.data) if config.world == "both" else None
    years: tuple[int, ...] = YEARS if stations else ()
    if context.quick:
        config, years = replace(config, writings=1, worlds=2), years[3:4]
        context.tell("smoke run of a single year and two stand-in worlds")
    loop = Loop(context.run, nn.Module())
    started = context.start(config, _data(config.worlds, stations))
    arrays: dict[str, Tensor] = {}
    if stations:
        records = {year: stations.year(year) for year in years}
        loop.run(Jobs("stations", _station_jobs(config, context.seed, records)))
        shown = partial(_map, config, context.seed, records[SHOWN], arrays)
        loop.recompute(Jobs("map", [shown], shared=False))
    loop.run(Jobs("stand-in", _stand_in_jobs(config, context.seed)))
    context.run.write_arrays(arrays)
    found = metrics(context.run.records())
    made = claims(found, len(years), config.worlds, config.pairs, ordinary)
    return context.finish(started, loop, found, made)


def _station_jobs(
    config: FstdpWeatherConfig, seed: int, records: dict[int, Precipitation]
) -> list[Job]:
    """Returns jobs for each year and kind of spikes by all rules; devices; k-means; chance."""

    def by_rules(year: int, kind: str) -> list[Record]:
        rain, distances = SPIKES[kind](records[year].amount), records[year].distances()
        reference = Reference.of(rain, stream(seed, year, YearStream.CHANCE))
        weights = {name: learn(rain, rule) for name, rule in config.rules().items()}
        weights["covariance"] = reference.covariance.sum(dim=1)
        place: Record = {"year": year, "spikes": kind}
        return [
            {**place, "by": name, **judge(weight, rain, distances, reference)}
            for name, weight in weights.items()
        ]

    def by_devices(year: int, pairs: int, number: int) -> list[Record]:
        rain, distances = rain_hours(records[year].amount), records[year].distances()
        random, synapses = stream(seed, year, pairs, number), PhaseChangeSynapses(pairs=pairs)
        weight = learn(rain, config.rules()["fstdp"], synapses, random)
        reference = Reference.of(rain, stream(seed, year, YearStream.CHANCE))
        found = judge(weight, rain, distances, reference)
        by = "one-pair" if pairs == 1 else "several-pairs"
        return [{"year": year, "spikes": "hours", "by": by, **found}]

    def otherwise(year: int) -> list[Record]:
        rain, distances = rain_hours(records[year].amount), records[year].distances()
        stations = len(distances)
        means = KMeans(CLUSTERS, n_init=4, random_state=seed32(seed)).fit(rain.T.double().numpy())
        labels = torch.from_numpy(means.labels_)
        parts = [labels == label for label in range(CLUSTERS)]
        near = [int(p.sum()) / stations * mean_distance(distances, p) for p in parts if p.sum() > 1]
        random, count = stream(seed, year), round(SHARE * stations)
        draws = [
            mean_distance(distances, torch.randperm(stations, generator=random)[:count])
            for _ in range(DRAWS)
        ]
        clusters = Reference.of(rain, stream(seed, year, YearStream.CHANCE)).clusters
        compact = [mean_distance(distances, cluster) for cluster in clusters]
        place: Record = {"year": year, "spikes": "hours"}
        return [
            {**place, "by": "k-means", "distance": sum(near)},
            {**place, "by": "random", "distance": mean(draws), "nearest": min(draws)},
            *({**place, "by": "clusters", "distance": distance} for distance in compact),
        ]

    jobs: list[Job] = [partial(by_rules, *point) for point in product(records, SPIKES)]
    devices = product(records, (1, config.pairs), range(config.writings))
    jobs += [partial(by_devices, *point) for point in devices]
    return jobs + [partial(otherwise, year) for year in records]


def _stand_in_jobs(config: FstdpWeatherConfig, seed: int) -> list[Job]:
    """Returns jobs for stand-in worlds whose strongly correlated cluster is known, and dry."""

    def job(number: int) -> list[Record]:
        world = stand_in_world(stream(seed, WeatherStream.WORLDS, number))
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
                    "rank_with_rain": rank_correlation(weight, world.rain.double().mean(dim=0)),
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
    """Records where a year's stations are, how often it rains, and what is learned about them."""
    rain, rules = rain_hours(records.amount), config.rules()
    reference = Reference.of(rain, stream(seed, SHOWN, YearStream.CHANCE))
    arrays["latitude"], arrays["longitude"] = records.latitude, records.longitude
    arrays["rain"] = rain.double().mean(dim=0)
    arrays["covariance_sums"] = reference.covariance.sum(dim=1)
    arrays["clusters"] = reference.labels
    for name in ("stdp", "fstdp"):
        arrays[f"weights_{name}"] = learn(rain, rules[name])
    synapses, random = (
        PhaseChangeSynapses(pairs=config.pairs),
        stream(seed, SHOWN, config.pairs, config.writings),
    )
    arrays["weights_memristive"] = learn(rain, rules["fstdp"], synapses, random)
    return []


def _data(worlds: int, stations: Precipitation | None) -> dict[str, Any]:
    return {
        "name": "stand-in world of rain" if stations is None else "US precipitation",
        "n_train": worlds if stations is None else len(stations.station),
        "n_test": 0,
        "source": "generated; counted are worlds" if stations is None else stations.source,
        "sha256": "" if stations is None else stations.sha256,
        "notice": "no real stations: a made-up world alone" if stations is None else "",
    }
