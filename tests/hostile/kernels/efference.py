"""Views of images, of damaged images or by damaged actions."""

from typing import Any

import torch

from plastorch.efference import ImageViews

VIEWS = ImageViews(24, blur=0.5, solarize=0.5)


def views(hostile: Any) -> object:
    count, side = 3, int(hostile.random.choice([8, 24, 60]))
    images = torch.randint(0, 256, (count, 3, side, side + 1), generator=hostile.torch)
    bytes_or_floats = hostile.random.choice([images.byte(), images / 255])
    actions = VIEWS.sample(count, hostile.torch)
    given, by = hostile.damaged((bytes_or_floats, actions))
    return VIEWS.apply(given, by)
