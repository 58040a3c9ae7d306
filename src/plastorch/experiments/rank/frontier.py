"""The best that any observer of a noisy signal can do: accuracy against time."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.data.tasks.evidence import Signals, signal_log_odds

COSTS = (0.12, 0.08, 0.055, 0.038, 0.025, 0.014, 0.008, 0.005, 0.003, 0.002, 0.001, 0.0003)
"""Costs of a time step in probability of a right answer, the highest first."""
DEGREE = 3
"""Degree of the polynomials that predict the value of going on."""


class Evidence(NamedTuple):
    """Evidence that an observer has about signals at each step."""

    log_odds: Tensor
    """ln P(positive) / P(negative), double [T, N]."""
    power: Tensor
    """Mean square of the signal so far, an estimate of σ, double [T, N]."""

    @property
    def confidence(self) -> Tensor:
        """Returns the probability that the likelier answer is right [T, N]."""
        return self.log_odds.abs().sigmoid()


def evidence(signals: Signals, part: int = 2000) -> Evidence:
    """Returns the evidence of an ideal observer of signals, computed in parts."""
    odds = torch.cat([signal_log_odds(x) for x in torch.split(signals.x, part, dim=1)], dim=1)
    squares = signals.x[..., 0].double().square().cumsum(dim=0)
    return Evidence(odds[..., 0], squares / torch.arange(1, len(squares) + 1)[:, None])


def stopping_rules(seen: Evidence, costs: Sequence[float]) -> list[Tensor]:
    """Returns the weights [13, C] of the best rules to stop at each step but the last, for C costs.

    A cost is of a step, in probability of a right answer. The gain from going on at a step is a
    function of the evidence: least squares over sequences find it from the gains of later steps,
    the last step first (Longstaff and Schwartz 2001). No single threshold is as good: waiting pays
    less where noise is strong, and near the end.
    """
    cost = torch.tensor(costs, dtype=torch.float64)
    worth, rules = seen.confidence[-1][:, None].expand(-1, len(cost)), []
    for step in range(len(seen.log_odds) - 2, -1, -1):
        features, now = _features(seen, step), seen.confidence[step][:, None]
        later = worth - cost
        weights = torch.linalg.lstsq(features, later).solution
        rules.append(weights)
        worth = torch.where(now >= features @ weights, now, later)
    return rules[::-1]


def stop(seen: Evidence, rules: list[Tensor]) -> Tensor:
    """Returns the steps at which rules answer, int64 [C, N]."""
    answers = [
        seen.confidence[step][:, None] >= _features(seen, step) @ weights
        for step, weights in enumerate(rules)
    ]
    return torch.stack([*answers, torch.ones_like(answers[0])]).int().argmax(dim=0).mT


def best_frontier(learn: Evidence, test: Evidence, labels: Tensor) -> NDArray[np.float64]:
    """Returns mean step from 0 and test accuracy of the best rules for several costs [C + 2, 2].

    The earliest comes first; at the ends, the first and the last step are read.
    """
    right = (test.log_odds > 0).long() == labels
    ends = torch.tensor([[0], [len(right) - 1]]).expand(-1, len(labels))
    rules = stop(test, stopping_rules(learn, COSTS))
    steps = torch.cat([ends[:1], rules, ends[1:]])
    accuracy = right[steps, torch.arange(len(labels))].double().mean(dim=1)
    found: NDArray[np.float64] = torch.stack([steps.double().mean(dim=1), accuracy], dim=1).numpy()
    return found


def excess(points: NDArray[np.float64], frontier: NDArray[np.float64]) -> float:
    """Returns by how much the most accurate of some points is above a frontier of the same form."""
    limit = np.interp(points[:, 0], frontier[:, 0], frontier[:, 1])
    return float((points[:, 1] - limit).max())


def sampling_error(accuracy: float, count: int) -> float:
    """Returns the standard error of a share of right answers."""
    return math.sqrt(accuracy * (1 - accuracy) / count)


def _features(seen: Evidence, step: int) -> Tensor:
    """Returns polynomials of the odds and of the noise, and the confidence [N, 13]."""
    odds = seen.log_odds[step].abs().clamp(max=8) / 4
    noise, sure = seen.power[step].log() + 4, seen.confidence[step]
    degrees = range(DEGREE + 1)
    powers = [odds**i * noise**j for i in degrees for j in range(DEGREE + 1 - i)]
    return torch.stack([*powers, sure, sure * noise, sure.square()], dim=-1)
