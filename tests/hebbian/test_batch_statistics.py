"""Batch statistics, compared with torch's batch normalization."""

import pytest
import torch
from torch import nn

from plastorch.engine.errors import InputError
from plastorch.hebbian.batch_statistics import BatchStatistics


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_batch_statistics_are_torchs_batch_norm(layout: torch.memory_format) -> None:
    ours, torchs = BatchStatistics(3).double(), nn.BatchNorm2d(3, affine=False).double()
    for _ in range(3):
        x = (torch.randn(4, 3, 6, 5).double() * 3 + 1).contiguous(memory_format=layout)
        torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict())
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_batch_statistics_need_two_values() -> None:
    with pytest.raises(InputError, match="at least two"):
        BatchStatistics(3)(torch.zeros(1, 3, 1, 1))
    assert BatchStatistics(3)(torch.zeros(1, 3, 2, 1)).shape == (1, 3, 2, 1)
