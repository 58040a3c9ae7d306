"""The order of search, the stand-in, the real sets where they are at hand, and the splits."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch import data
from plastorch.data import ImageSet, data_root, load_images
from plastorch.data.catalog import CATALOG
from plastorch.data.locate import find_set
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.errors import InputError

IMAGES = [name for name, entry in CATALOG.items() if not entry.reader and name != "mnist"]


def _real(name: str) -> ImageSet:
    root = os.environ.get("PLASTORCH_DATA")
    if not root or find_set(CATALOG[name], Path(root)) is None:
        pytest.skip(f"{name} is not in $PLASTORCH_DATA")
    return load_images(name, root)


def test_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(InputError, match=r"name is 'svhn'; expected one of mnist, .*imagenette"):
        load_images("svhn", tmp_path)


def test_the_package_stands_in_for_mnist_in_the_default_root_alone(no_root, monkeypatch):
    (data_root() / "MNIST" / "raw").mkdir(parents=True)  # an empty folder counts as absent
    digits = load_images("mnist")
    assert digits.source == "inside the package"
    for words in ("SMALL STAND-IN", "5,000 + 1,000", "plastorch data get mnist", str(data_root())):
        assert words in digits.notice
    with pytest.raises(InputError, match=r"^data: .* holds neither MNIST nor images by class"):
        load_images("mnist", data_root())
    monkeypatch.setenv("PLASTORCH_DATA", str(data_root()))
    with pytest.raises(InputError, match=r"^\$PLASTORCH_DATA: .* holds neither MNIST"):
        load_images("mnist")


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("named", [True, False])
def test_other_sets_are_nowhere_and_say_how_to_get_them(tmp_path, no_root, name, named):
    entry, root = CATALOG[name], tmp_path if named else data_root()
    with pytest.raises(InputError, match="to get") as caught:
        load_images(name, root if named else None)
    for words in (str(root), entry.folders[0], entry.how_to_get(root if named else None)):
        assert words in str(caught.value)
    assert not list(root.iterdir() if root.is_dir() else ())  # nothing is downloaded


def test_embedded_digits(no_root):
    digits = load_images("mnist")
    assert digits.train_images.shape == (5000, 1, 28, 28)
    assert digits.train_images.dtype == torch.uint8
    assert torch.bincount(digits.train_labels).tolist() == [500] * 10
    assert torch.bincount(digits.test_labels).tolist() == [100] * 10
    assert digits.train_labels[:6].tolist() == [5, 0, 4, 1, 9, 2]  # the official order
    # MNIST's mean brightness is 0.1307
    assert digits.train_images.double().mean() / 255 == pytest.approx(0.1307, abs=0.003)
    assert Path(data.__file__).with_name("mnist_subset.npz").stat().st_size < 2e6


def test_embedded_digits_are_the_first_of_each_class():
    full = _real("mnist")
    with np.load(Path(data.__file__).with_name("mnist_subset.npz")) as subset:
        for part, pixels, labels, count in (
            ("train", full.train_images, full.train_labels, 500),
            ("test", full.test_images, full.test_labels, 100),
        ):
            seen, keep = [0] * 10, []
            for i, label in enumerate(labels.tolist()):
                seen[label] += 1
                if seen[label] <= count:
                    keep.append(i)
            assert np.array_equal(subset[f"{part}_images"], pixels[keep, 0].numpy())
            assert np.array_equal(subset[f"{part}_labels"], labels[keep].numpy())


def test_real_mnist():
    full = _real("mnist")
    assert len(full.train_labels) == 60000 and len(full.test_labels) == 10000
    assert full.train_images.double().mean() / 255 == pytest.approx(0.1307, abs=1e-4)


def test_real_cifar10():
    full = _real("cifar10")
    mean = full.train_images.double().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
    assert torch.bincount(full.train_labels).tolist() == [5000] * 10
    assert torch.bincount(full.test_labels).tolist() == [1000] * 10
    assert full.classes[3] == "cat"


def _numbered(counts: list[int]) -> ImageSet:
    """A set whose images hold their own index, so that a split can be followed."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    numbers = torch.arange(len(labels))
    pixels = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8)[:, :, None, None]
    names = tuple(f"c{i}" for i in range(len(counts)))
    test = (torch.full((1, 2, 1, 1), 255, dtype=torch.uint8), torch.tensor([0]))
    return ImageSet("toy", pixels, labels, *test, names, "made up", "", aspect=numbers.float())


@settings(max_examples=40)
@given(
    counts=st.lists(st.integers(2, 60), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
def test_validation_split_is_disjoint_stratified_deterministic(counts, fraction, seed):
    whole = _numbered(counts)
    split = whole.validation_split(fraction, seed)
    numbers = [
        (p[:, 0, 0, 0].long() * 256 + p[:, 1, 0, 0]).tolist()
        for p in (split.train_images, split.test_images)
    ]
    assert sorted(numbers[0] + numbers[1]) == list(range(sum(counts)))
    assert torch.equal(split.train_labels, whole.train_labels[numbers[0]])
    assert torch.equal(split.test_labels, whole.train_labels[numbers[1]])
    assert split.aspect.tolist() == numbers[0]
    held = torch.bincount(split.test_labels, minlength=len(counts))
    for count, out in zip(counts, held.tolist(), strict=True):
        assert 1 <= out < count and abs(out - fraction * count) <= 1
    again = whole.validation_split(fraction, seed)
    assert again.sha256 == split.sha256 != ""
    assert split.description()["n_train"] == len(numbers[0])


def test_validation_split_depends_on_the_seed_and_says_so():
    whole = _numbered([50, 50])
    a, b = whole.validation_split(0.2, 0), whole.validation_split(0.2, 1)
    assert a.sha256 != b.sha256 and "held out, seed 1" in b.source


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_validation_split_of_a_bad_fraction(fraction):
    with pytest.raises(InputError, match="fraction"):
        _numbered([5]).validation_split(fraction, 0)


def test_validation_split_of_a_single_image():
    with pytest.raises(InputError, match="'c1' has 1 training image"):
        _numbered([5, 1]).validation_split(0.5, 0)


@pytest.mark.parametrize(("train", "test"), [(7, 1), (500, 500)])
def test_few_images_are_some_of_each_part_with_what_belongs_to_them(train, test):
    unlabeled = torch.zeros(40, 2, 1, 1).byte()
    whole = replace(_numbered([20, 30]), unlabeled_images=unlabeled, notice="A stand-in.")
    few = whole.few(train, test, 3)
    numbers = (few.train_images[:, 0, 0, 0].long() * 256 + few.train_images[:, 1, 0, 0]).tolist()
    assert len(set(numbers)) == len(numbers) == min(train, 50)
    assert torch.equal(few.train_labels, whole.train_labels[numbers])
    assert few.aspect.tolist() == numbers
    assert len(few.test_images) == len(few.test_labels) == min(test, len(whole.test_labels))
    assert len(few.unlabeled_images) == min(train, 40)
    said = f"Smoke run on {len(numbers)} training and {len(few.test_labels)} test images."
    assert few.notice == f"A stand-in. {said}"
    assert replace(whole, notice="").few(train, test, 3).notice == said
    assert torch.equal(whole.few(train, test, 3).train_images, few.train_images)
    assert not torch.equal(whole.few(train, test, 4).train_images, few.train_images)


def test_an_image_set_needs_images_of_one_size():
    x, y = torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.tensor([0, 1])
    with pytest.raises(InputError, match="at least one image"):
        ImageSet("toy", x[:0], y[:0], x, y, ("a", "b"), "made up", "")
    with pytest.raises(InputError, match=r"\(1, 3, 3\), test images \(1, 3, 2\)"):
        ImageSet("toy", x, y, x[..., :2], y, ("a", "b"), "made up", "")


def test_fingerprint_is_of_the_bytes_in_row_major_order():
    x = torch.arange(5000 * 6, dtype=torch.uint8).view(5000, 3, 2)
    expected = hashlib.sha256(x.transpose(1, 2).numpy().tobytes() + b"\1" + b"\0" * 7).hexdigest()
    assert fingerprint(x.transpose(1, 2), torch.tensor([1])) == expected
