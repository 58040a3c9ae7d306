"""SoftHebb layers: like ``nn.Linear`` and ``nn.Conv2d``, with a ``learn`` beside ``forward``."""

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive
from plastorch.hebbian.rule import Competition, compete, hebbian_update, prior_update, triangle

Pair = int | tuple[int, int]
Distribution = Literal["normal", "positive"]


class HebbianStep(NamedTuple):
    """What one mini-batch does to a layer: its response, and the update not yet applied."""

    output: Tensor
    """u + bias, as ``forward`` gives it."""
    post: Tensor
    """y, the signed activations that gate plasticity, in the shape of ``output``."""
    weight_update: Tensor
    """Sum of y (x - u w) over the mini-batch, in the shape of the weight."""
    bias_update: Tensor | None
    """The same for the log-priors, or None without bias."""


class SoftHebbLayer(nn.Module):
    """What linear and convolutional SoftHebb layers share: see :class:`SoftHebbConv2d`."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    pre_triangle = False

    def __init__(
        self,
        competition: Competition,
        inverse_temperature: float,
        initial_radius: float,
        initial_distribution: Distribution,
        groups: int = 1,
    ) -> None:
        super().__init__()
        check_positive(inverse_temperature=inverse_temperature, initial_radius=initial_radius)
        if competition not in get_args(Competition):
            raise InputError(
                f"competition is {competition!r}; expected one of {get_args(Competition)}"
            )
        self.competition: Competition = competition
        self.inverse_temperature = inverse_temperature
        self.initial_radius = initial_radius
        self.initial_distribution = initial_distribution
        self.groups = groups

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws weights with an expected squared norm of ``initial_radius``²; uniform prior.

        ``normal``: N(0, R²/n). ``positive``: uniform on [0, R sqrt(3/n)), for inputs that are not
        centred. Paper B, appendix on initialisation, in the form of its published code.

        Args:
            generator: source of randomness; torch's global one if None.
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
                log_prior = torch.tensor(1 / neurons, dtype=torch.float64).log()
                self.bias.fill_(float(log_prior) / self.inverse_temperature)

    def radius(self) -> Tensor:
        """The Euclidean norm r of each neuron's weights [K]; 1 is the rule's equilibrium."""
        weight = at_least_float32(self.weight.detach())
        radius: Tensor = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())))
        return radius

    def _step(self, pre: Tensor, weight: Tensor, teacher: Tensor | None) -> HebbianStep:
        """One step on rows: ``pre`` [..., N, n], ``weight`` [..., K, n]."""
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
        return HebbianStep(
            output,
            post,
            hebbian_update(pre, u, post, weight),
            None if bias is None else prior_update(post, bias, self.inverse_temperature),
        )


class SoftHebbLinear(SoftHebbLayer):
    """A linear layer that learns by SoftHebb's rule: y = softmax(t (W x + b)).

    Paper A: Moraitis et al. 2022, arXiv 2107.05747. Weights and log-priors start as
    :meth:`SoftHebbLayer.reset_parameters` says.

    Args:
        in_features: n.
        out_features: K neurons that compete.
        bias: learn the log-prior of each neuron.
        competition: see :data:`plastorch.hebbian.rule.Competition`.
        inverse_temperature: t = 1 / T of the competition.
        initial_radius: R, root of the expected squared norm of the initial weights.
        initial_distribution: "positive" for inputs in [0, 1], "normal" for centred inputs.
        device: where the parameters live.
        dtype: their type.

    Raises:
        InputError: for sizes, temperature or radius that are not positive.

    Example:
        >>> layer = SoftHebbLinear(784, 100)
        >>> layer(torch.rand(32, 784)).shape
        torch.Size([32, 100])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        competition: Competition = "soft",
        inverse_temperature: float = 1.0,
        initial_radius: float = 25.0,
        initial_distribution: Distribution = "positive",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(competition, inverse_temperature, initial_radius, initial_distribution)
        check_positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        weight = torch.empty(out_features, in_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight, requires_grad=False)
        log_prior = torch.empty(out_features, device=device, dtype=dtype) if bias else None
        self.bias = nn.Parameter(log_prior, requires_grad=False) if log_prior is not None else None
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """W x + b, without learning.

        Args:
            x: inputs [..., in_features].

        Returns:
            Pre-activations [..., out_features].

        Raises:
            InputError: if the last dimension of ``x`` is not ``in_features``.
        """
        return F.linear(self._checked(x), self.weight, self.bias)

    @torch.no_grad()
    def learn(self, x: Tensor, teacher: Tensor | None = None) -> HebbianStep:
        """One forward pass and the update it calls for, which :func:`set_gradients` takes on.

        Args:
            x: inputs [N, in_features].
            teacher: activations [N, out_features] that replace the competition, for instance
                one-hot labels.

        Returns:
            The response and the update; the weights are as before.

        Raises:
            InputError: if the last dimension of ``x`` is not ``in_features``.
        """
        return self._step(self._checked(x).flatten(0, -2), self.weight, teacher)

    def _checked(self, x: Tensor) -> Tensor:
        if x.dim() < 2 or x.shape[-1] != self.in_features:
            raise InputError(f"x has shape {tuple(x.shape)}; expected (N, {self.in_features})")
        return x.to(self.weight.dtype)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, competition={self.competition!r}"


class SoftHebbConv2d(SoftHebbLayer):
    """A convolution that learns by SoftHebb's rule, every position of every image a sample.

    Paper B: Journé et al., ICLR 2023, arXiv 2209.11883. Arguments that ``nn.Conv2d`` has mean what
    they mean there.

    Args:
        in_channels: channels of the input.
        out_channels: K neurons; those of one group compete at each position.
        kernel_size: of the receptive field, one number or (height, width).
        stride: step between positions.
        padding: pixels added on each side.
        dilation: step between the pixels of a receptive field.
        groups: blocks of channels that don't see each other.
        bias: learn the log-prior of each neuron.
        padding_mode: "reflect" (the paper's) or "zeros".
        competition: see :data:`plastorch.hebbian.rule.Competition`.
        inverse_temperature: t = 1 / T of the competition.
        initial_radius: R, root of the expected squared norm of the initial weights.
        initial_distribution: "normal" for centred inputs, "positive" for inputs in [0, 1].
        pre_triangle: replace u by relu(u - mean over channels) before the competition.
        device: where the parameters live.
        dtype: their type.

    Raises:
        InputError: for an argument out of range, named in the message.

    Example:
        >>> from plastorch.hebbian.optim import set_gradients
        >>> layer = SoftHebbConv2d(3, 8, kernel_size=5, padding=2)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.08)
        >>> step = layer.learn(torch.randn(2, 3, 32, 32))
        >>> set_gradients(layer, step, rate_power=0.5)
        >>> optimizer.step()
        >>> step.output.shape
        torch.Size([2, 8, 32, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: Literal["reflect", "zeros"] = "reflect",
        competition: Competition = "softkrotov",
        inverse_temperature: float = 1.0,
        initial_radius: float = 25.0,
        initial_distribution: Distribution = "normal",
        pre_triangle: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            competition, inverse_temperature, initial_radius, initial_distribution, groups
        )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        self.padding_mode = padding_mode
        self.pre_triangle = pre_triangle
        self._check_arguments()
        # Not by .contiguous(): of one channel that keeps the other strides, and then the outputs
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
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """The convolution (and ``pre_triangle``), without learning.

        Args:
            x: images [B, in_channels, H, W].

        Returns:
            Pre-activations [B, out_channels, H', W'].

        Raises:
            InputError: if ``x`` has other channels, or is smaller than the receptive field.
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
    def learn(self, x: Tensor, teacher: Tensor | None = None) -> HebbianStep:
        """One forward pass and the update it calls for, which :func:`set_gradients` takes on.

        Args:
            x: images [B, in_channels, H, W].
            teacher: activations [B, out_channels, H', W'] that replace the competition.

        Returns:
            The response and the update; the weights are as before.

        Raises:
            InputError: if ``x`` has other channels, or is smaller than the receptive field.
        """
        pre, positions = self._patches(self._padded(x))
        weight = self._per_group(self.weight.detach().permute(0, 2, 3, 1).flatten(1))
        if teacher is not None:
            teacher = self._per_group(teacher.permute(1, 0, 2, 3).flatten(1)).mT
        step = self._step(pre, weight, teacher)
        kernel = self.weight.permute(0, 2, 3, 1).shape
        return HebbianStep(
            self._image(step.output, positions),
            self._image(step.post, positions),
            step.weight_update.reshape(kernel).permute(0, 3, 1, 2),
            None if step.bias_update is None else step.bias_update.flatten(),
        )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output for an input of that size; below 1 if it doesn't fit."""
        size = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                (height, width),
                self.padding,
                self.dilation,
                self.kernel_size,
                self.stride,
                strict=True,
            )
        ]
        return size[0], size[1]

    def _patches(self, x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Padded images as rows: [N, n], or [groups, N, n], and (B, H', W')."""
        (kh, kw), (dh, dw), (sh, sw) = self.kernel_size, self.dilation, self.stride
        x = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
        x = x[..., ::dh, ::dw].permute(0, 2, 3, 4, 5, 1)  # B, H', W', kh, kw, C
        positions = (x.shape[0], x.shape[1], x.shape[2])
        if self.groups == 1:
            return x.reshape(-1, kh * kw * self.in_channels), positions
        x = x.reshape(*x.shape[:-1], self.groups, -1).permute(5, 0, 1, 2, 3, 4, 6)
        return x.reshape(self.groups, -1, kh * kw * x.shape[-1]), positions

    def _per_group(self, rows: Tensor) -> Tensor:
        """[K, m] as it is, or as [groups, K / groups, m]."""
        return rows if self.groups == 1 else rows.view(self.groups, -1, rows.shape[1])

    def _image(self, rows: Tensor, positions: tuple[int, int, int]) -> Tensor:
        """Rows [N, K], or [groups, N, K / groups], as images [B, K, H', W'] (channels last)."""
        if self.groups > 1:
            rows = rows.transpose(0, 1).flatten(1)
        return rows.view(*positions, self.out_channels).permute(0, 3, 1, 2)

    def _padded(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise InputError(
                f"x has shape {tuple(x.shape)}; expected (B, {self.in_channels}, H, W)"
            )
        height, width = x.shape[2:]
        (ph, pw), mode = self.padding, "constant" if self.padding_mode == "zeros" else "reflect"
        too_small = mode == "reflect" and (ph >= height or pw >= width)
        if too_small or min(self.output_size(height, width)) < 1:
            raise InputError(
                f"x is {height} x {width} pixels; expected at least the receptive field, "
                f"{self.kernel_size} with dilation {self.dilation} and padding {self.padding}"
            )
        x = x.to(self.weight.dtype)
        return F.pad(x, (pw, pw, ph, ph), mode) if ph or pw else x

    def _check_arguments(self) -> None:
        check_positive(
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            kernel_size=min(self.kernel_size),
            stride=min(self.stride),
            dilation=min(self.dilation),
            groups=self.groups,
        )
        if min(self.padding) < 0:
            raise InputError(f"padding is {self.padding}; expected 0 or more")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise InputError(
                f"groups is {self.groups}; expected a divisor of in_channels {self.in_channels} "
                f"and out_channels {self.out_channels}"
            )
        if self.padding_mode not in ("reflect", "zeros"):
            raise InputError(f"padding_mode is {self.padding_mode!r}; expected reflect or zeros")
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
        power: exponent, more than 0.

    Raises:
        InputError: if the power is not positive.

    Example:
        >>> Triangle(0.7)(torch.randn(2, 8, 4, 4)).shape
        torch.Size([2, 8, 4, 4])
    """

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        check_positive(power=power)
        self.power = power

    def forward(self, u: Tensor) -> Tensor:
        """Activations of the shape of ``u`` [B, K, ...]."""
        return triangle(u, self.power)

    def extra_repr(self) -> str:
        return f"power={self.power}"


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision widened to float32; other types as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
