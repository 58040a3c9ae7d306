"""How loud each band of a mel scale is, frame by frame: of whole recordings and as they come."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive

FLOOR = 1e-6
"""Smallest energy of a band: a whisper's, where full scale is 1."""


@dataclass(frozen=True)
class LogMel:
    """Logarithms of mel band energies.

    A frame is a Hann window's power spectrum, weighted by triangles of height 1 whose corners lie
    evenly on HTK's mel scale, 2595 log₁₀(1 + f / 700), from ``lowest_hz`` to half the rate. Frame i
    is of the samples from i hops on, a window long; there is no padding, so that it is known as
    soon as those samples are.

    Args:
        rate: Samples per second.
        bands: How many.
        window_s: Length of a frame.
        hop_s: From frame to frame.
        lowest_hz: Lower corner of the lowest band.

    Raises:
        InputError: An argument is out of range, or a band is too narrow to hold a frequency.

    Example:
        >>> LogMel(8000)(torch.zeros(8000)).shape
        torch.Size([98, 40])
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
        """Samples of a frame."""
        return round(self.window_s * self.rate)

    @property
    def hop(self) -> int:
        """Samples from frame to frame."""
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
        """Frames of recordings.

        Args:
            samples: Full scale is 1 [..., n].

        Returns:
            [..., T, bands], T = 1 + (n - window) // hop.

        Raises:
            InputError: There are fewer samples than a frame has.
        """
        if samples.shape[-1] < self.window:
            raise InputError(
                f"samples: {samples.shape[-1]} found; expected {self.window} or more, a frame's"
            )
        frames = samples.unfold(-1, self.window, self.hop) * self._taper.to(samples)
        power = torch.fft.rfft(frames, self._points).abs().square()
        return torch.log((power @ self.filters.to(power)).clamp(min=FLOOR))

    def end_s(self, frame: int) -> float:
        """Seconds from a recording's beginning until a frame is known.

        Example:
            >>> LogMel(8000).end_s(0), LogMel(8000).end_s(40)
            (0.025, 0.425)
        """
        return (frame * self.hop + self.window) / self.rate

    @cached_property
    def _taper(self) -> Tensor:
        return torch.hann_window(self.window)

    @property
    def _points(self) -> int:
        """Of the Fourier transform: the power of two that a window fits in."""
        return 1 << (self.window - 1).bit_length()


class FrameStream:
    """Frames of a recording as its samples come: the same as of the whole.

    Args:
        front: What makes frames.

    Example:
        >>> stream = FrameStream(LogMel(8000))
        >>> [len(stream.feed(torch.zeros(150))) for _ in range(4)]
        [0, 2, 2, 2]
    """

    def __init__(self, front: LogMel) -> None:
        self._front = front
        self._rest = torch.zeros(0)

    def feed(self, samples: Tensor) -> Tensor:
        """Takes the next samples [n]; returns the frames that they complete [T, bands]."""
        self._rest = torch.cat([self._rest, samples])
        front = self._front
        if len(self._rest) < front.window:
            return torch.zeros(0, front.bands)
        frames = front(self._rest)
        self._rest = self._rest[len(frames) * front.hop :]
        return frames


def speech_onset(frames: Tensor, decibels: float = 40.0) -> int:
    """The first frame whose energy comes within some decibels of the loudest frame's.

    Args:
        frames: Logarithms of band energies [T, bands].
        decibels: How far below the loudest one.

    Example:
        >>> speech_onset(torch.tensor([[-12.0], [-1.0], [0.0]]))
        1
    """
    energy = frames.logsumexp(dim=-1)
    return int((energy > energy.max() - decibels / 10 * math.log(10)).int().argmax())
