"""SoftHebb layers: like ``nn.Linear`` and ``nn.Conv2d``, with a ``learn`` beside ``forward``."""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.hebbian.rule import (
    Competition,
    compete,
    hebbian_update,
    largest,
    norm_dependent_rate,
    prior_update,
    triangle,
)
from plastorch.learning import PlasticLayer, Step

Pair = int | tuple[int, int]
Padding = Pair | Literal["same", "valid"]
Distribution = Literal["normal", "positive"]


class SoftHebbLayer(PlasticLayer):
    """Base of linear and convolutional SoftHebb layers; see :class:`SoftHebbConv2d`."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    groups = 1
    pre_triangle = False

    def __init__(
        self,
        competition: Competition,
        inverse_temperature: float,
        rate_power: float,
        initial_radius: float,
        initial_distribution: Distribution,
    ) -> None:
        super().__init__()
        check_positive(inverse_temperature=inverse_temperature, initial_radius=initial_radius)
        if not 0 <= rate_power < math.inf:
            raise InputError(f"rate_power is {rate_power}; expected a finite number from 0")
        check_one_of(get_args(Competition), competition=competition)
        self.competition: Competition = competition
        self.inverse_temperature = inverse_temperature
        self.initial_radius = initial_radius
        self.initial_distribution = initial_distribution
        self.rate_power = rate_power

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws weights with an expected squared norm of ``initial_radius``²; uniform prior.

        ``normal``: N(0, R²/n). ``positive``: uniform on [0, R sqrt(3/n)), for inputs that are not
        centered. Paper B, appendix on initialization, in the form of its published code.

        Args:
            generator: random generator; torch's global one if None.
        """
        fan_in = self.weight[0].numel()
        with torch.no_grad():
            if self.initial_distribution == "normal":
                self.weight.normal_(0, self.initial_radius / fan_in**0.5, generator=generator)
            else:
                high = self.initial_radius * (3 / fan_in) ** 0.5
                self.weight.uniform_(0, high, generator=generator)
            if self.bias is not None:
                neurons = self.bias.numel() // self.groups
                log_prior = torch.tensor(1 / neurons, dtype=torch.float64, device="cpu").log()
                self.bias.fill_(float(log_prior) / self.inverse_temperature)

    def radius(self) -> Tensor:
        """Returns Euclidean norms r of neurons' weights [K]; 1 is the rule's equilibrium."""
        weight = at_least_float32(self.weight.detach())
        radius: Tensor = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())))
        return radius

    def gradients(self, updates: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns -(|r - 1| + 1e-10)^rate_power raw / max |raw| of weights, -raw / (t max |raw|) of
        log-priors: paper B's norm-dependent rate, and the maximum of each group.

        Args:
            updates: raw sums from :meth:`learn`; those of the weights change in place.

        Returns:
            Changes at a learning rate of 1, their signs turned.
        """
        raw = updates["weight"]
        rate = norm_dependent_rate(self.radius(), self.rate_power)
        rate = rate.view(-1, *(1,) * (raw.dim() - 1))
        gradients = {"weight": raw.mul_(rate / -largest(raw, self.groups))}
        if "bias" in updates:
            raw = updates["bias"]
            gradients["bias"] = raw / (-self.inverse_temperature * largest(raw, self.groups))
        return gradients

    def post(self, output: Tensor) -> Tensor:
        """Returns the signed activations y of an output, in its shape; they gate plasticity."""
        dim = -1 if self.weight.dim() == 2 else 1
        u = output.movedim(dim, -1)
        u = u.reshape(*u.shape[:-1], self.groups, -1)
        y = compete(u, self.competition, self.inverse_temperature)
        return y.flatten(-2).movedim(-1, dim)

    def _step(
        self, pre: Tensor, weight: Tensor, teacher: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns output and updates of rows ``pre`` [..., N, n]; ``weight`` [..., K, n]."""
        pre, weight = at_least_float32(pre), at_least_float32(weight)
        u = at_least_float32(pre @ weight.mT)  # half precision under autocast
        if self.pre_triangle:
            u = triangle(u, dim=-1)
        if self.bias is None:
            output, bias = u, None
        else:
            bias = self.bias.detach().to(u.dtype).view(weight.shape[:-1])
            output = u + bias.unsqueeze(-2)
        if teacher is None:
            post = compete(output, self.competition, self.inverse_temperature)
        else:
            post = teacher.to(u.dtype)
        updates = {"weight": hebbian_update(pre, u, post, weight)}
        if bias is not None:
            updates["bias"] = prior_update(post, bias, self.inverse_temperature)
        return output, updates


class SoftHebbLinear(SoftHebbLayer):
    """Linear layer that learns by SoftHebb's rule: y = softmax(t (W x + b)).

    Paper A: Moraitis et al. 2022, arXiv 2107.05747. Weights and log-priors start as
    :meth:`SoftHebbLayer.reset_parameters` says.

    Args:
        in_features: number of inputs n.
        out_features: number of neurons K, which compete.
        bias: whether to learn the log-prior of each neuron.
        competition: competition rule; see :data:`plastorch.hebbian.rule.Competition`.
        inverse_temperature: inverse temperature t = 1 / T of the competition.
        rate_power: exponent q of the norm-dependent learning rate; 0 for a constant rate.
        initial_radius: R, the root of the expected squared norm of the initial weights.
        initial_distribution: "positive" for inputs in [0, 1], "normal" for centered inputs.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: size, temperature or radius that is not positive, or a negative power.

    Example:
        >>> layer = SoftHebbLinear(784, 100)
        >>> layer(torch.rand(32, 784)).shape
        torch.Size([32, 100])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = False,
        competition: Competition = "soft",
        inverse_temperature: float = 1.0,
        rate_power: float = 0.0,
        initial_radius: float = 25.0,
        initial_distribution: Distribution = "positive",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            competition, inverse_temperature, rate_power, initial_radius, initial_distribution
        )
        check_positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        weight = torch.empty(out_features, in_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight, requires_grad=False)
        log_prior = torch.empty(out_features, device=device, dtype=dtype) if bias else None
        self.bias = nn.Parameter(log_prior, requires_grad=False) if log_prior is not None else None
        self.reset_parameters(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Returns W x + b, without learning.

        Args:
            x: inputs [..., in_features].

        Returns:
            Pre-activations [..., out_features].

        Raises:
            InputError: last dimension of ``x`` that is not ``in_features``.
        """
        return F.linear(self._checked(x), self.weight, self.bias)

    @torch.no_grad()
    def learn(self, x: Tensor, state: None = None, *, teacher: Tensor | None = None) -> Step:
        """Returns output and updates, changes nothing yet: see :func:`plastorch.set_gradients`.

        Args:
            x: inputs [..., in_features], each row a sample.
            state: None; the layer has no state.
            teacher: activations [..., out_features] in place of the competition, for instance
                one-hot labels.

        Returns:
            Output and updates; the weights stay unchanged.

        Raises:
            InputError: last dimension of ``x`` that is not ``in_features``.
        """
        x = self._checked(x)
        if teacher is not None:
            teacher = teacher.flatten(0, -2)
        output, updates = self._step(x.flatten(0, -2), self.weight, teacher)
        return Step(output.view(*x.shape[:-1], -1), None, updates)

    def _checked(self, x: Tensor) -> Tensor:
        if x.dim() < 2 or x.shape[-1] != self.in_features:
            raise InputError(f"x has shape {tuple(x.shape)}; expected (N, {self.in_features})")
        return x.to(self.weight.dtype)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, competition={self.competition!r}"


class SoftHebbConv2d(SoftHebbLayer):
    """Convolution that learns by SoftHebb's rule; every position of every image is a sample.

    Paper B: Journé et al., ICLR 2023, arXiv 2209.11883. Arguments of ``nn.Conv2d`` mean the same
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
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding = padding if isinstance(padding, str) else _pair(padding)
        self.dilation = _pair(dilation)
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
        self.weight = nn.Parameter(weight, requires_grad=False)
        log_prior = torch.empty(out_channels, device=device, dtype=dtype) if bias else None
        self.bias = nn.Parameter(log_prior, requires_grad=False) if log_prior is not None else None
        self.reset_parameters(generator)

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
        """Returns output and updates, changes nothing yet: see :func:`plastorch.set_gradients`.

        Args:
            x: images [B, in_channels, H, W].
            state: None; the layer has no state.
            teacher: activations [B, out_channels, H', W'] in place of the competition.

        Returns:
            Output and updates; the weights stay unchanged.

        Raises:
            InputError: wrong number of channels, or ``x`` smaller than the receptive field.
        """
        pre, positions = self._patches(self._padded(x))
        weight = self._per_group(self.weight.detach().permute(0, 2, 3, 1).flatten(1))
        if teacher is not None:
            teacher = self._per_group(teacher.permute(1, 0, 2, 3).flatten(1)).mT
        output, updates = self._step(pre, weight, teacher)
        kernel = self.weight.permute(0, 2, 3, 1).shape
        updates["weight"] = updates["weight"].reshape(kernel).permute(0, 3, 1, 2)
        if "bias" in updates:
            updates["bias"] = updates["bias"].flatten()
        return Step(self._image(output, positions), None, updates)

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

    def _patches(self, x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Returns padded images as rows [N, n] or [groups, N, n], and (B, H', W')."""
        (kh, kw), (dh, dw), (sh, sw) = self.kernel_size, self.dilation, self.stride
        x = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
        x = x[..., ::dh, ::dw].permute(0, 2, 3, 4, 5, 1)  # B, H', W', kh, kw, C
        positions = (x.shape[0], x.shape[1], x.shape[2])
        if self.groups == 1:
            return x.reshape(-1, kh * kw * self.in_channels), positions
        x = x.reshape(*x.shape[:-1], self.groups, -1).permute(5, 0, 1, 2, 3, 4, 6)
        return x.reshape(self.groups, -1, kh * kw * x.shape[-1]), positions

    def _per_group(self, rows: Tensor) -> Tensor:
        """Returns [K, m] unchanged, or as [groups, K / groups, m]."""
        return rows if self.groups == 1 else rows.view(self.groups, -1, rows.shape[1])

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


class Triangle(nn.Module):
    """Triangle activation as a module: relu(u - mean over channels)^power.

    Paper B; see :func:`plastorch.hebbian.rule.triangle`.

    Args:
        power: exponent, above 0.

    Raises:
        InputError: power that is not positive.

    Example:
        >>> Triangle(0.7)(torch.randn(2, 8, 4, 4)).shape
        torch.Size([2, 8, 4, 4])
    """

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        check_positive(power=power)
        self.power = power

    def forward(self, u: Tensor) -> Tensor:
        """Returns activations in the shape of ``u`` [B, K, ...]."""
        return triangle(u, self.power)

    def extra_repr(self) -> str:
        return f"power={self.power}"


def at_least_float32(x: Tensor) -> Tensor:
    """Widens half precision to float32; keeps other types."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
