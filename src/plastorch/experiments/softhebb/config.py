"""Settings of the deep SoftHebb experiments; the defaults are the paper's.

Paper: Journé, Garcia Rodriguez, Guo, Moraitis, *Hebbian Deep Learning Without Feedback*, ICLR 2023.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from plastorch.engine.device import Precision, check_memory
from plastorch.engine.errors import InputError
from plastorch.experiments.preset_defaults import (
    Count,
    CountOrZero,
    Fraction,
    Positive,
    PositiveShare,
    Range,
    Rate,
    Settings,
    Size,
)
from plastorch.hebbian.optim import ReadoutSchedule
from plastorch.hebbian.presets import IMAGES, SCALE, Architecture, Data, Rule, Width, preset
from plastorch.hebbian.rule import Competition
from plastorch.hebbian.spec import NetworkSpec, ReadoutFrom, WideSpec
from plastorch.hebbian.train import Mode

_OF_PHOTOS: Mapping[str, Any] = {
    "precision": "bf16",
    "readout_from": "all",
    "on_off": True,
    "mirrored": True,
    "centered": True,
}
_RENEWED_VIEWS: Mapping[str, Any] = {
    "readout_from": "all",
    "on_off": True,
    "standardized": True,
    "readout_learning_rate": 1e-4,
    "dropout": 0.25,
    "renewed_views": True,
}
BEST: Mapping[Data, Mapping[str, Any]] = {
    "mnist": {
        **_RENEWED_VIEWS,
        "depth": 3,
        "width": "half",
        "precision": "bf16",
        "unsupervised_share": 0.4,
        "readout_epochs": 12,
        "readout_schedule": "linear",
        "networks": 4,
    },
    "cifar10": {
        **_RENEWED_VIEWS,
        "whitening": 5.0,
        "unsupervised_share": 0.4,
        "readout_epochs": 24,
        "readout_schedule": "linear",
        "networks": 2,
    },
    "cifar100": _OF_PHOTOS,
    "fashion-mnist": _OF_PHOTOS,
}
"""Settings found on validation splits: of digits, and of CIFAR-10 for all photos.

Those of other photos were found before whitening was tried.
"""
FAST: Mapping[Data, Mapping[str, Any]] = {
    "cifar10": {
        **_OF_PHOTOS,
        "precision": "fp32",
        "width": "half",
        "mode": "consecutive",
        "whitening": 5.0,
        "centered": False,
        "standardized": True,
        "readout_learning_rate": 1e-4,
        "dropout": 0.25,
        "unsupervised_share": 0.4,
        "readout_epochs": 20,
        "readout_schedule": "linear",
    }
}
"""Settings for training in a few minutes, found on a validation split."""
PRESETS = {"best": BEST, "fast": FAST}
AUGMENTED = ("stl10", "imagenet", "imagenette")
"""Data sets whose labeled images are augmented again each time they are seen."""
STATISTICS = ("centered", "standardized")
"""Settings that need statistics of the features of the training images."""
FREE = (
    *("dataset", "depth", "width", "rule", "architecture"),
    *("mode", "precision", "statistics_pass", "sweep"),
)
"""Settings that don't decide whether claims are judged."""


@dataclass(frozen=True)
class SoftHebbConfig(Settings):
    """Settings of a deep SoftHebb run; the defaults are the paper's.

    Args:
        depth: number of plastic layers.
        width: growth of the channels from layer to layer, or scale of all layers.
        channels: number of neurons of each layer, which a width may scale; None takes the paper's.
        rule: soft is SoftHebb; hard, sampled (weights are patches of a layer's input), random and
            backprop are baselines.
        architecture: architecture of the baselines: SoftHebb's own, or the one in the paper's code.
        mode: train blocks one after the other, or all on the same mini-batches.
        precision: precision of matrix products; updates, norms and the readout stay in fp32.
        batch_size: images per Hebbian update.
        unsupervised_epochs: number of passes of the blocks over the images.
        unsupervised_share: share of the images that the blocks learn from, without labels; None
            takes the paper's: a tenth of ImageNet, and all of other sets.
        readout_epochs: number of passes of the readout (or of backprop) over the labeled images.
        readout_batch_size: rows per update of the readout.
        readout_learning_rate: learning rate of the readout in its first epoch.
        readout_schedule: decay of that rate: halved at set times, as in the paper, or linear to 0.
        dropout: probability of dropping a feature when the readout is trained; None takes the
            network's own.
        whitening: regularization of the whitening of what blocks after the first learn from; None
            for no whitening. The exponent of their Triangle is then 1.
        triangle_power: exponent of Triangle in the last block; None takes the network's own.
        statistics_pass: for rule random: gather batch statistics before the readout is trained.
        validation: share of the training set that is held out and used in place of the test set,
            for choosing settings.
        readout_from: blocks whose features the readout sees.
        on_off: the readout sees features in pairs: ON from the neurons as they are, OFF from
            neurons whose weights have the opposite sign.
        wide: number of neurons of a wide layer beside the blocks, on whitened patches, which the
            readout sees as well; 0 for none.
        wide_side: side of the grid over whose cells the wide layer's responses are averaged.
        mirrored: the readout also learns from mirror images; its accuracy when the scores of a test
            image and of its mirror image are combined is reported separately.
        centered: subtract the mean of features over the training set before dropout and learning.
        standardized: also divide features by their standard deviation.
        renewed_views: the readout learns from each image as it is and from one other view, drawn
            again every fourth epoch, instead of from fixed views: digits are rotated, scaled,
            shifted and bent, photos shifted by up to four pixels and mirrored at random.
        networks: number of networks, each with its own random weights, images to learn from and
            views, whose class scores are added; trained one after the other.
        preset: "best" takes our best value of each setting that isn't given, "fast" the best for
            training in a few minutes; see "Beyond the paper" in the documentation.
        sweep: after training, train many such networks on up to 10,000 images over a range of
            temperatures or initial radii, to see how accuracy depends on them.
    """

    data_set: ClassVar[Data] = "cifar10"

    depth: int = 3
    width: Width = "4x"
    channels: tuple[Size, ...] | None = None
    rule: Rule = "soft"
    architecture: Architecture = "matched"
    mode: Mode = "successive"
    precision: Precision = "fp32"
    batch_size: Size = 10
    unsupervised_epochs: Count = 1
    unsupervised_share: PositiveShare | None = None
    readout_epochs: Count = 50
    readout_batch_size: Size = 64
    readout_learning_rate: Rate = 1e-3
    readout_schedule: ReadoutSchedule = "halved"
    dropout: Fraction | None = None
    whitening: Positive | None = None
    triangle_power: Positive | None = None
    statistics_pass: bool = True
    validation: Fraction = 0.0
    readout_from: ReadoutFrom = "last"
    on_off: bool = False
    wide: CountOrZero = 0
    wide_side: Size = WideSpec.side
    mirrored: bool = False
    centered: bool = False
    standardized: bool = False
    renewed_views: bool = False
    networks: Annotated[int, Range(1, 100)] = 1
    preset: Literal["paper", "best", "fast"] = "paper"
    sweep: Literal["none", "temperature", "radius"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule == "backprop":
            of_local_learning = (
                "whitening",
                "readout_schedule",
                "readout_from",
                "on_off",
                "wide",
                "mirrored",
                *STATISTICS,
                "renewed_views",
                "networks",
            )
            self._expect_defaults(*of_local_learning)
        for name in STATISTICS:
            if getattr(self, name) and self.preset_data in AUGMENTED:
                raise InputError(
                    f"{name} is True; expected False for {self.preset_data}: its readout learns "
                    "from images that are augmented again each time, whose features are not cached"
                )
        self._check_channels()
        if self.whitening is not None and self.depth == 1 and self.preset == "paper":
            raise InputError(
                f"whitening is {self.whitening}; expected None: there is no block after the first"
            )
        if self.wide_side != WideSpec.side and not self.wide:
            raise InputError(
                f"wide_side is {self.wide_side}; expected {WideSpec.side}: there is no wide layer"
            )
        if self.mirrored and self.preset_data == "mnist":
            raise InputError(
                "mirrored is True; expected False for digits: few mirror images are digits"
            )
        if self.renewed_views and self.preset_data in AUGMENTED:
            raise InputError(
                f"renewed_views is True; expected False for {self.preset_data}: its images are "
                "augmented again each time"
            )
        self._check_sizes()

    def preset_settings(self) -> Mapping[str, Any]:
        """Returns the settings of the chosen preset."""
        if self.preset == "paper":
            return {}
        there = [name for name, by_data in PRESETS.items() if self.preset_data in by_data]
        if self.preset not in there:
            expected = " or ".join(["paper", *there])
            raise InputError(
                f"preset is {self.preset!r}; expected {expected} for {self.preset_data}"
            )
        return PRESETS[self.preset][self.preset_data]

    def _check_channels(self) -> None:
        """Raises InputError if channels don't go with depth or width."""
        if self.channels is None:
            return
        if len(self.channels) != self.depth:
            raise InputError(
                f"channels is {self.channels}; expected {self.depth} numbers, as depth is "
                f"{self.depth}"
            )
        if self.width not in (SoftHebbConfig.width, *SCALE):
            raise InputError(
                f"channels is {self.channels}; expected None, as width is {self.width!r}"
            )

    def _check_sizes(self) -> None:
        """Raises InputError if weights, or the first block's outputs for a batch, don't fit."""
        blocks, (inputs, side, _) = self.spec().blocks, IMAGES[self.preset_data]
        channels = tuple(block.out_channels for block in blocks)
        sizes = zip(blocks, pairwise((inputs, *channels)), strict=True)
        weights = sum(n * m * block.kernel_size**2 // block.groups for block, (n, m) in sizes)
        check_memory(4 * self.networks * weights, networks=self.networks, channels=channels)
        image = 2 * 4 * channels[0] * side**2
        check_memory(self.batch_size * image, batch_size=self.batch_size)
        if self.rule == "backprop" or self.preset_data in AUGMENTED:
            size = self.readout_batch_size
            check_memory(size * image, readout_batch_size=size)

    def _expect_defaults(self, *names: str) -> None:
        defaults = {field.name: field.default for field in fields(self)}
        changed = [name for name in names if getattr(self, name) != defaults[name]]
        if changed:
            raise InputError(
                f"rule is {self.rule!r}; expected another, or {' and '.join(changed)} at the "
                "default: it trains blocks and readout together"
            )

    def spec(self) -> NetworkSpec:
        """Returns the network: the data set's preset with what the settings change."""
        found = preset(self.preset_data, self.depth, self.width, self.rule, self.architecture)
        competition: Competition = "hard" if self.rule == "hard" else "soft"
        wide = (
            WideSpec(self.wide, side=self.wide_side, competition=competition) if self.wide else None
        )
        found = replace(found, readout_from=self.readout_from, on_off=self.on_off, wide=wide)
        if self.channels is not None:
            scale = SCALE.get(self.width, 1)
            sized = zip(found.blocks, self.channels, strict=True)
            blocks = tuple(replace(block, out_channels=round(n * scale)) for block, n in sized)
            found = replace(found, blocks=blocks)
        if self.dropout is not None:
            found = replace(found, dropout=self.dropout)
        if self.whitening is not None:
            first, *later = found.blocks
            smooth = (replace(block, triangle_power=1.0) for block in later)
            found = replace(found, blocks=(first, *smooth))
        if self.triangle_power is not None:
            last = replace(found.blocks[-1], triangle_power=self.triangle_power)
            found = replace(found, blocks=(*found.blocks[:-1], last))
        return found

    @property
    def ordinary(self) -> bool:
        """Whether settings that the paper doesn't vary have their defaults."""
        free = {name: getattr(self, name) for name in FREE if hasattr(self, name)}
        return self == replace(type(self)(), **free)

    @property
    def preset_data(self) -> Data:
        """The data set whose presets are used."""
        chosen: Data = getattr(self, "dataset", self.data_set)
        return chosen


@dataclass(frozen=True)
class MnistConfig(SoftHebbConfig):
    """Settings of softhebb-mnist."""

    depth: int = 2
    mode: Mode = "consecutive"
    readout_epochs: Count = 100
    dataset: Literal["mnist", "fashion-mnist"] = "mnist"


@dataclass(frozen=True)
class Cifar10Config(SoftHebbConfig):
    """Settings of softhebb-cifar10."""


@dataclass(frozen=True)
class Cifar100Config(SoftHebbConfig):
    """Settings of softhebb-cifar100."""

    data_set: ClassVar[Data] = "cifar100"


@dataclass(frozen=True)
class Stl10Config(SoftHebbConfig):
    """Settings of softhebb-stl10: 100,000 unlabeled images, 5,000 labeled, augmented readout."""

    depth: int = 4
    batch_size: Size = 32
    readout_epochs: Count = 100

    data_set: ClassVar[Data] = "stl10"


@dataclass(frozen=True)
class ImageNetConfig(SoftHebbConfig):
    """Settings of softhebb-imagenet; ``dataset`` may be its ten-class subset."""

    depth: int = 5
    readout_epochs: Count = 200
    readout_batch_size: Size = 32
    dataset: Literal["imagenet", "imagenette"] = "imagenet"
