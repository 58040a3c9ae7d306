"""Actions that make views or lead from one view to another: efference copies.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. Coordinates go from -1 to 1, x to the right and y up. The pose of a crop is
Θ = [[sx, 0, tx], [0, sy, ty], [0, 0, 1]], which maps view coordinates to image coordinates; a flip
makes sx negative.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError

Kind = Literal["egocentric", "full", "compatible", "audio"]

IMAGE_FACTORS = ("scale_x", "scale_y", "flip", "shift_x", "shift_y")
FULL_FACTORS = (
    *IMAGE_FACTORS,
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "gray",
    "blur",
    "solarized",
)
AUDIO_FACTORS = ("start", "length", "shift", "gain", "snr")
COMPATIBLE_FACTORS = ("m11", "m12", "m13", "m21", "m22", "m23")
FACTORS: dict[Kind, tuple[str, ...]] = {
    "egocentric": IMAGE_FACTORS,
    "full": FULL_FACTORS,
    "compatible": COMPATIBLE_FACTORS,
    "audio": AUDIO_FACTORS,
}
"""Names of the entries of each kind of efference copy."""


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
        return ImageActions(*(value.to(device) for value in self))


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
        return AudioActions(*(value.to(device) for value in self))


def theta(actions: ImageActions) -> Tensor:
    """Returns the poses Θ of views in their images [B, 3, 3].

    sx = ±width, sy = height, tx = width - 1 + 2 left, ty = 1 - height - 2 top.

    Raises:
        InputError: a crop has no area.
    """
    check_image_actions(actions)
    top, left, height, width = actions[:4]
    pose = torch.zeros(len(width), 3, 3, dtype=width.dtype, device=width.device)
    pose[:, 0, 0] = _signed_width(actions)
    pose[:, 0, 2] = width - 1 + 2 * left
    pose[:, 1, 1], pose[:, 1, 2] = height, 1 - height - 2 * top
    pose[:, 2, 2] = 1
    return pose


def compatible(a: ImageActions, b: ImageActions) -> Tensor:
    """Returns the efference copy of the authors' published program [B, 2, 3].

    [[sx_b / sx_a, 0, tx_b - sx_b tx_a], [0, sy_b / sy_a, ty_b - sy_b ty_a]]: Θ_b times an inverse
    of Θ_a with the translation -t_a instead of -t_a / s_a.

    Args:
        a: actions of the first view.
        b: actions of the second view.

    Raises:
        InputError: a crop has no area, or the numbers of views differ.
    """
    _check_pair(a, b)
    pose_a, pose_b = theta(a), theta(b)
    command = torch.zeros_like(pose_a[:, :2])
    for i in (0, 1):
        command[:, i, i] = pose_b[:, i, i] / pose_a[:, i, i]
        command[:, i, 2] = pose_b[:, i, 2] - pose_b[:, i, i] * pose_a[:, i, 2]
    return command


def egocentric(a: ImageActions, b: ImageActions) -> Tensor:
    """Returns the exact efference copy: the pose of view b in the frame of view a, Θ_a⁻¹ Θ_b.

    Args:
        a: actions of the first view.
        b: actions of the second view.

    Returns:
        ``log |sx_b / sx_a|``, log (sy_b / sy_a), whether exactly one view is flipped,
        (tx_b - tx_a) / sx_a and (ty_b - ty_a) / sy_a, where sx_a < 0 if a is flipped [B, 5].

    Raises:
        InputError: a crop has no area, or the numbers of views differ.
    """
    _check_pair(a, b)
    across = 2 * (b.left - a.left) + b.width - a.width
    up = 2 * (a.top - b.top) + a.height - b.height
    values = (
        torch.log(b.width / a.width),
        torch.log(b.height / a.height),
        (a.flip ^ b.flip).to(across),
        across / _signed_width(a),
        up / a.height,
    )
    return torch.stack(values, dim=-1)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Composes two efference copies: a → b and b → c give a → c.

    Args:
        first: egocentric copy of a → b [..., 5].
        second: egocentric copy of b → c [..., 5].

    Example:
        >>> smaller = torch.tensor([-1.0, -1.0, 1.0, 0.5, 0.0])
        >>> compose(smaller, invert(smaller))
        tensor([0., 0., 0., 0., 0.])
    """
    scale_x, scale_y, flip, shift_x, shift_y = first.unbind(-1)
    values = (
        scale_x + second[..., 0],
        scale_y + second[..., 1],
        (flip - second[..., 2]).abs(),
        shift_x + (1 - 2 * flip) * scale_x.exp() * second[..., 3],
        shift_y + scale_y.exp() * second[..., 4],
    )
    return torch.stack(values, dim=-1)


def invert(command: Tensor) -> Tensor:
    """Inverts an efference copy: a → b gives b → a.

    Args:
        command: egocentric copy [..., 5].
    """
    scale_x, scale_y, flip, shift_x, shift_y = command.unbind(-1)
    back_x = -(1 - 2 * flip) * shift_x * torch.exp(-scale_x)
    return torch.stack((-scale_x, -scale_y, flip, back_x, -shift_y * torch.exp(-scale_y)), dim=-1)


def full_command(a: ImageActions, b: ImageActions) -> Tensor:
    """Returns the efference copy of all transforms: the egocentric one and changes of color.

    Args:
        a: actions of the first view.
        b: actions of the second view.

    Returns:
        Values named by ``FULL_FACTORS`` [B, 12]: the egocentric copy, log ratios of brightness,
        contrast and saturation, differences of hue and blur, and, for gray and solarized, whether
        exactly one view is.

    Raises:
        InputError: a crop has no area, or the numbers of views differ.
    """
    geometry = egocentric(a, b)
    values = (
        torch.log(b.brightness / a.brightness),
        torch.log(b.contrast / a.contrast),
        torch.log(b.saturation / a.saturation),
        b.hue - a.hue,
        (a.gray ^ b.gray).to(geometry),
        b.blur - a.blur,
        (a.solarized ^ b.solarized).to(geometry),
    )
    return torch.cat([geometry, torch.stack(values, dim=-1)], dim=-1)


def egocentric_audio(a: AudioActions, b: AudioActions) -> Tensor:
    """Returns the efference copy between two views of a sound, named by ``AUDIO_FACTORS``.

    Args:
        a: actions of the first view.
        b: actions of the second view.

    Returns:
        Difference of starts in lengths of view a, log ratio of lengths, and differences of shift
        in mel bands and of gain and noise in decibels [B, 5]. Masks are ignored.

    Raises:
        InputError: a crop has no length, or the numbers of views differ.
    """
    check_audio_actions(a)
    check_audio_actions(b)
    _check_count(len(a.start), len(b.start))
    values = (
        (b.start - a.start) / a.length,
        torch.log(b.length / a.length),
        b.shift - a.shift,
        b.gain - a.gain,
        b.snr - a.snr,
    )
    return torch.stack(values, dim=-1)


def check_image_actions(actions: ImageActions) -> None:
    """Raises InputError unless these are actions of image views, with crops of some area."""
    if not isinstance(actions, ImageActions):
        raise InputError(_no_parameters(actions, "ImageActions"))
    _check_extent("height", actions.height)
    _check_extent("width", actions.width)


def check_audio_actions(actions: AudioActions) -> None:
    """Raises InputError unless these are actions of audio views, with crops of some length."""
    if not isinstance(actions, AudioActions):
        raise InputError(_no_parameters(actions, "AudioActions"))
    _check_extent("length", actions.length)


def _signed_width(actions: ImageActions) -> Tensor:
    return torch.where(actions.flip, -actions.width, actions.width)


def _no_parameters(actions: object, expected: str) -> str:
    return (
        f"actions are a {type(actions).__name__}; expected {expected}: a transform that doesn't "
        "return its parameters has no efference copy"
    )


def _check_extent(name: str, extent: Tensor) -> None:
    bad = ~(extent > 0)  # NaN is bad, too
    if bool(bad.any()):
        raise InputError(f"{name} of a crop is {float(extent[bad][0])}; expected more than 0")


def _check_pair(a: ImageActions, b: ImageActions) -> None:
    check_image_actions(a)
    check_image_actions(b)
    _check_count(len(a.top), len(b.top))


def _check_count(first: int, second: int) -> None:
    if first != second:
        raise InputError(f"b has {second} views; expected {first}, as many as a")
