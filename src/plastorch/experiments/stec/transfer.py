"""Transfer of encoders to locating objects: scenes of digits on natural images."""

from dataclasses import replace
from typing import NamedTuple

import torch

from plastorch.data.images.imageset import ImageSet
from plastorch.data.tasks.pasted import Pasting, pasted_scenes
from plastorch.data.tasks.scenes import Scenes
from plastorch.efference.dense import Detector, Segmenter, detection_ap50, segmentation_iou
from plastorch.efference.dense_training import train_dense
from plastorch.efference.encoders import Encoder
from plastorch.efference.probes import extract, logistic_accuracy
from plastorch.efference.streams import HeadStream, TransferStream
from plastorch.efference.transfer import color_r2, localization, turned
from plastorch.engine.run import Record
from plastorch.engine.streams import stream


class Amounts(NamedTuple):
    """Numbers of scenes and epochs with which an encoder is tested."""

    places: tuple[int, int] = (3000, 1000)
    """Scenes of one object, to learn its place and to test that."""
    scenes: tuple[int, int] = (600, 300)
    """Scenes of up to three objects, to learn what is where and to test that."""
    segmenter_epochs: int = 60
    """Number of epochs; after 12, the segmenter still calls all pixels background."""
    detector_epochs: int = 12


class Scenery(NamedTuple):
    """Scenes for training and test."""

    places: tuple[Scenes, Scenes]
    scenes: tuple[Scenes, Scenes]


def make_scenery(
    images: ImageSet, digits: ImageSet, side: int, amounts: Amounts, path: tuple[int, ...]
) -> Scenery:
    """Makes scenes of gray digits on color images, ``side`` pixels wide.

    Scenes of the test come from test sets; ``path`` is their place in random numbers.
    """
    parts = (
        (images.train_images, digits.train_images, digits.train_labels),
        (images.test_images, digits.test_images, digits.test_labels),
    )
    several = Pasting(side, least_size=side * 5 / 16, most_size=side * 5 / 8)

    def made(counts: tuple[int, int], law: Pasting, use: TransferStream) -> tuple[Scenes, Scenes]:
        train, test = (
            pasted_scenes(count, *part, digits.classes, law, stream(*path, use, number))
            for number, (count, part) in enumerate(zip(counts, parts, strict=True))
        )
        return train, test

    return Scenery(
        made(amounts.places, replace(several, most=1), TransferStream.SINGLE_OBJECTS),
        made(amounts.scenes, several, TransferStream.SEVERAL_OBJECTS),
    )


def transfer_scores(
    encoder: Encoder, scenery: Scenery, amounts: Amounts, path: tuple[int, ...]
) -> Record:
    """Measures locating one object from frozen features, and several by heads on a frozen encoder.

    ``place_r2`` and ``size_r2`` are means over x and y of the share of variance explained;
    ``color_r2`` is that of the object's color, and ``orientation_accuracy`` of a logistic
    regression that tells by which of four quarters scenes of one object are turned;
    ``place_iou`` is of the boxes, ``constant_iou`` of the mean box; ``segmentation_iou`` and
    ``detection_ap50`` are of the heads.
    """
    with torch.random.fork_rng(devices=[]):
        train, test = scenery.places
        known, new = (extract(encoder, part.images) for part in (train, test))
        where = localization(known, train, new, test)
        color = color_r2(known, train, new, test)
        (views, quarters), (others, angles) = (turned(part.images) for part in (train, test))
        known, new = (extract(encoder, images) for images in (views, others))
        orientation = logistic_accuracy(known, quarters, new, angles)
        classes, (train, test) = len(scenery.scenes[0].classes), scenery.scenes
        torch.manual_seed(stream(*path, HeadStream.WEIGHTS).initial_seed())
        segmenter = Segmenter(encoder, classes)
        detector = Detector(encoder, classes)
        for head, epochs, use in (
            (segmenter, amounts.segmenter_epochs, HeadStream.SEGMENTER),
            (detector, amounts.detector_epochs, HeadStream.DETECTOR),
        ):
            train_dense(head.to(known.device), train, epochs, path=(*path, use))
    return {
        "place_r2": sum(where.r2[:2]) / 2,
        "size_r2": sum(where.r2[2:]) / 2,
        "color_r2": color,
        "orientation_accuracy": orientation,
        "place_iou": where.mean_iou,
        "constant_iou": where.constant_iou,
        "segmentation_iou": segmentation_iou(segmenter, test),
        "detection_ap50": detection_ap50(detector, test),
    }
