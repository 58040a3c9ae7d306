"""What the image experiments with efference copies share: data, studies, the start of a result."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from plastorch.data.images import load_images
from plastorch.data.imageset import ImageSet
from plastorch.efference import ImageViews, Sources, estimate_bins
from plastorch.efference.encoders import Encoder, Stem
from plastorch.efference.probes import as_floats
from plastorch.engine.device import generator
from plastorch.engine.run import Record, result
from plastorch.experiments.session import Session
from plastorch.experiments.stec import PAPER, StecConfig
from plastorch.experiments.stec_study import Exam, Study, Test
from plastorch.experiments.stec_transfer import Amounts, make_scenery, tried

HELD_OUT = 0.1
"""Share of the training images that a sweep is tested on."""
FEW = Amounts((40, 20), (16, 8), 1)
"""Of a smoke run."""


def load(config: StecConfig, dataset: str, session: Session, size: int | None = None) -> ImageSet:
    """The images of an experiment; for a sweep, the test images are some of the training images."""
    images = load_images(dataset, session.data, image_size=size)
    return images.validation_split(HELD_OUT, session.seed) if config.sweep else images


def some(images: ImageSet, counts: tuple[int, int], seed: int) -> ImageSet:
    """Few of the images, for a smoke run; as many unlabelled ones as training images."""
    random = generator(seed, 9)
    train, test = (
        torch.randperm(len(labels), generator=random)[:count]
        for labels, count in zip((images.train_labels, images.test_labels), counts, strict=True)
    )
    unlabelled = images.unlabelled_images
    return replace(
        images,
        train_images=images.train_images[train],
        train_labels=images.train_labels[train],
        test_images=images.test_images[test],
        test_labels=images.test_labels[test],
        unlabelled_images=None if unlabelled is None else unlabelled[: counts[0]],
        notice=f"smoke run on {len(train)} training and {len(test)} test images",
    )


def image_study(
    config: StecConfig,
    images: ImageSet,
    views: ImageViews,
    stem: Stem,
    session: Session,
    side: int,
    stride: int = 2,
) -> Study:
    """What is learnt from images: those with labels, and those without, if there are any.

    Args:
        config: which efference copies, and which encoder.
        images: to learn from, and to be tested on.
        views: how they are looked at.
        stem: of a ResNet.
        session: where the run is computed.
        side: of the scenes of transfer, in pixels.
        stride: of the small encoder's first convolution.
    """
    device = session.device
    parts = (images.train_images, images.train_labels, images.test_images, images.test_labels)
    exam = Exam(*(part.to(device) for part in parts))
    sources = Sources(exam.images, exam.labels)
    if images.unlabelled_images is not None:
        more = images.unlabelled_images.to(device)
        none = torch.full((len(more),), -1, device=device)
        sources = Sources(torch.cat([sources.images, more]), torch.cat([sources.labels, none]))
    transfer = partial(_test, images, session, side) if config.transfer else None
    return Study(
        sources,
        {"images": exam},
        len(images.classes),
        views,
        as_floats,
        config.copy,
        estimate_bins(views, config.copy, generator(session.seed, 5)),
        config.bfloat16,
        partial(config.new_encoder, stem, 3, stride),
        transfer,
    )


def started(
    experiment: str, config: StecConfig, session: Session, images: ImageSet
) -> dict[str, Any]:
    """The result before anything is measured."""
    unlabelled = images.unlabelled_images
    data = {
        "name": images.name,
        "n_train": len(images.train_labels),
        "n_unlabelled": 0 if unlabelled is None else len(unlabelled),
        "n_test": len(images.test_labels),
        "source": images.source,
        "sha256": images.sha256,
        "classes": list(images.classes),
        "notice": images.notice,
    }
    settings = config.plain() | {"seed": session.seed, "quick": session.quick}
    return result(experiment, PAPER, settings, data, session.device)


def _test(images: ImageSet, session: Session, side: int, seed: int) -> Test:
    """What encoders of a seed are tried on: all of them on the same scenes."""
    amounts, path = FEW if session.quick else Amounts(), (session.seed, 6, seed)
    digits = load_images("mnist", session.data, download=False)

    def test(encoder: Encoder) -> Record:
        scenery = make_scenery(images, digits, side, amounts, path)
        return tried(encoder, scenery, amounts.epochs, (*path, 2))

    return test
