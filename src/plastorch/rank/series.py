"""Series of any length in one padded tensor, and their scaling without lookahead."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import as_input_error

Missing = Literal["error", "mask"]
"""Treatment of missing values, NaN: an error, or a mask that the network sees."""


class Series(NamedTuple):
    """N series of C channels."""

    values: Tensor
    """Values, zeros after the ends, float32 or float64 [T, N, C]."""
    lengths: Tensor
    """Number of steps of each series, int64 [N]."""

    def some(self, rows: Tensor) -> "Series":
        """Returns some of the series, no longer than needed."""
        lengths = self.lengths[rows]
        return Series(self.values[: int(lengths.max()), rows], lengths)


class Scaling(NamedTuple):
    """Mean and deviation of each channel in training series; later series don't change them."""

    mean: Tensor
    """Means, float64 [C]."""
    deviation: Tensor
    """Deviations, float64 [C]; 1 for a constant channel."""

    def __call__(self, series: Series, missing: Missing) -> Series:
        """Returns standardized series, float32; with "mask", C more channels mark missing values.

        The mean is subtracted first: single precision loses small changes around a large mean.
        """
        values = ((series.values - self.mean) / self.deviation).float()
        gone = values.isnan()
        inside = torch.arange(len(values))[:, None] < series.lengths
        values = torch.where(gone | ~inside[..., None], 0.0, values)
        if missing == "mask":
            values = torch.cat([values, gone.to(values.dtype)], dim=2)
        return Series(values, series.lengths)


def scaling_of(series: Series) -> Scaling:
    """Returns mean and deviation of each channel, missing values left out."""
    inside = torch.arange(len(series.values))[:, None] < series.lengths
    values = series.values[inside].double()
    mean = values.nanmean(dim=0).nan_to_num()
    deviation = (values - mean).square().nanmean(dim=0).sqrt().nan_to_num()
    constant = deviation <= 10 * torch.finfo(series.values.dtype).eps * mean.abs()
    return Scaling(mean, torch.where(constant, 1.0, deviation))


def is_list(X: Any) -> TypeGuard[Sequence[Any]]:
    """Returns whether X is a list of series, not a table or an array."""
    if not isinstance(X, list | tuple):
        return isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    if any(isinstance(row, np.ndarray | Tensor) and row.ndim for row in X):
        return True
    try:
        return np.ndim(X) == 3
    except ValueError:  # of different lengths
        return True


def of_array(values: NDArray[Any]) -> Series:
    """Returns series [N, C, T] of one length."""
    if not values.size:
        raise InputError(f"X has shape {values.shape}; expected (cases, channels, time), not empty")
    lengths = torch.full((len(values),), values.shape[2])
    return Series(torch.from_numpy(np.array(values.transpose(2, 0, 1), order="C")), lengths)


def padded(rows: Sequence[NDArray[Any]]) -> Series:
    """Returns series [C, t] of any lengths in one tensor."""
    lengths = torch.tensor([row.shape[1] for row in rows])
    double = any(row.dtype == np.float64 for row in rows)
    shape = int(lengths.max()), len(rows), rows[0].shape[0]
    values = torch.zeros(shape, dtype=torch.float64 if double else torch.float32)
    for place, row in enumerate(rows):
        values[: row.shape[1], place] = torch.from_numpy(np.array(row.T, order="C"))
    return Series(values, lengths)


def ragged(X: Sequence[Any], missing: Missing) -> Series:
    """Returns a list of series, each [t] or [C, t], in one tensor; InputError if they don't fit."""
    rows = [checked(row, missing, f"X[{place}]") for place, row in enumerate(X)]
    channels = sorted({row.shape[0] for row in rows})
    if len(channels) > 1:
        raise InputError(f"X has series of {channels} channels; expected the same number in all")
    return padded(rows)


def checked(values: Any, missing: Missing, name: str) -> NDArray[Any]:
    """Returns one series [C, t] as floats; InputError if it is empty, not finite or not numbers."""
    row = floats(values, missing, name)
    row = row[None] if row.ndim == 1 else row
    if row.ndim != 2 or not row.size:
        raise InputError(f"{name} has shape {row.shape}; expected (channels, time), not empty")
    return row


def floats(values: Any, missing: Missing, name: str) -> NDArray[Any]:
    """Returns values as float32 if they are, else as float64; InputError unless all are finite."""
    with as_input_error(name):
        found = np.asarray(values)
    if found.dtype.kind in "cmM":
        raise InputError(f"{name} holds {found.dtype}; expected real numbers")
    with as_input_error(name):
        found = found.astype(np.float32 if found.dtype == np.float32 else np.float64, copy=False)
    bad = np.isinf(found) if missing == "mask" else ~np.isfinite(found)
    if bad.any():
        hint = "" if missing == "mask" else '; missing="mask" accepts NaN'
        raise InputError(f"{name} has NaN or infinite values; expected finite ones{hint}")
    return found
