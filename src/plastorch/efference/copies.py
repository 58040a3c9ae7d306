"""Efference copies: actions that lead from one view to another.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. Poses are those of :mod:`plastorch.efference.actions`.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from plastorch.efference.actions import (
    AudioActions,
    ImageActions,
    check_audio_actions,
    check_image_actions,
    signed_width,
    theta,
)
from plastorch.engine.errors import InputError, check_one_of

Kind = Literal["egocentric", "full", "compatible", "differences", "audio"]
Actions = ImageActions | AudioActions

_POSE = ("scale_x", "scale_y", "flip", "shift_x", "shift_y")
_COLOR = ("brightness", "contrast", "saturation", "hue", "gray", "blur", "solarized")
FACTORS: dict[Kind, tuple[str, ...]] = {
    "egocentric": _POSE,
    "full": _POSE + _COLOR,
    "compatible": ("m11", "m12", "m13", "m21", "m22", "m23"),
    "differences": ("center_x", "center_y", "width", "height", *_COLOR[:4]),
    "audio": ("start", "length", "shift", "gain", "snr"),
}
"""Names of the entries of each kind of efference copy."""


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
        across / signed_width(a),
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
        Values named by ``FACTORS["full"]`` [B, 12]: the egocentric copy, log ratios of brightness,
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


def differences(a: ImageActions, b: ImageActions) -> Tensor:
    """Returns the differences of parameters that AugSelf predicts, ω_b - ω_a.

    Lee et al., NeurIPS 2021, arXiv 2111.09613. Unlike the egocentric copy, they are in the frame of
    the image, which no view shows whole.

    Args:
        a: actions of the first view.
        b: actions of the second view.

    Returns:
        Differences of the crops' centers, widths and heights, as shares of the image, and of
        brightness, contrast, saturation and hue [B, 8].

    Raises:
        InputError: a crop has no area, or the numbers of views differ.
    """
    _check_pair(a, b)
    of_a, of_b = (
        torch.stack(
            (
                of.left + of.width / 2,
                of.top + of.height / 2,
                of.width,
                of.height,
                of.brightness,
                of.contrast,
                of.saturation,
                of.hue,
            ),
            dim=-1,
        )
        for of in (a, b)
    )
    return of_b - of_a


def egocentric_audio(a: AudioActions, b: AudioActions) -> Tensor:
    """Returns the efference copy between two views of a sound, named by ``FACTORS["audio"]``.

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


def command(a: Actions, b: Actions, kind: Kind) -> Tensor:
    """Returns the efference copy of a kind, from view a to b [B, K]; FACTORS[kind] names them.

    Raises:
        InputError: the kind is unknown, or the actions are of another kind of view.
    """
    check_one_of(FACTORS, kind=kind)
    forms: dict[Kind, Callable[..., Tensor]] = {
        "egocentric": egocentric,
        "full": full_command,
        "compatible": compatible,
        "differences": differences,
        "audio": egocentric_audio,
    }
    return forms[kind](a, b).flatten(1)


def _check_pair(a: ImageActions, b: ImageActions) -> None:
    check_image_actions(a)
    check_image_actions(b)
    _check_count(len(a.top), len(b.top))


def _check_count(first: int, second: int) -> None:
    if first != second:
        raise InputError(f"b has {second} views; expected {first}, as many as in a")
