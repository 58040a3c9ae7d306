"""Winograd's form of a convolution, against torch's in double precision."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from plastorch import SoftHebbConv2d
from plastorch.hebbian.winograd import Patches, convolve, transformed

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


@given(st.integers(1, 3), st.integers(1, 50), st.integers(1, 40), size, size)
def test_products_with_patches_equal_those_with_the_patches_as_rows(
    batch: int, channels: int, neurons: int, height: int, width: int
) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, height + 2, width + 2, generator=random)
    weight = torch.randn(neurons, 9 * channels, generator=random)
    post = torch.randn(batch * height * width, neurons, generator=random)
    rows = F.unfold(x, 3).unflatten(1, (channels, 9)).permute(0, 3, 2, 1).flatten(2).flatten(0, 1)
    patches = Patches(x)
    for found, expected in (
        (patches.responses(weight), rows.double() @ weight.double().T),
        (patches.sums(post), post.double().T @ rows.double()),
    ):
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize(("batch", "height", "width"), [(10, 8, 8), (20, 14, 11), (1, 4, 4)])
def test_a_layer_learns_the_same_as_in_double_precision(
    batch: int, height: int, width: int
) -> None:
    x = torch.randn(batch, 96, height, width, generator=torch.Generator().manual_seed(0))
    layer = SoftHebbConv2d(96, 128, 3, padding=1, inverse_temperature=0.3)
    exact = SoftHebbConv2d(96, 128, 3, padding=1, inverse_temperature=0.3, dtype=torch.float64)
    exact.load_state_dict(layer.state_dict())
    assert isinstance(layer._rows(layer._padded(x))[0], Patches) == (batch > 1)
    found, expected = layer.learn(x), exact.learn(x.double())
    for one, other in (
        (found.output, expected.output),
        (found.updates["weight"], expected.updates["weight"]),
    ):
        assert one.shape == other.shape and one.stride(1) == 1
        assert (one - other).abs().max() < 2e-5 * other.abs().max()


@pytest.mark.parametrize("side", [8, 14])
def test_is_as_accurate_as_single_precision_allows(side: int) -> None:
    x = torch.randn(4, 96, side + 2, side + 2).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(128, 96, 3, 3) / (9 * 96) ** 0.5, torch.randn(128)
    expected = F.conv2d(x.double(), weight.double(), bias.double())
    found = convolve(x, transformed(weight), bias)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert found.stride(1) == 1  # channels last
