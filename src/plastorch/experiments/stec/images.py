"""Shared parts of image experiments with efference copies: data, studies, the start of a result."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch

from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.load import load_images
from plastorch.efference import ImageViews, Sources, estimate_bins
from plastorch.efference.encoders import Stem
from plastorch.efference.probes import as_floats
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError
from plastorch.engine.run import result
from plastorch.experiments.context import Context
from plastorch.experiments.stec import PAPER
from plastorch.experiments.stec.config import StecConfig
from plastorch.experiments.stec.study import Exam, Study, Test
from plastorch.experiments.stec.transfer import Amounts, Scenery, make_scenery, tried

HELD_OUT = 0.1
"""Share of the training images that a sweep is tested on."""
FEW = Amounts((40, 20), (16, 8), 1, 1)
"""Amounts of a smoke run."""


def load(config: StecConfig, dataset: str, context: Context, size: int | None = None) -> ImageSet:
    """Returns an experiment's images; a sweep's test images are some of the training images."""
    images = load_images(dataset, context.data, image_size=size)
    return images.validation_split(HELD_OUT, context.seed) if config.sweep else images


def load_digits(config: StecConfig, context: Context) -> ImageSet | None:
    """Returns MNIST's digits for the scenes of transfer, if it is configured.

    Raises:
        InputError: there are no digits, or the data root is a folder of the user's images.
    """
    if not config.transfer or config.sweep:
        return None
    try:
        digits = load_images("mnist", context.data)
    except InputError as error:
        raise InputError(f"{error}; or --no-transfer, which does without") from None
    if digits.source == "own folder":
        raise InputError(
            f"transfer is True, but {context.data or 'the data root'} is a folder of own images; "
            "expected --no-transfer, or train, test and MNIST/raw in one folder"
        )
    return digits


def image_study(
    config: StecConfig,
    images: ImageSet,
    digits: ImageSet | None,
    views: ImageViews,
    stem: Stem,
    context: Context,
    side: int,
    stride: int = 2,
) -> Study:
    """Returns the study of images with labels and of those without, if there are any.

    Args:
        config: settings of efference copies and encoder.
        images: training and test images.
        digits: digits in the scenes of transfer; None without transfer.
        views: augmentation of the images.
        stem: stem of a ResNet.
        context: context of the run.
        side: side of the scenes of transfer, pixels.
        stride: stride of the small encoder's first convolution.
    """
    device = context.device
    parts = (images.train_images, images.train_labels, images.test_images, images.test_labels)
    exam = Exam(*(part.to(device) for part in parts))
    sources = Sources(exam.images, exam.labels)
    if images.unlabeled_images is not None:
        more = images.unlabeled_images.to(device)
        none = torch.full((len(more),), -1, device=device)
        sources = Sources(torch.cat([sources.images, more]), torch.cat([sources.labels, none]))
    return Study(
        sources,
        {"images": exam},
        len(images.classes),
        views,
        as_floats,
        config.copy,
        estimate_bins(views, config.copy, generator(context.seed, 5)),
        config.bfloat16,
        partial(config.new_encoder, stem, 3, stride),
        None if digits is None else _tests(images, digits, context, side),
    )


def started(
    experiment: str,
    config: StecConfig,
    context: Context,
    images: ImageSet,
    digits: ImageSet | None,
) -> dict[str, Any]:
    """Returns the result before anything is measured, with notes on the data."""
    used = [images] if digits is None else [images, digits]
    notices = [of.notice for of in used if of.notice]
    for notice in notices:
        context.tell(notice)
    unlabeled = images.unlabeled_images
    data: dict[str, Any] = {
        "name": images.name,
        "n_train": len(images.train_labels),
        "n_unlabelled": 0 if unlabeled is None else len(unlabeled),
        "n_test": len(images.test_labels),
        "source": images.source,
        "sha256": images.sha256,
        "classes": list(images.classes),
        "notice": " ".join(notices),
    }
    if digits is not None:
        data["digits"] = {"source": digits.source, "sha256": digits.sha256}
    settings = config.plain() | {"seed": context.seed, "quick": context.quick}
    return result(experiment, PAPER, settings, data, context.device)


def _tests(
    images: ImageSet, digits: ImageSet, context: Context, side: int
) -> Callable[[int], Test]:
    """Returns tests of the encoders of a seed, all on the same scenes."""
    amounts = FEW if context.quick else Amounts()

    @lru_cache(maxsize=1)  # encoders are tried seed by seed
    def scenery(seed: int) -> Scenery:
        return make_scenery(images, digits, side, amounts, (context.seed, 6, seed))

    def of_seed(seed: int) -> Test:
        path = (context.seed, 6, seed, 2)
        return lambda encoder: tried(encoder, scenery(seed), amounts, path)

    return of_seed
