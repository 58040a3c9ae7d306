"""Prices of answers and the choice of thresholds, against exhaustive search."""

from itertools import product

import numpy as np
import pytest

from plastorch.engine.errors import InputError
from plastorch.rank.thresholds import (
    answer_times,
    constant_threshold,
    costs,
    thresholds_per_step,
)


def outputs(series: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    sure = np.minimum(1.3 * random.random((series, steps)), 1.0).round(2)  # some are 1
    right = random.random((series, steps)) < sure
    return sure, right, random.integers(1, steps + 1, series)


def price(sure: np.ndarray, right: np.ndarray, lengths: np.ndarray, limits: object) -> float:
    """Mean price at α = 0.7, by a loop."""
    limits, total = np.broadcast_to(limits, sure.shape[1]), 0.0
    for row, end in enumerate(lengths):
        hits = [t for t in range(end) if sure[row, t] > limits[t]]
        step = hits[0] if hits else end - 1
        total += 0.7 * (not right[row, step]) + 0.3 * (step + 1) / end
    return total / len(lengths)


@pytest.mark.parametrize("seed", range(5))
def test_the_constant_threshold_is_the_best_of_all(seed: int) -> None:
    sure, right, lengths = outputs(12, 6, seed)
    found = constant_threshold(sure, right, lengths, 0.7)
    every = [price(sure, right, lengths, limit) for limit in [-1, *np.unique(sure)]]
    assert price(sure, right, lengths, found) == pytest.approx(min(every))
    time = answer_times(sure, found, lengths)
    mean = costs(right[np.arange(12), time - 1], time, lengths, 0.7).mean()
    assert mean == pytest.approx(min(every))


@pytest.mark.parametrize("seed", range(5))
def test_each_threshold_is_the_best_given_the_later_ones(seed: int) -> None:
    """For series that are read from its step on; all cuts between values are tried."""
    sure, right, lengths = outputs(12, 6, seed)
    found = thresholds_per_step(sure, right, lengths, 0.7)
    for step in range(5):
        live = lengths > step
        part = sure.copy()
        part[:, :step] = 0.0

        def at(limit: float, part: np.ndarray = part, step: int = step) -> float:
            limits = np.concatenate([np.ones(step), [limit], found[step + 1 :]])
            return price(part[live], right[live], lengths[live], limits)  # noqa: B023

        assert at(found[step]) == pytest.approx(min(map(at, [-1, *sure[:, step], 1.0])))


def test_thresholds_per_step_are_the_best_of_two_steps() -> None:
    """With two steps there is one threshold to choose; all of them are tried."""
    for seed in range(5):
        sure, right, lengths = outputs(8, 2, seed)
        found = price(sure, right, lengths, thresholds_per_step(sure, right, lengths, 0.7))
        every = [
            price(sure, right, lengths, pair)
            for pair in product([-1, *np.unique(sure[:, 0])], [1.0])
        ]
        assert found == pytest.approx(min(every))


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, float("nan")])
def test_prices_out_of_range(alpha: float) -> None:
    with pytest.raises(InputError, match="alpha is"):
        costs(np.array([True]), np.array([1]), np.array([1]), alpha)
