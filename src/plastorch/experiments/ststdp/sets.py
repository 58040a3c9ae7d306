"""Digits of a run: those to learn from, those that choose settings, and those that test."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch

from plastorch.data import ImageSet, load_images
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Settings, Size
from plastorch.spiking.shortterm.recognition import Digits
from plastorch.spiking.shortterm.streams import Stream


@dataclass(frozen=True)
class DigitSets(Settings):
    """Numbers of digits, and of the streams in which they are shown.

    Args:
        train_digits: number of digits to learn from.
        validation_digits: number of digits on which settings are chosen.
        test_digits: number of test digits.
        streams: number of streams that run side by side.
    """

    train_digits: Count = 6000
    validation_digits: Count = 1000
    test_digits: Count = 1000
    streams: Size = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (field.name for field in fields(self) if field.name.endswith("_digits")):
            if getattr(self, name) < self.streams:
                raise InputError(
                    f"{name} is {getattr(self, name)}; expected {self.streams} or more: streams"
                )


Config = TypeVar("Config", bound=DigitSets)
Parts = tuple[Digits, Digits, Digits]
"""Digits to learn from, to choose settings with, and to test."""


def loaded(
    config: Config, context: Context, quick: Callable[[Config], Config]
) -> tuple[Config, ImageSet, Parts]:
    """Returns the settings, which ``quick`` reduces for a smoke run, all images, and their parts;
    tells what is reduced."""
    images = load_images("mnist", context.data)
    if images.notice:
        context.tell(images.notice)
    if context.quick:
        config = quick(config)
        context.tell("smoke run of few digits, epochs and settings")
    return config, images, split(images, config, context.seed)


def described(images: ImageSet, parts: Parts) -> dict[str, Any]:
    """Returns what ``result.json`` says of the digits of a run."""
    train, validation, test = parts
    digest = fingerprint(*train, *validation, *test)
    sizes = {"n_train": len(train.labels), "n_test": len(test.labels), "sha256": digest}
    return images.description() | sizes


def split(images: ImageSet, config: DigitSets, seed: int) -> Parts:
    """Returns disjoint digits to learn from, to choose settings with, and to test.

    If there are too few, fewer are learned from, but at least one per stream.
    """
    order = torch.randperm(len(images.train_labels), generator=stream(seed, Stream.DIGITS))
    held, rest = order[: config.validation_digits], order[config.validation_digits :]
    tested = torch.randperm(len(images.test_labels), generator=stream(seed, Stream.TEST_DIGITS))
    parts = (
        (images.train_images, images.train_labels, rest[: config.train_digits]),
        (images.train_images, images.train_labels, held),
        (images.test_images, images.test_labels, tested[: config.test_digits]),
    )
    for name, (_, _, rows) in zip(("train", "validation", "test"), parts, strict=True):
        if len(rows) < config.streams:
            raise InputError(f"{name} digits are {len(rows)}; expected one per stream or more")
    train, validation, test = (
        Digits(pixels[rows].float().mean(1) / 255, labels[rows]) for pixels, labels, rows in parts
    )
    return train, validation, test
