"""Self-supervision with and without efference copies on CIFAR-10 or CIFAR-100.

Paper: Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from plastorch.efference import CIFAR, ImageViews
from plastorch.experiments.context import Context
from plastorch.experiments.stec.arms import RIVALS
from plastorch.experiments.stec.config import Crop, Jitter, Published, StecConfig
from plastorch.experiments.stec.images import described, image_study, load, load_digits
from plastorch.experiments.stec.train import run_study

QUICK = (1000, 200)
"""Numbers of training and test images of a smoke run."""
SIDE = 64
"""Side of the scenes of transfer, pixels."""
PAPER_SETTINGS = {
    "encoder": "resnet18",
    "epochs": 1000,
    "batch_size": 1024,
    "optimizer": "lars",
    "learning_rate": 1.0,
    "weight_decay": 1e-6,
    "warm_up": 10.0,
    "copy": "compatible",
    "tau": 0.996,
}
"""Paper settings that differ from the defaults."""
PUBLISHED: Mapping[str, Published] = {"simclr": {"baseline": 0.654, "stec": 0.668}}
"""Test accuracies on CIFAR-100 of the networks that the authors released, by method."""


@dataclass(frozen=True)
class StecCifar10Config(StecConfig):
    """Settings of stec-cifar10.

    Args:
        dataset: cifar10 or cifar100.
        least_crop: minimum area of a crop, as a share of the image's.
        jitter: strength of color changes.
    """

    paper_hidden: ClassVar[Mapping[str, int]] = {"resnet18": 512, "resnet50": 1024}
    dataset: Literal["cifar10", "cifar100"] = "cifar10"
    least_crop: Crop = CIFAR.scale[0]
    jitter: Jitter = CIFAR.jitter

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_batch(3 * self.views().size ** 2)

    def paper_settings(self) -> Mapping[str, Any]:
        """Returns the settings of the authors' program."""
        return PAPER_SETTINGS

    @property
    def published(self) -> Mapping[str, Published]:
        """Test accuracies of the networks that the authors released, if the settings are theirs."""
        names = ("methods", "roles", "shuffled", "seeds", *RIVALS)
        free = {name: getattr(self, name) for name in names}
        theirs = StecCifar10Config(dataset="cifar100", preset="paper", **free)
        return PUBLISHED if self == theirs else {}

    def views(self) -> ImageViews:
        """Returns the augmentation of images."""
        return replace(CIFAR, scale=(self.least_crop, 1.0), jitter=self.jitter)


def measure(config: StecCifar10Config, context: Context) -> dict[str, Any]:
    """Trains all arms, and measures their encoders; see :func:`run_study`."""
    images, digits = load(config, config.dataset, context), load_digits(config, context)
    if context.quick:
        images = images.few(*QUICK, context.seed)
        few: dict[str, Any] = {"epochs": 3, "warm_up": 0.5, "batch_size": 50}
        width = min(config.width, 8) if config.encoder == "small" else config.width
        config = replace(config, seeds=1, preset="none", width=width, **few)
    study = image_study(
        config, images, config.views(), context, stem="cifar", digits=digits, side=SIDE
    )
    return run_study(config, study, context, described(images, digits, context))
