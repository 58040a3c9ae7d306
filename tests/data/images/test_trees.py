"""Links in trees of images: followed where they may be, refused where they mix classes or parts."""

from pathlib import Path

import pytest

from plastorch.data.images.trees import is_image, is_within, scan_parts, scan_tree, shown
from plastorch.engine.errors import InputError

REFUSED = {
    "a parent": ("train/cat/sub", "..", r"train/cat/sub: leads to .*/train; .* in .*train/cat$"),
    "another class": ("train/cat/sub", "../dog", "train/cat/sub: leads to .*train/dog"),
    "outside": ("train/cat/sub", "/", "train/cat/sub: leads to /;"),
    "an image of another class": ("train/cat/9.png", "../dog/0.png", "belongs to .*train/dog too"),
    "a test image": ("train/cat/9.png", "../../test/cat/0.png", "belongs to .*test/cat too"),
    "a class": ("train/emu", "cat", "train/emu is .*train/cat, which belongs to .*train/cat too"),
    "all classes": ("train/all", ".", "which belongs to .*train/all too"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_links_that_mix(tmp_path, write_tree, name):
    link, target, words = REFUSED[name]
    write_tree(tmp_path, ((4, 4),))
    (tmp_path / link).symlink_to(target)
    if len(link.split("/")) == 2:  # a class has to be in both parts
        (tmp_path / link.replace("train", "test")).symlink_to(target)
    with pytest.raises(InputError, match=words):
        scan_parts(tmp_path, ("test",))


def test_two_parts_that_link_to_one_image(tmp_path, write_tree):
    write_tree(tmp_path, ((4, 4),))
    (tmp_path / "train" / "cat" / "0.png").rename(tmp_path / "0.png")
    for part in ("train", "test"):
        (tmp_path / part / "cat" / "9.png").symlink_to(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"test/cat/9\.png is .*/0\.png, .*train/cat too"):
        scan_parts(tmp_path, ("test",))


def test_links_within_a_class_are_followed_once(tmp_path, write_tree):
    cat = write_tree(tmp_path, ((4, 4),)) / "train" / "cat"
    (cat / "more").mkdir()
    (cat / "0.png").rename(cat / "more" / "0.png")
    (cat / "again").symlink_to("more")
    (cat / "loop").symlink_to(".")
    assert len(scan_tree(tmp_path / "train").files) == 2


def test_names_of_images_and_places():
    names = ("cat.WebP", "cat.txt", ".cat.png")
    assert [is_image(name) for name in names] == [True, False, False]
    assert shown("caf\udce9") == "caf\\xe9"
    assert is_within("a/b", Path("a")) and not is_within("a/..", Path("a"))
