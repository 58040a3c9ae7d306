"""Deep SoftHebb: blocks of normalization, plastic convolution, Triangle and pooling, and a readout.

Paper: Journé et al., *Hebbian Deep Learning Without Feedback*, ICLR 2023, arXiv 2209.11883.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.distributed import dropout
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.streams import made_with
from plastorch.hebbian.batch_statistics import BatchStatistics
from plastorch.hebbian.convolution import SoftHebbConv2d
from plastorch.hebbian.layers import at_least_float32
from plastorch.hebbian.net_file import read, write
from plastorch.hebbian.prepared import prepared
from plastorch.hebbian.presets import IMAGES, Data, Rule, Width, preset
from plastorch.hebbian.pretrained import weights_of
from plastorch.hebbian.rule import center
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, WideSpec
from plastorch.hebbian.wide import WideLayer


class SoftHebbBlock(nn.Module):
    """One layer of Journé et al. 2023: normalization, convolution, Triangle, pooling."""

    def __init__(
        self, in_channels: int, spec: BlockSpec, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.norm = BatchStatistics(in_channels) if spec.batch_norm else nn.Identity()
        self.conv = SoftHebbConv2d(
            in_channels,
            spec.out_channels,
            spec.kernel_size,
            padding=spec.padding,
            groups=spec.groups,
            competition=spec.competition,
            inverse_temperature=spec.inverse_temperature,
            rate_power=spec.rate_power,
            initial_radius=spec.initial_radius,
            initial_distribution="normal" if spec.batch_norm else "positive",
            pre_triangle=spec.pre_triangle,
            generator=generator,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Returns features [B, K, H', W'] of images or features [B, C, H, W]; no learning."""
        return self.activate(self.pre_activation(x))

    def pre_activation(self, x: Tensor) -> Tensor:
        """Returns u [B, K, H, W] of images or features [B, C, H, W]; no learning."""
        return at_least_float32(self.conv(self.norm(x)))

    def activate(self, u: Tensor) -> Tensor:
        """Activates and pools pre-activations [B, K, H, W]."""
        return self._rectify(self._center(u))

    def activate_pairs(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Activates and pools ON neurons, then OFF neurons, whose weights have opposite sign."""
        centered = self._center(u)
        return self._rectify(centered), self._rectify(-centered)

    @property
    def _power(self) -> float:
        return 1.0 if self.spec.activation == "relu" else self.spec.triangle_power

    def _center(self, u: Tensor) -> Tensor:
        return u if self.spec.activation == "relu" else center(u)

    def _rectify(self, centered: Tensor) -> Tensor:
        pool, power = self.spec.pool, self._power
        if pool.kind == "avg":
            rectified = centered.relu()
            return pool(rectified if power == 1 else rectified.pow(power))
        # The maximum commutes with monotone functions: pooling first leaves fewer values for them.
        pooled = pool(centered).relu_()
        return pooled if power == 1 else pooled.pow(power)


class SoftHebbNet(nn.Module):
    """Stack of blocks that learn without labels, feedback or error signals, and a linear readout.

    Args:
        spec: blocks and scaling; ``preset`` makes the published ones.
        in_channels: number of image channels.
        image_size: side of the (square) images in pixels.
        classes: number of outputs of the readout.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the weights.
        dtype: type of the weights.

    Raises:
        InputError: images too small for the blocks.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> net = SoftHebbNet(preset("cifar10", depth=1), in_channels=3, image_size=32, classes=10)
        >>> images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
        >>> net.features(images).shape, net(images).shape
        (torch.Size([2, 24576]), torch.Size([2, 10]))
    """

    def __init__(
        self,
        spec: NetworkSpec,
        in_channels: int,
        image_size: int,
        classes: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, image_size=image_size, classes=classes)
        scaled = len(spec.pixel_mean or ())
        if scaled not in (0, in_channels):
            raise InputError(
                f"in_channels is {in_channels}; expected {scaled}, as in the pixel_mean of "
                f"{spec.name}"
            )
        self.spec, self.in_channels, self.image_size = spec, in_channels, image_size
        with made_with(device=device, dtype=dtype):
            self._make_layers(classes, generator)

    def _make_layers(self, classes: int, generator: torch.Generator | None) -> None:
        spec, in_channels, image_size = self.spec, self.in_channels, self.image_size
        self.blocks = nn.ModuleList()
        self.macs = 0
        """Number of multiply-accumulates of the convolutions in a forward pass of one image."""
        channels, side = in_channels, image_size
        for number, block_spec in enumerate(spec.blocks, start=1):
            block = SoftHebbBlock(channels, block_spec, generator)
            convolved, pooled = _sides_after(block, side, number, image_size)
            self.macs += block.conv.weight.numel() * convolved**2
            side = pooled
            self.blocks.append(block)
            channels = block_spec.out_channels
        self.feature_shape = (channels, side, side)
        seen = spec.blocks if spec.readout_from == "all" else spec.blocks[-1:]
        neurons = sum(block.out_channels for block in seen) * (2 if spec.on_off else 1)
        self.wide: WideLayer | None = None
        self.feature_maps = [(neurons, side)]
        """Number and side of the maps that make up the features, in order."""
        if spec.wide is not None:
            self.wide = _wide(in_channels, spec.wide, image_size, generator)
            positions = (image_size - spec.wide.kernel_size + 1) ** 2
            weights = self.wide.whiten.weight.numel() + self.wide.conv.weight.numel()
            self.macs += weights * positions
            self.feature_maps.append((2 * spec.wide.neurons, spec.wide.side))
        self.readout = nn.Linear(sum(maps * s**2 for maps, s in self.feature_maps), classes)
        bound = self.readout.in_features**-0.5
        with torch.no_grad():
            self.readout.weight.uniform_(-bound, bound, generator=generator)
            self.readout.bias.uniform_(-bound, bound, generator=generator)

    @classmethod
    def from_preset(
        cls,
        data: Data,
        depth: int | None = None,
        width: Width = "4x",
        rule: Rule = "soft",
        *,
        in_channels: int | None = None,
        image_size: int | None = None,
        classes: int | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Returns the paper's network for a data set, untrained.

        Args:
            data: data set; for this and for depth, width and rule see
                :func:`plastorch.hebbian.presets.preset`.
            depth: number of plastic layers; that of the deepest network if None.
            width: width of the layers.
            rule: "soft", or a baseline.
            in_channels: number of image channels; that of the data set if None.
            image_size: side of the images in pixels; that of the data set if None.
            classes: number of outputs of the readout; that of the data set if None.
            generator: random generator of the initial weights; torch's global one if None.
            device: device of the weights.
            dtype: type of the weights.

        Raises:
            InputError: no such preset, or images too small for it.

        Example:
            >>> net = SoftHebbNet.from_preset("cifar10", depth=1)
            >>> net.in_channels, net.image_size, net.readout.out_features
            (3, 32, 10)
            >>> SoftHebbNet.from_preset("mnist", depth=1, classes=2)(torch.rand(5, 1, 28, 28)).shape
            torch.Size([5, 2])
        """
        spec = preset(data, depth, width, rule)
        channels, side, count = IMAGES[data]
        return cls(
            spec,
            channels if in_channels is None else in_channels,
            side if image_size is None else image_size,
            count if classes is None else classes,
            generator=generator,
            device=device,
            dtype=dtype,
        )

    @classmethod
    def from_pretrained(cls, name: str) -> Self:
        """Returns a trained network from inside the package; nothing is downloaded.

        ``plastorch models`` lists the networks; their cards say what they were trained on, how well
        they do, and how to train them again: see :mod:`plastorch.hebbian.pretrained`.

        Args:
            name: name of the network, such as "cifar10".

        Returns:
            The network, in float32, on the CPU and in eval mode.

        Raises:
            InputError: unknown name, or files that are damaged or don't belong together.

        Example:
            >>> from plastorch.hebbian.pretrained import cards
            >>> for name, card in cards().items():
            ...     net = SoftHebbNet.from_pretrained(name)
            ...     assert len(card.classes) == net.readout.out_features
        """
        return cls.load(weights_of(name))

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Writes the network into one file: weights as safetensors, settings as JSON beside them.

        Args:
            path: file to write.
            dtype: type in which weights are kept: torch.float32, or torch.float16 for half the
                size; they are float32 again when loaded.

        Raises:
            InputError: unwritable file, or a weight that is not float32 or not in dtype's range; an
                older file stays whole.

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp(), "net.safetensors")
            >>> net = SoftHebbNet.from_preset("mnist", depth=1).eval()
            >>> net.save(path)
            >>> images = torch.rand(2, 1, 28, 28)
            >>> torch.equal(SoftHebbNet.load(path)(images), net(images))
            True
        """
        sizes = {
            "in_channels": self.in_channels,
            "image_size": self.image_size,
            "classes": self.readout.out_features,
        }
        write(Path(path), self.spec, sizes, self.state_dict(), dtype)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a network that :meth:`save` wrote; nothing in the file is ever executed.

        Returns:
            The network, in float32, on the CPU and in eval mode.

        Raises:
            InputError: file that is missing, damaged, of a later version, or something else.
        """
        return read(Path(path), cls)

    def prepare(self, images: Iterable[Tensor]) -> Tensor:
        """Converts images of any size to the size and channels that this network takes.

        Images of another size are resized (antialiased bilinear); oblong ones are squashed. For a
        color network, gray images are repeated in all channels. Any other number of channels is
        refused, also color images for a gray network.

        Args:
            images: images [C, H, W], uint8, or floats in [0, 1], of one size or several.

        Returns:
            Images [B, in_channels, image_size, image_size], float32 in [0, 1].

        Raises:
            InputError: no image, or one of another shape, type, range or number of channels.

        Example:
            >>> net = SoftHebbNet.from_preset("cifar10", depth=1, width="quarter")
            >>> photo = torch.randint(0, 256, (3, 480, 640), dtype=torch.uint8)
            >>> gray = torch.rand(1, 28, 28)
            >>> net.features(net.prepare([photo, gray])).shape
            torch.Size([2, 6144])
        """
        return prepared(images, self.in_channels, self.image_size)

    def pixels(self, images: Tensor) -> Tensor:
        """Scales uint8 images to [0, 1], then applies the spec's mean and standard deviation.

        Raises:
            InputError: images of another shape, or neither uint8 nor floats.
        """
        if images.dim() != 4 or tuple(images.shape[1:]) != (
            self.in_channels,
            self.image_size,
            self.image_size,
        ):
            raise InputError(
                f"images have shape {tuple(images.shape)}; expected (B, {self.in_channels}, "
                f"{self.image_size}, {self.image_size})"
            )
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise InputError(
                f"images are {images.dtype}; expected torch.uint8, or floats in [0, 1]"
            )
        x = images.to(self.readout.weight.dtype, memory_format=torch.channels_last)
        return self.standardized(x / 255 if images.dtype == torch.uint8 else x)

    def standardized(self, x: Tensor) -> Tensor:
        """Standardizes floats in [0, 1], of any size, by the spec's mean and standard deviation."""
        if self.spec.pixel_mean is None or self.spec.pixel_std is None:
            return x
        mean = torch.tensor(self.spec.pixel_mean, dtype=x.dtype, device=x.device)
        std = torch.tensor(self.spec.pixel_std, dtype=x.dtype, device=x.device)
        return (x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    def features(self, images: Tensor) -> Tensor:
        """Returns the features that the readout sees.

        Args:
            images: images [B, C, H, W], uint8, or floats in [0, 1]; for images of other sizes see
                :meth:`prepare`.

        Returns:
            Features [B, features] of the last block, or of all blocks in turn, flattened as
            channels, height, width; within each block ON neurons come first, then OFF neurons. The
            wide layer's features come last.
        """
        x, seen = self.pixels(images), []
        wide = [] if self.wide is None else [self.wide(x).flatten(1)]
        blocks = blocks_of(self)
        for block in blocks:
            if self.spec.readout_from == "last" and block is not blocks[-1]:
                x = block(x)
                continue
            u = block.pre_activation(x)
            responses = block.activate_pairs(u) if self.spec.on_off else (block.activate(u),)
            x = responses[0]
            for maps in responses:
                seen.append(F.adaptive_avg_pool2d(maps, self.feature_shape[1:]).flatten(1))
        return torch.cat([*seen, *wide], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns class scores (logits) [B, classes] of images [B, C, H, W]."""
        features = self.features(images)
        if self.training:  # in eval mode nothing queries other workers, which can't be exported
            features = dropout(features, self.spec.dropout)
        logits: Tensor = self.readout(features.to(self.readout.weight.dtype))
        return logits


def blocks_of(net: SoftHebbNet) -> list[SoftHebbBlock]:
    """Returns the blocks of a network, typed."""
    return cast(list[SoftHebbBlock], list(net.blocks))


def _wide(
    channels: int, spec: WideSpec, image_size: int, generator: torch.Generator | None
) -> WideLayer:
    """Returns a wide layer; raises InputError if images are too small for it."""
    least = spec.kernel_size + spec.side - 1
    if image_size < least:
        raise InputError(
            f"image_size is {image_size}; expected at least {least}, for the wide layer's "
            f"receptive fields of {spec.kernel_size} and grid of {spec.side} cells a side"
        )
    return WideLayer(channels, spec, generator)


def _sides_after(block: SoftHebbBlock, side: int, number: int, image_size: int) -> tuple[int, int]:
    """Returns the sides of a block's convolved and pooled map; InputError if it gets too small."""
    spec = block.spec
    convolved = min(block.conv.output_size(side, side))
    pooled = spec.pool.output_size(convolved)
    if convolved < 1 or pooled < 1 or spec.padding >= side:
        raise InputError(
            f"image_size is {image_size}: block {number} gets a map of {side} x {side} pixels, "
            f"smaller than its receptive field and pooling need (kernel {spec.kernel_size}, "
            f"padding {spec.padding}, pool {spec.pool.kernel_size}); expected larger images or a "
            "shallower network"
        )
    return convolved, pooled
