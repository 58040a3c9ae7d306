"""Trees of image files, one folder per class: their content, and where their links lead."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from plastorch.engine.errors import InputError

TEST_NAMES = ("test", "val")
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Tree:
    """One part of a set: a folder with a folder of images for each class.

    Files are sorted, class by class, each with its class's index as label; ``others`` have no image
    ending, or are in no class folder.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    others: tuple[Path, ...] = ()

    def part(self, chosen: Sequence[bool]) -> "Tree":
        """Returns the same tree with only the files that are marked as chosen."""
        files, labels = compress(self.files, chosen), compress(self.labels, chosen)
        return replace(self, files=tuple(files), labels=tuple(labels))


def is_own_folder(root: Path) -> bool:
    """Returns whether a folder has a training and a test part, or images by class."""
    return has_parts(root) or _is_by_class(root)


def has_parts(root: Path) -> bool:
    """Returns whether a folder has a training part and a test part."""
    return (root / "train").is_dir() and any((root / name).is_dir() for name in TEST_NAMES)


def visible_folders(folder: Path) -> list[Path]:
    """Returns the folders in a folder, sorted, without hidden ones; none if it is missing."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return sorted(f for f in inside if f.is_dir() and _visible(f.name))


def holds_images(folder: Path) -> bool:
    """Returns whether a folder itself holds an image file."""
    return any(map(is_image, os.listdir(folder)))


def scan_tree(folder: Path) -> Tree:
    """Lists the images of a tree, at any depth below each class folder; hidden names are ignored.

    Raises InputError if there is no class folder, one has no images, or a link leads to a folder
    outside its class.
    """
    classes = tuple(inside.name for inside in visible_folders(folder))
    if not classes:
        raise InputError(f"{folder}: no class folder found; expected one folder per class")
    others = [file for file in sorted(folder.iterdir()) if _visible(file.name) and file.is_file()]
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        inside = [
            Path(parent, file)
            for parent, names in sorted(_walk(folder / name))
            for file in sorted(names)
            if _visible(file)
        ]
        found = [file for file in inside if is_image(file.name)]
        if not found:
            raise InputError(
                f"{folder / name}: no image found; expected {', '.join(ENDINGS)} files"
            )
        files += found
        others += [file for file in inside if not is_image(file.name)]
        labels += [label] * len(found)
    return Tree(folder, classes, tuple(files), tuple(labels), tuple(others))


def scan_parts(folder: Path, test_names: tuple[str, ...]) -> tuple[Tree, Tree]:
    """Lists the images of ``folder/train`` and of the first of the test folders that exists.

    Raises InputError if a folder is missing or empty, the test classes differ from the training
    classes, or a link puts an image in two classes or parts.
    """
    test_folder = next((folder / n for n in test_names if (folder / n).is_dir()), None)
    if test_folder is None or not (folder / "train").is_dir():
        raise InputError(f"{folder}: expected the folders train and {' or '.join(test_names)}")
    train, test = scan_tree(folder / "train"), scan_tree(test_folder)
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise InputError(
            f"{folder}: class folder {odd[0]!r} is in only one of train and {test_folder.name}; "
            "expected the same classes in both"
        )
    check_links(train, test)
    return train, test


def check_links(*trees: Tree) -> None:
    """Raises InputError if a link puts an image in two classes or two parts.

    A class folder or an image may be a link to elsewhere: sets are often assembled that way.
    """
    owner: dict[str, Path] = {}
    links = [(tree.folder / name, tree.folder / name) for tree in trees for name in tree.classes]
    for tree in trees:
        owners = [tree.folder / name for name in tree.classes]
        pairs = zip(tree.files, tree.labels, strict=True)
        links += [(file, owners[label]) for file, label in pairs if os.path.islink(file)]
    for link, folder in links:
        owner.setdefault(os.path.realpath(link), folder)
    for link, folder in links:
        real = Path(os.path.realpath(link))
        for place in (real, *real.parents):
            if (other := owner.get(str(place), folder)) != folder:
                raise InputError(
                    f"{link} is {real}, which belongs to {other} too; "
                    "expected each image in one class and part"
                )


def is_within(path: str | Path, folder: Path) -> bool:
    """Returns whether a path is inside a folder, with symbolic links in both resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def shown(name: str) -> str:
    """Returns a name for display, with bytes that are not UTF-8 escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_image(name: str) -> bool:
    """Returns whether a file is an image, by the ending of its name."""
    return _visible(name) and name.lower().endswith(ENDINGS)


def _walk(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields each folder of a class, linked ones too, but each once, and its file names.

    Raises InputError if a link leads out of the class folder.
    """
    seen: set[str] = set()
    for parent, folders, names in os.walk(top, followlinks=True):
        real = os.path.realpath(parent)
        if not is_within(parent, top):
            raise InputError(f"{parent}: leads to {real}; expected a folder in {top}")
        if real in seen:
            folders.clear()
        else:
            seen.add(real)
            folders[:] = filter(_visible, folders)
            yield parent, names


def _visible(name: str) -> bool:
    return not name.startswith(".")


def _is_by_class(root: Path) -> bool:
    """Returns whether all of at least two folders hold images, as in no data root."""
    folders = visible_folders(root)
    return len(folders) > 1 and all(map(holds_images, folders))
