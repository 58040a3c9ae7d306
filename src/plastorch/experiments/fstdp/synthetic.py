"""Fatiguing STDP on synthetic spike trains: timing is learned in the presence of rates, measured.

Paper: Moraitis et al., *Fatiguing STDP: Learning from Spike-Timing Codes in the Presence of Rate
Codes*, IJCNN 2017.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from plastorch.engine.device import check_memory
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.fstdp import bench_cost, parts
from plastorch.experiments.fstdp.claims import claims
from plastorch.experiments.fstdp.metrics import boundary_arrays, metrics
from plastorch.experiments.fstdp.parts import CORRELATIONS, JITTERS, STRENGTHS, Job, Plan, learn
from plastorch.experiments.fstdp.stations import rank_correlation
from plastorch.experiments.fstdp.streams import Stream
from plastorch.experiments.fstdp.trains import (
    DT,
    INPUTS,
    SLOW,
    Condition,
    Trains,
    area_under_roc,
    common_events,
    make_trains,
    precision,
    selection,
)
from plastorch.experiments.preset_defaults import Pairs, Positive, Range, Repeats, Settings, Share
from plastorch.spiking.events import to_raster
from plastorch.spiking.fatigue.covariance import normalized_covariance, spike_counts
from plastorch.spiking.fatigue.events import run_events, within
from plastorch.spiking.fatigue.rule import FatiguingSTDP, initial_state, run_raster
from plastorch.spiking.fatigue.theory import mean_resource

FREQUENCIES = (0.5, 1.0, 2.0)
"""Frequencies of the modulation of distractors' rates, Hz."""
DEEP = 4.0
"""Recovery time that fatigues even an input of 2 Hz, seconds."""
SETTLING = 10.0
"""Length of the shortest spike trains, in which thresholds settle, seconds."""
PIECES = 20
"""Number of pieces after which weights are recorded."""
WINDOW = 0.02
"""Bin in which spikes are counted for covariances, seconds."""
KINDS = ("fstdp", "stdp", "efficacy", "pair", "pair-fatigue")
"""Rules that are compared under all conditions."""


@dataclass(frozen=True)
class FstdpSyntheticConfig(Settings):
    """Settings of fstdp-synthetic.

    Args:
        seeds: number of spike trains per condition that a claim is about.
        grid_seeds: number of spike trains per condition of the grids.
        duration: length of each spike train, seconds.
        fatigue: U, share of an input's resource that each of its spikes uses up.
        tau_fatigue: time constant of the resource's recovery, seconds.
        pairs: pairs of phase-change devices per weight, besides one.
    """

    seeds: Repeats = 20
    grid_seeds: Repeats = 2
    duration: Annotated[float, Range(SETTLING, 10**6)] = 100.0
    fatigue: Share = 0.5
    tau_fatigue: Positive = 0.5
    pairs: Pairs = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        check_memory(16 * INPUTS * SLOW * self.duration, duration=self.duration)
        self.rules()

    def rules(self) -> dict[str, FatiguingSTDP]:
        """Returns the learning rules: fatiguing STDP and those that it is compared with."""
        full = FatiguingSTDP(fatigue=self.fatigue, tau_fatigue=self.tau_fatigue)
        kinds = (
            full,
            replace(full, fatigue=0.0),
            replace(full, trace_fatigue=False),
            replace(full, fatigue=0.0, window="pair"),
            replace(full, window="pair"),
        )
        found = dict(zip(KINDS, kinds, strict=True))
        found["deep"] = replace(full, tau_fatigue=DEEP)
        return found | {f"strength-{x}": parts.strength_rule(x) for x in STRENGTHS}


def conditions() -> dict[str, tuple[Condition, tuple[str, ...]]]:
    """Returns the conditions of the claims by name, and the rules that learn from them."""
    two, graded = ("stdp", "fstdp"), ("stdp", "fstdp", "deep")
    strengths = tuple(f"strength-{x}" for x in STRENGTHS)
    found: dict[str, tuple[Condition, tuple[str, ...]]] = {}
    for c in CORRELATIONS:
        found[f"slow-{c}"] = Condition("slow", c), KINDS + (strengths if c == 0.5 else ())
        found[f"equal-{c}"] = Condition("slow", c, ratio=1.0), two
    found["fast"], found["both"] = (Condition("fast", 0.5), KINDS), (Condition("both", 0.5), KINDS)
    for sigma in JITTERS[1:]:
        found[f"jitter-{sigma}"] = Condition("slow", 0.5, jitter=sigma), KINDS
    for frequency in FREQUENCIES:
        found[f"distractors-{frequency}"] = Condition("slow", 0.1, frequency=frequency), two
    found["graded-few"] = Condition("graded", 0.5), graded
    found["graded-half"] = Condition("graded", 0.2, members=INPUTS // 2), graded
    return found


def measure(config: FstdpSyntheticConfig, context: Context) -> dict[str, Any]:
    """Runs all parts; writes arrays and ``result.json``, which it returns, into the run folder."""
    ordinary = config == FstdpSyntheticConfig() and not context.quick
    if context.quick:
        config = replace(config, seeds=1, grid_seeds=1, duration=SETTLING)
        context.tell(
            f"smoke run of spike trains of {config.duration} s, and of a tenth of the grid"
        )
    loop = Loop(context.run, nn.Module())
    started = context.start(config, _data(config))
    for name, jobs in _phases(config, context.seed).items():
        tenth = context.quick and name == "grid"
        loop.run(Jobs(name, jobs[::11] if tenth else jobs))
    arrays: dict[str, Tensor] = {}
    example = partial(_example, config, context.seed, arrays)
    pictures = [example, partial(_cost, config.duration, arrays)]
    loop.recompute(Jobs("example", pictures, shared=False))
    records = context.run.records()
    context.run.write_arrays(arrays | boundary_arrays(records))
    synapses, spikes = arrays["cost_misfits"].tolist()
    found = metrics(records) | {"synapse_cost_misfit": synapses, "spike_cost_misfit": spikes}
    made = claims(found, config.seeds, config.grid_seeds, ordinary)
    return context.finish(started, loop, found, made)


def _phases(config: FstdpSyntheticConfig, seed: int) -> dict[str, list[Job]]:
    """Returns the jobs of all parts by name."""
    rules, few = config.rules(), Plan(seed, config.duration, config.grid_seeds)
    many, twice = (few._replace(seeds=n) for n in (config.seeds, 2 * config.grid_seeds))
    kinds = {name: rules[name] for name in KINDS}
    two = {name: rules[name] for name in ("stdp", "fstdp")}
    return {
        "theory": parts.resource_jobs(few) + parts.drift_jobs(twice),
        "streams": _stream_jobs(config, seed),
        "boundary": parts.boundary_jobs(few),
        "grid": parts.grid_jobs(two, few),
        "memristive": parts.memristive_jobs(rules["fstdp"], config.pairs, many),
        "agreement": parts.agreement_jobs(kinds, Plan(seed, SETTLING)),
    }


def _stream_jobs(config: FstdpSyntheticConfig, seed: int) -> list[Job]:
    """Returns jobs for the conditions of the claims, each on many spike trains."""
    rules = config.rules()

    def job(place: int, name: str, number: int) -> list[Record]:
        condition, names = conditions()[name]
        random = stream(seed, Stream.CONDITIONS, place, number)
        trains = make_trains(condition, config.duration, random)
        counts = spike_counts(trains.events, INPUTS, WINDOW, config.duration)
        sums = normalized_covariance(counts).sum(dim=1)
        common = common_events(trains, config.duration)
        return [
            {
                **{"condition": name, "rule": rule, "seed": number},
                **_judge(trains, rules[rule], sums, common, config.duration),
            }
            for rule in names
        ]

    places = product(enumerate(conditions()), range(config.seeds))
    return [partial(job, place, name, number) for (place, name), number in places]


def _judge(
    trains: Trains, rule: FatiguingSTDP, sums: Tensor, common: Tensor, duration: float
) -> Record:
    """Measures how well the weights that a rule learns single out the correlated inputs; ``sums``
    are row sums of the inputs' normalized covariance [N], ``common`` times of common events."""
    course, spikes = learn(trains, rule, duration, PIECES)
    weight, late = course[-1], spikes[spikes > duration / 2]
    efficacy = weight * mean_resource(trains.rates, rule.fatigue, rule.tau_fatigue)
    found: Record = {
        **selection(trains, weight),
        "auc_efficacy": selection(trains, efficacy)["auc"],
        "precision": precision(late, common),
        "output_rate": len(late) / (duration / 2),
        "rank_with_covariance": rank_correlation(weight, sums),
        "rank_with_rate": rank_correlation(weight, trains.rates),
        "rank_of_members": rank_correlation(trains.members.double(), sums),
    }
    for piece in range(1, PIECES + 1):
        if area_under_roc(course[piece], trains.members) > 0.95:
            return found | {"time_to_95": duration * piece / PIECES}
    return found


def _example(config: FstdpSyntheticConfig, seed: int, arrays: dict[str, Tensor]) -> list[Record]:
    """Records one example: weights over time with and without fatigue, and activity at its end."""
    trains = make_trains(Condition("slow", 0.5), config.duration, stream(seed, Stream.EXAMPLE))
    rules, pieces, span = config.rules(), 100, 0.5
    for name in ("stdp", "fstdp"):
        arrays[f"weights_{name}"] = learn(trains, rules[name], config.duration, pieces)[0]
    arrays["times"] = torch.linspace(0, config.duration, pieces + 1)
    arrays["rates"], arrays["members"] = trains.rates, trains.members
    start, state = config.duration - span, initial_state(rules["fstdp"], 1, INPUTS)
    _, state = run_events(within(trains.events, 0, start), state, rules["fstdp"], start)
    last = within(trains.events, start, config.duration)
    last = last._replace(times=last.times - start)
    raster = to_raster(last, INPUTS, DT, round(span / DT))
    activity, _ = run_raster(raster, state, rules["fstdp"], DT)
    arrays["raster"], arrays["output"] = raster[:, 0], activity.spikes[:, 0]
    arrays["membrane"], arrays["theta"] = activity.membrane[:, 0], activity.theta[:, 0]
    return []


def _cost(duration: float, arrays: dict[str, Tensor]) -> list[Record]:
    """Measures the cost of a simulated second of the event-driven STDP layer."""
    found = bench_cost.cost(duration=duration / 5)
    arrays |= {name: torch.tensor(values) for name, values in found.items()}
    return []


def _data(config: FstdpSyntheticConfig) -> dict[str, Any]:
    return {
        "name": "correlated spike trains",
        "n_train": config.seeds * len(conditions()),
        "n_test": 0,
        "source": "generated; counted are sets of spike trains of the claims",
        "sha256": "",
    }
