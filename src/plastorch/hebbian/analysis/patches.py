"""Patches of images to which neurons respond most."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.hebbian.analysis.fields import (
    block_response,
    blocks_until,
    checked_neurons,
    receptive_side,
)
from plastorch.hebbian.networks import SoftHebbNet


class TopPatches(NamedTuple):
    """Result of :func:`top_patches` for n neurons, the strongest response first."""

    responses: Tensor
    """Pre-activations [n, count]."""
    images: Tensor
    """Indices of the images [n, count], all different in a row."""
    boxes: Tensor
    """Top, left, bottom and right edge [n, count, 4] of the neuron's view, in pixels of the image,
    clipped to it."""
    patches: Tensor
    """uint8 patches [n, count, C, side, side]; beyond the border the image is reflected."""


@torch.no_grad()
def top_patches(
    net: SoftHebbNet,
    images: Tensor,
    layer: int,
    neurons: Sequence[int],
    count: int = 10,
    batch_size: int = 100,
) -> TopPatches:
    """Returns the patches that drive neurons most, each from a different image.

    Journé et al. 2023 (section on receptive fields). The images, uint8 [N, C, H, W], pass once, in
    batches, in eval mode. Layers count from 1, neurons from 0.
    """
    check_positive(count=count, batch_size=batch_size)
    chosen = checked_neurons(net, layer, neurons)
    _check_images(images)
    count = min(count, len(images))
    responses, images_of, places = _strongest(
        net, images, layer, neurons=chosen, count=count, batch_size=batch_size
    )
    corners = _first_pixel(net, layer, places).cpu()
    side, images_of = receptive_side(net, layer), images_of.cpu()
    height, width = images.shape[2:]
    edges = torch.cat([corners, corners + side], dim=2)
    boxes = edges.clamp_min(0).minimum(torch.tensor([height, width, height, width]))
    patches = _cut(images.cpu(), images_of.flatten(), corners.flatten(0, 1), side)
    return TopPatches(
        responses.cpu(), images_of, boxes, patches.view(*images_of.shape, *patches.shape[1:])
    )


def _strongest(
    net: SoftHebbNet, images: Tensor, layer: int, *, neurons: Tensor, count: int, batch_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the largest responses [n, count], their images, and places [n, count, 2] in maps."""
    net.eval()
    responses = torch.empty(len(neurons), 0, device=neurons.device)
    images_of = places = torch.empty(len(neurons), 0, dtype=torch.long, device=neurons.device)
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size].to(neurons.device)
        u = _responses(net, batch, layer, neurons)
        best, place = u.flatten(2).max(dim=2)  # one position per image
        index = torch.arange(start, start + len(batch), device=neurons.device)
        responses, order = torch.cat([responses, best.T.float()], dim=1).topk(
            min(count, start + len(batch)), dim=1
        )
        images_of = torch.cat([images_of, index.expand(len(neurons), -1)], 1).gather(1, order)
        places = torch.cat([places, place.T], 1).gather(1, order)
    return responses, images_of, torch.stack([places // u.shape[3], places % u.shape[3]], dim=2)


def _responses(net: SoftHebbNet, images: Tensor, layer: int, neurons: Tensor) -> Tensor:
    """Returns pre-activations [B, n, H', W'] of neurons in the network with all its paddings."""
    *before, last = blocks_until(net, layer)
    x = net.pixels(images)
    for block in before:
        x = block(x)
    return block_response(last, F.pad(last.norm(x), 4 * (last.spec.padding,), "reflect"), neurons)


def _first_pixel(net: SoftHebbNet, layer: int, position: Tensor) -> Tensor:
    """Returns the top or left pixel seen at a position of a layer's map; negative in padding."""
    *before, last = blocks_until(net, layer)
    pixel = position - last.spec.padding
    for block in reversed(before):
        pool = block.spec.pool
        pixel = pixel * pool.stride - pool.padding - block.spec.padding
    return pixel


def _cut(images: Tensor, rows: Tensor, corners: Tensor, side: int) -> Tensor:
    """Cuts squares [n, C, side, side] of images[rows] at (top, left), reflected at the borders."""
    y, x = (
        _reflected(corners[:, axis, None] + torch.arange(side), images.shape[2 + axis])
        for axis in (0, 1)
    )
    return images[rows[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _reflected(position: Tensor, size: int) -> Tensor:
    """Folds positions into 0 .. size - 1 by reflection, the border pixel not repeated."""
    folded = position.abs() % max(1, 2 * size - 2)
    return torch.minimum(folded, 2 * size - 2 - folded)


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8 or images.dim() != 4 or not len(images):
        raise InputError(
            f"images are {images.dtype} {tuple(images.shape)}; expected uint8 [N, C, H, W], N > 0"
        )
