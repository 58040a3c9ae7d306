"""Actions in the terms of other image libraries: crop boxes and affine matrices in pixels."""

import torch
from torch import Tensor

from plastorch.efference.actions import ImageActions, check_image_actions
from plastorch.engine.errors import InputError, check_positive


def crop_boxes(actions: ImageActions, height: int, width: int) -> Tensor:
    """Returns crop boxes in pixels, in the order of torchvision's ``resized_crop``.

    Args:
        actions: actions of B views.
        height: image height in pixels.
        width: image width in pixels.

    Returns:
        Top, left, height and width [B, 4]; not rounded, as crops begin and end within pixels.

    Raises:
        InputError: a size is not positive, or a crop has no area.

    Example:
        >>> actions = crops(torch.tensor([[[-0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]))
        >>> crop_boxes(actions, 100, 200), actions.flip
        (tensor([[  0., 100., 100., 100.]]), tensor([True]))
    """
    check_positive(height=height, width=width)
    check_image_actions(actions)
    pixels = (height, width, height, width)
    return torch.stack([size * of for size, of in zip(pixels, actions[:4], strict=True)], dim=-1)


def affine_matrices(actions: ImageActions, height: int, width: int, size: int) -> Tensor:
    """Returns affine matrices from an image's pixels to its view's, as kornia's transform matrix.

    A pixel's center has whole coordinates (x, y, 1), x to the right and y down. Points and boxes of
    an image move with its view by this matrix; those of a view, by its inverse; and from view a to
    view b, by ``M_b @ M_a.inverse()``.

    Args:
        actions: actions of B views.
        height: image height in pixels.
        width: image width in pixels.
        size: side of the views in pixels.

    Returns:
        Matrices [B, 3, 3].

    Raises:
        InputError: a size is not positive, or a crop has no area.

    Example:
        >>> whole = crops(torch.eye(3)[None])
        >>> affine_matrices(whole, 8, 8, 16) @ torch.tensor([3.5, 3.5, 1.0])  # the middle
        tensor([[7.5000, 7.5000, 1.0000]])
    """
    check_positive(height=height, width=width, size=size)
    check_image_actions(actions)
    top, left, tall, wide = (of.double() for of in actions[:4])
    across, down = size / (wide * width), size / (tall * height)
    matrix = torch.zeros(len(top), 3, 3, dtype=torch.float64, device=top.device)
    matrix[:, 0, 0], matrix[:, 0, 2] = across, (0.5 - left * width) * across - 0.5
    matrix[:, 1, 1], matrix[:, 1, 2] = down, (0.5 - top * height) * down - 0.5
    matrix[:, 2, 2] = 1
    matrix[actions.flip, 0] *= -1
    matrix[actions.flip, 0, 2] += size - 1
    return matrix.to(actions.width)


def crops(pose: Tensor) -> ImageActions:
    """Returns actions that crop and flip by poses Θ and leave colors alone.

    This is the inverse of :func:`~plastorch.efference.theta`. The pose of a crop of a crop is the
    product of their poses; the inverse of a pose leads back, though not to a crop inside the image.

    Args:
        pose: poses [B, 3, 3].

    Raises:
        InputError: the shape is wrong, or (on the CPU) a pose rotates, shears, flips upside down,
            or has no area.

    Example:
        >>> from plastorch.efference import CIFAR, theta
        >>> first, second = CIFAR.sample(4), CIFAR.sample(4)
        >>> both = crops(theta(first) @ theta(second))
        >>> torch.allclose(both.width, first.width * second.width)
        True
    """
    if pose.dim() != 3 or pose.shape[1:] != (3, 3):
        raise InputError(f"pose has shape {tuple(pose.shape)}; expected (B, 3, 3)")
    width, height = pose[:, 0, 0].abs(), pose[:, 1, 1]
    if pose.device.type == "cpu":
        rest = pose.clone()
        rest[:, [0, 1, 0, 1], [0, 1, 2, 2]] = 0
        rest[:, 2, 2] -= 1
        if rest.abs().max() > 1e-5 or not pose.isfinite().all():
            raise InputError("pose rotates or shears; expected zeros beside scales and shifts")
    one, none = torch.ones_like(width), torch.zeros_like(width)
    no = torch.zeros_like(width, dtype=torch.bool)
    actions = ImageActions(
        top=(1 - height - pose[:, 1, 2]) / 2,
        left=(1 - width + pose[:, 0, 2]) / 2,
        height=height,
        width=width,
        flip=pose[:, 0, 0] < 0,
        brightness=one,
        contrast=one,
        saturation=one,
        hue=none,
        gray=no,
        blur=none,
        solarized=no,
    )
    check_image_actions(actions)
    return actions
