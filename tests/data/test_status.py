import os
from pathlib import Path

import pytest

from plastorch.data import image_set_status, load_images
from plastorch.data.catalog import CATALOG


def _rows(root):
    return {row.name: row for row in image_set_status(root)}


def test_an_empty_root(tmp_path):
    rows = _rows(tmp_path)
    assert list(rows) == list(CATALOG)
    assert not any(row.present or row.files for row in rows.values())
    assert {row.at_hand for row in rows.values()} == {"not at hand"}
    assert "170 MB from www.cs.toronto.edu" in rows["cifar10"].download
    assert "image-net.org" in rows["imagenet"].download


def test_files_that_are_not_the_official_ones(mnist_root, cifar_root, stl10_root):
    rows = _rows(mnist_root)
    assert rows["mnist"].present and rows["cifar10"].present
    assert {f.check for f in rows["mnist"].files} == {"md5 differs from the official file"}
    assert {f.check for f in rows["fashion-mnist"].files} == {"no official md5"}
    (stl10_root / "stl10_binary" / "unlabeled_X.bin").unlink()
    stl10 = _rows(stl10_root)["stl10"]
    assert stl10.present and stl10.missing == ("unlabeled_X.bin",)
    (cifar_root / "cifar-100-python" / "meta").unlink()
    row = _rows(cifar_root)["cifar100"]
    assert not row.present and row.missing == ("meta",)
    assert [f.name for f in row.files] == ["train", "test"]


def test_trees_count_class_folders(tmp_path, write_tree):
    write_tree(tmp_path / "imagenette2-160", ((4, 4),), ("train", "val"), "RGB")
    row = _rows(tmp_path)["imagenette"]
    assert row.present and row.where == tmp_path / "imagenette2-160"
    assert [(f.name, f.size) for f in row.files] == [("train", 2), ("val", 2)]


def test_own_images_and_what_the_package_has(tmp_path, no_root, write_tree):
    assert {row.name: row.at_hand for row in image_set_status()}["mnist"] == "6,000 of it at hand"
    rows = _rows(write_tree(tmp_path, ((4, 4),)))
    own = {name for name, row in rows.items() if row.at_hand == "own images at hand"}
    assert own == {name for name, entry in CATALOG.items() if not entry.reader}
    assert rows["mnist"].where == tmp_path and not rows["mnist"].present


def test_a_present_set_can_be_loaded(mnist_root):
    for name, row in _rows(mnist_root).items():
        if row.present:
            assert load_images(name, mnist_root).source.startswith("data root: ")


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100", "stl10"])
def test_real_files_have_their_official_md5(name):
    root = os.environ.get("PLASTORCH_DATA")
    if not root or not (Path(root) / CATALOG[name].folders[0]).is_dir():
        pytest.skip(f"{name} is not in $PLASTORCH_DATA")
    assert {f.check for f in _rows(root)[name].files} == {"md5 ok"}
