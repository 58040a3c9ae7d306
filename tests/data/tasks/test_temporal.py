"""Temporal MNIST: the rule in exact fractions, and frames in which each pixel fires once."""

import math
from fractions import Fraction

import pytest
import torch

from plastorch.data.tasks.temporal import spike_steps, spikes, turned
from plastorch.engine.errors import InputError


@pytest.mark.parametrize("steps", [2, 10, 16, 20, 255])
def test_every_level_fires_when_the_rule_says(steps: int) -> None:
    found = spike_steps(torch.arange(256, dtype=torch.uint8), steps).tolist()
    for level, step in enumerate(found):
        value = Fraction(level, 255)
        # Boundaries 1/steps, 2/steps, .., 1 strictly below the value, counted.
        bin_ = sum(Fraction(i, steps) < value for i in range(1, steps + 1))
        assert step == min(steps - bin_, steps) - 1
    assert found == sorted(found, reverse=True) and (found[0], found[-1]) == (steps - 1, 0)


def test_each_pixel_fires_once() -> None:
    images = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8)
    when = spike_steps(images)
    assert when.shape == images.shape and when.dtype == torch.uint8
    frames = spikes(when.flatten(1))
    assert frames.shape == (20, 5, 16) and bool((frames.sum(dim=0) == 1).all())
    assert torch.equal(frames.int().argmax(dim=0), when.flatten(1).long())
    assert torch.equal(spikes(when.flatten(1), 3), frames[:3])


def test_the_first_frame_is_what_is_brighter_than_0_95() -> None:
    images = torch.randint(0, 256, (9, 100), dtype=torch.uint8)
    first = spikes(spike_steps(images), 1)[0]
    assert torch.equal(first, images.double() / 255 > 0.95)


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"type torch.float32; expected torch.uint8"):
        spike_steps(torch.zeros(3))
    for steps in (1, 256):
        with pytest.raises(InputError, match=f"steps is {steps}"):
            spike_steps(torch.zeros(3, dtype=torch.uint8), steps)


def test_pictures_are_turned_by_up_to_an_angle() -> None:
    """A bar from the middle to the right is found at an angle of up to 30 degrees."""
    side, random = 41, torch.Generator().manual_seed(0)
    when = torch.full((300, 1, side, side), 9, dtype=torch.uint8)
    when[:, :, 20, 21:36] = 2
    found = turned(when, 10, 30.0, 0.0, random)
    assert set(found.unique().tolist()) == {2, 9} and found.dtype == torch.uint8
    angles = []
    for picture in found[:, 0]:
        y, x = (picture == 2).nonzero().double().sub(20).mean(dim=0).tolist()
        assert 6.5 < math.hypot(x, y) < 9.5
        angles.append(math.degrees(math.atan2(y, x)))
    assert -32 < min(angles) < -25 and 25 < max(angles) < 32
    assert abs(sum(angles) / 300) < 3


def test_pictures_are_scaled_by_up_to_a_share() -> None:
    when = torch.full((300, 1, 40, 40), 9, dtype=torch.uint8)
    when[:, :, 10:30, 10:30] = 0
    found = turned(when, 10, 0.0, 0.2, torch.Generator().manual_seed(0))
    widths = (found[:, 0, 20] == 0).sum(dim=1)
    assert 16 <= int(widths.min()) <= 18 and 23 <= int(widths.max()) <= 25
    assert torch.equal(turned(when, 10, 0.0, 0.0, torch.Generator()), when)
