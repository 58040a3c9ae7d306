"""Named image sets from the data root or the package. Nothing is downloaded."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from plastorch.data.catalog import entry_of
from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.sources import read_set
from plastorch.data.images.trees import is_own_folder
from plastorch.data.images.user_folder import EXPECTED, read_own_folder, what_is_in
from plastorch.data.locate import find_set, located
from plastorch.data.root import data_root, named_by
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.errors import InputError

_PARTS = ("train", "test")


def load_images(
    name: str, data: str | Path | None = None, *, image_size: int | None = None
) -> ImageSet:
    """Loads an image set by name from the data root; ``plastorch data get NAME`` puts it there.

    A data root given by ``data`` or ``$PLASTORCH_DATA`` is used or refused. It holds the set, or is
    itself a folder of your own images (``CLASS/*.png``, or ``train/CLASS/*`` with ``test/CLASS/*``
    or ``val/CLASS/*``; JPEG, PNG, WebP, BMP or TIFF), which is loaded instead, with a notice: see
    :func:`plastorch.data.images.user_folder.read_own_folder`. If the default data root lacks MNIST,
    a small part of it in the package is used instead; ``notice`` then says so.

    Args:
        name: mnist, fashion-mnist, cifar10, cifar100, stl10, imagenet or imagenette.
        data: data root; None for ``$PLASTORCH_DATA`` or the user's cache folder.
        image_size: side in pixels to which the images of a tree are squashed. None: 160 for
            imagenet and imagenette; for a folder of your own, the images' own size if they all have
            the same of at most 160 pixels, else that of the named set.

    Returns:
        Set with images uint8 [N, C, H, W].

    Raises:
        InputError: the name is unknown, or the set is missing or damaged.

    Example:
        >>> load_images("mnist").train_images.shape[1:]
        torch.Size([1, 28, 28])
    """
    entry = entry_of(name)
    if entry.reader:
        raise InputError(f"name: {entry.title} holds no images; {entry.reader} reads it")
    if image_size is not None and image_size < 1:
        raise InputError(f"image_size: {image_size} found; expected a positive number of pixels")
    root = data_root(data)
    if not find_set(entry, root):
        if is_own_folder(root):
            return read_own_folder(entry, root, image_size)
        if named := named_by(data):
            raise InputError(
                f"{named}: {root} holds neither {entry.title} nor images by class: found "
                f"{what_is_in(root)}; expected {EXPECTED}, or {entry.title} in "
                f"{entry.folders[0]}; to get {entry.title}: {entry.how_to_get(data)}"
            )
        if name == "mnist":
            return _embedded_digits(root)
    folder = located(entry, data)
    # Without the user's own path, as results are passed on.
    where = f"data root: {folder.relative_to(root)}"
    return replace(read_set(entry, folder, image_size), source=where)


def _embedded_digits(root: Path) -> ImageSet:
    """Returns the 5,000 training and 1,000 test digits of MNIST that come with the package."""
    with files("plastorch.data").joinpath("mnist_subset.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        train_x, test_x = (torch.from_numpy(arrays[f"{p}_images"])[:, None] for p in _PARTS)
        train_y, test_y = (torch.from_numpy(arrays[f"{p}_labels"]).long() for p in _PARTS)
    entry = entry_of("mnist")
    return ImageSet(
        name=entry.title,
        train_images=train_x,
        train_labels=train_y,
        test_images=test_x,
        test_labels=test_y,
        classes=tuple(entry.classes.values()),
        source="inside the package",
        sha256=fingerprint(train_x, train_y, test_x, test_y),
        notice=(
            f"SMALL STAND-IN: 5,000 + 1,000 of MNIST's 60,000 + 10,000 digits, from inside the "
            f"package; MNIST is not in {root / entry.folders[0]}. Figures from it do not compare "
            f"with published ones. For the full set: {entry.how_to_get()}."
        ),
    )
