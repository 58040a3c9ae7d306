"""Streams of digits: against a naive frame, pixel by pixel, and the statistics of the process."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from plastorch.data.tasks.streams import (
    TRANSFORMS,
    Transforms,
    _viewed,
    film,
    ornstein_uhlenbeck,
    presentations,
)
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream

LIMIT = 4.5
"""Standard errors."""


def frames_of(images: Tensor, order: Tensor, transforms: Transforms, seed: int = 0) -> Tensor:
    """All presentations [P, T, S, H, W]."""
    return torch.stack(list(film(images, order, transforms, stream(seed))))


def test_each_digit_is_shown_once() -> None:
    order = presentations(23, 4, stream(0))
    assert order.shape == (5, 4) and len(order.unique()) == 20
    assert not torch.equal(order, presentations(23, 4, stream(1)))


def test_a_bar_covers_pixel_by_pixel() -> None:
    """A black digit, no noise: what is seen is the texture times the share that is covered."""
    side, transforms = 6, Transforms(occlusion=0.7, noise=0.0)
    black = torch.zeros(40, side, side)
    shown = frames_of(black, torch.arange(40).view(2, 20), transforms)
    seen_sides = set()
    for presentation in shown.transpose(1, 2).flatten(0, 1).numpy():
        texture = presentation[15:17].max(0)  # the bar at its largest
        found = []
        for turned in range(4):
            expected = np.zeros((32, side, side))
            for t in range(32):
                edge = 0.7 * side * math.sin(math.pi * t / 31)
                for column in range(side):
                    expected[t, :, column] = min(max(edge - column, 0), 1)
            expected = np.rot90(expected, turned, axes=(1, 2))
            whole = expected[15:17].max(0)
            bare = np.divide(texture, whole, out=np.zeros_like(whole), where=whole > 0)
            if np.allclose(presentation, expected * bare, atol=1e-6):
                found.append(turned)
                assert bare.max() <= 1 and bare[whole > 0].std() > 0.1
        assert len(found) == 1
        seen_sides.update(found)
    assert seen_sides == {0, 1, 2, 3}


def test_cover_comes_and_goes_or_stays() -> None:
    share = TRANSFORMS["occlusion"].covered()
    assert share[0] == 0 and abs(share[-1]) < 1e-6 and share.argmax() in (15, 16)
    assert share.max() == pytest.approx(0.7, abs=0.01) and share.diff().abs().max() < 0.08
    assert bool((TRANSFORMS["abrupt"].covered() == 0.7).all())


def test_views_turn_shift_scale_and_invert() -> None:
    image = torch.zeros(1, 9, 9)
    image[0, 2, 6] = 1.0  # up and to the right of the middle

    def peak(transforms: Transforms, **moved: float) -> tuple[int, int]:
        names = ("rotation", "right", "down", "scale", "contrast")
        course = torch.tensor([moved.get(name, 0.0) for name in names]).view(1, 5, 1)
        seen = _viewed(image, course, transforms)[0, 0]
        return divmod(int(seen.argmax()), 9)

    turned = Transforms(rotation=90.0)
    assert peak(turned) == (2, 6)
    assert {peak(turned, rotation=1.0), peak(turned, rotation=-1.0)} == {(2, 2), (6, 6)}
    assert peak(Transforms(translation=1.0), right=2.0, down=1.0) == (3, 8)
    assert peak(Transforms(scale=1.0), scale=math.log(2.0)) == (0, 8)
    assert peak(Transforms(scale=1.0), scale=-math.log(2.0)) == (3, 5)
    bright = _viewed(torch.ones(1, 9, 9), torch.ones(1, 5, 1), Transforms(contrast=180.0))
    torch.testing.assert_close(bright, torch.zeros_like(bright), atol=1e-6, rtol=0)


def test_process_is_stationary_and_forgets_exponentially() -> None:
    tau, count = 5.0, 20_000
    course = ornstein_uhlenbeck(torch.randn(count, generator=stream(1)), 12, tau, stream(2))
    error = LIMIT / math.sqrt(count)
    assert float((course.mean(1).abs()).max()) < error
    assert float((course.var(1) - 1).abs().max()) < math.sqrt(2) * error
    for lag in (1, 4, 11):
        expected = math.exp(-lag / tau)
        assert abs(float((course[0] * course[lag]).mean()) - expected) < math.sqrt(2) * error


def test_views_go_on_from_one_digit_to_the_next_unless_they_begin_at_rest() -> None:
    """The contrast of a white picture can be read off; it is the cosine of a normal angle."""
    white, order = torch.ones(400, 2, 2), torch.arange(400).view(4, 100)
    for rest in (False, True):
        transforms = Transforms(contrast=60.0, noise=0.0, rest=rest)
        contrast = 2 * frames_of(white, order, transforms)[..., 0, 0] - 1
        first, last = contrast[1:, 0], contrast[:-1, -1]
        together = float(torch.corrcoef(torch.stack([first.flatten(), last.flatten()]))[0, 1])
        assert (together > 0.8) is not rest
        if rest:
            assert float(first.mean()) > 0.9
        else:  # the mean cosine of a normal angle
            assert float(contrast.mean()) == pytest.approx(
                math.exp(-((math.pi / 3) ** 2) / 2), abs=0.1
            )


def test_mixed_streams_have_one_transform_per_digit() -> None:
    """Each presentation is what one of the transforms alone would make of it, at first: later,
    which one it is has been drawn in between."""
    images, order = torch.rand(100, 9, 9, generator=stream(0)), torch.arange(100).view(1, 100)
    mixed = frames_of(images, order, TRANSFORMS["mixed"])[0]
    alike = []
    for name in ("occlusion", "rotation", "translation", "scale", "contrast"):
        alone = frames_of(images, order, TRANSFORMS[name])[0]
        alike.append((alone - mixed).abs().amax((0, 2, 3)) < 1e-5)
    assert bool((torch.stack(alike).sum(0) == 1).all())
    assert all(5 < int(one.sum()) < 40 for one in alike)


def test_transforms_share_textures_and_noise() -> None:
    images, order = torch.rand(6, 8, 8, generator=stream(0)), torch.arange(6).view(3, 2)
    plain = frames_of(images, order, Transforms())
    assert torch.equal(plain, frames_of(images, order, Transforms()))
    covered = frames_of(images, order, TRANSFORMS["occlusion"])
    assert torch.equal(plain[:, 0], covered[:, 0])
    assert not torch.equal(plain, frames_of(images, order, Transforms(), seed=1))
    assert torch.equal(frames_of(images, order, Transforms(noise=0.0))[:, 5], images[order])


@given(
    st.sampled_from(sorted(TRANSFORMS)),
    st.integers(1, 5),
    st.integers(1, 3),
    st.booleans(),
)
def test_frames_are_pictures(name: str, frames: int, streams: int, rest: bool) -> None:
    images = torch.rand(6, 8, 8, generator=stream(0))
    order = presentations(6, streams, stream(1))
    shown = frames_of(images, order, replace(TRANSFORMS[name], frames=frames, rest=rest))
    assert shown.shape == (6 // streams, frames, streams, 8, 8)
    assert float(shown.min()) >= 0 and float(shown.max()) <= 1


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"occlusion": 1.5}, "occlusion is 1.5; expected 0 to 1"),
        ({"occlusion": float("nan")}, "occlusion is nan"),
        ({"rotation": -1.0}, "rotation is -1.0; expected 0 or more"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"tau": 0.0}, "tau is 0.0"),
        ({"frames": 0}, "frames is 0"),
    ],
)
def test_bad_transforms(setting: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Transforms(**setting)  # type: ignore[arg-type]


def test_bad_streams() -> None:
    good, order = torch.rand(4, 8, 8), torch.arange(4).view(2, 2)
    for images, rows, words in (
        (torch.rand(4, 8, 7), order, "images have shape"),
        (2 * torch.ones(4, 8, 8), order, "images go from 2.0 to 2.0; expected 0 to 1"),
        (torch.full((4, 8, 8), math.nan), order, "images go from nan"),
        (good, order + 1, "order has shape .2, 2. and goes from 1 to 4"),
        (good, order[0], "order has shape .2,."),
    ):
        with pytest.raises(InputError, match=words):
            next(film(images, rows, Transforms(), stream(0)))
    with pytest.raises(InputError, match="streams are 5; expected at most 4"):
        presentations(4, 5, stream(0))
