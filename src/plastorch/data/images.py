"""Named image sets: from the data root, the official site, or the package, in this order."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from plastorch.data.catalogue import Entry, entry_of
from plastorch.data.download import DownloadError, download_set
from plastorch.data.imageset import ImageSet, fingerprint
from plastorch.data.own import is_own_folder, read_own_folder
from plastorch.data.root import data_root
from plastorch.data.sources import read_set
from plastorch.engine.errors import InputError

_PARTS = ("train", "test")


def load_images(
    name: str,
    data: str | Path | None = None,
    *,
    download: bool = True,
    image_size: int | None = None,
) -> ImageSet:
    """Loads an image set by name: data root, then official download, then the package.

    The package holds a small stand-in for MNIST only; ``notice`` then says so. If the data root
    lacks the set but is itself a folder of your own images (``CLASS/*.png``, or ``train/CLASS/*``
    with ``test/CLASS/*`` or ``val/CLASS/*``; JPEG or PNG), that is loaded in its place, with a
    notice: see :func:`plastorch.data.own.read_own_folder`.

    Args:
        name: mnist, fashion-mnist, cifar10, cifar100, stl10, imagenet or imagenette.
        data: The data root; None for ``$PLASTORCH_DATA`` or the user's cache folder.
        download: Whether a set that is not in the data root may be downloaded into it.
        image_size: Side in pixels to which the images of a tree are squashed. None: 160 for
            imagenet and imagenette; for a folder of your own, their own size if they all have one
            of at most 160 pixels, else that of the named set.

    Returns:
        The set, its images uint8 [N, C, H, W].

    Raises:
        InputError: No such name; the set is nowhere; or it is in the data root but damaged.

    Example:
        >>> load_images("mnist", download=False).train_images.shape[1:]
        torch.Size([1, 28, 28])
    """
    entry = entry_of(name)
    if image_size is not None and image_size < 1:
        raise InputError(f"image_size: {image_size} found; expected a positive number of pixels")
    root = data_root(data)
    if folder := find_set(entry, root):
        # Without the user's own path: results are passed on.
        where = f"data root: {folder.relative_to(root)}"
        return replace(read_set(entry, folder, image_size), source=where)
    if is_own_folder(root):
        return read_own_folder(entry, root, image_size)
    reason = "download not allowed"
    if download:
        try:
            images = read_set(entry, download_set(entry, root), image_size)
            return replace(images, source="downloaded from the official site")
        except DownloadError as error:
            reason = str(error)
    own = f", and {root} is no folder of images by class" if data else ""
    missing = f"{entry.title} is not in {root / entry.folders[0]}{own}; {reason}"
    if entry.title == "MNIST":
        return _embedded_digits(missing)
    raise InputError(f"{missing}; to get it: {entry.how_to_get}, or --data FOLDER that holds it")


def find_set(entry: Entry, root: Path) -> Path | None:
    """Returns the folder of a set in a data root.

    Args:
        entry: Which set.
        root: The data root.

    Returns:
        The first of the set's possible folders that is there and not empty, or None.

    Example:
        >>> find_set(entry_of("cifar10"), Path("nowhere")) is None
        True
    """
    for name in entry.folders:
        folder = root / name
        if folder.is_dir() and any(folder.iterdir()):
            return folder
    return None


def download_images(name: str, data: str | Path | None = None) -> Path:
    """Downloads a set from its official site into the data root, unless it is there.

    Args:
        name: As for :func:`load_images`.
        data: The data root.

    Returns:
        The folder that holds the set.

    Raises:
        InputError: No such name, no free download, no answer or a failed download.
    """
    entry, root = entry_of(name), data_root(data)
    try:
        return find_set(entry, root) or download_set(entry, root)
    except DownloadError as error:
        raise InputError(f"{entry.title}: {error}; to get it: {entry.how_to_get}") from error


def _embedded_digits(missing: str) -> ImageSet:
    """The 5,000 + 1,000 real digits that come with the package."""
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
            f"package. {missing}. Figures from it do not compare with published ones. For the full "
            f"set: plastorch data get mnist ({entry.how_to_get}), or put its four files "
            f"into {entry.folders[0]} in a folder named by --data."
        ),
    )
