"""Every reader against torchvision's, on files that the tests write."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from plastorch.data import load_images
from plastorch.engine.errors import InputError


@pytest.mark.parametrize(
    ("name", "reader"), [("mnist", datasets.MNIST), ("fashion-mnist", datasets.FashionMNIST)]
)
def test_idx_sets_equal_torchvision(mnist_root, name, reader):
    ours = load_images(name, mnist_root)
    train, test = reader(mnist_root, train=True), reader(mnist_root, train=False)
    assert torch.equal(ours.train_images, train.data[:, None])
    assert torch.equal(ours.test_images, test.data[:, None])
    assert torch.equal(ours.train_labels, train.targets)
    assert torch.equal(ours.test_labels, test.targets)
    assert ours.train_labels.dtype == torch.int64
    assert ours.notice == "" and ours.source.startswith("data root: ")
    if name == "fashion-mnist":
        assert ours.classes == tuple(train.classes)


def test_gzipped_idx_files_load_the_same(mnist_root):
    plain = load_images("mnist", mnist_root)
    for path in list((mnist_root / "MNIST" / "raw").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load_images("mnist", mnist_root).sha256 == plain.sha256


@pytest.mark.parametrize(
    ("name", "reader"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)]
)
def test_cifar_equals_torchvision(cifar_root, name, reader, monkeypatch):
    monkeypatch.setattr(reader, "_check_integrity", lambda self: True)  # made-up files, no md5
    monkeypatch.setattr(reader, "_load_meta", lambda self: None)
    # torchvision looks up text keys only, so it is given a copy with text keys
    for path in (cifar_root / reader.base_folder).iterdir():
        content = pickle.loads(path.read_bytes())
        text = {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}
        copy = cifar_root / "text" / reader.base_folder / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(pickle.dumps(text, protocol=2))
    ours = load_images(name, cifar_root)
    for part, images, labels in (
        (True, ours.train_images, ours.train_labels),
        (False, ours.test_images, ours.test_labels),
    ):
        theirs = reader(cifar_root / "text", train=part)
        assert np.array_equal(images.numpy().transpose(0, 2, 3, 1), theirs.data)
        assert labels.tolist() == theirs.targets
    assert len(ours.classes) == (10 if name == "cifar10" else 100)
    assert ours.classes[1] in ("class1", "fine1")


def test_stl10_equals_torchvision(stl10_root, monkeypatch):
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda self: True)
    ours = load_images("stl10", stl10_root)
    parts = {"train": ours.train_images, "test": ours.test_images}
    labels = {"train": ours.train_labels, "test": ours.test_labels}
    for part, images in parts.items():
        theirs = datasets.STL10(stl10_root, split=part)
        assert np.array_equal(images.numpy(), theirs.data)
        assert labels[part].tolist() == theirs.labels.tolist()
        assert ours.classes == tuple(theirs.classes)
    assert (ours.train_images[:, :, :10] == 255).all()
    unlabeled = datasets.STL10(stl10_root, split="unlabeled").data
    batch = ours.unlabeled_images[torch.tensor([4, 0])]
    assert np.array_equal(batch.numpy(), unlabeled[[4, 0]])


def test_stl10_without_the_unlabeled_part(stl10_root):
    (stl10_root / "stl10_binary" / "unlabeled_X.bin").unlink()
    assert load_images("stl10", stl10_root).unlabeled_images is None


@pytest.mark.parametrize("folder", ["imagenette2", "imagenette2-320", "imagenette2-160"])
def test_imagenette_equals_torchvision_resized(tmp_path, write_tree, folder):
    classes = ("n01440764", "n02102040")
    sizes = ((200, 150), (90, 240))
    write_tree(tmp_path / folder, sizes, ("train", "val"), "RGB", "JPEG", classes)
    # a gray and a four-channel file, as ImageNet has some
    for mode, name in (("L", "gray.JPEG"), ("CMYK", "print.JPEG")):
        Image.new(mode, (50, 40), 99 if mode == "L" else (9, 99, 0, 40)).save(
            tmp_path / folder / "train" / classes[0] / name
        )
    ours = load_images("imagenette", tmp_path)
    resize = transforms.Compose([transforms.Resize((160, 160)), transforms.PILToTensor()])
    for part, images, labels in (
        ("train", ours.train_images, ours.train_labels),
        ("val", ours.test_images, ours.test_labels),
    ):
        theirs = datasets.ImageFolder(tmp_path / folder / part, transform=resize)
        assert torch.equal(images, torch.stack([image for image, _ in theirs]))
        assert labels.tolist() == theirs.targets
    assert ours.classes == ("tench", "English springer")
    assert ours.aspect.tolist() == pytest.approx([200 / 150, 90 / 240, 1.25, 1.25, 4 / 3, 0.375])
    assert load_images("imagenette", tmp_path, image_size=32).train_images.shape[2:] == (32, 32)


def test_imagenet_uses_train_and_val_and_keeps_unknown_wnids(tmp_path, write_tree):
    write_tree(tmp_path / "imagenet", ((20, 10),), ("train", "val"), "RGB", "JPEG", ("n1", "n2"))
    ours = load_images("imagenet", tmp_path, image_size=8)
    assert ours.name == "ImageNet" and ours.classes == ("n1", "n2")


def test_counts_that_do_not_match(mnist_root, write_idx):
    write_idx(mnist_root / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.arange(29) % 10)
    with pytest.raises(InputError, match="30 training images but 29 labels"):
        load_images("mnist", mnist_root)


def test_label_without_a_class(mnist_root, write_idx):
    write_idx(mnist_root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte", np.arange(20) % 11)
    with pytest.raises(InputError, match="test label 10 found; expected 0 to 9"):
        load_images("mnist", mnist_root)


def test_damaged_data_root_never_falls_through(mnist_root, cifar_root):
    raw = mnist_root / "MNIST" / "raw"
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte not found"):
        load_images("mnist", mnist_root)
    images = raw / "train-images-idx3-ubyte"
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"")
    images.write_bytes(images.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: 23,531 .* 23,536"):
        load_images("mnist", mnist_root)
    meta = cifar_root / "cifar-10-batches-py" / "batches.meta"
    meta.write_bytes(pickle.dumps({"label_names": 3}))
    with pytest.raises(InputError, match=r"batches\.meta"):
        load_images("cifar10", cifar_root)


def test_fixed_sizes_cannot_be_changed(mnist_root):
    assert load_images("mnist", mnist_root, image_size=28).train_images.shape[-1] == 28
    with pytest.raises(InputError, match="image_size: 32"):
        load_images("mnist", mnist_root, image_size=32)
    with pytest.raises(InputError, match="image_size: 0"):
        load_images("mnist", mnist_root, image_size=0)


def test_the_source_names_the_set_and_not_the_users_path(mnist_root: Path) -> None:
    assert load_images("mnist", mnist_root).source == "data root: MNIST/raw"
