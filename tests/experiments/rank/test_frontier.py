"""The best rules to stop: never worse than a threshold, and right where the answer is known."""

import numpy as np
import pytest
import torch

from plastorch.data.tasks.evidence import noisy_signals
from plastorch.experiments.rank.frontier import (
    COSTS,
    Evidence,
    best_frontier,
    evidence,
    excess,
    sampling_error,
    stop,
    stopping_rules,
)
from plastorch.rank import first_crossing


def signals(count: int, seed: int) -> tuple[Evidence, torch.Tensor]:
    data = noisy_signals(count, torch.Generator().manual_seed(seed))
    return evidence(data), data.labels


def test_power_of_the_signal_so_far() -> None:
    data = noisy_signals(3, torch.Generator().manual_seed(0))
    seen = evidence(data)
    expected = [float((data.x[:t, 1, 0].double() ** 2).mean()) for t in (1, 17, 40)]
    assert seen.power[[0, 16, 39], 1].tolist() == pytest.approx(expected)
    parts = evidence(data, part=2)
    torch.testing.assert_close(parts.log_odds, seen.log_odds)


def test_free_time_is_all_used_and_dear_time_is_not() -> None:
    seen, _ = signals(1000, 0)
    dear, paid_for = stop(seen, stopping_rules(seen, [1.0, -0.1]))
    assert (dear == 0).all() and (paid_for == 39).all()


def test_dearer_time_makes_answers_earlier_and_worse() -> None:
    """And rules are better than thresholds that take as long."""
    learn, _ = signals(5000, 1)
    test, labels = signals(10_000, 2)
    frontier = best_frontier(learn, test, labels)
    assert len(frontier) == len(COSTS) + 2
    assert (np.diff(frontier[:, 0]) > 0).all() and (np.diff(frontier[:, 1]) > -0.005).all()
    assert frontier[0, 0] == 0 and frontier[-1, 0] == 39
    points = []
    for threshold in (0.6, 0.65, 0.7, 0.85, 0.9, 0.95):
        step, _ = first_crossing(test.log_odds[..., None], threshold)
        right = (test.log_odds[step, torch.arange(10_000)] > 0).long() == labels
        points.append((float(step.double().mean()), float(right.double().mean())))
    assert -0.015 < excess(np.array(points), frontier) < 0.003


def test_error_of_a_share_of_right_answers() -> None:
    assert sampling_error(0.5, 100) == pytest.approx(0.05)


def test_backward_induction_finds_the_known_rule() -> None:
    """All there is to know comes at step 1, in half of the sequences, as their power tells."""
    count, steps = 1000, 6
    good = torch.arange(count) % 2 == 0
    odds = torch.full((steps, count), 1.0, dtype=torch.float64)
    odds[1:, good] = 4.0
    power = torch.where(good, 1.0, 0.02).double().expand(steps, count)
    seen = Evidence(odds, power)
    (found,) = stop(seen, stopping_rules(seen, [0.01]))
    assert (found[good] == 1).all() and (found[~good] == 0).all()
