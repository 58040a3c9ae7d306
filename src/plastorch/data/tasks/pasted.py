"""Scenes of glyphs, such as MNIST's digits, pasted on natural images."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.data.tasks.scenes import VOID, Scenes, check_range, numbers_in_image
from plastorch.engine.errors import InputError

INK = 0.2
"""Share of full brightness from which on a pixel of a glyph covers the background."""
_BLOCK = 512  # scenes painted at a time, to bound the memory


@dataclass(frozen=True)
class Pasting:
    """Settings for pasting glyphs on backgrounds.

    Args:
        side: side of the square scenes, in pixels.
        most: largest number of objects in a scene; the number is drawn uniformly from 1 on, and
            objects that would cover another are left out.
        least_size: smallest side of a glyph's square, in pixels.
        most_size: largest side of a glyph's square, in pixels; the side is drawn uniformly.

    Raises:
        InputError: a value is out of range.
    """

    side: int = 64
    most: int = 3
    least_size: float = 20.0
    most_size: float = 40.0

    def __post_init__(self) -> None:
        if not 1 <= self.most < VOID:
            raise InputError(f"most is {self.most}; expected 1 to {VOID - 1}")
        if not 1 <= self.least_size <= self.most_size <= self.side:
            raise InputError(
                f"least_size is {self.least_size}, most_size is {self.most_size}; expected "
                f"1 <= least_size <= most_size <= side, {self.side}"
            )


def pasted_scenes(
    count: int,
    backgrounds: Tensor,
    glyphs: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    pasting: Pasting,
    generator: torch.Generator,
) -> Scenes:
    """Generates scenes of glyphs in random colors, at random places of random backgrounds.

    An object's pixels are exactly those where its resized glyph is at least 0.2 bright; there it
    hides the background, and elsewhere it leaves it unchanged. Color is independent of class.

    Args:
        count: number of scenes N.
        backgrounds: background images, uint8 [K, 3, h, w], resized to the side of the scenes.
        glyphs: glyphs, uint8 [G, 1, g, g], bright on black.
        labels: labels of the glyphs, int64 [G].
        classes: names of the classes.
        pasting: sizes and numbers of objects.
        generator: random generator on the CPU.

    Raises:
        InputError: shapes are wrong or a glyph is empty.

    Example:
        >>> digits = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
        >>> digits[0, :, 4:24, 12:16], digits[1, :, 4:24, 6:22] = 255, 255
        >>> gray = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
        >>> names, random = ("one", "zero"), torch.Generator().manual_seed(0)
        >>> scenes = pasted_scenes(4, gray, digits, torch.arange(2), names, Pasting(), random)
        >>> scenes.images.shape, bool((scenes.counts >= 1).all())
        (torch.Size([4, 3, 64, 64]), True)
    """
    _check_sources(count, backgrounds, glyphs, labels, classes)
    side, most = pasting.side, pasting.most
    ground = torch.randint(len(backgrounds), (count,), generator=generator)
    wanted = torch.randint(1, most + 1, (count,), generator=generator)
    which = torch.randint(len(glyphs), (most, count), generator=generator)
    draws = torch.rand(4, most, count, generator=generator)
    size = pasting.least_size + (pasting.most_size - pasting.least_size) * draws[0]
    left, top, color = (side - size) * draws[1], (side - size) * draws[2], _hues(draws[3])
    images = torch.empty(count, 3, side, side, dtype=torch.uint8)
    instances = torch.zeros(count, side, side, dtype=torch.uint8)
    placed = torch.zeros(count, most, dtype=torch.bool)
    for block in torch.split(torch.arange(count), _BLOCK):
        images[block] = _resized(backgrounds[ground[block]], side)
        for slot in range(most):
            rows = block[slot < wanted[block]]
            where = left[slot, rows], top[slot, rows], size[slot, rows]
            ink = _drawn(glyphs[which[slot, rows]], *where, side)
            placed[rows, slot] = free = _free(ink, instances[rows])
            numbers, tint = placed[rows := rows[free]].sum(dim=1), color[slot, rows]
            painted = _painted(images[rows], instances[rows], ink[free], tint, numbers)
            images[rows], instances[rows] = painted
    owners, slots = placed.nonzero(as_tuple=True)
    boxes = _boxes(instances[owners] == numbers_in_image(owners, count)[:, None, None])
    labels = labels[which[slots, owners]]
    return Scenes(images, instances, owners, labels=labels, boxes=boxes, classes=classes)


def _free(ink: Tensor, instances: Tensor) -> Tensor:
    """Returns whether glyphs [n, side, side] are visible and would cover no object [n]."""
    mask = ink >= INK
    return mask.flatten(1).any(dim=1) & ~(mask & (instances > 0)).flatten(1).any(dim=1)


def _painted(
    images: Tensor, instances: Tensor, ink: Tensor, colors: Tensor, numbers: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns images and instances with glyphs [n, side, side] pasted in."""
    mask = ink >= INK
    number = numbers.to(torch.uint8)[:, None, None]
    paint = (ink[:, None] * colors[:, :, None, None]).to(torch.uint8)
    return torch.where(mask[:, None], paint, images), torch.where(mask, number, instances)


def _boxes(masks: Tensor) -> Tensor:
    """Returns the tightest box around each mask [M, H, W], none of which is empty."""
    rows, columns = masks.any(dim=2).to(torch.uint8), masks.any(dim=1).to(torch.uint8)
    height, width = masks.shape[1:]
    sides = (
        columns.argmax(dim=1),
        rows.argmax(dim=1),
        width - columns.flip(1).argmax(dim=1),
        height - rows.flip(1).argmax(dim=1),
    )
    return torch.stack(sides, dim=1).float()


def _drawn(glyphs: Tensor, left: Tensor, top: Tensor, size: Tensor, side: int) -> Tensor:
    """Draws glyphs [n, 1, g, g] in their squares, as shares of full brightness [n, side, side]."""
    if not len(glyphs):
        return torch.empty(0, side, side)
    transform = torch.zeros(len(glyphs), 2, 3)
    transform[:, 0, 0] = transform[:, 1, 1] = side / size
    transform[:, 0, 2], transform[:, 1, 2] = (
        (side - 2 * left) / size - 1,
        (side - 2 * top) / size - 1,
    )
    grid = F.affine_grid(transform, [len(glyphs), 1, side, side], align_corners=False)
    return F.grid_sample(glyphs.float() / 255, grid, align_corners=False)[:, 0]


def _hues(turn: Tensor) -> Tensor:
    """Returns pure colors [..., 3] in [0, 255], once around the hue circle for turn from 0 to 1."""
    offset = torch.tensor([0.0, 4.0, 2.0])
    return 255 * (((6 * turn[..., None] + offset) % 6 - 3).abs() - 1).clamp(0, 1)


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[2:] == (side, side):
        return images
    shape = (side, side)
    sized = F.interpolate(images.float(), shape, mode="bilinear", antialias=True)
    return sized.round().clamp(0, 255).to(torch.uint8)


def _check_sources(
    count: int, backgrounds: Tensor, glyphs: Tensor, labels: Tensor, classes: tuple[str, ...]
) -> None:
    if count < 1:
        raise InputError(f"count is {count}; expected 1 or more")
    for name, images, channels in (("backgrounds", backgrounds, 3), ("glyphs", glyphs, 1)):
        shape = tuple(images.shape)
        wrong = len(shape) != 4 or shape[1] != channels or 0 in shape
        if wrong or images.dtype != torch.uint8:
            raise InputError(
                f"{name} are {images.dtype} {shape}; "
                f"expected torch.uint8 (count, {channels}, height, width)"
            )
    if tuple(labels.shape) != (len(glyphs),):
        raise InputError(f"labels are {tuple(labels.shape)}; expected ({len(glyphs)},)")
    check_range("labels", labels, 0, len(classes) - 1)
    if (blank := glyphs.flatten(1).amax(dim=1) < 255 * INK).any():
        raise InputError(f"glyph {int(blank.nonzero()[0])} is blank; expected bright pixels")
