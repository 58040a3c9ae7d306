"""Top patches against a loop over all images and positions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.hebbian import BlockSpec, NetworkSpec, Pool, SoftHebbNet
from plastorch.hebbian.analysis.patches import top_patches
from plastorch.hebbian.networks import blocks_of

STRIDES, REACHES = (1, 2, 4), (2, 2 + 1 + 2, 2 + 1 + 2 + 2 + 4)  # pixels a step, pixels outside
SIDES = (5, 12, 26)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "pre_triangle"])
def net(request: pytest.FixtureRequest) -> SoftHebbNet:
    spec = BlockSpec(
        6, 5, padding=2, learning_rate=0.1, triangle_power=0.7, pool=Pool("max", 4, 2, 1)
    )
    deeper = replace(spec, kernel_size=3, padding=1, pool=Pool("avg", 4, 2, 1))
    last = replace(deeper, pool=Pool("avg", 2, 2), pre_triangle=request.param)
    random = torch.Generator().manual_seed(3)
    net = SoftHebbNet(NetworkSpec("small", (spec, deeper, last)), 3, 32, 4, generator=random)
    for block in blocks_of(net):
        block.norm.running_mean.normal_(0.3, 0.1, generator=random)
    return net.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    random = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (23, 3, 32, 32), dtype=torch.uint8, generator=random)


def responses(net: SoftHebbNet, images: Tensor, layer: int) -> Tensor:
    x = images.float() / 255
    *before, last = blocks_of(net)[:layer]
    with torch.no_grad():
        for block in before:
            x = block(x)
        return last.conv(last.norm(x))


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_top_patches_are_those_of_a_naive_loop(
    net: SoftHebbNet, images: Tensor, layer: int
) -> None:
    neurons, side, reach = [4, 1], SIDES[layer - 1], REACHES[layer - 1]
    found = top_patches(net, images, layer, neurons, count=7, batch_size=5)
    u = responses(net, images, layer)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (31, 31), (31, 31)), mode="reflect")
    for row, neuron in enumerate(neurons):
        best = sorted(
            ((float(u[i, neuron].max()), i, int(u[i, neuron].argmax())) for i in range(23)),
            reverse=True,
        )[:7]
        for rank, (response, image, place) in enumerate(best):
            assert float(found.responses[row, rank]) == pytest.approx(response, rel=1e-5)
            assert int(found.images[row, rank]) == image
            y, x = divmod(place, u.shape[3])
            top, left = (STRIDES[layer - 1] * p - reach for p in (y, x))
            box = [max(0, top), max(0, left), min(32, top + side), min(32, left + side)]
            assert found.boxes[row, rank].tolist() == box
            patch = padded[image, :, 31 + top : 31 + top + side, 31 + left : 31 + left + side]
            assert np.array_equal(found.patches[row, rank].numpy(), patch)
        assert len(set(found.images[row].tolist())) == 7


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_nothing_outside_the_box_matters(net: SoftHebbNet, images: Tensor, layer: int) -> None:
    found = top_patches(net, images, layer, [0, 2], count=4)
    for row, neuron in enumerate([0, 2]):
        for rank in range(4):
            top, left, bottom, right = found.boxes[row, rank].tolist()
            noise = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
            image = images[int(found.images[row, rank])]
            noise[0, :, top:bottom, left:right] = image[:, top:bottom, left:right]
            u = responses(net, noise, layer)[0, neuron]
            close = (u - found.responses[row, rank]).abs() < 1e-4
            assert close.any()


def test_batches_do_not_matter_and_few_images_are_all_shown(
    net: SoftHebbNet, images: Tensor
) -> None:
    one, many = (top_patches(net, images, 2, [3], 50, size) for size in (3, 100))
    assert one.images.shape == (1, 23)
    for first, second in zip(one, many, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": 4}, r"layer is 4; expected 1\.\.3"),
        ({"neurons": [6]}, r"neurons holds 6; expected 0\.\.5 in layer 1"),
        ({"count": 0}, "count is 0; expected more than 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"images": torch.rand(2, 3, 32, 32)}, r"images are torch.float32 \(2, 3, 32, 32\)"),
        ({"images": torch.zeros(3, 32, 32, dtype=torch.uint8)}, r"expected uint8 \[N, C, H, W\]"),
        ({"images": torch.zeros(0, 3, 32, 32, dtype=torch.uint8)}, "N > 0"),
        ({"images": torch.zeros(2, 1, 32, 32, dtype=torch.uint8)}, r"expected \(B, 3, 32, 32\)"),
    ],
)
def test_bad_input_is_named(
    net: SoftHebbNet, images: Tensor, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        top_patches(net, **{"images": images, "layer": 1, "neurons": [0], **change})
