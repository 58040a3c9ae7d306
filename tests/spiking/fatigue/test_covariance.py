"""Normalized covariances and clusters: naive loops, the generator's theory, and bad input."""

from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.spiking.encode import correlated
from plastorch.spiking.events import Events, from_raster
from plastorch.spiking.fatigue.covariance import (
    chance_level,
    connected,
    normalized_covariance,
    spike_counts,
)


def test_counts_are_those_of_a_histogram() -> None:
    generator = torch.Generator().manual_seed(0)
    times = torch.rand(500, generator=generator, dtype=torch.float64).sort().values * 3
    source = torch.randint(4, (500,), generator=generator)
    counts = spike_counts(Events(times, source, torch.tensor([0, 500])), 4, 0.25, 2.6)
    edges = np.arange(11) * 0.25
    expected = [np.histogram(times[source == i].numpy(), edges)[0] for i in range(4)]
    np.testing.assert_array_equal(counts.numpy(), np.array(expected).T)


def test_matrix_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.7, (50, 5)).astype(float)
    counts[:, 3] = 0
    found = normalized_covariance(torch.from_numpy(counts)).numpy()
    for i in range(5):
        for j in range(5):
            x, y = counts[:, i], counts[:, j]
            expected = (np.mean(x * y) - x.mean() * y.mean()) / (x.mean() * y.mean() or np.inf)
            assert found[i, j] == pytest.approx(0 if i == j else expected, abs=1e-12)


@pytest.mark.parametrize("correlation", [0.1, 0.8])
def test_correlated_processes_have_what_their_rates_and_correlation_say(correlation: float) -> None:
    """c (1 / max(p_i, p_j) - 1) in bins of one time step: it falls with the faster rate only."""
    rates = torch.tensor([10.0, 20.0, 40.0, 40.0, 30.0])
    members, duration, runs = torch.tensor([True, True, True, True, False]), 400.0, []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        events = correlated(rates, correlation, members, duration, generator=generator)
        runs.append(normalized_covariance(spike_counts(events, 5, 1e-3, duration)))
    found = torch.stack(runs)
    p = (rates * 1e-3).double()
    for i in range(5):
        for j in range(i):
            both = bool(members[i] & members[j])
            expected = correlation * (1 / max(p[i], p[j]) - 1) if both else 0.0
            error = 6 * float(found[:, i, j].std()) / sqrt(4) + 0.3
            assert float(found[:, i, j].mean()) == pytest.approx(float(expected), abs=error)


def test_chance_level_leaves_the_share_of_independent_pairs_that_it_should() -> None:
    random = torch.Generator().manual_seed(0)
    counts = (torch.rand(2000, 60, generator=random) < 0.05).double()
    level = chance_level(counts, random, quantile=0.95)
    pairs = normalized_covariance(counts)[tuple(torch.triu_indices(60, 60, 1))]
    assert 0.02 < float((pairs > level).double().mean()) < 0.08
    together = counts.clone()
    together[:, 1] = together[:, 0]
    assert float(normalized_covariance(together)[0, 1]) > chance_level(together, random, 1.0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_clusters_are_those_of_a_walk(links: list[tuple[int, int]]) -> None:
    linked = torch.zeros(10, 10, dtype=torch.bool)
    for i, j in links:
        linked[i, j] = linked[j, i] = True
    label = connected(linked).tolist()
    for start in range(10):
        reached, ahead = {start}, [start]
        while ahead:
            here = ahead.pop()
            new = [j for j in range(10) if linked[here, j] and j not in reached]
            reached.update(new)
            ahead += new
        assert reached == {j for j in range(10) if label[j] == label[start]}
    sizes = [label.count(number) for number in range(max(label) + 1)]
    assert sizes == sorted(sizes, reverse=True)


def test_bad_input() -> None:
    events = from_raster(torch.ones(4, 2, 3), 0.1)
    with pytest.raises(InputError, match="events are of 2 networks; expected 1"):
        spike_counts(events, 3, 0.1, 1.0)
    with pytest.raises(InputError, match="width is 0"):
        spike_counts(events, 3, 0, 1.0)
    with pytest.raises(InputError, match="source goes from 0 to 2"):
        spike_counts(from_raster(torch.ones(4, 1, 3), 0.1), 2, 0.1, 1.0)
