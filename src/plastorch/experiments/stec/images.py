"""Shared parts of image experiments with efference copies: data and studies."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch

from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.load import load_images
from plastorch.efference import ImageViews, Sources, estimate_bins
from plastorch.efference.encoders import Stem
from plastorch.efference.probes import Exam, as_floats
from plastorch.efference.streams import Stream, TransferStream
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.stec.config import StecConfig
from plastorch.experiments.stec.study import Study, Test, other_copies
from plastorch.experiments.stec.transfer import Amounts, Scenery, make_scenery, transfer_scores

HELD_OUT = 0.1
"""Share of the training images that settings are chosen by."""
FEW = Amounts((40, 20), (16, 8), 1, 1)
"""Amounts of a smoke run."""


def load(config: StecConfig, dataset: str, context: Context, size: int | None = None) -> ImageSet:
    """Returns an experiment's images; held-out training images may take the test images' place."""
    images = load_images(dataset, context.data, image_size=size)
    return images.validation_split(HELD_OUT, context.seed) if config.held_out else images


def load_digits(config: StecConfig, context: Context) -> ImageSet | None:
    """Returns MNIST's digits for the scenes of transfer, or None without transfer.

    Settings are not chosen by digits: they come from MNIST's test set.
    """
    if not config.transfer or config.held_out:
        return None
    try:
        digits = load_images("mnist", context.data)
    except InputError as error:
        raise InputError(f"{error}; or use --no-transfer, which needs no digits") from None
    if digits.source == "own folder":
        raise InputError(
            f"transfer is True, but {context.data or 'the data root'} is a folder of own images; "
            "expected --no-transfer, or train, test and MNIST/raw in one folder"
        )
    return digits


def image_study(
    config: StecConfig,
    images: ImageSet,
    views: ImageViews,
    context: Context,
    *,
    stem: Stem,
    digits: ImageSet | None,
    side: int,
    stride: int = 2,
) -> Study:
    """Returns the study of images with labels and of those without, if there are any.

    Digits are for scenes of transfer of ``side`` pixels; ``stride`` is the small encoder's.
    """
    device = context.device
    parts = (images.train_images, images.train_labels, images.test_images, images.test_labels)
    exam = Exam(*(part.to(device) for part in parts))
    sources = Sources(exam.images, exam.labels)
    if images.unlabeled_images is not None:
        more = images.unlabeled_images.to(device)
        none = torch.full((len(more),), -1, device=device)
        sources = Sources(torch.cat([exam.images, more]), torch.cat([exam.labels, none]))
    return Study(
        sources=sources,
        exams={"images": exam},
        classes=len(images.classes),
        views=views,
        prepare=as_floats,
        bins=estimate_bins(views, config.copy, stream(context.seed, Stream.BINS)),
        others=other_copies(config, views, context.seed),
        bfloat16=config.bfloat16,
        new_encoder=partial(config.new_encoder, stem, 3, stride),
        transfer=None if digits is None else _tests(images, digits, context, side),
    )


def described(images: ImageSet, digits: ImageSet | None, context: Context) -> dict[str, Any]:
    """Returns a description of the data; the user is told what is not as usual."""
    notices = [of.notice for of in (images, digits) if of is not None and of.notice]
    for notice in notices:
        context.tell(notice)
    unlabeled = images.unlabeled_images
    data = images.description() | {
        "n_unlabelled": 0 if unlabeled is None else len(unlabeled),
        "notice": " ".join(notices),
    }
    if digits is not None:
        data["digits"] = {"source": digits.source, "sha256": digits.sha256}
    return data


def _tests(
    images: ImageSet, digits: ImageSet, context: Context, side: int
) -> Callable[[int], Test]:
    """Returns tests of the encoders of a seed, all on the same scenes."""
    amounts = FEW if context.quick else Amounts()
    path = (context.seed, Stream.TRANSFER)

    @lru_cache(maxsize=1)  # encoders are tried seed by seed
    def scenery(seed: int) -> Scenery:
        return make_scenery(images, digits, side, amounts, (*path, seed))

    def of_seed(seed: int) -> Test:
        heads = (*path, seed, TransferStream.HEADS)
        return lambda encoder: transfer_scores(encoder, scenery(seed), amounts, heads)

    return of_seed
