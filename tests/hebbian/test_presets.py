"""Architectures of the paper's own code, against the layers that its description lists."""

from typing import Any

import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.presets import preset


def published(data: Any, depth: int, rule: Any) -> list[Any]:
    return list(preset(data, depth, rule=rule, architecture="published").blocks)


def kernels(blocks: list[Any]) -> list[tuple[int, int]]:
    return [(block.out_channels, block.kernel_size) for block in blocks]


LARGE = [(48, 7), (192, 5), (768, 3), (3072, 3)]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_random_networks_of_imagenette_are_a_family_of_their_own(depth: int) -> None:
    blocks = published("imagenette", depth, "random")
    assert kernels(blocks) == LARGE[:depth]
    for block in blocks:
        assert (block.triangle_power, block.initial_radius, block.rate_power) == (1.0, 2.0, 0.75)
        assert block.pool.kind == "max" and block.activation == "triangle"
    assert kernels(list(preset("imagenette", depth, rule="random").blocks)) != LARGE[:depth]


def test_random_networks_of_other_sets_are_those_of_softhebb() -> None:
    for data, depth in (("cifar10", 3), ("cifar100", 1), ("stl10", 4), ("imagenette", 5)):
        assert published(data, depth, "random") == published(data, depth, "soft")


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        *(("sampled", data) for data in ("cifar10", "cifar100", "stl10", "imagenette", "imagenet")),
        *((rule, "mnist") for rule in ("soft", "hard", "sampled", "random", "backprop")),
        ("random", "imagenet"),
        ("hard", "stl10"),
    ],
)
def test_what_the_papers_code_lacks_is_refused(rule: str, data: Any) -> None:
    words = f"architecture is 'published' for {rule} on {data}; expected 'matched'"
    with pytest.raises(InputError, match=words):
        published(data, 1, rule)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_backprop_on_stl10_has_the_channels_of_softhebb_and_larger_kernels(depth: int) -> None:
    blocks = published("stl10", depth, "backprop")
    assert kernels(blocks) == [(96, 7), (384, 5), (1536, 3), (6144, 3)][:depth]
    with torch.device("meta"):
        net = SoftHebbNet(preset("stl10", depth, rule="backprop", architecture="published"),
                          3, 96, 10)  # fmt: skip
    assert net.feature_shape[1:] == (96 // 2**depth,) * 2


@pytest.mark.parametrize("data", ["imagenette", "imagenet"])
def test_backprop_on_imagenet_has_triangle_at_one_and_five_layers(data: str) -> None:
    for depth in range(1, 6):
        blocks = published(data, depth, "backprop")
        activation = "triangle" if depth in (1, 5) else "relu"
        assert {(block.activation, block.triangle_power) for block in blocks} == {(activation, 1.0)}
        assert kernels(blocks) == [*LARGE, (12288, 1)][:depth]
    assert blocks[-1].groups == 768
