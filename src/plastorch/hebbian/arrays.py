"""Arrays of images and labels, as scikit-learn users have them, checked and made into tensors."""

from math import prod
from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import as_input_error

Channels = Literal["auto", "first", "last"]
MOST_CHANNELS = 4
"""Most entries of an axis that can be that of the channels when ``channels`` is "auto"."""


def as_images(
    X: ArrayLike, channels: Channels, image_shape: tuple[int, ...] | None = None
) -> Tensor:
    """Converts images of any accepted layout and type to uint8 or float32 [N, C, H, W].

    Rows of a table become images of ``image_shape``. X stays unchanged.
    """
    with as_input_error("X"):
        array = np.asarray(X)
    if array.ndim == 2 and image_shape is not None:
        array = _unflattened(array, image_shape)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InputError(f"X has type {array.dtype}; expected uint8, or floats in [0, 1]")
    if array.ndim not in (3, 4):
        table = "; a table of pixels needs image_shape=(H, W)" if array.ndim == 2 else ""
        raise InputError(
            f"X has shape {array.shape}, {array.ndim} dimensions; expected images as "
            f"N x H x W x C, N x C x H x W or N x H x W{table}"
        )
    if array.size == 0:
        raise InputError(f"X has shape {array.shape}; expected at least one image and pixel")
    shape = array.shape
    if array.ndim == 3:
        array = array[:, np.newaxis]
    elif _channels_last(shape, channels):
        array = np.moveaxis(array, 3, 1)
    if array.shape[2] != array.shape[3]:
        raise InputError(
            f"X has shape {shape}, images of {array.shape[2]} x {array.shape[3]} pixels; expected "
            "square images (for one image, pass X[None])"
        )
    if array.dtype.kind == "f":
        _check_pixels(array)
    # torch accepts no read-only arrays, so they are copied.
    number = np.uint8 if array.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.require(array, number, ["C", "W"]))


def _unflattened(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    fits = isinstance(shape, tuple) and len(shape) in (2, 3)
    fits = fits and all(isinstance(side, Integral) and side > 0 for side in shape)
    if not fits or prod(shape) != array.shape[1]:
        raise InputError(
            f"image_shape is {shape!r}; expected (H, W), (H, W, C) or (C, H, W) with "
            f"{array.shape[1]} values, one per column of X"
        )
    return array.reshape(-1, *shape)


def _channels_last(shape: tuple[int, ...], channels: Channels) -> bool:
    if channels != "auto":
        return channels == "last"
    first, last = shape[1] <= MOST_CHANNELS, shape[3] <= MOST_CHANNELS
    if first == last:
        problem = "both axis 1 and axis 3" if first else "neither axis 1 nor axis 3"
        raise InputError(
            f"X has shape {shape}: {problem} can be the channels (1 to {MOST_CHANNELS}); expected "
            "channels='first' or channels='last' to say so"
        )
    return last


def _check_pixels(array: NDArray[Any]) -> None:
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise InputError("X holds NaN or infinite values; expected uint8, or floats in [0, 1]")
    if low < 0 or high > 1:
        raise InputError(f"X ranges from {low:g} to {high:g}; expected uint8, or floats in [0, 1]")
