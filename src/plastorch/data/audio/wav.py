"""WAV files: samples of any usual width, as one channel at the requested rate."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.errors import InputError, check_file

LOWEST_HZ, HIGHEST_HZ = 1_000, 768_000
MOST_TERM = 10_000
"""Largest term of a ratio of rates as a fraction; others are rounded to the nearest such one."""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}


class Recording(NamedTuple):
    """One channel of sound."""

    samples: Tensor
    """Samples, full scale 1, float32 [n]."""
    rate: int
    """Sampling rate in samples per second."""


class _Format(NamedTuple):
    """Sample format given by the header."""

    kind: int
    channels: int
    rate: int
    bits: int


def read_wav(path: str | Path, rate: int | None = None) -> Recording:
    """Reads a WAV file; several channels become their mean.

    Samples may be whole numbers of 8, 16, 24 or 32 bits or floats of 32 or 64.

    Args:
        path: file to read.
        rate: samples per second of the result; None for the file's own rate.

    Raises:
        InputError: the file is missing, not WAV, or of another coding; it has no samples, its end
            is missing, or a sample is not finite; or the rate is impossible.
    """
    path = Path(path)
    check_file(path, "a WAV file")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            form, start, count = _header(path, file, size)
            file.seek(start)
            raw = file.read(count)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a WAV file") from None
    samples = torch.from_numpy(_decoded(raw, form))
    if not bool(torch.isfinite(samples).all()):
        raise InputError(f"{path} is damaged: it has samples that are not finite")
    recording = Recording(samples, form.rate)
    return recording if rate is None else resampled(recording, rate)


def resampled(recording: Recording, rate: int) -> Recording:
    """Resamples a recording to another rate, low-pass filtered as needed.

    Args:
        recording: recording to resample.
        rate: sampling rate in samples per second, a whole number.

    Raises:
        InputError: the rate is impossible for a recording.

    Example:
        >>> resampled(Recording(torch.zeros(800), 8000), 16000).samples.shape
        torch.Size([1600])
    """
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


def _header(path: Path, file: BinaryIO, size: int) -> tuple[_Format, int, int]:
    """Returns the format, where the samples begin, and how many bytes they have."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        found = f"begins with {head[:4]!r}" if head else "is empty"
        raise InputError(f"{path} {found}; expected a WAV file")
    form, at = None, 12
    while len(chunk := file.read(8)) == 8:
        name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        at += 8
        if name == b"fmt ":
            form = _format(path, file.read(min(length, 40)))
        if name == b"data":
            return _checked(path, form, length, size - at), at, length
        at += length + length % 2
        file.seek(at)
    raise InputError(f"{path} is damaged or cut off: it has no chunk of samples")


def _format(path: Path, chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise InputError(f"{path} is damaged: its format has {len(chunk)} bytes; expected 16")
    kind, channels, rate, _, block, bits = struct.unpack("<HHIIHH", chunk[:16])
    if kind == _EXTENSIBLE and len(chunk) == 40:
        kind = struct.unpack("<H", chunk[24:26])[0]
    if bits not in _WIDTHS.get(kind, ()):
        raise InputError(
            f"{path}: coding {kind} of {bits} bits; expected whole numbers of 8, 16, 24 or 32 bits "
            "or floats of 32 or 64"
        )
    if not LOWEST_HZ <= rate <= HIGHEST_HZ:
        raise InputError(f"{path}: rate {rate:,} Hz; expected {LOWEST_HZ:,} to {HIGHEST_HZ:,}")
    if channels == 0 or block != channels * bits // 8:
        raise InputError(
            f"{path} is damaged: {channels} channels of {bits} bits take {block} bytes a sample"
        )
    return _Format(kind, channels, rate, bits)


def _checked(path: Path, form: _Format | None, length: int, there: int) -> _Format:
    if form is None:
        raise InputError(f"{path} is damaged: its samples come before their format")
    if length > there:
        raise InputError(
            f"{path} is cut off: {there:,} bytes of samples; its header says {length:,}"
        )
    if length < form.channels * form.bits // 8:
        raise InputError(f"{path} has no samples; expected one or more")
    return form


def _decoded(raw: bytes, form: _Format) -> NDArray[np.float32]:
    """Decodes samples and averages the channels, full scale 1."""
    width = form.bits // 8
    raw = raw[: len(raw) // (width * form.channels) * width * form.channels]
    # Values that are not finite are refused later.
    with np.errstate(over="ignore", invalid="ignore"):
        return _mean_channel(raw, width, form)


def _mean_channel(raw: bytes, width: int, form: _Format) -> NDArray[np.float32]:
    """Returns the mean of the channels, full scale 1."""
    if form.kind == _FLOAT:
        values = np.frombuffer(raw, f"<f{width}").astype(np.float64)
    elif width == 1:
        values = (np.frombuffer(raw, np.uint8).astype(np.float64) - 128) / 128
    else:
        # The bytes become the upper ones of 32 bits, whatever their number.
        padded = np.zeros((len(raw) // width, 4), np.uint8)
        padded[:, 4 - width :] = np.frombuffer(raw, np.uint8).reshape(-1, width)
        values = padded.view("<i4")[:, 0] / 2**31
    mean: NDArray[np.float32] = values.reshape(-1, form.channels).mean(axis=1).astype("f4")
    return mean
