"""Accuracy at equal times, from readings at several thresholds."""

import pytest
import torch

from plastorch.experiments.rank.reading import accuracy_by
from plastorch.rank import Readings


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
