"""Settings of a deep SoftHebb network: blocks, pooling, and scaling of pixels."""

import math
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.hebbian.rule import Competition

Activation = Literal["triangle", "relu"]
ReadoutFrom = Literal["last", "all"]


@dataclass(frozen=True)
class Pool:
    """Pooling layer; average pooling counts its zero padding, as the paper's code does.

    Raises:
        InputError: unknown kind, size below 1, or padding of more than half the kernel.
    """

    kind: Literal["max", "avg"]
    kernel_size: int
    stride: int
    padding: int = 0

    def __post_init__(self) -> None:
        check_one_of(("max", "avg"), kind=self.kind)
        check_positive(kernel_size=self.kernel_size, stride=self.stride)
        if not 0 <= self.padding <= self.kernel_size // 2:
            raise InputError(
                f"padding of a pool is {self.padding}; expected 0 to {self.kernel_size // 2}, half "
                "its kernel"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Pools images [B, K, H, W]."""
        pool = F.max_pool2d if self.kind == "max" else F.avg_pool2d
        return pool(x, self.kernel_size, self.stride, self.padding)

    def output_size(self, side: int) -> int:
        """Returns the side of the pooled map."""
        return (side + 2 * self.padding - self.kernel_size) // self.stride + 1


@dataclass(frozen=True)
class BlockSpec:
    """Settings of one block, as the paper's tables list them.

    Args:
        out_channels: number of neurons K.
        kernel_size: side of the receptive field.
        padding: pixels added around the map, reflected.
        learning_rate: largest weight change per mini-batch (before the norm-dependent factor).
        inverse_temperature: inverse temperature t of the competition.
        triangle_power: exponent of Triangle.
        pool: pooling after Triangle.
        rate_power: exponent q of the norm-dependent learning rate.
        competition: competition rule.
        initial_radius: radius R of the initial weights.
        groups: number of channel groups.
        pre_triangle: whether to compete on relu(u - mean) instead of u.
        batch_norm: whether to normalize the block's input; if not, initial weights are positive.
        activation: Triangle, or ReLU in the end-to-end baseline.
    """

    out_channels: int
    kernel_size: int
    _: KW_ONLY
    padding: int
    learning_rate: float
    inverse_temperature: float = 1.0
    triangle_power: float = 1.0
    pool: Pool
    rate_power: float = 0.5
    competition: Competition = "softkrotov"
    initial_radius: float = 25.0
    groups: int = 1
    pre_triangle: bool = False
    batch_norm: bool = True
    activation: Activation = "triangle"

    def __post_init__(self) -> None:
        check_positive(learning_rate=self.learning_rate, triangle_power=self.triangle_power)
        check_one_of(get_args(Activation), activation=self.activation)


@dataclass(frozen=True)
class WideSpec:
    """Settings of a wide layer beside the blocks; see :class:`plastorch.hebbian.wide.WideLayer`.

    Args:
        neurons: number of neurons K, each of which gives an ON and an OFF response.
        kernel_size: side of the receptive field.
        threshold: threshold b that is subtracted from responses, which are cosines.
        side: side of the grid over whose cells responses are averaged.
        competition: competition rule.

    Raises:
        InputError: argument out of range, named in the message.
    """

    neurons: int
    kernel_size: int = 6
    threshold: float = 0.1
    side: int = 2
    competition: Competition = "soft"

    def __post_init__(self) -> None:
        check_positive(neurons=self.neurons, kernel_size=self.kernel_size, side=self.side)
        check_one_of(get_args(Competition), competition=self.competition)
        if not 0 <= self.threshold < 1:
            raise InputError(f"threshold is {self.threshold}; expected at least 0 and below 1")


@dataclass(frozen=True)
class NetworkSpec:
    """Blocks of a network, dropout of its readout, and scaling of pixels.

    Args:
        name: name of the preset.
        blocks: blocks, first to last.
        dropout: probability of dropping an input of the readout during its training.
        pixel_mean: mean per channel, subtracted from pixels in [0, 1]; None for no scaling.
        pixel_std: standard deviation per channel, by which the centered pixels are divided.
        readout_from: blocks whose features the readout sees: the last one, or all, each averaged
            to a map with the side of the last one's.
        on_off: whether the readout sees neurons in pairs: ON, whose response is that of the block,
            and OFF, whose weights have the opposite sign.
        wide: wide layer beside the blocks, which the readout sees as well; None for none.
    """

    name: str
    blocks: tuple[BlockSpec, ...]
    dropout: float = 0.5
    pixel_mean: tuple[float, ...] | None = None
    pixel_std: tuple[float, ...] | None = None
    readout_from: ReadoutFrom = "last"
    on_off: bool = False
    wide: WideSpec | None = None

    def __post_init__(self) -> None:
        if not self.blocks:
            raise InputError("blocks is empty; expected at least one BlockSpec")
        check_one_of(get_args(ReadoutFrom), readout_from=self.readout_from)
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; expected at least 0 and below 1")
        mean, std = self.pixel_mean or (), self.pixel_std or ()
        if len(mean) != len(std) or not all(0 < value < math.inf for value in std):
            raise InputError(
                f"pixel_mean is {self.pixel_mean} and pixel_std {self.pixel_std}; expected one "
                "number of each per channel, deviations above 0, or None for both"
            )

    def with_competition(self, competition: Competition) -> "NetworkSpec":
        """Returns the same network with another rule in every block."""
        blocks = tuple(replace(block, competition=competition) for block in self.blocks)
        wide = None if self.wide is None else replace(self.wide, competition=competition)
        return replace(self, blocks=blocks, wide=wide)
