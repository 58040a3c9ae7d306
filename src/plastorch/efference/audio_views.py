"""Views of sounds, made in whole batches on any device from known parameters."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.data.audio.logmel import FLOOR
from plastorch.efference.actions import (
    AudioActions,
    Views,
    any_on_cpu,
    check_audio_actions,
    check_lengths,
)
from plastorch.engine.errors import InputError, check_finite, check_positive

_DECIBEL = math.log(10) / 10
QUIET = 0.1
"""Minimum standard deviation to divide by; otherwise silence would become noise."""


@dataclass(frozen=True)
class AudioViews(Views):
    """Distribution of random views of log-mel energies: crop, pitch, gain, noise, masks, in order.

    Args:
        length: bounds of the crop length, as a share of the clip.
        shift: maximum pitch shift in mel bands, up or down.
        gain: maximum gain in decibels, louder or quieter.
        snr: bounds of the signal-to-noise ratio in decibels.
        time_mask: maximum length of the time mask, as a share of the frames.
        band_mask: maximum width of the band mask, as a share of the bands.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> view, actions = AUDIO(torch.randn(4, 64, 101))
        >>> view.shape
        torch.Size([4, 1, 64, 101])
    """

    length: tuple[float, float] = (0.5, 1.0)
    shift: int = 4
    gain: float = 6.0
    snr: tuple[float, float] = (5.0, 30.0)
    time_mask: float = 0.2
    band_mask: float = 0.2

    def __post_init__(self) -> None:
        low, high = self.length
        if not 0 < low <= high <= 1:
            raise InputError(f"length is ({low}, {high}); expected 0 < low <= high <= 1")
        if self.shift < 0 or not 0 <= self.gain < math.inf:
            raise InputError(
                f"shift is {self.shift} and gain {self.gain}; expected 0 or more for both"
            )
        if not -math.inf < self.snr[0] <= self.snr[1] < math.inf:
            raise InputError(f"snr is {self.snr}; expected low <= high")
        for name in ("time_mask", "band_mask"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected at least 0, below 1")

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> AudioActions:
        """Draws actions; see :meth:`Views.sample`."""
        check_positive(count=count)
        draws = torch.rand(8, count, generator=generator)
        shift = torch.randint(-self.shift, self.shift + 1, (count,), generator=generator)
        seed = torch.randint(0, 2**31, (count,), generator=generator)
        length = self.length[0] + (self.length[1] - self.length[0]) * draws[0]
        time_mask, band_mask = self.time_mask * draws[4], self.band_mask * draws[5]
        return AudioActions(
            start=draws[1] * (1 - length),
            length=length,
            shift=shift.float(),
            gain=self.gain * (2 * draws[2] - 1),
            snr=self.snr[0] + (self.snr[1] - self.snr[0]) * draws[3],
            noise_seed=seed,
            time_mask_start=draws[6] * (1 - time_mask),
            time_mask_length=time_mask,
            band_mask_start=draws[7] * (1 - band_mask),
            band_mask_length=band_mask,
        ).to(device)

    def apply(self, sources: Tensor, actions: AudioActions) -> Tensor:
        """Makes the views that the actions describe, the same ones at every call.

        The crop is stretched to the clip's frames. Bands brought in by a shift have no energy.
        Noise adds energy, exponentially distributed like that of white noise and even over bands.
        Views are standardized by mean and deviation of the clip, because those of the view would
        hide the gain. Masked values are 0, the clip's mean.

        Args:
            sources: clips as natural logarithms of mel band energies, as from
                ``plastorch.data.audio.logmel``, but bands first: float [B, bands, frames].
            actions: actions of B views, on the device of the clips.

        Returns:
            Views, float32 [B, 1, bands, frames].

        Raises:
            InputError: the clips have another shape or type, there are more or fewer actions (or
                values of a field) than clips, or, on the CPU, an action is not finite, or a crop
                has no length or leaves the clip.
        """
        _check_clips(sources)
        _check_crops(len(sources), actions)
        clips = sources.float()
        mean = clips.mean(dim=(1, 2), keepdim=True)
        deviation = (clips - mean).square_().mean(dim=(1, 2), keepdim=True).sqrt_()
        energy = moved(clips, actions).mul_((_DECIBEL * _per_view(actions.gain)).exp())
        loudness = energy.mean(dim=(1, 2), keepdim=True)
        level = loudness * (-_DECIBEL * _per_view(actions.snr)).exp()
        energy.add_(noise(actions.noise_seed, energy.shape[1:]).mul_(level))
        view = energy.clamp_(min=FLOOR).log_().sub_(mean).div_(deviation.clamp(min=QUIET))
        for axis, start, length in (
            (1, actions.band_mask_start, actions.band_mask_length),
            (2, actions.time_mask_start, actions.time_mask_length),
        ):
            view.mul_(unmasked(start, length, view.shape[axis]).unsqueeze(3 - axis))
        return view[:, None]


AUDIO = AudioViews()


def moved(clips: Tensor, actions: AudioActions) -> Tensor:
    """Returns energies after crop and pitch shift [B, bands, frames] of log energies of that shape;
    values between frames are interpolated linearly."""
    count, bands, frames = clips.shape
    source = torch.arange(bands, device=clips.device) - actions.shift.long()[:, None]
    inside = (source >= 0) & (source < bands)
    rows = source.clamp(0, bands - 1) + bands * torch.arange(count, device=clips.device)[:, None]
    raised = clips.reshape(-1, frames).index_select(0, rows.flatten()).view(count, bands, 1, frames)
    share = (torch.arange(frames, device=clips.device) + 0.5) / frames
    moment = 2 * (actions.start[:, None] + actions.length[:, None] * share) - 1
    grid = torch.stack((moment, torch.zeros_like(moment)), dim=-1)[:, None]
    found = F.grid_sample(raised, grid, padding_mode="border", align_corners=False)[:, :, 0]
    return found.exp_().mul_(inside.float()[:, :, None])


def noise(seeds: Tensor, shape: torch.Size) -> Tensor:
    """Draws exponential numbers of mean 1 [B, *shape] by a hash of positions and seeds, 0 to 2³¹ -
    1 [B]: the same on every device, and without the loop over views that generators need."""
    places = torch.arange(shape.numel(), device=seeds.device, dtype=torch.int32)
    bits = _mixed(_mixed(seeds.int())[:, None] ^ places).bitwise_and_(0x7FFFFFFF)
    uniform = bits.view(-1, *shape).float().add_(0.5).mul_(2.0**-31)
    return uniform.log_().neg_()


def unmasked(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Returns 0 within masks and 1 elsewhere [B, size]; start and length are shares of size [B]."""
    centers = (torch.arange(size, device=start.device) + 0.5) / size
    inside = centers - start[:, None]
    return ((inside < 0) | (inside >= length[:, None])).float()


def _mixed(numbers: Tensor) -> Tensor:
    """Hashes int32 numbers; all 32 bits of a number affect each bit of its hash."""
    for down, multiplier in ((16, 0x7FEB352D), (15, 0x68BC21EB)):  # products overflow
        numbers = (numbers >> down).bitwise_and_(0xFFFFFFFF >> down).bitwise_xor_(numbers)
        numbers.mul_(multiplier)
    return (numbers >> 16).bitwise_and_(0xFFFF).bitwise_xor_(numbers)


def _per_view(values: Tensor) -> Tensor:
    """Reshapes [B] to [B, 1, 1], to broadcast with clips."""
    return values.view(-1, 1, 1)


def _check_clips(clips: Tensor) -> None:
    if not clips.is_floating_point() or clips.ndim != 3:
        raise InputError(
            f"clips have shape {tuple(clips.shape)} and type {clips.dtype}; expected "
            "[B, bands, frames] of floating point"
        )


def _check_crops(count: int, actions: AudioActions) -> None:
    check_audio_actions(actions)
    check_lengths(actions)
    if len(actions.start) != count:
        raise InputError(f"actions are of {len(actions.start)} views; expected {count}, as clips")
    if actions.start.device.type == "cpu":
        check_finite(actions=torch.stack([*actions[:5], *actions[6:]]))  # all but the noise seed
    outside = ~((actions.start >= -1e-5) & (actions.start + actions.length <= 1 + 1e-5))
    if any_on_cpu(outside):
        start, length = float(actions.start[outside][0]), float(actions.length[outside][0])
        raise InputError(f"crop is from {start:g} to {start + length:g}; expected 0 to 1")
