"""Streams of digits that transform randomly but continuously, batched over independent streams.

A stream shows one digit after the other without a break. While a digit is shown, a textured bar
enters from a side and leaves again, or the view rotates, shifts, scales or changes contrast: an
Ornstein-Uhlenbeck process that continues from digit to digit and reverts to the upright one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive


@dataclass(frozen=True)
class Transforms:
    """Transforms of a digit while it is shown.

    Args:
        occlusion: largest share of the field that a textured bar covers, in [0, 1].
        abrupt: whether the bar has its full size all the time, instead of coming and going.
        rotation: standard deviation of the angle in degrees.
        translation: standard deviation of the shift along each axis in pixels.
        scale: standard deviation of the logarithm of the size.
        contrast: standard deviation in degrees of an angle whose cosine is the contrast: 180°
            inverts the picture, 90° is gray.
        tau: time constant of angle, shift, size and contrast, in frames.
        single: whether each digit undergoes only one of the five transforms, drawn at random.
        rest: whether each digit begins upright and centered, not where the last one was.
        noise: standard deviation of a pixel's noise.
        frames: number of frames for which a digit is shown.

    Raises:
        InputError: a share is outside [0, 1], a deviation is negative, or there is no time.
    """

    occlusion: float = 0.0
    abrupt: bool = False
    rotation: float = 0.0
    translation: float = 0.0
    scale: float = 0.0
    contrast: float = 0.0
    tau: float = 20.0
    single: bool = False
    rest: bool = False
    noise: float = 0.15
    frames: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.occlusion <= 1:
            raise InputError(f"occlusion is {self.occlusion}; expected 0 to 1")
        for name in ("rotation", "translation", "scale", "contrast", "noise"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected 0 or more")
        check_positive(tau=self.tau, frames=self.frames)

    def covered(self) -> Tensor:
        """Returns the share of the field under the bar in each frame [frames]."""
        if self.abrupt:
            return torch.full((self.frames,), self.occlusion)
        phase = torch.arange(self.frames) / max(1, self.frames - 1)
        return self.occlusion * (math.pi * phase).sin().clamp(min=0)


TRANSFORMS = {
    "static": Transforms(),
    "occlusion": Transforms(occlusion=0.7),
    "abrupt": Transforms(occlusion=0.7, abrupt=True),
    "rotation": Transforms(rotation=40.0),
    "translation": Transforms(translation=4.0),
    "scale": Transforms(scale=0.3),
    "contrast": Transforms(contrast=90.0),
    "mixed": Transforms(
        occlusion=0.7, rotation=40.0, translation=4.0, scale=0.3, contrast=90.0, single=True
    ),
}
"""Transforms of the benchmark, and two controls: digits at rest, and a bar at full size."""


def presentations(count: int, streams: int, generator: torch.Generator) -> Tensor:
    """Draws the digits that each stream shows, one after the other, each digit once: int64 [P, S].

    P is count // S; the remainder is left out. Raises InputError for fewer digits than streams.
    """
    check_positive(streams=streams)
    if count < streams:
        raise InputError(f"streams are {streams}; expected at most {count}, one per digit")
    whole = count // streams * streams
    return torch.randperm(count, generator=generator)[:whole].view(-1, streams)


def film(
    images: Tensor, order: Tensor, transforms: Transforms, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yields the frames of all streams, one presentation [frames, S, H, W] after the other.

    A frame is ``clip(image (1 - bar) + texture bar + noise, 0, 1)``. Streams that differ only in
    their transforms have the same textures and noise. Images are in [0, 1], float, square [N, H,
    H]; the order is the image of each presentation, int64 [P, S]. The generator is on the CPU.
    """
    _check(images, order)
    streams, side = order.shape[1], images.shape[1]
    views = torch.randn(5, streams, generator=generator)
    for row in order:
        if transforms.rest:
            views = torch.zeros(5, streams)
        course = ornstein_uhlenbeck(views, transforms.frames, transforms.tau, generator)
        views = course[-1]
        sides = torch.randint(0, 4, (streams,), generator=generator)
        texture = torch.rand(streams, side, side, generator=generator)
        noise = torch.randn(transforms.frames, streams, side, side, generator=generator)
        active = torch.ones(5, streams)
        if transforms.single:
            active = F.one_hot(torch.randint(0, 5, (streams,), generator=generator), 5).mT.float()
        course = course * active[[0, 1, 1, 2, 3]]
        device = images.device
        seen = _viewed(images[row.to(device)], course.to(device), transforms)
        if transforms.occlusion > 0:
            bar = (_bars(transforms, side)[:, sides] * active[4, :, None, None]).to(device)
            seen = torch.lerp(seen, texture.to(device), bar)
        yield (seen + transforms.noise * noise.to(device)).clamp(0, 1)


def ornstein_uhlenbeck(start: Tensor, steps: int, tau: float, generator: torch.Generator) -> Tensor:
    """Samples Ornstein-Uhlenbeck processes [T, ...] of variance 1 around 0 exactly, at steps of 1.

    ``start`` [...] holds the values one step before the first; ``tau`` is in steps.
    """
    check_positive(tau=tau)
    kept = math.exp(-1 / tau)
    course = torch.randn(steps, *start.shape, generator=generator, dtype=start.dtype)
    course *= math.sqrt(1 - kept * kept)
    before = start
    for now in course:
        now += kept * before
        before = now
    return course


def _viewed(images: Tensor, course: Tensor, transforms: Transforms) -> Tensor:
    """Rotates, shifts, scales and inverts images [S, H, W] by a course [T, 5, S]."""
    frames, _, streams = course.shape
    side = images.shape[-1]
    angle, right, down, size, contrast = course.unbind(1)
    seen = images.expand(frames, -1, -1, -1)
    if max(transforms.rotation, transforms.translation, transforms.scale) > 0:
        angle = angle * math.radians(transforms.rotation)
        size = (size * transforms.scale).exp()
        # From a pixel of the frame to the place in the image that it shows.
        turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], dim=-1)
        turn = turn.view(frames, streams, 2, 2) / size[..., None, None]
        shift = torch.stack([right, down], dim=-1) * (2 * transforms.translation / side)
        place = torch.cat([turn, -turn @ shift[..., None]], dim=-1).flatten(0, 1)
        stack = seen.reshape(-1, 1, side, side)
        grid = F.affine_grid(place, list(stack.shape), align_corners=False)
        seen = F.grid_sample(stack, grid, align_corners=False).view(frames, streams, side, side)
    if transforms.contrast > 0:
        contrast = (contrast * math.radians(transforms.contrast)).cos()
        seen = 0.5 + contrast[..., None, None] * (seen - 0.5)
    return seen


def _bars(transforms: Transforms, side: int) -> Tensor:
    """Returns the coverage of pixels by a bar from left, right, top or bottom [T, 4, H, W]."""
    edge = transforms.covered()[:, None] * side
    profile = (edge - torch.arange(side)).clamp(0, 1)
    across = profile[:, None, :].expand(-1, side, -1)
    bars = [across, across.flip(2), across.mT, across.mT.flip(1)]
    return torch.stack(bars, dim=1)


def _check(images: Tensor, order: Tensor) -> None:
    if images.dim() != 3 or images.shape[1] != images.shape[2]:
        raise InputError(f"images have shape {tuple(images.shape)}; expected (N, H, H)")
    if not bool(((images >= 0) & (images <= 1)).all()):
        raise InputError(
            f"images go from {float(images.min())} to {float(images.max())}; expected 0 to 1"
        )
    if order.dim() != 2 or int(order.min()) < 0 or int(order.max()) >= len(images):
        raise InputError(
            f"order has shape {tuple(order.shape)} and goes from {int(order.min())} to "
            f"{int(order.max())}; expected (P, S), 0 to {len(images) - 1}"
        )
