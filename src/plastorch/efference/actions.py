"""Actions that make views of images and sounds.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. Coordinates go from -1 to 1, x to the right and y up. The pose of a crop is
Θ = [[sx, 0, tx], [0, sy, ty], [0, 0, 1]], which maps view coordinates to image coordinates; a flip
makes sx negative.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError


class ImageActions(NamedTuple):
    """Transforms of B images, all [B], applied in this order.

    ``take`` selects views by index, mask or slice; ``to`` moves them to a device.
    """

    top: Tensor
    """Upper edge of the crop, as a share of the image height."""
    left: Tensor
    height: Tensor
    width: Tensor
    flip: Tensor
    """Bool: the crop is mirrored left to right."""
    brightness: Tensor
    """Brightness factor; 1 means no change."""
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    """Hue shift as a share of the color circle; 0 means no change."""
    gray: Tensor
    """Bool: the view is made gray."""
    blur: Tensor
    """Sigma of a Gaussian blur in pixels of the view; 0 means no change."""
    solarized: Tensor
    """Bool: values of one half and more are inverted."""

    def take(self, rows: Tensor | slice) -> "ImageActions":
        return ImageActions(*(value[rows] for value in self))

    def to(self, device: torch.device | str) -> "ImageActions":
        return ImageActions(*(on(value, device) for value in self))


class AudioActions(NamedTuple):
    """Transforms of B sounds, all [B], applied in this order.

    ``take`` selects views by index, mask or slice; ``to`` moves them to a device.
    """

    start: Tensor
    """Start of the crop, as a share of the clip."""
    length: Tensor
    shift: Tensor
    """Upward shift in mel bands."""
    gain: Tensor
    """Gain in decibels."""
    snr: Tensor
    """Signal-to-noise ratio in decibels."""
    noise_seed: Tensor
    """Noise seeds, whole numbers from 0 to 2³¹ - 1; equal seeds give equal noise."""
    time_mask_start: Tensor
    """Start of the time mask, as a share of the view's frames."""
    time_mask_length: Tensor
    band_mask_start: Tensor
    """Start of the band mask, as a share of the bands."""
    band_mask_length: Tensor

    def take(self, rows: Tensor | slice) -> "AudioActions":
        return AudioActions(*(value[rows] for value in self))

    def to(self, device: torch.device | str) -> "AudioActions":
        return AudioActions(*(on(value, device) for value in self))


class Views:
    """Base class of distributions of views: random actions, and the views that they make.

    Subclasses define :meth:`sample` and :meth:`apply`.
    """

    def __call__(
        self, sources: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """Makes a random view of each source; returns the views and the actions that made them.

        Args:
            sources: images or sounds [B, ...], as :meth:`apply` takes them.
            generator: random generator on the CPU; torch's global one if None.
        """
        actions = self.sample(len(sources), generator, sources.device)
        return self.apply(sources, actions), actions

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> Any:
        """Draws actions, a NamedTuple of tensors [B].

        Args:
            count: number of views B.
            generator: random generator on the CPU, so that a seed gives the same views everywhere;
                torch's global one if None.
            device: device of the actions.

        Raises:
            InputError: the count is not positive.
        """
        raise NotImplementedError

    def apply(self, sources: Tensor, actions: Any) -> Tensor:
        """Makes the views that the actions describe [B, channels, H, W]."""
        raise NotImplementedError


def theta(actions: ImageActions) -> Tensor:
    """Returns the poses Θ of views in their images [B, 3, 3].

    sx = ±width, sy = height, tx = width - 1 + 2 left, ty = 1 - height - 2 top.

    Raises:
        InputError: a crop has no area.
    """
    check_image_actions(actions)
    top, left, height, width = actions[:4]
    pose = torch.zeros(len(width), 3, 3, dtype=width.dtype, device=width.device)
    pose[:, 0, 0] = signed_width(actions)
    pose[:, 0, 2] = width - 1 + 2 * left
    pose[:, 1, 1], pose[:, 1, 2] = height, 1 - height - 2 * top
    pose[:, 2, 2] = 1
    return pose


def signed_width(actions: ImageActions) -> Tensor:
    """Returns the widths of crops, negative where they are flipped [B]."""
    return torch.where(actions.flip, -actions.width, actions.width)


def check_image_actions(actions: ImageActions) -> None:
    """Raises InputError unless these are actions of image views, with crops of some area."""
    _check_type(actions, ImageActions)
    _check_extent("height", actions.height)
    _check_extent("width", actions.width)


def check_audio_actions(actions: AudioActions) -> None:
    """Raises InputError unless these are actions of audio views, with crops of some length."""
    _check_type(actions, AudioActions)
    _check_extent("length", actions.length)


def check_lengths(actions: ImageActions | AudioActions) -> None:
    """Raises InputError unless all fields are as long as the first one."""
    count = len(actions[0]) if actions[0].dim() else 0
    for name, field in actions._asdict().items():
        if field.shape != (count,):
            raise InputError(f"{name} has shape {tuple(field.shape)}; expected ({count},)")


def on(values: Tensor, device: torch.device | str) -> Tensor:
    """Moves a tensor to a device; a move from the CPU to a GPU doesn't wait for the GPU."""
    return values.to(device, non_blocking=torch.device(device).type == "cuda")


def any_on_cpu(bad: Tensor) -> bool:
    """Whether a value is bad; False on an accelerator, as a check would wait for its values."""
    return bad.device.type == "cpu" and bool(bad.any())


def _check_type(actions: object, expected: type) -> None:
    if not isinstance(actions, expected):
        raise InputError(
            f"actions are a {type(actions).__name__}; expected {expected.__name__}: a transform "
            "that doesn't return its parameters has no efference copy"
        )


def _check_extent(name: str, extent: Tensor) -> None:
    bad = ~(extent > 0)  # NaN is bad, too
    if any_on_cpu(bad):
        raise InputError(f"{name} of a crop is {float(extent[bad][0])}; expected more than 0")
