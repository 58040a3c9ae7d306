"""Images of any size, converted to the size and channels that a network takes."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError


def handling(channels: int, side: int) -> str:
    """Describes what :func:`prepared` does, for a network's card."""
    gray = "gray is repeated in all channels, " if channels > 1 else ""
    return f"resized to {side} x {side} pixels; {gray}any other number of channels is refused"


def prepared(images: Iterable[Tensor], channels: int, side: int) -> Tensor:
    """Returns images [B, channels, side, side], float32 in [0, 1], of images [C, H, W] of any size.

    uint8 is scaled to [0, 1], gray is repeated, and other sizes are resized, antialiased bilinear.
    """
    found = [_one(f"image {n}", image, channels, side) for n, image in enumerate(images)]
    if not found:
        raise InputError("images are empty; expected at least one image [C, H, W]")
    return torch.stack(found)


def _one(name: str, image: Tensor, channels: int, side: int) -> Tensor:
    if image.dim() != 3 or not image.numel():
        raise InputError(f"{name} has shape {tuple(image.shape)}; expected [C, H, W]")
    if image.shape[0] not in (1, channels):
        also = " or 1, gray" if channels > 1 else ""
        raise InputError(f"{name} has {image.shape[0]} channels; expected {channels}{also}")
    x = _scaled(name, image).expand(channels, -1, -1)
    if x.shape[1:] == (side, side):
        return x
    return F.interpolate(x[None], (side, side), mode="bilinear", antialias=True)[0]


def _scaled(name: str, image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise InputError(f"{name} is {image.dtype}; expected torch.uint8, or floats in [0, 1]")
    low, high = (float(value) for value in image.aminmax())
    if not 0 <= low <= high <= 1:  # nor NaN
        raise InputError(f"{name} ranges from {low:g} to {high:g}; expected uint8, or 0 to 1")
    return image.float()
