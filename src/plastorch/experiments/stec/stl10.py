"""Self-supervision with and without efference copies on STL-10, or on ImageNet and parts of it.

Paper: Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from plastorch.efference import IMAGENET, STL10, ImageViews
from plastorch.efference.linear_probe import Augment
from plastorch.engine.errors import InputError
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Positive, Range, Repeats, Size
from plastorch.experiments.stec.config import Crop, Jitter, StecConfig, WarmUp
from plastorch.experiments.stec.images import described, image_study, load, load_digits
from plastorch.experiments.stec.train import run_study

QUICK = (60, 40)
"""Numbers of training and test images of a smoke run."""
PAPER_SETTINGS = {
    "optimizer": "lars",
    "learning_rate": 0.3,
    "weight_decay": 1e-6,
    "warm_up": 10.0,
    "copy": "compatible",
    "tau": 0.996,
}
"""Paper settings that differ from the defaults, for all data sets."""
OF_STL10 = {"epochs": 1000, "batch_size": 1024, "manipulation": 0.3}
OF_IMAGENET = {
    "encoder": "resnet50",
    "batch_size": 1680,
    "temperature": 0.1,
    "manipulation": 0.6,
    "size": 224,
}


@dataclass(frozen=True)
class StecStl10Config(StecConfig):
    """Settings of stec-stl10; the defaults are for a GPU.

    Pre-training uses images with and without labels; then the encoder is frozen, and a linear
    layer learns from the labeled images.

    Args:
        dataset: stl10; or imagenette or imagenet, which are held in the device's memory.
        size: side of views, pixels; images of imagenette and imagenet are resized to it.
        least_crop: minimum area of a crop, as a share of the image's.
        jitter: strength of color changes.
        probe_epochs: number of epochs of the linear layer.
    """

    dataset: Literal["stl10", "imagenette", "imagenet"] = "stl10"
    size: Annotated[int, Range(16, 1024)] = 96
    least_crop: Crop = STL10.scale[0]
    jitter: Jitter = STL10.jitter
    probe_epochs: Count = 100
    encoder: Literal["small", "resnet18", "resnet50"] = "resnet18"
    width: Size = 64
    seeds: Repeats = 3
    epochs: Count = 100
    warm_up: WarmUp = 5.0
    temperature: Positive = 0.2
    projected: Size = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset == "stl10" and self.size != 96:
            raise InputError(f"size is {self.size}; expected 96, the size of STL-10's images")
        self.check_batch(3 * self.views().size ** 2)

    def paper_settings(self) -> Mapping[str, Any]:
        """Returns the settings of the authors' program."""
        return PAPER_SETTINGS | (OF_STL10 if self.dataset == "stl10" else OF_IMAGENET)

    def views(self) -> ImageViews:
        """Returns the augmentation of images."""
        law = STL10 if self.dataset == "stl10" else IMAGENET
        return replace(law, size=self.size, scale=(self.least_crop, 1.0), jitter=self.jitter)


def measure(config: StecStl10Config, context: Context) -> dict[str, Any]:
    """Trains all arms, then a linear layer on each frozen encoder; see :func:`run_study`."""
    images = load(config, config.dataset, context, config.size)
    digits = load_digits(config, context)
    if context.quick:
        images = images.few(*QUICK, context.seed)
        few: dict[str, Any] = {"epochs": 1, "warm_up": 0.5, "batch_size": 30, "probe_epochs": 2}
        few |= {"encoder": "small", "width": 8, "optimizer": "sgd", "preset": "none"}
        config = replace(config, seeds=1, **few)
    study = image_study(
        config,
        images,
        config.views(),
        context,
        stem="imagenet" if config.size > STL10.size else "stl10",
        digits=digits,
        side=config.size,
        stride=4,
    )
    study = study._replace(augment=_augment(config), probe_epochs=config.probe_epochs)
    return run_study(config, study, context, described(images, digits, context))


def _augment(config: StecStl10Config) -> Augment:
    """Returns a function that makes views that are only cropped and flipped."""
    plain = replace(config.views(), jitter_probability=0.0, gray=0.0, blur=0.0, solarize=0.0)
    return lambda images, random: plain(images, random)[0]
