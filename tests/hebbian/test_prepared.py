"""Images of any size and channels become those that a network takes, or are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from plastorch.engine.errors import InputError
from plastorch.hebbian import SoftHebbNet
from plastorch.hebbian.prepared import handling


@pytest.fixture(scope="module")
def color() -> SoftHebbNet:
    return SoftHebbNet.from_preset("cifar10", 1, "quarter").eval()


@pytest.fixture(scope="module")
def gray() -> SoftHebbNet:
    return SoftHebbNet.from_preset("mnist", 1, "quarter").eval()


@pytest.mark.parametrize(("height", "width"), [(480, 300), (20, 20), (7, 64), (1, 1)])
def test_images_are_resized_as_pillow_does(color: SoftHebbNet, height: int, width: int) -> None:
    shape = (height, width, 3)
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = Image.fromarray(array).resize((32, 32), Image.Resampling.BILINEAR)
    (made,) = color.prepare([torch.from_numpy(array).permute(2, 0, 1)])
    off = (255 * made.permute(1, 2, 0) - torch.from_numpy(np.array(expected))).abs()
    assert made.dtype == torch.float32 and off.max() <= 1.01


def test_images_of_the_right_size_give_the_same_features(color: SoftHebbNet) -> None:
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    for same in (images, images / 255, [*images], (images / 255).double()):
        made = color.prepare(same)
        assert torch.equal(made, images / 255)
        assert torch.equal(color.features(made), color.features(images))


def test_gray_is_repeated_for_color_and_sizes_may_differ(color: SoftHebbNet) -> None:
    images = [torch.rand(1, 32, 32), torch.rand(3, 40, 50)]
    made = color.prepare(images)
    assert made.shape == (2, 3, 32, 32)
    assert all(torch.equal(channel, images[0][0]) for channel in made[0])


def test_cards_say_what_is_done() -> None:
    assert "32 x 32 pixels; gray is repeated" in handling(3, 32)
    assert "28 x 28 pixels; any other number of channels is refused" in handling(1, 28)


BAD: list[tuple[Any, str]] = [
    ([], "images are empty"),
    (torch.empty(0, 1, 28, 28), "images are empty"),
    (torch.zeros(28, 28), r"image 0 has shape \(28,\); expected \[C, H, W\]"),
    ([torch.zeros(1, 28, 28), torch.zeros(28, 28)], r"image 1 has shape \(28, 28\)"),
    ([torch.zeros(1, 0, 28)], r"image 0 has shape \(1, 0, 28\)"),
    ([torch.zeros(3, 28, 28)], "image 0 has 3 channels; expected 1$"),
    (
        [torch.zeros(1, 28, 28, dtype=torch.int64)],
        r"image 0 is torch\.int64; expected torch\.uint8",
    ),
    ([torch.full((1, 28, 28), 255.0)], "image 0 ranges from 255 to 255; expected uint8, or 0 to 1"),
    ([torch.full((1, 28, 28), -0.1)], r"image 0 ranges from -0\.1"),
    ([torch.full((1, 28, 28), torch.nan)], "image 0 ranges from nan"),
]


@pytest.mark.parametrize(("images", "words"), BAD)
def test_other_images_are_refused(gray: SoftHebbNet, images: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        gray.prepare(images)


def test_channels_that_a_color_network_refuses(color: SoftHebbNet) -> None:
    for channels in (2, 4):
        with pytest.raises(InputError, match=f"has {channels} channels; expected 3 or 1, gray"):
            color.prepare(torch.zeros(1, channels, 32, 32))
