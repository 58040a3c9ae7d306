"""Readers from a named set's folder to an ImageSet, one per official layout."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from plastorch.data.catalog import Entry
from plastorch.data.images.cifar import read_cifar, read_pickle
from plastorch.data.images.folders import read_parts
from plastorch.data.images.formats import read_idx, read_stl10_images, read_stl10_labels
from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.trees import scan_parts
from plastorch.data.locate import missing_files, present_file
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.errors import InputError


def read_set(entry: Entry, folder: Path, image_size: int | None = None) -> ImageSet:
    """Reads a set from its official files; only a tree's images can change size.

    Raises InputError if a file is missing or damaged, or the size is not the set's.
    """
    if entry.layout == "tree":
        parts, side = scan_parts(folder, ("val",)), image_size or entry.images[1]
        images = read_parts(entry.title, *parts, side, color=True)
        names = tuple(entry.classes.get(wnid, wnid) for wnid in images.classes)
        return replace(images, classes=names)
    if missing := missing_files(entry, folder):
        raise InputError(
            f"{folder}: {', '.join(missing)} not found; "
            f"{entry.title} consists of {', '.join(entry.files)}"
        )
    reader = {"idx": _read_idx_set, "cifar": _read_cifar_set, "stl10": _read_stl10_set}
    images = reader[entry.layout](entry, folder)
    side = images.train_images.shape[-1]
    if image_size not in (None, side):
        raise InputError(f"image_size: {image_size} found; {entry.title} has {side}x{side} pixels")
    return images


def _read_idx_set(entry: Entry, folder: Path) -> ImageSet:
    files = [present_file(entry, folder, name) for name in entry.files]
    parts = [
        read_idx(file, 1).to(torch.int64) if "labels" in file.name else read_idx(file, 3)[:, None]
        for file in files
    ]
    return _image_set(entry, folder, parts, tuple(entry.classes.values()))


def _read_cifar_set(entry: Entry, folder: Path) -> ImageSet:
    fine = "fine_" if entry.title == "CIFAR-100" else ""
    *batches, meta = entry.files
    read = [read_cifar(folder / name, f"{fine}labels") for name in batches]
    names = read_pickle(folder / meta).get(f"{fine}label_names")
    if not isinstance(names, list) or not names:
        raise InputError(f"{folder / meta}: no list {fine}label_names; expected the class names")
    train = [torch.cat(column) for column in zip(*read[:-1], strict=True)]
    classes = tuple(n.decode("latin1") if isinstance(n, bytes) else str(n) for n in names)
    return _image_set(entry, folder, [*train, *read[-1]], classes)


def _read_stl10_set(entry: Entry, folder: Path) -> ImageSet:
    # Copied to row-major order once; only the large unlabeled part stays a view of the file.
    parts = [
        read_stl10_labels(folder / name)
        if name.endswith("_y.bin")
        else read_stl10_images(folder / name).contiguous()
        for name in entry.files[:4]
    ]
    images = _image_set(entry, folder, parts, tuple(entry.classes.values()))
    unlabeled = folder / entry.optional[0]
    if not unlabeled.is_file():
        return images
    return replace(images, unlabeled_images=read_stl10_images(unlabeled))


def _image_set(
    entry: Entry, folder: Path, parts: list[Tensor], classes: tuple[str, ...]
) -> ImageSet:
    """Makes a set from its training images and labels, then its test images and labels."""
    train_images, train_labels, test_images, test_labels = parts
    return ImageSet(
        name=entry.title,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=classes,
        source=str(folder),
        sha256=fingerprint(*parts),
    )
