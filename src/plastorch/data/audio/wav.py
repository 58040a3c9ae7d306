"""WAV files: samples of any usual width, as one channel at the requested rate."""

import io
import warnings
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.data.images.formats import read_bytes
from plastorch.engine.errors import InputError

LOWEST_HZ, HIGHEST_HZ = 1_000, 768_000
MOST_TERM = 10_000
"""Largest term of a ratio of rates as a fraction; others are rounded to the nearest such one."""

_SCALES = {"uint8": 2**7, "int16": 2**15, "int32": 2**31, "float32": 1, "float64": 1}
"""Full scale of each type of samples; 24 bits come as the upper ones of 32."""


class Recording(NamedTuple):
    """One channel of sound."""

    samples: Tensor
    """Samples, full scale 1, float32 [n]."""
    rate: int
    """Sampling rate in samples per second."""


def read_wav(path: str | Path, rate: int | None = None) -> Recording:
    """Reads a WAV file at a rate in Hz, its own if None; several channels become their mean.

    Samples may be whole numbers of 8, 16, 24 or 32 bits or floats of 32 or 64. Raises InputError if
    the file is missing, cut short, empty, not such a WAV file, if a sample is not finite, or if the
    rate is impossible.
    """
    path = Path(path)
    found, values = _decoded(path, read_bytes(path))
    if not LOWEST_HZ <= found <= HIGHEST_HZ:
        raise InputError(f"{path}: rate {found:,} Hz; expected {LOWEST_HZ:,} to {HIGHEST_HZ:,}")
    if values.dtype.name not in _SCALES:
        raise InputError(
            f"{path}: coding {values.dtype}; expected whole numbers of 8, 16, 24 or 32 bits or "
            "floats of 32 or 64"
        )
    if not values.size:
        raise InputError(f"{path} has no samples; expected one or more")
    samples = torch.from_numpy(_mean_channel(values))
    if not bool(torch.isfinite(samples).all()):
        raise InputError(f"{path} is damaged: it has samples that are not finite")
    recording = Recording(samples, found)
    return recording if rate is None else resampled(recording, rate)


def resampled(recording: Recording, rate: int) -> Recording:
    """Resamples a recording to ``rate`` samples per second, low-pass filtered as needed."""
    if not LOWEST_HZ <= rate <= HIGHEST_HZ:
        raise InputError(f"rate is {rate}; expected {LOWEST_HZ:,} to {HIGHEST_HZ:,} Hz")
    if rate == recording.rate:
        return recording
    from scipy.signal import resample_poly

    # Rates without a common factor would need filters of millions of taps.
    low, high = sorted((rate, recording.rate))
    ratio = Fraction(low, high).limit_denominator(MOST_TERM)
    up, down = (ratio if rate == low else 1 / ratio).as_integer_ratio()
    samples = resample_poly(recording.samples.double().numpy(), up, down)
    return Recording(torch.from_numpy(samples).float(), rate)


def _decoded(path: Path, content: bytes) -> tuple[int, NDArray[np.generic]]:
    """Returns sampling rate and samples, [n] or [n, channels], as the file has them."""
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks of other programs
        warnings.filterwarnings("error", "Reached EOF prematurely")
        try:
            rate, values = wavfile.read(io.BytesIO(content))
        except Exception as error:  # damaged files make scipy raise many kinds
            reason = f": {error}" if isinstance(error, ValueError | Warning) else ""
            raise InputError(f"{path} is damaged, cut off or not a WAV file{reason}") from None
    return rate, values


def _mean_channel(values: NDArray[np.generic]) -> NDArray[np.float32]:
    silence = 128 if values.dtype == np.uint8 else 0
    # Values that are not finite are refused later.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values.astype(np.float64) - silence) / _SCALES[values.dtype.name]
        mean: NDArray[np.float32] = scaled.reshape(len(scaled), -1).mean(axis=1).astype("f4")
    return mean
