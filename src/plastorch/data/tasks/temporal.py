"""Pictures as spikes: each pixel fires once, brighter ones earlier."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from plastorch.engine.errors import InputError

STEPS = 20


def spike_steps(images: Tensor, steps: int = STEPS) -> Tensor:
    """Returns the step at which each pixel fires: gray levels in equal bins, brightest first.

    A pixel of level k fires at step ``steps`` - ⌈``steps`` k / 255⌉, the last one if k = 0. With 20
    steps, pixels brighter than 0.95 fire first, those up to 0.05 last: temporal MNIST of
    Jeffares, Guo, Stenetorp, Moraitis (ICLR 2022, arXiv 2110.02865), in whole numbers.

    Args:
        images: images, uint8, of any shape.
        steps: number of steps, 2 to 255.

    Returns:
        Steps from 0, uint8, in the shape of the images.

    Raises:
        InputError: the images are not uint8, or there are too few or too many steps.

    Example:
        >>> spike_steps(torch.tensor([255, 243, 242, 13, 12, 0], dtype=torch.uint8)).tolist()
        [0, 0, 1, 18, 19, 19]
    """
    if images.dtype != torch.uint8:
        raise InputError(f"images have type {images.dtype}; expected torch.uint8")
    if not 2 <= steps <= 255:
        raise InputError(f"steps is {steps}; expected 2 to 255")
    level = torch.arange(256)
    table = (steps - (steps * level + 254) // 255).clamp(max=steps - 1).to(torch.uint8)
    return table.to(images.device)[images.int()]


def spikes(when: Tensor, steps: int = STEPS) -> Tensor:
    """Returns which pixels fire at each step.

    Args:
        when: step at which each pixel fires, uint8 [B, pixels].
        steps: number of frames to make: the first ones, if fewer than all.

    Returns:
        Spikes, bool [steps, B, pixels].

    Example:
        >>> spikes(torch.tensor([[0, 2]], dtype=torch.uint8), 3).int().flatten(1).tolist()
        [[1, 0], [0, 0], [0, 1]]
    """
    step = torch.arange(steps, dtype=torch.uint8, device=when.device)
    return when == step[:, None, None]


def turned(
    when: Tensor, steps: int, degrees: float, scale: float, generator: torch.Generator
) -> Tensor:
    """Rotates and scales each picture a little at random, by moving its spikes.

    A pixel fires when the nearest one did, as interpolated gray levels would fire later than either
    neighbor; pixels that come in from outside fire last.

    Args:
        when: step at which each pixel fires, uint8 [N, 1, side, side].
        steps: number of steps.
        degrees: largest angle in degrees.
        scale: largest relative change of size, below 1.
        generator: random generator on the CPU.

    Example:
        >>> when = torch.zeros(4, 1, 9, 9, dtype=torch.uint8)
        >>> turned(when, 20, 10.0, 0.1, torch.Generator().manual_seed(0)).unique()
        tensor([ 0, 19], dtype=torch.uint8)
    """
    angle, size = 2 * torch.rand(2, len(when), generator=generator) - 1
    angle, size = math.radians(degrees) * angle, 1 + scale * size
    sine, cosine, none = size * angle.sin(), size * angle.cos(), torch.zeros_like(angle)
    rows = [torch.stack(row, dim=1) for row in ((cosine, -sine, none), (sine, cosine, none))]
    transform = torch.stack(rows, dim=1).to(when.device)
    grid = functional.affine_grid(transform, list(when.shape), align_corners=False)
    before_last = (steps - 1 - when).float()
    found = functional.grid_sample(before_last, grid, mode="nearest", align_corners=False)
    return (steps - 1 - found).to(torch.uint8)
