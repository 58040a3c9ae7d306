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
    steps, pixels brighter than 0.95 fire first, those up to 0.05 last: temporal MNIST of Jeffares,
    Guo, Stenetorp, Moraitis (ICLR 2022, arXiv 2110.02865), in whole numbers. Images and steps are
    uint8, of any shape. Raises InputError for another type, or unless steps are 2 to 255.
    """
    if images.dtype != torch.uint8:
        raise InputError(f"images have type {images.dtype}; expected torch.uint8")
    if not 2 <= steps <= 255:
        raise InputError(f"steps is {steps}; expected 2 to 255")
    level = torch.arange(256)
    table = (steps - (steps * level + 254) // 255).clamp(max=steps - 1).to(torch.uint8)
    return table.to(images.device)[images.int()]


def spikes(when: Tensor, steps: int = STEPS) -> Tensor:
    """Returns which pixels fire at each step, bool [steps, B, pixels], from steps [B, pixels]."""
    step = torch.arange(steps, dtype=torch.uint8, device=when.device)
    return when == step[:, None, None]


def turned(
    when: Tensor, steps: int, degrees: float, scale: float, generator: torch.Generator
) -> Tensor:
    """Rotates and scales each picture a little at random, by moving its spikes.

    Steps are uint8 [N, 1, side, side]. A pixel fires when the nearest one did, as interpolated gray
    levels would fire later than either neighbor; pixels that come in from outside fire last.
    ``degrees`` and ``scale`` are the largest angle and relative change of size; the generator is on
    the CPU.
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
