"""A folder of the user's own images, used in place of a named set."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from plastorch.data.catalog import Entry
from plastorch.data.images.folders import common_size, read_parts
from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.trees import (
    ENDINGS,
    TEST_NAMES,
    Tree,
    check_links,
    has_parts,
    is_within,
    scan_parts,
    scan_tree,
    shown,
    visible_folders,
)
from plastorch.engine.errors import InputError

ONE_IN = 5
"""Number of images of a class per test image, if the folder has no test images of its own."""
MOST_SIDE = 160
"""Largest side of images that keep their size, in pixels."""
EXPECTED = (
    f"two or more folders CLASS with images ({', '.join(ENDINGS)}), or train/CLASS and test/CLASS"
)
MOST_LISTED = 5


def read_own_folder(entry: Entry, root: Path, side: int | None = None) -> ImageSet:
    """Reads a folder of images as a set, in place of the named one.

    It holds either ``train/CLASS/*.png`` with ``test/CLASS/*.png`` (or ``val``), or
    ``CLASS/*.png``, where the first of each five images of a class is held out for testing. Images
    are squashed to ``side`` pixels; if None, to the size of the named set if they differ in size or
    are larger than 160 pixels, else they keep their size.
    """
    parts = has_parts(root)
    train, test = scan_parts(root, TEST_NAMES) if parts else _split(scan_tree(root))
    others = train.others + test.others
    if side is None and (entry.layout == "tree" or not _are_small(train, test)):
        side = entry.images[1]
    notice = [
        f"YOUR OWN IMAGES in {shown(str(root))} stand in for {entry.title}: "
        f"published figures for {entry.title} do not apply to them."
    ]
    if not parts:
        notice.append(f"One in {ONE_IN} of each class, {len(test.files):,} in all, is for tests.")
    if side is not None:
        notice.append(f"All are squashed to {side} x {side} pixels.")
    if others:
        notice.append(
            f"Other files are left out: {len(others):,}, such as {shown(others[0].name)}."
        )
    if outside := _outside(root, train, test):
        notice.append(f"Links bring in {outside:,} images from outside of the folder.")
    name = shown(root.resolve().name)
    images = read_parts(name, train, test, side, notice=" ".join(notice))
    return replace(images, source="own folder")


def what_is_in(root: Path) -> str:
    """Describes the content of an existing folder for a message."""
    folders = visible_folders(root)
    found = [f"{shown(f.name)} ({_endings(f) or 'no files'})" for f in folders[:MOST_LISTED]]
    if len(folders) > MOST_LISTED:
        found.append(f"{len(folders) - MOST_LISTED} more folders")
    if beside := _endings(root):
        found.append(f"{beside} in no folder")
    return ", ".join(found) or "nothing"


def _endings(folder: Path) -> str:
    """Counts the visible files of each ending in a folder itself."""
    files = [file for file in folder.iterdir() if file.name[0] != "." and file.is_file()]
    counts = Counter(file.suffix.lower() or "without an ending" for file in files)
    return ", ".join(
        f"{count:,} {shown(ending)}" for ending, count in counts.most_common(MOST_LISTED)
    )


def _outside(root: Path, *trees: Tree) -> int:
    """Counts the images that are links to elsewhere, or in class folders that are."""
    count = 0
    for tree in trees:
        away = [not is_within(tree.folder / name, root) for name in tree.classes]
        count += sum(
            away[label] or (file.is_symlink() and not is_within(file, root))
            for file, label in zip(tree.files, tree.labels, strict=True)
        )
    return count


def _are_small(train: Tree, test: Tree) -> bool:
    """Returns whether all images have one size, of at most 160 pixels."""
    size = common_size(train.files + test.files)
    return size is not None and max(size) <= MOST_SIDE


def _split(tree: Tree) -> tuple[Tree, Tree]:
    """Holds out one image in five of each class for testing, spread evenly over its file names."""
    check_links(tree)
    held_out = []
    for label, name in enumerate(tree.classes):
        count = tree.labels.count(label)
        if count < 2:
            raise InputError(f"{tree.folder / name}: 1 image found; expected 2 or more")
        held_out += [place % ONE_IN == 0 for place in range(count)]
    test = replace(tree.part(held_out), others=())
    return tree.part([not held for held in held_out]), test
