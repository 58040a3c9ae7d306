"""Spike trains with a correlated group, and how well a neuron's weights single it out."""

from typing import Literal, NamedTuple

import torch
from scipy.stats import rankdata
from torch import Tensor

from plastorch.spiking.encode import correlated
from plastorch.spiking.events import Events, gather, network_of

INPUTS, MEMBERS = 200, 40
DT = 1e-3
"""Time step, seconds: correlated inputs spike in the same step."""
SLOW = 10.0
"""Rate of slow inputs, Hz; fast inputs have a multiple of it."""
GRADED = (2.0, 80.0)
"""Range of graded rates, Hz, log-uniform."""
DEPTH = 0.8
"""Depth of the common modulation of distractors' rates."""
EVENT_SIZE = 5
"""Number of correlated inputs that spike at once in a common event."""

Place = Literal["slow", "fast", "both", "graded"]


class Condition(NamedTuple):
    """A condition under which spike trains are drawn."""

    place: Place
    """Correlated inputs: slow ones, fast ones, half of each, or of graded rates."""
    correlation: float
    """Correlation c, in [0, 1]."""
    ratio: float = 4.0
    """Rate of the fast half of the inputs relative to the slow half."""
    jitter: float = 0.0
    """Standard deviation of the time of a correlated spike, seconds."""
    frequency: float = 0.0
    """Frequency of the common modulation of distractors (fast, independent inputs), Hz; 0: none."""
    members: int = MEMBERS
    """Number of correlated inputs."""


class Trains(NamedTuple):
    """Spike trains of one network, and their properties."""

    events: Events
    rates: Tensor
    """Rates, Hz [N]."""
    members: Tensor
    """Correlated inputs, bool [N]."""
    distractors: Tensor
    """Inputs that share a modulation of their rates, bool [N]."""


def make_trains(condition: Condition, duration: float, generator: torch.Generator) -> Trains:
    """Draws spike trains of ``duration`` seconds; the generator is on the CPU."""
    number, half = torch.arange(INPUTS), INPUTS // 2
    rates = SLOW * torch.where(number < half, 1.0, condition.ratio)
    count = condition.members
    if condition.place == "graded":
        low, high = GRADED
        rates = low * (high / low) ** torch.rand(INPUTS, generator=generator)
        members = torch.randperm(INPUTS, generator=generator) < count
    elif condition.place == "both":
        members = number % half < count // 2
    else:
        members = (number >= half * (condition.place == "fast")) & (number % half < count)
        members &= (number >= half) == (condition.place == "fast")
    distractors = (number >= INPUTS - MEMBERS) & (condition.frequency > 0)
    events = correlated(
        rates * torch.where(distractors, 1 + DEPTH, 1.0),
        condition.correlation,
        members,
        duration,
        dt=DT,
        jitter=condition.jitter,
        generator=generator,
    )
    if condition.frequency > 0:
        events = modulated(events, distractors, condition.frequency, generator)
    return Trains(events, rates, members, distractors)


def modulated(
    events: Events, which: Tensor, frequency: float, generator: torch.Generator
) -> Events:
    """Removes spikes of some inputs, bool [N], of one network, so that their rates are (1 + 0.8
    sin) / 1.8 of their former values; the sine has a frequency in Hz and is the same for all."""
    wave = (1 + DEPTH * torch.sin(2 * torch.pi * frequency * events.times)) / (1 + DEPTH)
    kept = torch.rand(len(wave), generator=generator, dtype=wave.dtype) < torch.where(
        which[events.source], wave, 1.0
    )
    return gather(events.times[kept], events.source[kept], network_of(events)[kept], 1)


def common_events(trains: Trains, duration: float) -> Tensor:
    """Returns the times of steps in which many correlated inputs spike, seconds, float64 [C]."""
    own = trains.events.times[trains.members[trains.events.source]]
    steps = (own / DT + 0.5).long()
    counts = torch.bincount(steps, minlength=round(duration / DT))
    return (counts >= EVENT_SIZE).nonzero()[:, 0].double() * DT


def area_under_roc(scores: Tensor, positive: Tensor) -> float:
    """Returns the probability that a positive scores above a negative [N], ties counting half."""
    ranks = torch.from_numpy(rankdata(scores.numpy()))[positive]
    count, others = len(ranks), len(scores) - len(ranks)
    return float((ranks.sum() - count * (count + 1) / 2) / (count * others))


def selection(trains: Trains, weight: Tensor) -> dict[str, float]:
    """Returns how well weights [N] separate correlated inputs from others: areas under the ROC
    curve against all others, slow ones, fast ones and distractors, where there are any, and the
    difference of means in pooled standard deviations."""
    members, fast = trains.members, trains.rates > SLOW
    groups = {
        "auc": ~members,
        "auc_slow": ~members & ~fast,
        "auc_fast": ~members & fast,
        "auc_distractors": trains.distractors,
    }
    found = {
        name: area_under_roc(weight[members | others], members[members | others])
        for name, others in groups.items()
        if bool(others.any())
    }
    inside, outside = weight[members], weight[~members]
    pooled = ((inside.var() + outside.var()) / 2).sqrt()
    return found | {
        "separation": float((inside.mean() - outside.mean()) / pooled),
        "weight_members": float(inside.mean()),
        "weight_others": float(outside.mean()),
    }


def precision(spikes: Tensor, common: Tensor, window: float = 0.01) -> float:
    """Returns the share of output spikes [S] that follow a common event [C] within ``window``;
    times are in seconds, those of common events in order."""
    if not len(spikes) or not len(common):
        return 0.0
    before = torch.searchsorted(common, spikes, right=True) - 1
    lag = spikes - common[before.clamp(min=0)]
    return float(((before >= 0) & (lag <= window)).double().mean())
