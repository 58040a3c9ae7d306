"""Augmentations of a whole batch at once, on the batch's device.

Random numbers are drawn on the CPU, so a seed gives the same crops on every device.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from plastorch.engine.errors import InputError

_BENDS = 5  # grid points along each axis; a 28-pixel digit has separate strokes between them
_ATTEMPTS = 10  # as many as in torchvision's RandomResizedCrop before it takes the center


def jittered(
    images: Tensor,
    degrees: float = 12.0,
    scale: float = 0.1,
    shift: float = 1.5,
    bend: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Rotates, scales, shifts and bends each image a little at random; 0 fills in from outside.

    Bending is an elastic distortion (Simard et al., ICDAR 2003). Images keep their type and shape
    [N, C, H, W]; sampling is bilinear.

    Args:
        images: images, uint8 or float, on any device.
        degrees: largest angle in degrees.
        scale: largest relative change of size, below 1.
        shift: largest shift along each axis, in pixels.
        bend: largest additional shift, along each axis, of the points of a 5 x 5 grid over the
            image, in pixels; the area between them is interpolated smoothly (bicubic).
        generator: random generator on the CPU; None for torch's own.
    """
    count, _, height, width = _checked_shape(images)
    for name, value, most in (("degrees", degrees, 180.0), ("scale", scale, 1.0)):
        if not 0 <= value < most:
            raise InputError(f"{name}: {value} found; expected at least 0 and below {most:g}")
    for name, value in (("shift", shift), ("bend", bend)):
        if not 0 <= value < math.inf:
            raise InputError(f"{name}: {value} found; expected at least 0")
    turn, size, x, y = 2 * torch.rand(4, count, generator=generator) - 1
    angle, size = math.radians(degrees) * turn, 1 + scale * size
    transform = torch.empty(count, 2, 3)
    # The grid spans -1 to 1 whatever the image's shape, so a rotation needs the aspect ratio.
    transform[:, 0, 0] = transform[:, 1, 1] = size * angle.cos()
    transform[:, 0, 1] = -size * angle.sin() * height / width
    transform[:, 1, 0] = size * angle.sin() * width / height
    transform[:, 0, 2], transform[:, 1, 2] = 2 * shift * x / width, 2 * shift * y / height
    grid = functional.affine_grid(
        transform.to(images.device), list(images.shape), align_corners=False
    )
    if bend:
        points = 2 * torch.rand(count, 2, _BENDS, _BENDS, generator=generator) - 1
        moves = functional.interpolate(
            points.to(images.device), (height, width), mode="bicubic", align_corners=True
        )
        pixels = torch.tensor([width, height], device=images.device)
        grid += 2 * bend / pixels * moves.permute(0, 2, 3, 1)
    moved = functional.grid_sample(images.float(), grid, align_corners=False)
    return moved if images.is_floating_point() else moved.round().to(images.dtype)


def shifted(
    images: Tensor, most: int, fill: int = 0, generator: torch.Generator | None = None
) -> Tensor:
    """Shifts images [N, C, H, W] by random whole pixels, up to ``most`` along each axis."""
    count, channels, height, width = _checked_shape(images)
    if most < 0:
        raise InputError(f"most: {most} found; expected at least 0")
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    padded = functional.pad(images, (most,) * 4, value=fill)
    rows, columns = torch.arange(height) + down, torch.arange(width) + right
    pixels = rows[:, :, None] * padded.shape[-1] + columns[:, None, :]
    pixels = pixels.view(count, 1, -1).to(images.device).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view(images.shape)


def crop_and_flip(
    images: Tensor, padding: int = 4, generator: torch.Generator | None = None
) -> Tensor:
    """Pads by reflection, crops at random to the original size, and flips half of the images.

    Returns float32 [N, C, H, W] in the same value range; the generator is on the CPU. Raises
    InputError if the images are too small for the padding, in pixels on each side.
    """
    count, channels, height, width = _checked_shape(images)
    if not 0 <= padding < min(height, width):
        raise InputError(f"padding: {padding} found; expected 0 to {min(height, width) - 1}")
    top, left, flip = _draw_crops(count, padding, generator)
    rows = _reflect(torch.arange(height) + top[:, None] - padding, height)
    columns = _reflect(torch.arange(width) + left[:, None] - padding, width)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    # One gather over flattened pixels is five times as fast as indexing each axis in turn.
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, height * width)
    pixels = pixels.to(images.device).expand(-1, channels, -1)
    return images.flatten(2).gather(2, pixels).view(images.shape).float()


def resized_crop_and_flip(
    images: Tensor,
    size: int,
    aspect: Tensor | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Crops a random box of each image, resizes it, and flips half of the images.

    The box is drawn as in torchvision's ``RandomResizedCrop``. If images are squashed, it is drawn
    in the geometry of the original image and mapped to the squashed one. Sampling is bilinear.
    Results [N, C, size, size] are float32.

    Args:
        images: images [N, C, H, W], uint8 or float, on any device.
        size: side of the square output, in pixels.
        aspect: width / height of each original image [N]; None if the images are not squashed.
        scale: bounds of the box's area as a share of the image's, drawn uniformly.
        ratio: bounds of the box's width / height, drawn uniformly in its logarithm.
        generator: random generator on the CPU; None for torch's own.
    """
    count, channels, height, width = _checked_shape(images)
    if size < 1:
        raise InputError(f"size: {size} found; expected a positive number of pixels")
    aspect = torch.full((count,), width / height) if aspect is None else aspect.float().cpu()
    if aspect.shape != (count,) or not bool((aspect > 0).all()):
        raise InputError(
            f"aspect: shape {tuple(aspect.shape)}; expected {count} positive numbers, one per image"
        )
    left, top, across, down = _draw_boxes(aspect, scale, ratio, generator).unbind(1)
    mirror = 1 - 2 * _draw_flips(count, generator).float()
    transform = torch.zeros(count, 2, 3)
    transform[:, 0, 0], transform[:, 0, 2] = across * mirror, 2 * left + across - 1
    transform[:, 1, 1], transform[:, 1, 2] = down, 2 * top + down - 1
    grid = functional.affine_grid(
        transform.to(images.device), [count, channels, size, size], align_corners=False
    )
    return functional.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _draw_boxes(
    aspect: Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator | None,
) -> Tensor:
    """Draws boxes [N, 4]: left, top, width, height as shares of the image's width and height."""
    for name, (low, high), most in (("scale", scale, 1.0), ("ratio", ratio, math.inf)):
        if not 0 < low <= high <= most:
            raise InputError(f"{name}: ({low}, {high}) found; expected 0 < low <= high <= {most}")
    area, shape, x, y = torch.rand(4, len(aspect), _ATTEMPTS, generator=generator)
    area = scale[0] + (scale[1] - scale[0]) * area
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    shape = torch.exp(log_low + (log_high - log_low) * shape) / aspect[:, None]
    across, down = torch.sqrt(area * shape), torch.sqrt(area / shape)
    fits = (across <= 1) & (down <= 1)
    drawn = torch.stack([x * (1 - across), y * (1 - down), across, down], dim=-1)
    first = fits.float().argmax(1)  # the first attempt that fits
    drawn = drawn[torch.arange(len(aspect)), first]
    return torch.where(fits.any(1)[:, None], drawn, _central_boxes(aspect, ratio))


def _central_boxes(aspect: Tensor, ratio: tuple[float, float]) -> Tensor:
    """Returns the largest central box of an allowed shape, for when no drawn box fits."""
    shape = aspect.clamp(*ratio) / aspect
    across, down = shape.clamp(max=1), (1 / shape).clamp(max=1)
    return torch.stack([(1 - across) / 2, (1 - down) / 2, across, down], dim=-1)


def _draw_crops(
    count: int, padding: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    top, left = torch.randint(0, 2 * padding + 1, (2, count), generator=generator)
    return top, left, _draw_flips(count, generator)


def _draw_flips(count: int, generator: torch.Generator | None) -> Tensor:
    return torch.rand(count, generator=generator) < 0.5


def _reflect(index: Tensor, length: int) -> Tensor:
    """Folds indices beyond the edges back inside, without repeating the edge pixel."""
    return length - 1 - (length - 1 - index.abs()).abs()


def _checked_shape(images: Tensor) -> tuple[int, int, int, int]:
    if images.ndim != 4:
        raise InputError(f"images: shape {tuple(images.shape)} found; expected [N, C, H, W]")
    count, channels, height, width = images.shape
    return count, channels, height, width
