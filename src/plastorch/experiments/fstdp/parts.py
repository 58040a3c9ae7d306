"""Parts of fstdp-synthetic as lists of jobs: theory, its boundary, the grid, devices, engines."""

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor

from plastorch.engine.device import generator
from plastorch.engine.run import Record
from plastorch.experiments.fstdp.trains import (
    DT,
    INPUTS,
    SLOW,
    Condition,
    Stream,
    common_events,
    make_stream,
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
from plastorch.spiking.synapses import PhaseChangeSynapses

Job = Callable[[], list[Record]]

CORRELATIONS = (0.05, 0.1, 0.2, 0.5, 0.8)
RATIOS = (1.0, 2.0, 4.0, 8.0)
JITTERS = (0.0, 0.002, 0.005, 0.01)
STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)
"""Strengths U r τ of fatigue of slow inputs, with U = 0.5."""


def strength_rule(strength: float) -> FatiguingSTDP:
    """Returns the rule whose fatigue of slow inputs, U r τ, has this strength."""
    return FatiguingSTDP(fatigue=0.5, tau_fatigue=strength / (0.5 * SLOW))


def learn(
    stream: Stream, rule: FatiguingSTDP, duration: float, pieces: int = 1
) -> tuple[Tensor, Tensor]:
    """Simulates a neuron that learns from spike trains.

    Args:
        stream: spike trains to learn from.
        rule: constants of one network.
        duration: length of the spike trains, seconds.
        pieces: number of equal pieces after which weights are recorded.

    Returns:
        Initial weights and those after each piece [pieces + 1, N]; times of output spikes, seconds.
    """
    state = initial_state(rule, 1, INPUTS)
    course, times = [state.synapses.weight[0]], []
    for piece in range(pieces):
        start, stop = duration * piece / pieces, duration * (piece + 1) / pieces
        spikes, state = run_events(within(stream.events, start, stop), state, rule, stop)
        course.append(state.synapses.weight[0])
        times.append(spikes.times)
    return torch.stack(course), torch.cat(times)


def resource_jobs(duration: float, seed: int) -> list[Job]:
    """Returns jobs that compare the mean resource at Poisson spikes with its closed form.

    Args:
        duration: length of the other parts, seconds; with 100, about 200,000 spikes are counted.
        seed: random seed of the spikes.
    """

    def job(rate: float) -> list[Record]:
        taus, inputs, settled = torch.tensor([0.02, 0.1, 0.5, 2.0]), 100, 10.0
        stop = settled + max(duration / 5, 20 * duration / rate)
        events = poisson(torch.full((1, inputs), rate), stop, generator(seed, 0, round(rate)))
        # A trace that never decays is the sum of the resource at spikes.
        counted, made = within(events, settled, stop), []
        for tau in taus.tolist():
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


def drift_jobs(duration: float, seeds: int, seed: int) -> list[Job]:
    """Returns jobs that compare the drift of fixed weights with the mean field.

    Args:
        duration: length of the spike trains, seconds.
        seeds: number of spike trains per condition.
        seed: random seed of the spikes.
    """

    def job(place: int, condition: Condition, fatigue: float, tau: float) -> list[Record]:
        rule, settled = FatiguingSTDP(fatigue, tau, learning_rate=1e-9), duration / 4
        made: list[Record] = []
        for number in range(seeds):
            stream = make_stream(condition, duration, generator(seed, 1, place, number))
            state = initial_state(rule, 1, INPUTS)
            _, state = run_events(within(stream.events, 0, settled), state, rule, settled)
            rest = within(stream.events, settled, duration)
            spikes, after = run_events(rest, state, rule, duration)
            weight = state.synapses.weight[0]
            drift = (after.synapses.weight[0] - weight) / rule.learning_rate / len(spikes.times)
            common = common_events(stream, duration)
            common = common[common >= settled]
            share = common_share(spikes.times, common, rule.tau_trace, duration - settled)
            rates, members, share = stream.rates, stream.members, max(share, 0.0)
            field = mean_field(weight, rates, members, condition.correlation, share, rule)
            groups = {"members": members, "slow": ~members & (rates <= SLOW)}
            for name, group in (groups | {"fast": ~members & (rates > SLOW)}).items():
                made.append(
                    {
                        "case": f"{condition.place} {condition.correlation} {fatigue} {tau}",
                        "group": name,
                        "drift": float(drift[group].mean()),
                        "drift_expected": float(field.drift(weight)[group].mean()),
                        "theta": float(after.theta),
                        "theta_expected": field.theta,
                    }
                )
        return made

    cases = [(Condition("slow", c), 0.5, 0.5) for c in (0.0, 0.1, 0.5)]
    cases += [(Condition("slow", 0.5), 0.0, 0.5), (Condition("fast", 0.1), 0.5, 0.5)]
    cases += [(Condition("slow", 0.0), 0.5, 0.1), (Condition("slow", 0.2), 0.5, 2.0)]
    return [partial(job, place, *case) for place, case in enumerate(cases)]


def boundary_jobs(duration: float, seeds: int, seed: int) -> list[Job]:
    """Returns jobs for strengths x ratios of rates x correlations, with the analytic prediction.

    Args:
        duration: length of the spike trains, seconds.
        seeds: number of spike trains per condition.
        seed: random seed of the spikes.
    """

    def job(ratio: float, correlation: float, number: int) -> list[Record]:
        path = (seed, 3, round(ratio), round(100 * correlation), number)
        stream = make_stream(Condition("slow", correlation, ratio), duration, generator(*path))
        common, half = common_events(stream, duration), duration / 2
        made: list[Record] = []
        for x in STRENGTHS:
            rule = strength_rule(x)
            course, spikes = learn(stream, rule, duration)
            late = spikes[spikes > half], common[common > half]
            share = common_share(*late, rule.tau_trace, half)
            margin = timing_margin(SLOW, ratio * SLOW, correlation, share, rule)
            point: Record = {"ratio": ratio, "correlation": correlation, "strength": x}
            found = {"share": share, "margin": margin, **selection(stream, course[-1])}
            made.append({**point, **found})
        return made

    return [partial(job, *point) for point in product(RATIOS[1:], CORRELATIONS, range(seeds))]


def grid_jobs(rules: dict[str, FatiguingSTDP], duration: float, seeds: int, seed: int) -> list[Job]:
    """Returns jobs for places x correlations x ratios of rates x jitters.

    Args:
        rules: learning rules by name.
        duration: length of the spike trains, seconds.
        seeds: number of spike trains per condition.
        seed: random seed of the spikes.
    """

    def job(place: int, condition: Condition, number: int) -> list[Record]:
        stream = make_stream(condition, duration, generator(seed, 4, place, number))
        point: Record = {
            name: value
            for name, value in condition._asdict().items()
            if name in ("place", "correlation", "ratio", "jitter")
        }
        return [
            {**point, "rule": name, **selection(stream, learn(stream, rule, duration)[0][-1])}
            for name, rule in rules.items()
        ]

    points = product(("slow", "fast", "both"), CORRELATIONS, RATIOS, JITTERS)
    return [
        partial(job, place, Condition(*point), number)  # type: ignore[arg-type]
        for (place, point), number in product(enumerate(points), range(seeds))
    ]


def memristive_jobs(
    rule: FatiguingSTDP, pairs: int, duration: float, seeds: int, seed: int
) -> list[Job]:
    """Returns jobs for a rule with phase-change synapses, of one pair of devices and of several.

    Args:
        rule: constants of one network.
        pairs: pairs of devices per weight.
        duration: length of the spike trains, seconds.
        seeds: number of spike trains per condition.
        seed: random seed of the spikes.
    """

    def job(correlation: float, number: int) -> list[Record]:
        random = generator(seed, 5, round(100 * correlation), number)
        stream = make_stream(Condition("slow", correlation), duration, random)
        ideal = selection(stream, learn(stream, rule, duration)[0][-1])["auc"]
        made: list[Record] = []
        for count in (1, pairs):
            synapses = PhaseChangeSynapses(pairs=count)
            state = initial_state(rule, 1, INPUTS, synapses)
            first = torch.full((1, INPUTS), rule.initial_weight, dtype=torch.float64)
            state = state._replace(synapses=synapses.write(first, 0.0, random))
            _, state = run_events(
                stream.events, state, rule, duration, synapses=synapses, generator=random
            )
            weight = synapses.read(state.synapses, duration, random)[0]
            point: Record = {"correlation": correlation, "pairs": count, "ideal": ideal}
            made.append({**point, **selection(stream, weight)})
        return made

    return [partial(job, *point) for point in product(CORRELATIONS, range(seeds))]


def agreement_jobs(rules: dict[str, FatiguingSTDP], duration: float, seed: int) -> list[Job]:
    """Returns jobs that simulate the same spike trains event by event and step by step.

    Args:
        rules: learning rules by name.
        duration: length of the spike trains, seconds.
        seed: random seed of the spikes.
    """

    def job(name: str, rule: FatiguingSTDP) -> list[Record]:
        events = make_stream(Condition("slow", 0.5), duration, generator(seed, 6)).events
        state = initial_state(rule, 1, INPUTS)
        spikes, one = run_events(events, state, rule, duration)
        raster = to_raster(events, INPUTS, DT, round(duration / DT))
        course, other = run_raster(raster, state, rule, DT)
        steps = course.spikes.nonzero()[:, 0].double() * DT
        same = len(steps) == len(spikes.times) and torch.allclose(steps, spikes.times)
        difference = (one.synapses.weight - other.synapses.weight).abs().max()
        return [{"rule": name, "same_spikes": int(same), "weight_difference": float(difference)}]

    return [partial(job, *item) for item in rules.items()]
