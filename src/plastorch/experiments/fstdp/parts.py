"""Parts of fstdp-synthetic as lists of jobs: theory, its boundary, the grid, devices, engines."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.fstdp.streams import Stream
from plastorch.experiments.fstdp.trains import (
    DT,
    INPUTS,
    SLOW,
    Condition,
    Trains,
    common_events,
    make_trains,
    selection,
)
from plastorch.spiking.encode import poisson
from plastorch.spiking.events import to_raster
from plastorch.spiking.fatigue.events import run_events, within
from plastorch.spiking.fatigue.rule import FatiguingSTDP, initial_state, run_raster
from plastorch.spiking.fatigue.theory import (
    common_share,
    mean_field,
    mean_resource,
    timing_margin,
)
from plastorch.spiking.phase_change import PhaseChangeSynapses

Job = Callable[[], list[Record]]
Rules = dict[str, FatiguingSTDP]

CORRELATIONS = (0.05, 0.1, 0.2, 0.5, 0.8)
RATIOS = (1.0, 2.0, 4.0, 8.0)
JITTERS = (0.0, 0.002, 0.005, 0.01)
STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)
"""Strengths U r τ of fatigue of slow inputs, with U = 0.5."""


class Plan(NamedTuple):
    """Amount of spike trains that a part draws."""

    seed: int
    """Random seed of the spikes."""
    duration: float
    """Length of the spike trains, seconds."""
    seeds: int = 1
    """Number of spike trains per condition."""


def strength_rule(strength: float) -> FatiguingSTDP:
    """Returns the rule whose fatigue of slow inputs, U r τ, has this strength."""
    return FatiguingSTDP(fatigue=0.5, tau_fatigue=strength / (0.5 * SLOW))


def learn(
    trains: Trains, rule: FatiguingSTDP, duration: float, pieces: int = 1
) -> tuple[Tensor, Tensor]:
    """Simulates a neuron that learns; returns its initial weights and those after each piece of the
    spike trains [pieces + 1, N], and times of output spikes. Times are in seconds."""
    state = initial_state(rule, 1, INPUTS)
    course, times = [state.synapses.weight[0]], []
    for piece in range(pieces):
        start, stop = duration * piece / pieces, duration * (piece + 1) / pieces
        spikes, state = run_events(within(trains.events, start, stop), state, rule, stop)
        course.append(state.synapses.weight[0])
        times.append(spikes.times)
    return torch.stack(course), torch.cat(times)


def resource_jobs(plan: Plan) -> list[Job]:
    """Returns jobs that compare the mean resource at Poisson spikes with its closed form; with a
    duration of 100, about 200,000 spikes are counted."""

    def job(rate: float) -> list[Record]:
        inputs, settled = 100, 10.0
        stop = settled + max(plan.duration / 5, 20 * plan.duration / rate)
        random = stream(plan.seed, Stream.RESOURCE, round(rate))
        events = poisson(torch.full((1, inputs), rate), stop, random)
        counted, made = within(events, settled, stop), []
        for tau in torch.tensor([0.02, 0.1, 0.5, 2.0]).tolist():
            # A trace that never decays is the sum of the resource at spikes.
            rule = FatiguingSTDP(0.5, tau, tau_trace=1e12, initial_weight=0.0, learning_rate=0.0)
            state = initial_state(rule, 1, inputs)
            _, state = run_events(within(events, 0, settled), state, rule, settled)
            state = state._replace(trace=torch.zeros_like(state.trace))
            _, state = run_events(counted, state, rule, stop)
            found = float(state.trace.sum() / len(counted.times))
            expected = float(mean_resource(torch.tensor(rate), 0.5, tau))
            made.append({"rate": rate, "tau_fatigue": tau, "resource": found, "expected": expected})
        return made

    return [partial(job, rate) for rate in (1.0, 3.0, 10.0, 40.0, 100.0)]


def drift_jobs(plan: Plan) -> list[Job]:
    """Returns jobs that compare the drift of fixed weights with the mean field."""

    def job(place: int, condition: Condition, fatigue: float, tau: float) -> list[Record]:
        rule = FatiguingSTDP(fatigue, tau, learning_rate=1e-9)
        case = f"{condition.place} {condition.correlation} {fatigue} {tau}"
        made = []
        for number in range(plan.seeds):
            random = stream(plan.seed, Stream.DRIFT, place, number)
            trains = make_trains(condition, plan.duration, random)
            for record in _drifts(trains, rule, condition.correlation, plan.duration):
                made.append({"case": case, **record})
        return made

    cases = [(Condition("slow", c), 0.5, 0.5) for c in (0.0, 0.1, 0.5)]
    cases += [(Condition("slow", 0.5), 0.0, 0.5), (Condition("fast", 0.1), 0.5, 0.5)]
    cases += [(Condition("slow", 0.0), 0.5, 0.1), (Condition("slow", 0.2), 0.5, 2.0)]
    return [partial(job, place, *case) for place, case in enumerate(cases)]


def _drifts(
    trains: Trains, rule: FatiguingSTDP, correlation: float, duration: float
) -> list[Record]:
    """Returns the drift of each group's weights and of the threshold, and what is expected."""
    settled, state = duration / 4, initial_state(rule, 1, INPUTS)
    _, state = run_events(within(trains.events, 0, settled), state, rule, settled)
    rest = within(trains.events, settled, duration)
    spikes, after = run_events(rest, state, rule, duration)
    weight = state.synapses.weight[0]
    drift = (after.synapses.weight[0] - weight) / rule.learning_rate / len(spikes.times)
    common = common_events(trains, duration)
    common = common[common >= settled]
    share = common_share(spikes.times, common, rule.tau_trace, duration - settled)
    rates, members = trains.rates, trains.members
    field = mean_field(
        weight, rates, members, correlation=correlation, share=max(share, 0.0), rule=rule
    )
    expected, fast = field.drift(weight), rates > SLOW
    groups = {"members": members, "slow": ~members & ~fast, "fast": ~members & fast}
    return [
        {
            "group": name,
            "drift": float(drift[group].mean()),
            "drift_expected": float(expected[group].mean()),
            "theta": float(after.theta),
            "theta_expected": field.theta,
        }
        for name, group in groups.items()
    ]


def boundary_jobs(plan: Plan) -> list[Job]:
    """Returns jobs for strengths x ratios of rates x correlations, with the analytic prediction."""

    def job(ratio: float, correlation: float, number: int) -> list[Record]:
        place = round(ratio), round(100 * correlation), number
        random, half = stream(plan.seed, Stream.BOUNDARY, *place), plan.duration / 2
        trains = make_trains(Condition("slow", correlation, ratio), plan.duration, random)
        common = common_events(trains, plan.duration)
        point: Record = {"ratio": ratio, "correlation": correlation}
        made: list[Record] = []
        for x in STRENGTHS:
            rule = strength_rule(x)
            course, spikes = learn(trains, rule, plan.duration)
            late = spikes[spikes > half], common[common > half]
            share = common_share(*late, rule.tau_trace, half)
            margin = timing_margin(SLOW, ratio * SLOW, correlation, share, rule)
            found = {"strength": x, "share": share, "margin": margin}
            made.append({**point, **found, **selection(trains, course[-1])})
        return made

    return [partial(job, *point) for point in product(RATIOS[1:], CORRELATIONS, range(plan.seeds))]


def grid_jobs(rules: Rules, plan: Plan) -> list[Job]:
    """Returns jobs for places x correlations x ratios of rates x jitters, each by all rules."""

    def job(place: int, condition: Condition, number: int) -> list[Record]:
        random = stream(plan.seed, Stream.GRID, place, number)
        trains = make_trains(condition, plan.duration, random)
        names = ("place", "correlation", "ratio", "jitter")
        point: Record = {name: getattr(condition, name) for name in names}
        weights = {name: learn(trains, rule, plan.duration)[0][-1] for name, rule in rules.items()}
        return [{**point, "rule": n, **selection(trains, w)} for n, w in weights.items()]

    points = product(("slow", "fast", "both"), CORRELATIONS, RATIOS, JITTERS)
    return [
        partial(job, place, Condition(*point), number)  # type: ignore[arg-type]
        for (place, point), number in product(enumerate(points), range(plan.seeds))
    ]


def memristive_jobs(rule: FatiguingSTDP, pairs: int, plan: Plan) -> list[Job]:
    """Returns jobs for a rule with synapses of one pair of phase-change devices, and of several."""

    def job(correlation: float, number: int) -> list[Record]:
        random = stream(plan.seed, Stream.DEVICES, round(100 * correlation), number)
        trains = make_trains(Condition("slow", correlation), plan.duration, random)
        ideal = selection(trains, learn(trains, rule, plan.duration)[0][-1])["auc"]
        made: list[Record] = []
        for count in (1, pairs):
            synapses = PhaseChangeSynapses(pairs=count)
            state = initial_state(rule, 1, INPUTS)
            state = state._replace(synapses=synapses.write(state.synapses.weight, 0.0, random))
            _, state = run_events(
                trains.events, state, rule, plan.duration, synapses=synapses, generator=random
            )
            weight = synapses.read(state.synapses, plan.duration, random)[0]
            point: Record = {"correlation": correlation, "pairs": count, "ideal": ideal}
            made.append({**point, **selection(trains, weight)})
        return made

    return [partial(job, *point) for point in product(CORRELATIONS, range(plan.seeds))]


def agreement_jobs(rules: Rules, plan: Plan) -> list[Job]:
    """Returns jobs that simulate the same spike trains event by event and step by step."""

    def job(name: str, rule: FatiguingSTDP) -> list[Record]:
        random, steps = stream(plan.seed, Stream.AGREEMENT), round(plan.duration / DT)
        events = make_trains(Condition("slow", 0.5), plan.duration, random).events
        state = initial_state(rule, 1, INPUTS)
        spikes, one = run_events(events, state, rule, plan.duration)
        course, other = run_raster(to_raster(events, INPUTS, DT, steps), state, rule, DT)
        times = course.spikes.nonzero()[:, 0].double() * DT
        same = len(times) == len(spikes.times) and torch.allclose(times, spikes.times)
        difference = (one.synapses.weight - other.synapses.weight).abs().max()
        return [{"rule": name, "same_spikes": int(same), "weight_difference": float(difference)}]

    return [partial(job, *item) for item in rules.items()]
