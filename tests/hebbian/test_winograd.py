"""Winograd's form of a convolution, against torch's in double precision."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from plastorch.hebbian.winograd import convolve, transformed

size = st.integers(1, 13)


@given(st.integers(1, 3), size, size, size, size)
def test_equals_a_convolution_of_maps_of_any_size(
    batch: int, channels: int, neurons: int, height: int, width: int
) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, height + 2, width + 2, generator=random).double()
    weight = torch.randn(neurons, channels, 3, 3, generator=random).double()
    bias = torch.randn(neurons, generator=random).double()
    found = convolve(x, transformed(weight), bias)
    torch.testing.assert_close(found, F.conv2d(x, weight, bias), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("side", [8, 14])
def test_is_as_accurate_as_single_precision_allows(side: int) -> None:
    x = torch.randn(4, 96, side + 2, side + 2).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(128, 96, 3, 3) / (9 * 96) ** 0.5, torch.randn(128)
    expected = F.conv2d(x.double(), weight.double(), bias.double())
    found = convolve(x, transformed(weight), bias)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert found.stride(1) == 1  # channels last
