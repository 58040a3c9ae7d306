"""A folder of the user's own images, which takes the place of a named set."""

from dataclasses import replace
from pathlib import Path

from plastorch.data.catalogue import Entry
from plastorch.data.folders import (
    Tree,
    common_size,
    holds_images,
    read_parts,
    scan_parts,
    scan_tree,
    visible_folders,
)
from plastorch.data.imageset import ImageSet
from plastorch.data.sources import IMAGENET_SIDE
from plastorch.engine.errors import InputError

TEST_NAMES = ("test", "val")
ONE_IN = 5
"""Of the images of a class, where the folder has no test images of its own."""
SIDES = {"idx": 28, "cifar": 32, "stl10": 96, "tree": IMAGENET_SIDE}
"""In pixels, of the named sets, by layout."""


def is_own_folder(root: Path) -> bool:
    """Whether a folder has a part for training and one for tests, or images by class.

    Args:
        root: a folder that may be a data root just as well.

    Example:
        >>> is_own_folder(Path("nowhere"))
        False
    """
    return _has_parts(root) or _is_by_class(root)


def read_own_folder(entry: Entry, root: Path, side: int | None = None) -> ImageSet:
    """Reads a folder of images as a set.

    Either ``train/CLASS/*.png`` with ``test/CLASS/*.png`` (or ``val``), or ``CLASS/*.png``, where
    the first of each five images of a class is held out as a test image.

    Args:
        entry: the set whose place it takes.
        root: the folder.
        side: images are squashed to this many pixels square. None: to the size of the named set if
            they differ in size or are larger than 160 pixels, else not at all.

    Returns:
        The set, with a notice that says all that.

    Raises:
        InputError: As for :func:`plastorch.data.folders.read_parts`.
    """
    parts = _has_parts(root)
    train, test = scan_parts(root, TEST_NAMES) if parts else _split(scan_tree(root))
    if side is None and (entry.layout == "tree" or not _are_small(train, test)):
        side = SIDES[entry.layout]
    notice = [
        f"YOUR OWN IMAGES in {root} stand in for {entry.title}: "
        f"published figures for {entry.title} do not apply to them."
    ]
    if not parts:
        notice.append(f"One in {ONE_IN} of each class, {len(test.files):,} in all, is for tests.")
    if side is not None:
        notice.append(f"All are squashed to {side} x {side} pixels.")
    images = read_parts(root.resolve().name, train, test, side, notice=" ".join(notice))
    return replace(images, source="own folder")


def _has_parts(root: Path) -> bool:
    return (root / "train").is_dir() and any((root / name).is_dir() for name in TEST_NAMES)


def _is_by_class(root: Path) -> bool:
    """Two folders or more, all of them with images: a data root is otherwise."""
    folders = visible_folders(root)
    return len(folders) > 1 and all(map(holds_images, folders))


def _are_small(train: Tree, test: Tree) -> bool:
    """Whether all images have one size, of at most that of ImageNet here."""
    size = common_size(train.files + test.files)
    return size is not None and max(size) <= IMAGENET_SIDE


def _split(tree: Tree) -> tuple[Tree, Tree]:
    """One image in five of each class for tests, spread evenly over its file names."""
    held_out = []
    for label, name in enumerate(tree.classes):
        count = int((tree.labels == label).sum())
        if count < 2:
            raise InputError(f"{tree.folder / name}: 1 image found; expected 2 or more")
        held_out += [place % ONE_IN == 0 for place in range(count)]
    return tree.part([not held for held in held_out]), tree.part(held_out)
