"""Masks as COCO writes them: run lengths down the columns, or polygons."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plastorch.data.annotations import number, shown, whole
from plastorch.engine.errors import InputError

Size = tuple[int, int]
"""Height and width."""


def encode_runs(mask: Tensor) -> list[int]:
    """Run lengths of a mask, bool [H, W].

    Example:
        >>> encode_runs(torch.tensor([[False, True], [True, True]]))
        [1, 3]
    """
    flat = mask.T.flatten().to(torch.int8)
    edges = torch.nn.functional.pad(flat, (1, 0)).diff().nonzero()[:, 0].tolist()
    return [end - start for start, end in pairwise([0, *edges, len(flat)])]


def decode_runs(counts: Any, size: Size, where: str) -> Tensor:
    """The mask, bool [H, W], of run lengths.

    Raises:
        InputError: if they are no lengths, or don't add up to the image.

    Example:
        >>> decode_runs([1, 3], (2, 2), "a.json").int().tolist()
        [[0, 1], [1, 1]]
    """
    if not isinstance(counts, list):
        raise InputError(f"{where}: counts are {shown(counts)}; expected a list of run lengths")
    lengths = [whole(count, f"{where}: a count") for count in counts]
    height, width = size
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise InputError(
            f"{where}: counts add up to {sum(lengths)}, the least is {min(lengths, default=0)}; "
            f"expected {height * width} and at least 0"
        )
    values = torch.arange(len(lengths)) % 2 == 1
    return values.repeat_interleave(torch.tensor(lengths)).view(width, height).T


def fill_polygon(points: Any, size: Size, where: str) -> Tensor:
    """The mask, bool [H, W], of the pixels whose middle is inside a polygon.

    Args:
        points: x and y of each corner in turn, in pixels from the left upper corner of the image.
        size: of the image.
        where: the annotation, for messages.

    Raises:
        InputError: if they are not at least three finite points.

    Example:
        >>> fill_polygon([0, 0, 2, 0, 2, 1, 0, 1], (2, 3), "a.json").int().tolist()
        [[1, 1, 0], [0, 0, 0]]
    """
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise InputError(f"{where}: polygon is {shown(points)}; expected x, y of 3 points or more")
    corners = np.array([number(value, f"{where}: a corner") for value in points]).reshape(-1, 2)
    height, width = size
    if (corners < -1).any() or (corners > (width + 1, height + 1)).any():
        raise InputError(f"{where}: polygon is {shown(points)}; expected inside {width}x{height}")
    y, x = np.arange(height) + 0.5, np.arange(width) + 0.5
    mask = np.zeros(size, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        rows = (y0 <= y) != (y1 <= y)  # those whose middle line the edge crosses
        crossing = x0 + (y[rows] - y0) * ((x1 - x0) / (y1 - y0 or 1.0))
        mask[rows] ^= x >= crossing[:, None]
    return torch.from_numpy(mask)
