"""Accuracy at equal times, from readings at several thresholds."""

import pytest
import torch
from torch import nn

from plastorch.experiments.rank.reading import accuracy_by, validation
from plastorch.rank import Batch, RankCoder, Readings
from plastorch.rank.objectives import Objective


def test_accuracy_at_a_time_is_interpolated_between_thresholds() -> None:
    step = torch.tensor([[0, 0, 2, 2], [3, 3, 3, 3]])  # mean steps 1 and 3
    right = torch.tensor([[True, True, True, False], [True, True, True, True]])
    readings = Readings(
        thresholds=(0.5, 0.9),
        step=step,
        right=right,
        crossed=torch.ones(2, 4, dtype=torch.bool),
        lengths=torch.full((4,), 4),
        accuracy_at=torch.tensor([0.25, 0.5, 0.75, 1.0], dtype=torch.float64),
    )
    found = [accuracy_by(readings, time) for time in (0.0, 0.5, 1.0, 2.0, 9.0)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 0.875, 1.0])


@pytest.mark.parametrize("objective", ["last", "all"])
def test_words_are_read_at_their_own_last_steps(objective: Objective) -> None:
    torch.manual_seed(0)
    net = RankCoder(nn.GRU(2, 5), nn.Linear(5, 3))
    x, lengths = torch.randn(7, 4, 2), torch.tensor([1, 7, 3, 5])
    labels = torch.stack(
        [net.all_steps(x[:end, row : row + 1])[-1, 0].argmax() for row, end in enumerate(lengths)]
    )
    x[torch.arange(7)[:, None] >= lengths] = 99.0
    found = validation([Batch(x, labels, lengths)], objective)(net)
    assert found == {"validation_accuracy": 1.0, "validation_mean_step": 3.0}
