"""Log-mel band energies, frame by frame: of whole recordings and of streams."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive

FLOOR = 1e-6
"""Smallest energy of a band: that of a whisper, where full scale is 1."""


@dataclass(frozen=True)
class LogMel:
    """Computes logarithms of mel band energies.

    A frame is a Hann window's power spectrum, weighted by triangles of height 1 whose corners are
    evenly spaced on HTK's mel scale, 2595 log₁₀(1 + f / 700), from ``lowest_hz`` to half the rate.
    The rate is in samples per second. Frame i covers one window of samples from i hops on. There is
    no padding, so a frame is known as soon as its samples are. Raises InputError if an argument is
    out of range, or a band is too narrow to hold a frequency.
    """

    rate: int
    bands: int = 40
    window_s: float = 0.025
    hop_s: float = 0.010
    lowest_hz: float = 20.0

    def __post_init__(self) -> None:
        check_positive(rate=self.rate, bands=self.bands, window_s=self.window_s, hop_s=self.hop_s)
        if not 0 <= self.lowest_hz < self.rate / 2:
            raise InputError(
                f"lowest_hz is {self.lowest_hz}; expected 0 to {self.rate / 2:g}, half the rate"
            )
        if self.window < 2 or self.hop < 1:
            raise InputError(
                f"window_s is {self.window_s} and hop_s {self.hop_s}; expected two samples and one "
                f"or more at {self.rate} Hz"
            )
        if not bool((self.filters > 0).any(dim=0).all()):
            raise InputError(
                f"bands is {self.bands}; expected fewer: some have no frequency of the "
                f"{len(self.filters)} at {self.rate} Hz"
            )

    @property
    def window(self) -> int:
        """Number of samples in a frame."""
        return round(self.window_s * self.rate)

    @property
    def hop(self) -> int:
        """Number of samples from one frame to the next."""
        return round(self.hop_s * self.rate)

    @cached_property
    def filters(self) -> Tensor:
        """Weights of the spectrum's frequencies in the bands [frequencies, bands]."""
        frequencies = torch.fft.rfftfreq(self._points, 1 / self.rate, dtype=torch.float64)
        low, high = (2595 * math.log10(1 + f / 700) for f in (self.lowest_hz, self.rate / 2))
        even = torch.linspace(low, high, self.bands + 2, dtype=torch.float64)
        corners = 700 * (10 ** (even / 2595) - 1)
        width = corners.diff()
        rise = (frequencies[:, None] - corners[:-2]) / width[:-1]
        fall = (corners[2:] - frequencies[:, None]) / width[1:]
        return torch.minimum(rise, fall).clamp(min=0).float()

    def __call__(self, samples: Tensor) -> Tensor:
        """Returns log energies [..., T, bands] of samples [..., n], full scale 1.

        T is 1 + (n - window) // hop. Raises InputError for fewer samples than a frame needs.
        """
        if samples.shape[-1] < self.window:
            raise InputError(
                f"samples: {samples.shape[-1]} found; expected {self.window} or more, for a frame"
            )
        frames = samples.unfold(-1, self.window, self.hop) * self._taper.to(samples)
        power = torch.fft.rfft(frames, self._points).abs().square()
        return torch.log((power @ self.filters.to(power)).clamp(min=FLOOR))

    def end_s(self, frame: int) -> float:
        """Returns the time in seconds from a recording's start until a frame is known."""
        return (frame * self.hop + self.window) / self.rate

    @cached_property
    def _taper(self) -> Tensor:
        return torch.hann_window(self.window)

    @property
    def _points(self) -> int:
        """Size of the Fourier transform: the smallest power of two that holds a window."""
        return 1 << (self.window - 1).bit_length()


class FrameStream:
    """Computes a recording's frames as its samples arrive; they equal those of the whole."""

    def __init__(self, front: LogMel) -> None:
        self._front = front
        self._rest = torch.zeros(0)
        self._between = 0  # samples to come before the next frame's, where hops exceed windows

    def feed(self, samples: Tensor) -> Tensor:
        """Takes the next samples [n] and returns the frames that they complete [T, bands]."""
        front, between = self._front, self._between
        self._between = max(0, between - len(samples))
        self._rest = torch.cat([self._rest, samples[between:]])
        if len(self._rest) < front.window:
            return torch.zeros(0, front.bands)
        frames = front(self._rest)
        used = len(frames) * front.hop
        self._between = max(0, used - len(self._rest))
        self._rest = self._rest[used:]
        return frames


def speech_onset(frames: Tensor, decibels: float = 40.0) -> int:
    """Returns the first of frames [T, bands] within some decibels of the loudest's energy."""
    energy = frames.logsumexp(dim=-1)
    return int((energy > energy.max() - decibels / 10 * math.log(10)).int().argmax())
