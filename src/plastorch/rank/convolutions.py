"""Causal convolutions with running pools: a core for series that needs no recurrence."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.device import has_kernels
from plastorch.engine.errors import InputError, check_positive
from plastorch.rank.convolution_pass import Layer, Plan, convolved, pass_over


class Pools(NamedTuple):
    """Sums and maxima of B series so far; sum and number are in single precision or better."""

    total: Tensor
    """Sum of all values so far [B, F]."""
    most: Tensor
    """Largest value so far [B, F]."""
    steps: Tensor
    """Number of steps so far [B, 1]."""


class ConvolutionState(NamedTuple):
    """State that causal convolutions keep for B series."""

    last: tuple[Tensor, ...]
    """Latest inputs of each layer [B, (kernel - 1) dilation, channels]."""
    pools: Pools
    """Sum and maximum of all features so far."""


class CausalConvolutions(nn.Module):
    """Dilated causal convolutions whose features are pooled over all steps so far.

    Layer l = 0, 1, … has a dilation of 2^l; its features are normalized at each step if
    ``normalized``, rectified, and added to its input. The activity after step t holds mean and
    maximum of the features of all layers over steps 1 to t.

    Args:
        input_size: number of channels I of the series.
        channels: number of features of each layer.
        layers: number of layers; the receptive field is 1 + (kernel - 1) (2^layers - 1) steps.
        kernel: number of steps that each convolution sees.
        dropout: share of features left out in training.
        normalized: whether a step's features get mean 0 and variance 1 before they are rectified.
            This removes their overall size, such as the loudness of a sound.
        generator: random generator of the initial parameters; torch's default if None.
        device: device of the parameters.
        dtype: data type of the parameters.

    Raises:
        InputError: a size is not positive, the share is out of range, or there is one channel,
            which can't be normalized.

    Example:
        >>> core = CausalConvolutions(3, 8, layers=2)
        >>> activity, state = core(torch.randn(9, 4, 3))
        >>> activity.shape, core.hidden_size
        (torch.Size([9, 4, 32]), 32)
    """

    def __init__(
        self,
        input_size: int,
        channels: int,
        *,
        layers: int = 6,
        kernel: int = 5,
        dropout: float = 0.1,
        normalized: bool = True,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(input_size=input_size, channels=channels, layers=layers, kernel=kernel)
        if not 0 <= dropout < 1:
            raise InputError(f"dropout is {dropout}; expected 0 or more, below 1")
        if normalized and channels < 2:
            raise InputError(f"channels is {channels}; expected 2 or more, to be normalized")
        self.input_size, self.hidden_size = input_size, 2 * layers * channels
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        sizes = [input_size] + [channels] * (layers - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, channels, kernel, dilation=2**layer, **place)
            for layer, size in enumerate(sizes)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(channels, **place) if normalized else nn.Identity() for _ in sizes
        )
        if generator is not None:
            self._draw(generator)
        self.dropout = dropout

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        """Draws weights and biases as torch does, from a generator."""
        for layer in self.convolutions:
            assert isinstance(layer, nn.Conv1d)
            bound = layer.weight[0].numel() ** -0.5
            for parameter in layer.parameters():
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(
        self, x: Tensor, state: ConvolutionState | None = None
    ) -> tuple[Tensor, ConvolutionState]:
        """Returns activities [T, B, hidden_size] of series [T, B, I], and the next state."""
        state = self._checked(x, state)
        plain = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
        return self._in_torch(x, state) if plain or not has_kernels(x) else self._compiled(x, state)

    def _compiled(self, x: Tensor, state: ConvolutionState) -> tuple[Tensor, ConvolutionState]:
        total, most, steps = state.pools
        layers, eps = [], 0.0
        for layer, norm in zip(self.convolutions, self.norms, strict=True):
            assert isinstance(layer, nn.Conv1d) and layer.bias is not None
            none = layer.bias.new_empty(0)
            gain, shift = none, none
            if isinstance(norm, nn.LayerNorm):
                gain, shift, eps = norm.weight, norm.bias, norm.eps
            layers.append(Layer(layer.weight, layer.bias, gain, shift))
        dilations = tuple(2**number for number in range(len(layers)))
        plan = Plan(dilations, eps, self.dropout if self.training else 0.0)
        pools = total, most, steps[:, 0]
        activity, total, most, last = pass_over(x, state.last, pools, layers, plan)
        return activity, ConvolutionState(last, Pools(total, most, steps + len(x)))

    def _in_torch(self, x: Tensor, state: ConvolutionState) -> tuple[Tensor, ConvolutionState]:
        values = x.transpose(0, 1)
        features: list[Tensor] = []
        last: list[Tensor] = []
        layers = zip(self.convolutions, self.norms, state.last, strict=True)
        for number, (layer, norm, before) in enumerate(layers):
            assert isinstance(layer, nn.Conv1d)
            seen = torch.cat([before, values], dim=1)
            new = F.relu(norm(convolved(seen, layer.weight, layer.bias, 2**number)))
            values = F.dropout(values + new if features else new, self.dropout, self.training)
            features.append(values)
            last.append(seen[:, seen.shape[1] - before.shape[1] :])
        activity, pools = _pooled(torch.cat(features, dim=2), state.pools)
        return activity, ConvolutionState(tuple(last), pools)

    def _checked(self, x: Tensor, state: ConvolutionState | None) -> ConvolutionState:
        """Returns the state, or the initial one if None; InputError unless it fits the series.

        The kernels check no index.
        """
        wrong = x.dim() != 3 or not x.shape[0] or x.shape[2] != self.input_size
        if wrong or not x.is_floating_point():
            raise InputError(
                f"x is {list(x.shape)} in {x.dtype}; expected [steps, series, {self.input_size}], "
                "at least one step, in a floating-point type"
            )
        if state is None:
            return self._start(x)
        names = [f"last[{number}]" for number in range(len(self.convolutions))]
        names += [f"pools.{name}" for name in Pools._fields]
        parts, wide = [*state.last, *state.pools], _wide(x)
        dtypes = [*[x.dtype] * len(state.last), wide, x.dtype, wide]
        shapes = self._shapes(x.shape[1])
        for name, part, shape, dtype in zip(names, parts, shapes, dtypes, strict=True):
            if (part.shape, part.dtype, part.device) != (shape, dtype, x.device):
                raise InputError(
                    f"state.{name} is {list(part.shape)} in {part.dtype} on {part.device}; "
                    f"expected {list(shape)} in {dtype} on {x.device}"
                )
        return state

    def _start(self, x: Tensor) -> ConvolutionState:
        *last, pool, _, steps = self._shapes(x.shape[1])
        total, count = (x.new_zeros(shape, dtype=_wide(x)) for shape in (pool, steps))
        pools = Pools(total, x.new_full(pool, -torch.inf), count)
        return ConvolutionState(tuple(x.new_zeros(shape) for shape in last), pools)

    def _shapes(self, batch: int) -> list[tuple[int, ...]]:
        """Returns the shape of each part of the state of ``batch`` series."""
        pool = batch, self.hidden_size // 2
        last = [
            (batch, (layer.kernel_size[0] - 1) * layer.dilation[0], layer.in_channels)
            for layer in self.convolutions
            if isinstance(layer, nn.Conv1d)
        ]
        return [*last, pool, pool, (batch, 1)]


def _wide(x: Tensor) -> torch.dtype:
    """Returns the type of sums over steps: half precision can only count to 256 or 2048."""
    return torch.promote_types(x.dtype, torch.float32)


def _pooled(values: Tensor, before: Pools) -> tuple[Tensor, Pools]:
    """Returns mean and maximum of values [B, T, F] over all steps so far, [T, B, 2 F]."""
    values = values.transpose(0, 1)
    wide = before.total.dtype
    steps = torch.arange(1, len(values) + 1, device=values.device, dtype=wide)
    total = before.total + values.cumsum(dim=0, dtype=wide)
    most = torch.cat([before.most[None], values]).cummax(dim=0).values[1:]
    mean = total / (before.steps + steps[:, None, None])
    pooled = torch.cat([mean.to(most.dtype), most], dim=2)
    return pooled, Pools(total[-1], most[-1], before.steps + len(values))
