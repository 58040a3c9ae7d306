"""Past records of a model, kept so that it can learn new classes without forgetting old ones.

A model keeps a sample of the spike patterns that it learned from, and of those that calibrate its
confidence, with their classes: hashes of a record's values, not the values. When it learns new
records, it learns the old ones again beside them: Robins, *Catastrophic forgetting, rehearsal and
pseudorehearsal*, Connection Science 7, 1995.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from plastorch.spiking.patterns.network import PatternNetwork

LEARNED, HELD = 2000, 1000
"""Largest numbers of patterns kept of those learned from, and of those that calibrate."""
PER_CLASS = 10
"""Number of patterns of each class that are always kept, if there are as many."""
OFTEN = 20
"""Largest number of times that a new record is shown for each time that an old one is."""


class Kept(NamedTuple):
    """Kept records."""

    bins: NDArray[np.uint8]
    """Spike patterns [R, N]."""
    codes: NDArray[np.int64]
    """Index of each record's class [R]."""
    held: NDArray[np.bool_]
    """Whether a record only calibrates, and is never learned from [R]."""

    def sample(self, seed: int) -> "Kept":
        """Returns a random part of the records, as large as a model keeps."""
        random = np.random.default_rng(seed)
        places = [
            _some(np.flatnonzero(self.held == held), self.codes, most, random)
            for held, most in ((False, LEARNED), (True, HELD))
        ]
        return self.take(np.concatenate(places))

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> "Kept":
        """Returns some of the records."""
        return Kept(self.bins[places], self.codes[places], self.held[places])

    def and_also(self, other: "Kept") -> "Kept":
        """Returns these records and others."""
        return Kept(
            np.concatenate([self.bins, other.bins]),
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.held, other.held]),
        )


def nothing(neurons: int) -> Kept:
    """Returns no records."""
    return Kept(np.empty((0, neurons), np.uint8), np.empty(0, np.int64), np.empty(0, bool))


def shown(old: Kept, new: Kept) -> Kept:
    """Returns what to learn from: old records, and new ones repeated.

    Those of a class are repeated until they are as many as an old class has on average.
    """
    size = len(old.codes) / max(1, len(np.unique(old.codes)))
    counts = np.bincount(new.codes)[new.codes]
    times = np.clip(size // counts, 1, OFTEN).astype(np.int64)
    return old.and_also(new.take(np.repeat(np.arange(len(times)), times)))


@torch.no_grad()
def grown(
    network: PatternNetwork, places: NDArray[np.int64], classes: int, generator: torch.Generator
) -> PatternNetwork:
    """Returns a copy of a network with more output neurons: class i is now class ``places[i]``."""
    copied = PatternNetwork(
        network.in_features,
        network.hidden_size,
        classes,
        population=network.population,
        ensemble=network.ensemble,
        neuron=network.neuron,
        generator=generator,
    )
    population = network.population
    first = population * torch.from_numpy(places)[:, None]
    where = (first + torch.arange(population)).flatten()
    copied.hidden_weight.copy_(network.hidden_weight)
    copied.hidden_bias.copy_(network.hidden_bias)
    copied.output_weight[where] = network.output_weight
    copied.output_bias[where] = network.output_bias
    return copied


def _some(
    places: NDArray[np.int64], codes: NDArray[np.int64], most: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Returns ``most`` places at random, and a few more of classes of which it has few."""
    order = random.permutation(places)
    by_class = order[np.argsort(codes[order], kind="stable")]
    sorted_codes = codes[by_class]
    rank = np.arange(len(by_class)) - np.searchsorted(sorted_codes, sorted_codes)
    return np.union1d(order[:most], by_class[rank < PER_CLASS])
