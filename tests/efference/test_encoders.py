"""Encoders: torchvision's networks with the same weights, shapes, costs and starting weights."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import resnet18, resnet50

from plastorch.efference.encoders import Encoder, resnet, small_resnet
from plastorch.engine.errors import InputError


@pytest.mark.parametrize(("depth", "reference"), [(18, resnet18), (50, resnet50)])
def test_with_torchvisions_weights_it_is_torchvisions_network(depth: Any, reference: Any) -> None:
    other, encoder = reference().eval(), resnet(depth, "imagenet").eval()
    weights = {f"trunk.{k}": v for k, v in other.state_dict().items() if not k.startswith("fc.")}
    encoder.load_state_dict(weights)
    other.fc = nn.Identity()
    images = torch.rand(2, 3, 33, 47)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), other(images), rtol=1e-4, atol=1e-4)
    assert encoder.features == other(images).shape[1]


@pytest.mark.parametrize(
    ("stem", "side", "left"), [("cifar", 32, 4), ("stl10", 96, 6), ("imagenet", 224, 7)]
)
def test_stems_suit_their_images(stem: Any, side: int, left: int) -> None:
    encoder = resnet(18, stem, channels=1, width=4).eval()
    found = encoder.feature_map(torch.rand(2, 1, side, side))
    assert found.shape == (2, 32, left, left) and encoder.features == 32


@given(width=st.integers(1, 5), stride=st.integers(1, 4), side=st.integers(9, 40))
def test_small_maps_are_as_large_as_the_strides_say(width: int, stride: int, side: int) -> None:
    encoder = small_resnet(width, channels=2, stride=stride).eval()
    found = encoder.feature_map(torch.rand(1, 2, side, 32))
    assert found.shape[1:3] == (4 * width, math.ceil(side / stride / 4))
    assert encoder.features == 4 * width


def test_features_are_the_mean_over_places() -> None:
    encoder, images = small_resnet(4).eval(), torch.rand(3, 3, 32, 32)
    maps = encoder.feature_map(images)
    expected = maps.sum(dim=(2, 3)) / (maps.shape[2] * maps.shape[3])
    torch.testing.assert_close(encoder(images), expected)


def test_what_the_small_network_costs() -> None:
    costs: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        costs.append(output[0].numel() * layer.weight[0].numel())

    encoder = small_resnet()
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    encoder(torch.rand(2, 3, 32, 32))
    assert sum(costs) == 12_279_808


def test_convolutions_start_with_the_fan_in() -> None:
    torch.manual_seed(0)
    encoder = resnet(50, width=16)
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            ratio = layer.weight.square().mean() * layer.weight[0].numel()
            # the mean of n squares of standard normal numbers has variance 2 / n
            assert abs(float(ratio.detach()) - 1) < 5 * (2 / layer.weight.numel()) ** 0.5
    lasts = [value for name, value in encoder.named_parameters() if name.endswith("bn3.weight")]
    assert len(lasts) == 16 and not any(bool(value.any()) for value in lasts)


def test_weights_are_kept_channels_last() -> None:
    encoder = small_resnet(8)
    for parameter in encoder.parameters():
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last)
    found = encoder.feature_map(torch.rand(2, 3, 32, 32))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_any_trunk_will_do() -> None:
    assert Encoder(nn.Conv2d(1, 6, 3), features=6)(torch.rand(2, 1, 64, 101)).shape == (2, 6)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: resnet(34), "depth is 34; expected one of 18, 50"),  # type: ignore[arg-type]
        (lambda: resnet(18, "mnist"), "stem is 'mnist'; expected one of cifar, stl10"),  # type: ignore[arg-type]
        (lambda: resnet(channels=0), "channels is 0"),
        (lambda: resnet(width=-1), "width is -1"),
        (lambda: small_resnet(0), "width is 0"),
        (lambda: small_resnet(stride=0), "stride is 0"),
    ],
)
def test_bad_arguments(build: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build()
