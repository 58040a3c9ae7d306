"""SoftHebb's convolution: like ``nn.Conv2d``, with a ``learn`` beside ``forward``."""

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.hebbian.layers import (
    Distribution,
    Rows,
    SoftHebbLayer,
    at_least_float32,
    check_teacher,
)
from plastorch.hebbian.rule import Competition, triangle
from plastorch.hebbian.winograd import Patches, pays
from plastorch.learning import Step

CHANNELS = 16
"""Number of input channels from which on Winograd's form of a convolution is the faster one."""
CHANNELS_TO_LEARN = 32
"""The same for weights that learn, which are transformed each time."""
Pair = int | tuple[int, int]
Padding = Pair | Literal["same", "valid"]


class SoftHebbConv2d(SoftHebbLayer):
    """Convolution that learns by SoftHebb's rule; every position of every image is a sample.

    Paper: Journé et al., ICLR 2023, arXiv 2209.11883. Arguments of ``nn.Conv2d`` mean the same
    here. The layer differs from ``nn.Conv2d`` in its defaults (no bias, reflected padding) and in
    the arguments after ``padding``, which are keyword-only.

    Args:
        in_channels: number of input channels.
        out_channels: number of neurons K; those of one group compete at each position.
        kernel_size: size of the receptive field, one number or (height, width).
        stride: step between positions.
        padding: pixels added on each side, "same" for outputs of the input's size (stride 1), or
            "valid" for none.
        dilation: step between the pixels of a receptive field.
        groups: number of channel blocks that don't see each other.
        bias: whether to learn the log-prior of each neuron.
        padding_mode: "reflect" (the paper's) or "zeros".
        competition: competition rule; see :data:`plastorch.hebbian.rule.Competition`.
        inverse_temperature: inverse temperature t = 1 / T of the competition.
        rate_power: exponent q of the norm-dependent learning rate; 0 for a constant rate.
        initial_radius: R, the root of the expected squared norm of the initial weights.
        initial_distribution: "normal" for centered inputs, "positive" for inputs in [0, 1].
        pre_triangle: whether to replace u by relu(u - mean over channels) before the competition.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: argument out of range, named in the message.

    Example:
        >>> import plastorch
        >>> layer = SoftHebbConv2d(3, 8, kernel_size=5, padding=2)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.08)
        >>> plastorch.learn(layer, torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 8, 32, 32])
        >>> optimizer.step()
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Padding = 0,
        *,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: Literal["reflect", "zeros"] = "reflect",
        competition: Competition = "softkrotov",
        inverse_temperature: float = 1.0,
        rate_power: float = 0.5,
        initial_radius: float = 25.0,
        initial_distribution: Distribution = "normal",
        pre_triangle: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            competition, inverse_temperature, rate_power, initial_radius, initial_distribution
        )
        self.groups = groups
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _pair("kernel_size", kernel_size)
        self.stride = _pair("stride", stride)
        self.padding = padding if isinstance(padding, str) else _pair("padding", padding)
        self.dilation = _pair("dilation", dilation)
        self.padding_mode = padding_mode
        self.pre_triangle = pre_triangle
        self._check_arguments()
        # Not by .contiguous(): with one channel it keeps the other strides, and then the outputs
        # are channels first too, whose pooling takes nine times as long.
        weight = torch.empty(
            (out_channels, in_channels // groups, *self.kernel_size),
            device=device,
            dtype=dtype,
            memory_format=torch.channels_last,
        )
        self._set_parameters(weight, bias, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the convolution (and ``pre_triangle``), without learning.

        Args:
            x: images [B, in_channels, H, W].

        Returns:
            Pre-activations [B, out_channels, H', W'].

        Raises:
            InputError: wrong number of channels, or ``x`` smaller than the receptive field.
        """
        u = F.conv2d(
            self._padded(x),
            self.weight,
            None if self.pre_triangle else self.bias,
            self.stride,
            0,
            self.dilation,
            self.groups,
        )
        if not self.pre_triangle:
            return u
        u = triangle(u)
        return u if self.bias is None else u + self.bias.view(-1, 1, 1)

    @torch.no_grad()
    def learn(self, x: Tensor, state: None = None, *, teacher: Tensor | None = None) -> Step:
        """Returns output and updates without changing weights; see :func:`plastorch.set_gradients`.

        Args:
            x: images [B, in_channels, H, W].
            state: None; the layer has no state.
            teacher: activations [B, out_channels, H', W'] used in place of the competition's.

        Returns:
            Output and updates; the weights stay unchanged.

        Raises:
            InputError: wrong number of channels, ``x`` smaller than the receptive field, or a
                teacher of another shape than the output.
        """
        rows, positions = self._rows(self._padded(x))
        weight = self._per_group(self.weight.detach().permute(0, 2, 3, 1).flatten(1))
        if teacher is not None:
            images, height, width = positions
            check_teacher(teacher, (images, self.out_channels, height, width))
            teacher = self._per_group(teacher.permute(1, 0, 2, 3).flatten(1)).mT
        output, updates = self._step(rows, weight, teacher)
        kernel = self.weight.permute(0, 2, 3, 1).shape
        updates["weight"] = updates["weight"].reshape(kernel).permute(0, 3, 1, 2)
        if "bias" in updates:
            updates["bias"] = updates["bias"].flatten()
        return Step(self._image(output, positions).to(self.weight.dtype), None, updates)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns height and width of the output for an input size; below 1 if it doesn't fit."""
        size = [
            (n + before + after - d * (k - 1) - 1) // s + 1
            for n, (before, after), d, k, s in zip(
                (height, width),
                self._sides(),
                self.dilation,
                self.kernel_size,
                self.stride,
                strict=True,
            )
        ]
        return size[0], size[1]

    def _suits_winograd(self) -> bool:
        """Returns whether products may take Winograd's form: those of 3 x 3 on CPUs in float32.

        Half precision would lose too much accuracy.
        """
        return (
            self.weight.is_cpu
            and self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and self.in_channels >= CHANNELS
            and (self.kernel_size, self.stride, self.dilation) == ((3, 3), (1, 1), (1, 1))
            and self.groups == 1
        )

    def _rows(self, x: Tensor) -> tuple[Rows | Patches, tuple[int, int, int]]:
        """Returns inputs of neurons at each position of padded images, and (B, H', W')."""
        size = len(x), x.shape[2] - 2, x.shape[3] - 2
        many = self.in_channels >= CHANNELS_TO_LEARN
        if many and self._suits_winograd() and pays(*size):
            return Patches(x), size
        patches, positions = self._patches(x)
        return Rows(at_least_float32(patches)), positions

    def _patches(self, x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Returns padded images as rows [N, n] or [groups, N, n], and (B, H', W')."""
        (kh, kw), (dh, dw), (sh, sw) = self.kernel_size, self.dilation, self.stride
        x = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
        x = x[..., ::dh, ::dw].permute(0, 2, 3, 4, 5, 1)  # B, H', W', kh, kw, C
        positions = (x.shape[0], x.shape[1], x.shape[2])
        if self.groups == 1:
            return x.reshape(-1, kh * kw * self.in_channels), positions
        channels = self.in_channels // self.groups
        x = x.reshape(*x.shape[:-1], self.groups, channels).permute(5, 0, 1, 2, 3, 4, 6)
        return x.reshape(self.groups, math.prod(positions), kh * kw * channels), positions

    def _per_group(self, rows: Tensor) -> Tensor:
        """Returns [K, m] unchanged, or as [groups, K / groups, m]."""
        if self.groups == 1:
            return rows
        return rows.view(self.groups, len(rows) // self.groups, rows.shape[1])

    def _image(self, rows: Tensor, positions: tuple[int, int, int]) -> Tensor:
        """Turns rows [N, K] or [groups, N, K / groups] into channels-last images [B, K, H', W']."""
        if self.groups > 1:
            rows = rows.transpose(0, 1).flatten(1)
        return rows.view(*positions, self.out_channels).permute(0, 3, 1, 2)

    def _padded(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise InputError(
                f"x has shape {tuple(x.shape)}; expected (B, {self.in_channels}, H, W)"
            )
        height, width = x.shape[2:]
        (top, bottom), (left, right) = self._sides()
        mode = "constant" if self.padding_mode == "zeros" else "reflect"
        too_small = mode == "reflect" and (max(top, bottom) >= height or max(left, right) >= width)
        if too_small or min(self.output_size(height, width)) < 1:
            raise InputError(
                f"x is {height} x {width} pixels; expected at least the receptive field, "
                f"{self.kernel_size} with dilation {self.dilation} and padding {self.padding}"
            )
        x = x.to(self.weight.dtype)
        pads = (left, right, top, bottom)
        return F.pad(x, pads, mode) if any(pads) else x

    def _sides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Returns pixels added (above, below), (left, right); the larger half comes last."""
        if self.padding == "same":
            (kh, kw), (dh, dw) = self.kernel_size, self.dilation
            height, width = dh * (kh - 1), dw * (kw - 1)
            return (height // 2, height - height // 2), (width // 2, width - width // 2)
        ph, pw = (0, 0) if isinstance(self.padding, str) else self.padding
        return (ph, ph), (pw, pw)

    def _check_arguments(self) -> None:
        check_positive(
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            kernel_size=min(self.kernel_size),
            stride=min(self.stride),
            dilation=min(self.dilation),
            groups=self.groups,
        )
        if isinstance(self.padding, str):
            check_one_of(("same", "valid"), padding=self.padding)
            if self.padding == "same" and max(self.stride) > 1:
                raise InputError(f"padding is 'same' with stride {self.stride}; expected stride 1")
        elif min(self.padding) < 0:
            raise InputError(f"padding is {self.padding}; expected 0 or more")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise InputError(
                f"groups is {self.groups}; expected a divisor of in_channels {self.in_channels} "
                f"and out_channels {self.out_channels}"
            )
        check_one_of(("reflect", "zeros"), padding_mode=self.padding_mode)
        if self.pre_triangle and self.groups > 1:
            raise InputError(f"pre_triangle with groups {self.groups}; expected groups = 1")

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"competition={self.competition!r}, inverse_temperature={self.inverse_temperature}"
        )


def _pair(name: str, value: Pair) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, Iterable) else (value, value)
    if len(pair) != 2 or not all(isinstance(number, Integral) for number in pair):
        raise InputError(f"{name} is {value!r}; expected one whole number or two")
    return int(pair[0]), int(pair[1])
