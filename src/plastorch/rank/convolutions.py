"""Causal convolutions with running pools: a core for series that needs no recurrence."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.rank.running_pool import Pools, running_pool


class ConvolutionState(NamedTuple):
    """Numbers that convolutions keep of B series."""

    last: tuple[Tensor, ...]
    """Latest inputs of each layer [B, (kernel - 1) dilation, channels]."""
    pools: Pools
    """Sum and maximum of all features so far."""


class CausalConvolutions(nn.Module):
    """Dilated causal convolutions whose features are pooled over all steps so far.

    Layer l = 0, 1, … has a dilation of 2^l; its features are normalized at each step, if asked for,
    rectified, and added to its input. The activity after step t holds mean and maximum of the
    features of all layers over steps 1 to t.

    Args:
        input_size: number of channels I of the series.
        channels: number of features of each layer.
        layers: number of layers; the receptive field is 1 + (kernel - 1) (2^layers - 1) steps.
        kernel: number of steps that each convolution sees.
        dropout: share of features left out in training.
        normalized: whether a step's features have mean 0 and variance 1 before they are rectified.
            It takes away how large they are, such as the loudness of a sound.

    Raises:
        InputError: there is one channel, which can't be normalized.

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
    ) -> None:
        super().__init__()
        if normalized and channels < 2:
            raise InputError(f"channels is {channels}; expected 2 or more, which are normalized")
        self.input_size, self.hidden_size = input_size, 2 * layers * channels
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels if layer else input_size, channels, kernel, dilation=2**layer)
            for layer in range(layers)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(channels) if normalized else nn.Identity() for _ in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, state: ConvolutionState | None = None
    ) -> tuple[Tensor, ConvolutionState]:
        """Returns activities [T, B, hidden_size] and the next state; series: [T, B, I]."""
        state = self._start(x) if state is None else state
        values = x.transpose(0, 1)
        features: list[Tensor] = []
        last: list[Tensor] = []
        layers = zip(self.convolutions, self.norms, state.last, strict=True)
        for layer, norm, before in layers:
            assert isinstance(layer, nn.Conv1d)
            seen = torch.cat([before, values], dim=1)
            new = F.relu(norm(_convolved(layer, seen)))
            values = self.dropout(values + new if features else new)
            features.append(values)
            last.append(seen[:, seen.shape[1] - before.shape[1] :])
        activity, pools = running_pool(torch.cat(features, dim=2), state.pools)
        return activity, ConvolutionState(tuple(last), pools)

    def _start(self, x: Tensor) -> ConvolutionState:
        batch, features = x.shape[1], self.hidden_size // 2
        spans = [
            ((layer.kernel_size[0] - 1) * layer.dilation[0], layer.in_channels)
            for layer in self.convolutions
            if isinstance(layer, nn.Conv1d)
        ]
        zeros = x.new_zeros(batch, features)
        pools = Pools(zeros, torch.full_like(zeros, -torch.inf), x.new_zeros(batch, 1))
        return ConvolutionState(tuple(x.new_zeros(batch, *span) for span in spans), pools)


def _convolved(layer: nn.Conv1d, seen: Tensor) -> Tensor:
    """Returns features [B, T, F] of inputs [B, t, I].

    With channels last, torch convolves faster, but it knows that form of pictures only.
    """
    picture, weight = (
        part[:, :, None].contiguous(memory_format=torch.channels_last)
        for part in (seen.transpose(1, 2), layer.weight)
    )
    found = F.conv2d(picture, weight, layer.bias, dilation=(1, layer.dilation[0]))
    return found[:, :, 0].transpose(1, 2)
