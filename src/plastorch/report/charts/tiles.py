"""Small images side by side: kernels, receptive fields and patches as tiles of one image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float64]
"""Image [H, W, 4], RGBA in [0, 1]."""

GAP = 2
_TILE_PIXELS = 24


def stretched(kernel: NDArray[Any]) -> NDArray[np.float64]:
    """Scales values to [0, 1], from the smallest to the largest; all 0.5 if that is impossible."""
    kernel = np.where(np.isfinite(kernel), kernel, np.nan).astype(np.float64)
    low, high = kernel.min(), kernel.max()  # a diverged neuron is a gray tile
    return (kernel - low) / (high - low) if high > low else np.full_like(kernel, 0.5)


def tile(image: NDArray[Any]) -> Picture:
    """Enlarges an image [1 or 3, h, w] in [0, 1] to about 24 pixels."""
    color = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    opaque = np.concatenate([color, np.ones((*color.shape[:2], 1))], axis=2)
    enlarge = math.ceil(_TILE_PIXELS / max(image.shape[1:]))
    return opaque.repeat(enlarge, axis=0).repeat(enlarge, axis=1)


def arrange(tiles: Sequence[Picture], columns: int) -> Picture:
    """Arranges tiles of one size in rows of ``columns``; the gaps are transparent."""
    height, width = tiles[0].shape[:2]
    lines = math.ceil(len(tiles) / columns)
    picture = np.zeros((lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, 4))
    for place, each in enumerate(tiles):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        picture[top : top + height, left : left + width] = each
    return picture
