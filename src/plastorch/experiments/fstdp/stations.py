"""Learning about stations from their rain, and the evaluation of what is learned."""

from typing import Any, NamedTuple

import torch
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.spiking.events import from_raster
from plastorch.spiking.fatigue.covariance import chance_level, connected, normalized_covariance
from plastorch.spiking.fatigue.events import run_events
from plastorch.spiking.fatigue.rule import IDEAL, FatiguingSTDP, initial_state
from plastorch.spiking.phase_change import PhaseChangeSynapses
from plastorch.spiking.synapses import Synapses

HOUR = 0.01
"""An hour in network time, seconds."""
SHARE = 0.25
"""Share of the stations that count as selected: those with the largest weights."""
SMALLEST = 10
"""Minimum number of stations in a cluster of the normalized covariances."""


def learn(
    rain: Tensor,
    rule: FatiguingSTDP,
    synapses: Synapses[Any] = IDEAL,
    random: torch.Generator | None = None,
) -> Tensor:
    """Returns the weights [S] that a neuron learns from rain as spikes, bool [hours, S]."""
    hours, stations = rain.shape
    state = initial_state(rule, 1, stations)
    if isinstance(synapses, PhaseChangeSynapses):
        state = state._replace(synapses=synapses.write(state.synapses.weight, 0.0, random))
    events = from_raster(rain[:, None], HOUR)
    _, state = run_events(events, state, rule, hours * HOUR, synapses=synapses, generator=random)
    return synapses.read(state.synapses, hours * HOUR, random)[0]


def selected(weight: Tensor, count: int) -> Tensor:
    """Returns the stations with the largest weights, bool [S]."""
    chosen = torch.zeros(len(weight), dtype=torch.bool)
    chosen[weight.argsort(descending=True, stable=True)[:count]] = True
    return chosen


def mean_distance(distances: Tensor, chosen: Tensor) -> float:
    """Returns the mean of distances, km [S, S], between chosen stations, bool [S] or indices."""
    inner = distances[chosen][:, chosen]
    return float(inner.sum() / (len(inner) * (len(inner) - 1)))


class Reference(NamedTuple):
    """Correct results, computed from the whole record, with which a neuron is compared."""

    covariance: Tensor
    """Normalized covariance [S, S]."""
    clusters: list[Tensor]
    """Stations connected by covariances beyond chance, each bool [S]."""

    @classmethod
    def of(cls, rain: Tensor, random: torch.Generator) -> "Reference":
        """Returns the reference for rain, bool [T, S]; ``random`` draws its chance level."""
        counts = rain.double()
        covariance = normalized_covariance(counts)
        # Above the 99th percentile, chance would link thousands of pairs, and connect all stations.
        label = connected(covariance > chance_level(counts, random, quantile=1.0))
        sizes = label.bincount()
        large = (sizes >= SMALLEST).nonzero()[:, 0]
        return cls(covariance, [label == number for number in large])

    @property
    def labels(self) -> Tensor:
        """Number of each station's cluster, int64 [S]; -1 for those in none."""
        labels = torch.full((len(self.covariance),), -1)
        for number, cluster in enumerate(self.clusters):
            labels[cluster] = number
        return labels


def judge(weight: Tensor, rain: Tensor, distances: Tensor, reference: Reference) -> Record:
    """Returns how close the selected stations are, and how they compare with the reference."""
    covariance, clusters = reference
    count, sums = round(SHARE * len(weight)), covariance.sum(dim=1)
    chosen = selected(weight, count)
    inner = covariance[chosen][:, chosen]
    return {
        "cluster": max((float(chosen[c].double().mean()) for c in clusters), default=0.0),
        "distance": mean_distance(distances, chosen),
        "covariance_inside": float(inner.sum() / (count * (count - 1))),
        "rank_with_covariance": rank_correlation(weight, sums),
        "rank_with_rain": rank_correlation(weight, rain.double().mean(dim=0)),
        "agreement": float(adjusted_rand_score(reference.labels.numpy(), chosen.numpy())),
    }


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Returns Spearman's correlation of two vectors; 0 if one is constant."""
    if bool((first == first[0]).all() | (second == second[0]).all()):
        return 0.0
    return float(spearmanr(first.numpy(), second.numpy()).statistic)
