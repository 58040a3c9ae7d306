import os

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from plastorch.data import load_images
from plastorch.data.images import folders
from plastorch.data.images.trees import scan_parts, scan_tree
from plastorch.engine.errors import InputError


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_own_gray_digits_take_the_place_of_mnist(tmp_path, write_tree, test_name):
    write_tree(tmp_path, ((28, 28),) * 3, ("train", test_name))
    ours = load_images("mnist", tmp_path)
    gray = transforms.Compose([transforms.Grayscale(), transforms.PILToTensor()])
    for part, images, labels in (
        ("train", ours.train_images, ours.train_labels),
        (test_name, ours.test_images, ours.test_labels),
    ):
        theirs = datasets.ImageFolder(tmp_path / part, transform=gray)
        assert torch.equal(images, torch.stack([image for image, _ in theirs]))
        assert labels.tolist() == theirs.targets
    assert ours.train_images.shape == (6, 1, 28, 28)
    assert ours.name == tmp_path.name and ours.classes == ("cat", "dog")
    assert "YOUR OWN IMAGES" in ours.notice and ours.aspect is None


def test_the_named_set_comes_before_own_images(mnist_root, write_tree):
    write_tree(mnist_root, ((28, 28),))
    assert load_images("mnist", mnist_root).name == "MNIST"


def test_nested_files_in_torchvision_order_hidden_ones_ignored(tmp_path, write_tree):
    write_tree(tmp_path, ((5, 5),) * 2, mode="RGB")
    folder = tmp_path / "train" / "cat"
    (folder / "b").mkdir()
    (folder / "0.png").rename(folder / "b" / "9.png")
    (folder / ".hidden.png").write_bytes(b"")
    (tmp_path / "train" / ".git").mkdir()
    (folder / "notes.txt").write_text("no image")
    theirs = datasets.ImageFolder(
        tmp_path / "train", is_valid_file=lambda f: f.endswith("png") and ".hidden" not in f,
        allow_empty=True,
    )  # fmt: skip
    tree = scan_tree(tmp_path / "train")
    assert [str(f) for f in tree.files] == [f for f, _ in theirs.samples]


def test_the_first_image_decides_gray_or_color(tmp_path, write_tree):
    write_tree(tmp_path, ((6, 4),) * 2)
    Image.new("RGB", (6, 4), (255, 0, 0)).save(tmp_path / "train" / "cat" / "1.png")
    assert load_images("mnist", tmp_path).train_images.shape[1:] == (1, 4, 6)
    Image.new("RGBA", (6, 4), (255, 0, 0, 7)).save(tmp_path / "train" / "cat" / "0.png")
    ours = load_images("mnist", tmp_path)
    assert ours.train_images.shape[1:] == (3, 4, 6)
    assert ours.train_images[0, :, 0, 0].tolist() == [255, 0, 0]


def test_palette_with_transparency(tmp_path, write_tree):
    write_tree(tmp_path, ((4, 4),), mode="RGB")
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "train" / "cat" / "0.png", transparency=bytes([255, 0]))
    assert load_images("cifar10", tmp_path).train_images[0, :, 0, 0].tolist() == [10, 20, 30]


def test_second_load_decodes_nothing(tmp_path, write_tree, monkeypatch):
    write_tree(tmp_path, ((9, 7),))
    first = load_images("mnist", tmp_path, image_size=8)
    with monkeypatch.context() as patch:
        patch.setattr(folders, "_decode_part", lambda *a: pytest.fail("decoded again"))
        second = load_images("mnist", tmp_path, image_size=8)
    assert second.sha256 == first.sha256
    assert torch.equal(second.train_images, first.train_images)
    assert torch.equal(second.aspect, torch.full((2,), 9 / 7))


def test_a_changed_file_is_decoded_again(tmp_path, write_tree):
    write_tree(tmp_path, ((9, 7),))
    first = load_images("mnist", tmp_path)
    path = tmp_path / "train" / "dog" / "0.png"
    Image.new("L", (9, 7), 3).save(path)
    os.utime(path, ns=(1, 1))
    second = load_images("mnist", tmp_path)
    assert second.sha256 != first.sha256
    assert (second.train_images[1] == 3).all()


def test_undecodable_images_are_named_and_leave_nothing(tmp_path, write_tree, own_cache):
    write_tree(tmp_path, ((40, 40),) * 2)
    path = tmp_path / "test" / "dog" / "1.png"
    whole = path.read_bytes()
    for content in (
        b"",
        b"not an image",
        whole[: len(whole) // 2],
        whole[:300] + b"x" + whole[301:],
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"test/dog/1\.png: cannot be"):
            load_images("mnist", tmp_path)
    assert list((own_cache / "plastorch" / "decoded").iterdir()) == []


def test_sixteen_bit_images_are_refused(tmp_path, write_tree):
    write_tree(tmp_path, ((4, 4),))
    path = tmp_path / "train" / "dog" / "0.png"
    Image.fromarray(np.full((4, 4), 999, dtype=np.uint16)).save(path)
    with pytest.raises(InputError, match=r"dog/0\.png: pixel format I;16"):
        load_images("mnist", tmp_path)


def test_different_sizes_name_both_files(tmp_path, write_tree):
    write_tree(tmp_path, ((28, 28), (28, 27)))
    parts = scan_parts(tmp_path, ("test",))
    with pytest.raises(InputError, match=r"cat/1\.png: 28x27 .*cat/0\.png has 28x28"):
        folders.read_parts("mine", *parts)
    assert folders.read_parts("mine", *parts, side=28).train_images.shape == (4, 1, 28, 28)


def test_empty_and_unmatched_class_folders(tmp_path, write_tree):
    write_tree(tmp_path, ((4, 4),))
    (tmp_path / "test" / "emu").mkdir()
    with pytest.raises(InputError, match="emu: no image found"):
        load_images("mnist", tmp_path)
    Image.new("L", (4, 4)).save(tmp_path / "test" / "emu" / "0.png")
    with pytest.raises(InputError, match="'emu' is in only one of train and test"):
        load_images("mnist", tmp_path)


def test_trees_without_classes_or_without_a_part(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    with pytest.raises(InputError, match="no class folder"):
        load_images("mnist", tmp_path)
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="train and val"):
        load_images("imagenet", tmp_path)


def test_too_little_room_on_disk(tmp_path, write_tree, monkeypatch):
    write_tree(tmp_path, ((4, 4),))
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda p: type("U", (), {"free": 63}))
    with pytest.raises(InputError, match=r"64 bytes needed .* 63 free"):
        load_images("mnist", tmp_path)
