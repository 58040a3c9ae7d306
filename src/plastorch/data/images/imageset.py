"""A labeled image set, in memory or mapped from disk, as every experiment receives it."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream


class Stream(IntEnum):
    """Uses of random numbers."""

    FEW = 9


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Training and test images with labels, and where they came from.

    Attributes:
        name: name of the set, such as ``"MNIST"``.
        train_images: training images, uint8 [N, C, H, W].
        train_labels: training labels, int64 [N], in ``range(len(classes))``.
        test_images: test images, uint8 [M, C, H, W].
        test_labels: test labels, int64 [M].
        classes: class names, by label.
        source: where the images came from, in words.
        sha256: digest of the bytes of training and test images and labels.
        unlabeled_images: unlabeled images, uint8 [U, C, H, W], STL-10 only.
        notice: message for the user if this is not the full official set, else empty.
        aspect: original width / height of each training image, float32 [N], if images were
            squashed to a square; see :func:`plastorch.data.resized_crop_and_flip`.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    source: str
    sha256: str
    unlabeled_images: Tensor | None = None
    notice: str = ""
    aspect: Tensor | None = None

    def __post_init__(self) -> None:
        self._check_part("training", self.train_images, self.train_labels)
        self._check_part("test", self.test_images, self.test_labels)
        train, test = tuple(self.train_images.shape[1:]), tuple(self.test_images.shape[1:])
        if train != test:
            raise InputError(
                f"{self.name} ({self.source}): training images are {train}, test images {test}; "
                "expected one (channels, height, width)"
            )

    def _check_part(self, part: str, images: Tensor, labels: Tensor) -> None:
        where = f"{self.name} ({self.source})"
        if images.ndim != 4 or len(images) == 0:
            raise InputError(
                f"{where}: {part} images have shape {tuple(images.shape)}; "
                "expected at least one image as [N, C, H, W]"
            )
        if len(images) != len(labels):
            raise InputError(
                f"{where}: {len(images):,} {part} images but {len(labels):,} labels; "
                "expected as many labels as images"
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.classes):
            raise InputError(
                f"{where}: {part} label {low if low < 0 else high} found; "
                f"expected 0 to {len(self.classes) - 1}"
            )

    def description(self) -> dict[str, Any]:
        """Returns what ``result.json`` says about the data."""
        return {
            "name": self.name,
            "n_train": len(self.train_labels),
            "n_test": len(self.test_labels),
            "source": self.source,
            "sha256": self.sha256,
            "classes": list(self.classes),
            "notice": self.notice,
        }

    def validation_split(self, fraction: float, seed: int) -> "ImageSet":
        """Returns the training part split by class, to choose hyperparameters without the test set.

        The held-out part takes the place of the test part: this share of each class, but at least
        one image, and at least one is kept. The images are copied, so they must fit in memory.
        Raises InputError for a share outside (0, 1), or a class of one image.
        """
        if not 0 < fraction < 1:
            raise InputError(f"fraction: {fraction} found; expected a number between 0 and 1")
        held = _stratified_choice(self.train_labels, self.classes, fraction, seed)
        kept, held = torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()
        parts = [t[i] for i in (kept, held) for t in (self.train_images, self.train_labels)]
        return replace(
            self,
            train_images=parts[0],
            train_labels=parts[1],
            test_images=parts[2],
            test_labels=parts[3],
            source=f"{self.source}; {fraction:g} of the training part held out, seed {seed}",
            sha256=fingerprint(*parts),
            aspect=None if self.aspect is None else self.aspect[kept],
        )

    def few(self, train: int, test: int, seed: int) -> "ImageSet":
        """Returns a few images for a smoke test, as many unlabeled as training ones."""
        random = stream(seed, Stream.FEW)
        rows, test_rows = (
            torch.randperm(len(labels), generator=random)[:count]
            for labels, count in ((self.train_labels, train), (self.test_labels, test))
        )
        unlabeled = self.unlabeled_images
        size = f"Smoke run on {len(rows)} training and {len(test_rows)} test images."
        return replace(
            self,
            train_images=self.train_images[rows],
            train_labels=self.train_labels[rows],
            test_images=self.test_images[test_rows],
            test_labels=self.test_labels[test_rows],
            unlabeled_images=None if unlabeled is None else unlabeled[:train],
            aspect=None if self.aspect is None else self.aspect[rows],
            notice=f"{self.notice} {size}".lstrip(),
        )


def _stratified_choice(
    labels: Tensor, classes: tuple[str, ...], fraction: float, seed: int
) -> Tensor:
    """Returns a mask of the held-out images: the same share of every class that occurs."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, name in enumerate(classes):
        members = torch.nonzero(labels == label).flatten()
        if len(members) == 0:
            continue
        if len(members) == 1:
            raise InputError(f"class {name!r} has 1 training image; a split needs 2")
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        chosen[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return chosen
