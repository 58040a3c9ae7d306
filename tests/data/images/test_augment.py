import itertools
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torch.nn import functional
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from plastorch.data import crop_and_flip, jittered, resized_crop_and_flip
from plastorch.data.images import augment
from plastorch.data.images.augment import shifted
from plastorch.engine.errors import InputError


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30)
@given(
    count=st.integers(0, 5),
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    padding=st.integers(0, 2),
    seed=st.integers(0, 2**31),
    bytes_in=st.booleans(),
)
def test_crops_equal_a_naive_loop(count, height, width, padding, seed, bytes_in):
    images = torch.randint(0, 256, (count, 3, height, width), generator=_seeded(seed + 1))
    images = images.to(torch.uint8) if bytes_in else images / 255
    ours = crop_and_flip(images, padding, _seeded(seed))
    top, left, flip = augment._draw_crops(count, padding, _seeded(seed))
    assert ours.dtype == torch.float32 and ours.shape == images.shape
    for i in range(count):
        padded = functional.pad(images[i : i + 1].float(), (padding,) * 4, mode="reflect")[0]
        crop = padded[:, top[i] : top[i] + height, left[i] : left[i] + width]
        assert torch.equal(ours[i], crop.flip(2) if flip[i] else crop)


@settings(max_examples=30)
@given(
    count=st.integers(1, 5),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    most=st.integers(0, 7),
    fill=st.integers(0, 255),
    seed=st.integers(0, 2**31),
)
def test_shifts_equal_a_naive_loop(count, height, width, most, fill, seed):
    images = torch.randint(0, 256, (count, 2, height, width), generator=_seeded(seed + 1))
    images = images.to(torch.uint8)
    ours = shifted(images, most, fill, _seeded(seed))
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1), generator=_seeded(seed))
    assert ours.dtype == torch.uint8 and ours.shape == images.shape
    for i in range(count):
        padded = functional.pad(images[i], (most,) * 4, value=fill)
        top, left = int(down[i]), int(right[i])
        assert torch.equal(ours[i], padded[:, top : top + height, left : left + width])


def test_shifts_refuse_a_negative_bound():
    with pytest.raises(InputError, match="most: -1 found"):
        shifted(torch.zeros(1, 1, 2, 2), -1)


def _sampled(image, y, x):
    """The value of an image [C, H, W] between its pixels; 0 outside."""
    _, height, width = image.shape
    total = torch.zeros(len(image))
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * image[:, row, column]
    return total


def _cubic(distance):
    """Keys' kernel with a = -0.75."""
    if distance <= 1:
        return 1.25 * distance**3 - 2.25 * distance**2 + 1
    return -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)


def _between(points, row, column, height, width):
    """The value at a pixel of points [5, 5] that are spread over an image from edge to edge."""
    y, x = (4 * at / max(1, side - 1) for at, side in ((row, height), (column, width)))
    total = 0.0
    for i in range(math.floor(y) - 1, math.floor(y) + 3):
        for j in range(math.floor(x) - 1, math.floor(x) + 3):
            value = float(points[min(4, max(0, i)), min(4, max(0, j))])
            total += _cubic(abs(y - i)) * _cubic(abs(x - j)) * value
    return total


@settings(max_examples=30)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    degrees=st.floats(0, 179),
    scale=st.floats(0, 0.9),
    shift=st.floats(0, 3),
    bend=st.sampled_from([0.0, 0.5, 2.0]),
    seed=st.integers(0, 2**31),
)
def test_jittered_images_equal_a_naive_loop(height, width, degrees, scale, shift, bend, seed):
    images = torch.rand(2, 2, height, width, generator=_seeded(seed + 1))
    ours = jittered(images, degrees, scale, shift, bend, _seeded(seed))
    random = _seeded(seed)
    draws = (2 * torch.rand(4, 2, generator=random) - 1).double()
    points = 2 * bend * torch.rand(2, 2, 5, 5, generator=random) - bend
    middle = (height - 1) / 2, (width - 1) / 2
    for image, made, (turn, size, right, down), (along, across) in zip(
        images, ours, draws.T.tolist(), points, strict=True
    ):
        angle, size = math.radians(degrees) * turn, 1 + scale * size
        for row, column in itertools.product(range(height), range(width)):
            y, x = row - middle[0], column - middle[1]
            from_y = size * (math.cos(angle) * y + math.sin(angle) * x) + shift * down + middle[0]
            from_x = size * (math.cos(angle) * x - math.sin(angle) * y) + shift * right + middle[1]
            from_y += _between(across, row, column, height, width)
            from_x += _between(along, row, column, height, width)
            expected = _sampled(image, from_y, from_x)
            torch.testing.assert_close(made[:, row, column], expected, atol=1e-4, rtol=0)


def test_jitter_is_bounded_and_keeps_the_type():
    images = torch.randint(0, 256, (50, 1, 9, 9), dtype=torch.uint8)
    assert torch.equal(jittered(images, 0, 0, 0), images)
    point = torch.zeros(500, 1, 15, 15)
    point[:, :, 7, 7] = 1
    seen = jittered(point, 12, 0.1, 1.5, generator=_seeded(3)).amax(0)[0] > 0
    assert int(seen.nonzero().min()) >= 4 and int(seen.nonzero().max()) <= 10
    assert jittered(images).dtype == torch.uint8 and jittered(images.float()).dtype == torch.float


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"degrees": -1.0}, "degrees: -1.0 found; expected at least 0 and below 180"),
        ({"degrees": 180.0}, "degrees: 180.0 found"),
        ({"scale": 1.0}, "scale: 1.0 found; expected at least 0 and below 1"),
        ({"shift": -0.5}, "shift: -0.5 found; expected at least 0"),
        ({"shift": float("nan")}, "shift: nan found"),
        ({"bend": -1.0}, "bend: -1.0 found; expected at least 0"),
        ({"bend": float("inf")}, "bend: inf found"),
    ],
)
def test_wrong_bounds_of_jitter_are_named(given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        jittered(torch.zeros(1, 1, 4, 4), **given)
    with pytest.raises(InputError, match="images: shape"):
        jittered(torch.zeros(28, 28))


def test_crop_positions_and_flips_are_uniform():
    top, left, flip = augment._draw_crops(9000, 4, _seeded(0))
    assert flip.float().mean() == pytest.approx(0.5, abs=0.02)
    for offset in (top, left):
        assert torch.bincount(offset, minlength=9).tolist() == pytest.approx([1000] * 9, rel=0.12)


def test_crop_works_on_a_transposed_view():
    images = torch.randint(0, 256, (2, 3, 8, 6), dtype=torch.uint8)
    view = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(crop_and_flip(view, 2, _seeded(5)), crop_and_flip(images, 2, _seeded(5)))


def _sure_flips(monkeypatch, flipped: bool) -> None:
    monkeypatch.setattr(augment, "_draw_flips", lambda n, g: torch.full((n,), flipped))


@pytest.mark.parametrize("flipped", [False, True])
def test_the_whole_image_comes_back(monkeypatch, flipped):
    _sure_flips(monkeypatch, flipped)
    images = torch.randint(0, 256, (3, 3, 20, 20), dtype=torch.uint8)
    expected = (images.flip(3) if flipped else images).float()
    ours = resized_crop_and_flip(images, 20, scale=(1, 1), ratio=(1, 1), generator=_seeded(0))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, expected, atol=2e-3, rtol=0)


def test_boxes_sample_as_torchvision_crops(monkeypatch):
    """Away from the box's edge, where torchvision can't see the pixels beyond it."""
    _sure_flips(monkeypatch, False)
    boxes = torch.tensor([[4, 6, 10, 8], [0, 0, 20, 20], [9, 2, 7, 17]])  # left, top, width, height
    monkeypatch.setattr(augment, "_draw_boxes", lambda *a: boxes / 20)
    images = torch.rand(3, 2, 20, 20)
    ours = resized_crop_and_flip(images, 40)
    for i, (left, top, width, height) in enumerate(boxes.tolist()):
        theirs = resized_crop(images[i], top, left, height, width, [40, 40], antialias=False)
        inner = (slice(None), slice(4, -4), slice(4, -4))
        torch.testing.assert_close(ours[i][inner], theirs[inner], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("width", "height"), [(4000, 3000), (1000, 2500), (9000, 1000)])
def test_boxes_are_distributed_as_torchvision_draws_them(width, height):
    """In a squashed square, on the original's scale; the last shape often takes the center."""
    scale, ratio, count = (0.08, 1.0), (3 / 4, 4 / 3), 2000
    torch.manual_seed(0)
    canvas = torch.empty(1, height, width, dtype=torch.uint8)
    drawn = [RandomResizedCrop.get_params(canvas, scale, ratio) for _ in range(count)]
    top, left, down, across = np.array(drawn).T
    theirs = np.stack([left / width, top / height, across / width, down / height])
    aspect = torch.full((count,), width / height)
    ours = augment._draw_boxes(aspect, scale, ratio, _seeded(1)).double().numpy().T
    # rounded so that torchvision's whole pixels and ours tie in the same places
    for mine, yours in zip(ours.round(3), theirs.round(3), strict=True):
        assert ks_2samp(mine, yours).pvalue > 1e-3
    areas = [(boxes[2] * boxes[3]).round(3) for boxes in (ours, theirs)]
    assert ks_2samp(*areas).pvalue > 1e-3


@given(aspect=st.floats(0.05, 20), seed=st.integers(0, 2**31))
def test_boxes_lie_inside_and_keep_their_bounds(aspect, seed):
    left, top, across, down = augment._draw_boxes(
        torch.full((50,), aspect), (0.08, 1), (3 / 4, 4 / 3), _seeded(seed)
    ).T
    assert (left >= 0).all() and (top >= 0).all()
    assert (left + across <= 1 + 1e-5).all() and (top + down <= 1 + 1e-5).all()
    shape = across * aspect / down
    assert (shape > 0.7499).all() and (shape < 1.3334).all()


def test_images_that_are_not_squashed_have_their_own_aspect():
    tall = torch.rand(4, 1, 30, 10)
    given = resized_crop_and_flip(tall, 8, torch.full((4,), 1 / 3), generator=_seeded(2))
    assert torch.equal(resized_crop_and_flip(tall, 8, generator=_seeded(2)), given)


def test_a_seed_means_the_same_crops():
    images = torch.rand(4, 3, 12, 12)
    for function in (
        lambda seed: crop_and_flip(images, 3, _seeded(seed)),
        lambda seed: resized_crop_and_flip(images, 9, generator=_seeded(seed)),
    ):
        assert torch.equal(function(1), function(1))
        assert not torch.equal(function(1), function(2))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: crop_and_flip(x[0]),
        lambda x: crop_and_flip(x, 8),
        lambda x: crop_and_flip(x, -1),
        lambda x: resized_crop_and_flip(x[0], 8),
        lambda x: resized_crop_and_flip(x, 0),
        lambda x: resized_crop_and_flip(x, 8, torch.ones(3)),
        lambda x: resized_crop_and_flip(x, 8, torch.tensor([1.0, 0.0])),
        lambda x: resized_crop_and_flip(x, 8, scale=(0, 1)),
        lambda x: resized_crop_and_flip(x, 8, scale=(0.5, 1.5)),
        lambda x: resized_crop_and_flip(x, 8, ratio=(2, 1)),
    ],
)
def test_bad_input(call):
    with pytest.raises(InputError):
        call(torch.rand(2, 3, 8, 8))
