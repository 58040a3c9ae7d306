"""A user's own images: by class or in parts, of any size, and never instead of a named set."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from plastorch.data import load_images
from plastorch.data.images.trees import ENDINGS, is_own_folder
from plastorch.data.images.user_folder import what_is_in
from plastorch.engine.errors import InputError


def write_classes(root: Path, sizes: list[tuple[int, int]], mode: str = "L") -> Path:
    """Images of these sizes in each of two classes; their brightness is their number."""
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number, size in enumerate(sizes):
            color = number if mode == "L" else (number,) * 3
            Image.new(mode, size, color).save(root / name / f"{number:02}.png")
    return root


def test_each_fifth_image_of_a_class_is_for_tests(tmp_path):
    images = load_images("mnist", write_classes(tmp_path / "mine", [(28, 28)] * 12))
    assert images.classes == ("cat", "dog") and images.name == "mine"
    assert images.test_images[:, 0, 0, 0].tolist() == [0, 5, 10] * 2
    rest = [number for number in range(12) if number % 5]
    assert images.train_images[:, 0, 0, 0].tolist() == rest * 2
    assert images.train_labels.tolist() == [0] * 9 + [1] * 9
    assert images.test_labels.tolist() == [0] * 3 + [1] * 3
    assert images.source == "own folder" and images.aspect is None
    for words in ("YOUR OWN IMAGES", "One in 5 of each class, 6 in all, is for tests"):
        assert words in images.notice
    assert "squashed" not in images.notice


@pytest.mark.parametrize(
    ("sizes", "name", "side"),
    [
        ([(40, 40)] * 6, "mnist", None),  # as they are
        ([(160, 160)] * 6, "mnist", None),
        ([(161, 161)] * 6, "mnist", 28),
        ([(400, 300)] * 6, "cifar10", 32),
        ([(40, 40)] * 5 + [(41, 40)], "stl10", 96),
        ([(40, 40)] * 6, "imagenet", 160),
    ],
)
def test_large_images_and_those_of_different_sizes_are_squashed(tmp_path, sizes, name, side):
    images = load_images(name, write_classes(tmp_path / "mine", sizes, "RGB"))
    assert images.train_images.shape[1:] == (3, side or sizes[0][1], side or sizes[0][0])
    assert (f"squashed to {side} x {side} pixels" in images.notice) == (side is not None)
    if side:
        aspects = [width / height for width, height in sizes[1:5]]  # the others are for tests
        assert images.aspect.tolist()[:4] == pytest.approx(aspects)


def test_squashed_as_torchvision_does(tmp_path):
    from torchvision import transforms

    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = random.integers(0, 256, (50 + number, 70, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    resize = transforms.Compose([transforms.Resize((32, 32)), transforms.PILToTensor()])
    expected = [resize(Image.open(tmp_path / "cat" / f"{number}.png")) for number in (1, 2)]
    images = load_images("cifar10", tmp_path)
    assert torch.equal(images.train_images[:2], torch.stack(expected))


def test_parts_come_before_classes(tmp_path, write_tree):
    """Of a folder of train, test and nothing else, these are not the classes."""
    write_tree(tmp_path, ((8, 8),))
    for part in ("train", "test"):
        shutil.copy(tmp_path / part / "cat" / "0.png", tmp_path / part / "stray.png")
    assert load_images("mnist", tmp_path).classes == ("cat", "dog")


def test_a_data_root_is_not_taken_for_classes(tmp_path, mnist_root):
    """One folder without images of its own is enough, and a set that is there comes first."""
    write_classes(mnist_root, [(8, 8)] * 2)
    assert load_images("mnist", mnist_root).name == "MNIST"
    with pytest.raises(InputError, match="holds neither CIFAR-10 nor images by class"):
        load_images("cifar10", mnist_root)


@pytest.mark.parametrize("layout", ["one class", "no class", "an empty class"])
def test_other_folders_are_not_taken_for_classes(tmp_path, layout):
    root = write_classes(tmp_path / "mine", [(8, 8)] * 2)
    if layout == "an empty class":
        (root / "emu").mkdir()
    else:
        shutil.rmtree(root / "dog")
    if layout == "no class":
        shutil.rmtree(root / "cat")
    assert not is_own_folder(root)
    with pytest.raises(InputError, match=f"data: {root} holds neither MNIST nor images by class"):
        load_images("mnist", root)


@pytest.mark.parametrize("ending", ENDINGS)
def test_formats(tmp_path, ending):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (8, 8), (200, 9, 9)).save(tmp_path / name / f"{number}{ending}")
    images = load_images("cifar10", tmp_path)
    assert images.train_images.shape == (2, 3, 8, 8)
    assert images.train_images[:, 0].float().mean() == pytest.approx(200, abs=3)


def test_what_is_left_out_is_said(tmp_path):
    root = write_classes(tmp_path / "mine", [(8, 8)] * 2)
    assert "left out" not in load_images("mnist", root).notice
    for place in ("notes.txt", "cat/raw.heic", "stray.png"):
        (root / place).touch()
    assert "Other files are left out: 3, such as notes.txt." in load_images("mnist", root).notice


def test_links_from_outside_are_counted(tmp_path):
    root = write_classes(tmp_path / "mine", [(8, 8)] * 6)
    (root / "dog").rename(tmp_path / "dog")
    (root / "dog").symlink_to(tmp_path / "dog")
    (root / "cat" / "00.png").rename(tmp_path / "a.png")
    (root / "cat" / "00.png").symlink_to(tmp_path / "a.png")
    (root / "cat" / "06.png").symlink_to("05.png")
    images = load_images("mnist", root)
    assert len(images.train_labels) + len(images.test_labels) == 13
    assert "Links bring in 7 images from outside of the folder." in images.notice


def test_names_that_are_not_utf8_are_spelt(tmp_path):
    root = write_classes(tmp_path / os.fsdecode(b"m\xff"), [(8, 8)] * 2)
    (root / "cat").rename(root / os.fsdecode(b"c\xe4t"))
    images = load_images("mnist", root)
    assert images.classes == ("c\\xe4t", "dog") and images.name == "m\\xff"
    assert "m\\xff stand in" in images.notice


def test_hidden_folders_do_not_count(tmp_path):
    root = write_classes(tmp_path / "mine", [(8, 8)] * 2)
    (root / ".thumbnails").mkdir()
    (root / "cat" / ".thumbnails").mkdir()
    Image.new("L", (4, 4)).save(root / "cat" / ".thumbnails" / "00.png")
    assert load_images("mnist", root).classes == ("cat", "dog")


def test_a_class_of_one_image_and_one_that_cannot_be_opened(tmp_path):
    root = write_classes(tmp_path / "mine", [(8, 8)] * 2)
    (root / "cat" / "00.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cat/00\.png: cannot be opened"):
        load_images("mnist", root)
    (root / "cat" / "00.png").unlink()
    with pytest.raises(InputError, match="cat: 1 image found; expected 2 or more"):
        load_images("mnist", root)


def test_what_is_in_a_folder(tmp_path):
    assert what_is_in(tmp_path) == "nothing"
    (tmp_path / "cat").mkdir()
    (tmp_path / "notes.txt").touch()
    assert what_is_in(tmp_path) == "cat (no files), 1 .txt in no folder"
