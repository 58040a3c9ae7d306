"""Crop boxes and affine matrices: torchvision's pixels, points moved one by one, and identities."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as one

from plastorch.efference import (
    CIFAR,
    ImageActions,
    ImageViews,
    affine_matrices,
    compose,
    crop_boxes,
    crops,
    egocentric,
    invert,
    theta,
)
from plastorch.engine.errors import InputError


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain(actions: ImageActions) -> ImageActions:
    """The same crops and flips, by their poses."""
    return crops(theta(actions))


def test_crops_are_the_inverse_of_poses() -> None:
    actions = CIFAR.sample(100, random(0))
    found = plain(actions)
    for name in ("top", "left", "height", "width"):
        torch.testing.assert_close(getattr(found, name), getattr(actions, name), atol=1e-6, rtol=0)
    assert torch.equal(found.flip, actions.flip)
    torch.testing.assert_close(theta(found), theta(actions), atol=1e-6, rtol=0)


def test_boxes_in_whole_pixels_are_torchvisions_crops() -> None:
    images = torch.randint(0, 256, (6, 3, 20, 30), dtype=torch.uint8, generator=random(1))
    boxes = torch.tensor([[0, 0, 20, 30], [2, 3, 10, 9], [5, 20, 15, 10], [0, 0, 7, 7],
                          [13, 23, 7, 7], [1, 1, 18, 28]])  # fmt: skip
    scale = torch.tensor([20, 30, 20, 30])
    top, left, height, width = (boxes / scale).T
    actions = plain(CIFAR.sample(6, random(2)))._replace(
        top=top, left=left, height=height, width=width, flip=torch.zeros(6, dtype=torch.bool)
    )
    torch.testing.assert_close(crop_boxes(actions, 20, 30), boxes.float())
    views = ImageViews(40).apply(images, actions)
    for image, view, box in zip(images, views, boxes.tolist(), strict=True):
        theirs = one.resized_crop(image.float() / 255, *box, size=[40, 40], antialias=True)
        inside = (slice(None), slice(4, -4), slice(4, -4))  # theirs doesn't look beyond the box
        torch.testing.assert_close(view[inside], theirs[inside], atol=1e-4, rtol=0)


def test_affine_matrices_move_points_with_the_pixels() -> None:
    """A bright dot is found where the matrix says."""
    actions = ImageViews(64, scale=(0.3, 1.0)).sample(40, random(3))
    matrix = affine_matrices(actions, 50, 70, 64)
    down, across = torch.meshgrid(torch.arange(50.0), torch.arange(70.0), indexing="ij")
    images = torch.stack([across / 70, down / 50, 0 * down]).expand(40, -1, -1, -1).contiguous()
    views = ImageViews(64).apply(images, plain(actions))
    inside = torch.tensor([20.0, 40.0, 1.0])  # x, y in the view
    for i in range(40):
        x, y, _ = (torch.linalg.inv(matrix[i].double()) @ inside.double()).tolist()
        found = views[i, :2, 40, 20] * torch.tensor([70, 50])
        torch.testing.assert_close(found, torch.tensor([x, y]), atol=0.3, rtol=0)


def test_between_views_the_matrices_are_the_egocentric_copy() -> None:
    a, b = CIFAR.sample(30, random(4)), CIFAR.sample(30, random(5))
    first, second = (affine_matrices(of, 32, 32, 32).double() for of in (a, b))
    between = first @ torch.linalg.inv(second)  # from b's pixels to a's
    copy = egocentric(a, b).double()
    sign = torch.where(copy[:, 2] > 0, -1, 1)
    torch.testing.assert_close(between[:, 0, 0], sign * copy[:, 0].exp(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(between[:, 1, 1], copy[:, 1].exp(), atol=1e-4, rtol=1e-4)
    middle = (between @ torch.tensor([15.5, 15.5, 1.0]).double())[:, :2]
    shift = torch.stack([copy[:, 3], -copy[:, 4]], dim=1) * 16 + 15.5
    torch.testing.assert_close(middle, shift, atol=1e-3, rtol=1e-3)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_a_crop_of_a_crop_is_the_product_of_poses(seed: int) -> None:
    first, second = CIFAR.sample(3, random(seed)), CIFAR.sample(3, random(seed + 1))
    both = crops(theta(first) @ theta(second))
    torch.testing.assert_close(both.width, first.width * second.width)
    assert torch.equal(both.flip, first.flip ^ second.flip)
    step, back = egocentric(first, both), egocentric(both, first)
    torch.testing.assert_close(invert(step), back, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(compose(step, back), torch.zeros(3, 5), atol=1e-4, rtol=0)


def test_pixels_of_a_crop_of_a_crop() -> None:
    ramp = torch.linspace(0, 1, 60).expand(2, 3, 60, 60)
    images = (ramp + ramp.mT) / 2
    views = ImageViews(60, scale=(0.5, 1.0))
    first, second = (plain(views.sample(2, random(seed))) for seed in (6, 7))
    twice = views.apply(views.apply(images.contiguous(), first), second)
    once = views.apply(images.contiguous(), crops(theta(first) @ theta(second)))
    torch.testing.assert_close(once, twice, atol=0.01, rtol=0)


def test_kornias_warp_gives_the_same_views() -> None:
    geometry = pytest.importorskip("kornia.geometry")
    images = F.interpolate(torch.rand(8, 3, 6, 6, generator=random(8)), 48, mode="bicubic")
    images = images.clamp(0, 1)
    actions = plain(ImageViews(48, scale=(0.3, 1.0)).sample(8, random(9)))
    matrix = affine_matrices(actions, 48, 48, 48)
    theirs = geometry.warp_affine(images, matrix[:, :2], (48, 48), padding_mode="border")
    torch.testing.assert_close(ImageViews(48).apply(images, actions), theirs, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: crop_boxes(CIFAR.sample(2), 0, 8), "height is 0"),
        (lambda: affine_matrices(CIFAR.sample(2), 8, 8, 0), "size is 0"),
        (lambda: affine_matrices((1, 2), 8, 8, 8), "actions are a tuple; expected ImageActions"),
        (lambda: crops(torch.eye(3)), r"pose has shape \(3, 3\); expected \(B, 3, 3\)"),
        (lambda: crops(torch.ones(1, 3, 3)), "pose rotates or shears"),
        (lambda: crops(torch.full((1, 3, 3), float("nan"))), "pose rotates or shears"),
        (lambda: crops(torch.diag(torch.tensor([1.0, -1.0, 1.0]))[None]), "height of a crop is -1"),
        (lambda: crops(torch.diag(torch.tensor([0.0, 1.0, 1.0]))[None]), "width of a crop is 0"),
    ],
)
def test_bad_input(build: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build()


def test_the_way_back_is_no_crop_inside_the_image() -> None:
    back = crops(torch.linalg.inv(theta(CIFAR.sample(2, random(1)))))
    with pytest.raises(InputError, match=r"of a crop is .* and its end"):
        CIFAR.apply(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), back)
