"""Encoders of images or spectra: a feature map, averaged over its places.

The ResNets are those of Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference
Copies*, NeurIPS 2022, arXiv 2210.09224.
"""

import math
from collections import OrderedDict
from copy import deepcopy
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from plastorch.engine.errors import check_one_of, check_positive
from plastorch.engine.streams import made_with

Stem = Literal["cifar", "stl10", "imagenet"]
"""Layers before a ResNet's blocks: a 3 x 3 convolution; a 7 x 7 convolution with stride 2; or the
latter and max pooling with stride 2."""


class Encoder(nn.Module):
    """Convolutional trunk with the spatial mean of its map as output.

    Weights are stored channels last, which makes convolutions on CPUs faster.

    Args:
        trunk: module from inputs [B, channels, H, W] to maps [B, D, h, w].
        features: number of features D.

    Example:
        >>> Encoder(nn.Conv2d(3, 8, 3), features=8)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 8])
    """

    def __init__(self, trunk: nn.Module, features: int) -> None:
        super().__init__()
        self.trunk = trunk
        trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.features = features

    def feature_map(self, x: Tensor) -> Tensor:
        """Returns the last map [B, D, h, w], for tasks that need locations."""
        found: Tensor = self.trunk(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Returns features h [B, D] of inputs [B, channels, H, W]."""
        return self.feature_map(x).mean(dim=(2, 3))


class Frozen(Encoder):
    """Copy of an encoder that never changes: without gradients, always in eval mode."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(deepcopy(encoder.trunk), encoder.features)
        self.requires_grad_(False).train()

    def train(self, mode: bool = True) -> "Frozen":
        """Keeps eval mode: batch statistics would change the normalization."""
        return super().train(False)


def resnet(
    depth: Literal[18, 50] = 18,
    stem: Stem = "cifar",
    channels: int = 3,
    width: int = 64,
    **made: Any,
) -> Encoder:
    """Builds a ResNet without its last layer from torchvision's blocks.

    Args:
        depth: number of layers.
        stem: first layers, for inputs of 32 x 32, 96 x 96, or 224 x 224 pixels and more; see
            ``Stem``.
        channels: number of input channels.
        width: channels of the first stage; D is 8 times as many, or 32 times at depth 50.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Returns:
        The encoder; the parts of its trunk have torchvision's names, ``conv1`` to ``layer4``.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> resnet(18, "stl10").features, resnet(50, width=16).features
        (512, 512)
    """
    from torchvision.models.resnet import BasicBlock, Bottleneck

    check_one_of((18, 50), depth=depth)
    check_one_of(get_args(Stem), stem=stem)
    check_positive(channels=channels, width=width)
    pool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else None
    with made_with(**made):
        if stem == "cifar":
            first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        else:
            first = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        if depth == 18:
            return _encoder(first, pool, BasicBlock, (2, 2, 2, 2))
        return _encoder(first, pool, Bottleneck, (3, 4, 6, 3))


def small_resnet(width: int = 32, channels: int = 3, stride: int = 2, **made: Any) -> Encoder:
    """Builds a ResNet that one CPU core trains in a night: three blocks of two convolutions.

    An image of 32 x 32 pixels costs 12.3 million multiply-accumulates at the default width.

    Args:
        width: channels of the first block; the others have 2 and 4 times as many, on maps of half
            and a quarter of the side. D is 4 times the width.
        channels: number of input channels.
        stride: stride of the first convolution; 4 suits inputs of 64 x 64 and more.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Raises:
        InputError: an argument is not positive.

    Example:
        >>> encoder = small_resnet()
        >>> encoder.features, encoder.feature_map(torch.rand(2, 3, 32, 32)).shape
        (128, torch.Size([2, 128, 4, 4]))
    """
    from torchvision.models.resnet import BasicBlock

    check_positive(width=width, channels=channels, stride=stride)
    side = max(3, 2 * stride - 1)  # so that no pixel is skipped
    with made_with(**made):
        first = nn.Conv2d(channels, width, side, stride=stride, padding=side // 2, bias=False)
        return _encoder(first, None, BasicBlock, (1, 1, 1))


def _encoder(
    first: nn.Conv2d, pool: nn.Module | None, block: Any, counts: tuple[int, ...]
) -> Encoder:
    """Builds stem and stages of blocks, with normal weights of standard deviation 1 / √(fan-in);
    stages after the first halve the map and double the width."""
    width = first.out_channels
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=first, bn1=nn.BatchNorm2d(width), relu=nn.ReLU(inplace=True)
    )
    if pool is not None:
        parts["maxpool"] = pool
    inputs = width
    for number, count in enumerate(counts):
        planes = width << number
        stage = [_block(block, inputs, planes, stride=1 if number == 0 else 2)]
        inputs = planes * block.expansion
        stage += [_block(block, inputs, planes, stride=1) for _ in range(count - 1)]
        parts[f"layer{number + 1}"] = nn.Sequential(*stage)
    trunk = nn.Sequential(parts)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight[0].numel()))
    return Encoder(trunk, inputs)


def _block(kind: Any, inputs: int, planes: int, stride: int) -> Any:
    """Builds a residual block; the scale after a third convolution starts at 0."""
    outputs, shortcut = planes * kind.expansion, None
    if stride != 1 or inputs != outputs:
        convolution = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
        shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
    block = kind(inputs, planes, stride, shortcut)
    if hasattr(block, "bn3"):
        nn.init.zeros_(block.bn3.weight)
    return block
