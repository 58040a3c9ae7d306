"""VOC folders: read back by torchvision, by us, and refused where they are hostile."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import VOCDetection, VOCSegmentation

from plastorch.data.scenes import Scenes
from plastorch.data.voc import read_voc, read_xml, write_voc
from plastorch.engine.errors import InputError

CLASSES = ("a", "b", "c")


def scenes() -> Scenes:
    """Two objects, none, one with some pixels not said; smooth, as JPEG likes it."""
    instances = torch.zeros(3, 16, 20, dtype=torch.uint8)
    instances[0, 2:9, 0:5], instances[0, 4:16, 8:20], instances[2, 1:3, 1:4] = 1, 2, 1
    instances[2, 3, 1:4] = 255
    ramp = torch.linspace(0, 255, 20).expand(3, 3, 16, 20).to(torch.uint8)
    boxes = torch.tensor([[0, 2, 5, 9], [8, 4, 20, 16], [1, 1, 4, 3]], dtype=torch.float32)
    owners, labels = torch.tensor([0, 0, 2]), torch.tensor([2, 0, 1])
    return Scenes(ramp, instances, owners, labels, boxes, CLASSES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "VOCdevkit" / "VOC2012"
    write_voc(scenes(), place, "train")
    return place


def test_torchvision_reads_boxes_names_and_sizes(tmp_path: Path, folder: Path) -> None:
    theirs = VOCDetection(tmp_path, "2012", "train")
    assert len(theirs) == 3
    expected: list[list[Any]] = [
        [("c", ["1", "3", "5", "9"]), ("a", ["9", "5", "20", "16"])],
        [],
        [("b", ["2", "2", "4", "3"])],
    ]
    for (image, target), objects in zip(theirs, expected, strict=True):
        annotation = target["annotation"]
        assert image.size == (20, 16)
        assert annotation["size"] == {"width": "20", "height": "16", "depth": "3"}
        found = annotation.get("object", [])
        assert [(each["name"], list(each["bndbox"].values())) for each in found] == objects
        if objects:
            assert list(found[0]["bndbox"]) == ["xmin", "ymin", "xmax", "ymax"]


def test_torchvision_reads_the_classes_of_pixels(tmp_path: Path, folder: Path) -> None:
    theirs = VOCSegmentation(tmp_path, "2012", "train")
    for (_, mask), ours in zip(theirs, scenes().class_maps, strict=True):
        assert np.array_equal(np.asarray(mask), ours.numpy())


def test_the_palette_is_that_of_voc(folder: Path) -> None:
    """As its development kit lists it: aeroplane, bicycle, ..., and the void."""
    image = Image.open(folder / "SegmentationClass" / "train_000000.png")
    palette = np.array(image.getpalette()).reshape(-1, 3)
    assert palette[[0, 1, 2, 3, 4, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128],
        [192, 128, 128], [0, 64, 128], [224, 224, 192],
    ]  # fmt: skip


def test_what_was_written_comes_back(folder: Path) -> None:
    back, before = read_voc(folder, "train", CLASSES), scenes()
    for name in ("instances", "owners", "labels", "boxes"):
        assert torch.equal(getattr(back, name), getattr(before, name)), name
    assert back.classes == CLASSES
    assert (back.images.int() - before.images.int()).abs().max() <= 8  # JPEG


def test_parts_lie_side_by_side(folder: Path) -> None:
    write_voc(scenes().take(torch.tensor([2])), folder, "val")
    assert len(read_voc(folder, "val", CLASSES)) == 1
    assert len(read_voc(folder, "train", CLASSES)) == 3


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't write"):
        write_voc(scenes(), tmp_path / "file", "train")


XML = "Annotations/train_000000.xml"
LIST = "ImageSets/Segmentation/train.txt"


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def removed(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def filled(file: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / file).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (removed(LIST), "train.txt: cannot be read"),
        (filled(LIST, b" \n"), "train.txt is empty; expected names of images"),
        (filled(LIST, b"\xff\xfe"), "train.txt: cannot be read"),
        (replaced(LIST, "train_000000", "../../x"), "file name is '../../x.jpg'; expected one"),
        (replaced(LIST, "train_000000", "/etc/passwd"), "file name is '/etc/passwd.jpg'"),
        (replaced(LIST, "train_000000", "absent"), "absent.jpg is missing; expected an image"),
        (removed("JPEGImages/train_000001.jpg"), "train_000001.jpg is missing"),
        (removed("SegmentationObject/train_000001.png"), "train_000001.png is missing"),
        (filled("JPEGImages/train_000002.jpg", b"x"), "train_000002.jpg: cannot be opened"),
        (removed(XML), "train_000000.xml is missing"),
        (filled(XML, b""), "train_000000.xml: malformed"),
        (filled(XML, b"<annotation>"), "train_000000.xml: malformed"),
        (filled(XML, b"<annotation>\xff</annotation>"), "train_000000.xml: malformed"),
        (filled(XML, b"<other/>"), "root is 'other'; expected annotation"),
        (filled(XML, b"<annotation/>"), "height is None; expected a number"),
        (replaced(XML, "<width>20", "<width>21"), "size is 21x16; its image has 20x16 pixels"),
        (replaced(XML, "<name>c", "<name>dog"), "object 1: name is 'dog'; expected one of a, b, c"),
        (replaced(XML, "<name>c</name>", ""), "object 1: name is None"),
        (replaced(XML, "<xmin>1<", "<xmin>one<"), "object 1: xmin is 'one'; expected a number"),
        (replaced(XML, "<xmin>1<", "<xmin>nan<"), "object 1: xmin is 'nan'"),
        (replaced(XML, "<xmin>1<", "<xmin>-9<"), "object 1: box is [-10.0, 2.0, 5.0, 9.0]"),
        (replaced(XML, "<xmax>5<", "<xmax>50<"), "inside 20x16 pixels"),
        (replaced(XML, "<xmax>5<", "<xmax>0<"), "object 1: box is [0.0, 2.0, 0.0, 9.0]"),
        (replaced(XML, "<bndbox>", "<box>"), "malformed"),
    ],
)
def test_what_is_damaged_is_named(
    folder: Path, change: Callable[[Path], Any], message: str
) -> None:
    change(folder)
    with pytest.raises(InputError, match=re.escape(message)):
        read_voc(folder, "train", CLASSES)


def test_objects_that_are_not_annotated_are_named(folder: Path) -> None:
    text = (folder / XML).read_text()
    (folder / XML).write_text(re.sub(r"<object>.*?</object>", "", text, count=1, flags=re.DOTALL))
    with pytest.raises(InputError, match="instances of image 0 go up to 2; expected at most the"):
        read_voc(folder, "train", CLASSES)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 9))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l8;</annotation>',
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>',
        '<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><annotation/>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><annotation/>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_are_refused(tmp_path: Path, text: str, encoding: str) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=r"a document type .* found; expected plain XML"):
        read_xml(file)


def test_xml_that_is_large_deep_or_odd(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(b"<a>" + b" " * (1 << 20) + b"</a>")
    with pytest.raises(InputError, match="expected at most 1048576"):
        read_xml(file)
    file.write_bytes(b"<a>" * 100_000 + b"</a>" * 100_000)
    assert read_xml(file).tag == "a"
    for odd in (
        b'<?xml version="1.0" encoding="klingon"?><a/>',
        b"<a>&undefined;</a>",
        b"<a/><b/>",
    ):
        file.write_bytes(odd)
        with pytest.raises(InputError, match="malformed"):
            read_xml(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_xml(tmp_path / "none.xml")


def test_xml_is_read_as_the_standard_library_reads_it(folder: Path) -> None:
    ours, theirs = read_xml(folder / XML), ElementTree.parse(folder / XML).getroot()
    assert ElementTree.tostring(ours) == ElementTree.tostring(theirs)
