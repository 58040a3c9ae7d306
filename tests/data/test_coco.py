"""COCO folders: what they hold by the format's definition, read back, refused where hostile."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from plastorch.data.coco import read_coco, write_coco
from plastorch.data.pasted import Pasting, pasted_scenes
from plastorch.data.scenes import Scenes
from plastorch.engine.errors import InputError


def scenes() -> Scenes:
    glyphs = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    glyphs[0, :, 5:20, 8:12], glyphs[1, :, 9:14, 3:25] = 255, 200
    random = torch.Generator().manual_seed(0)
    grounds = torch.randint(0, 256, (4, 3, 40, 40), generator=random).to(torch.uint8)
    pasting = Pasting(side=40, least_size=12, most_size=24)
    return pasted_scenes(5, grounds, glyphs, torch.tensor([0, 1]), ("bar", "beam"), pasting, random)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_coco(scenes(), tmp_path, "train")
    return tmp_path


def content_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "annotations" / "instances_train.json").read_text())


def test_the_files_say_what_coco_defines(folder: Path) -> None:
    made, content = scenes(), content_of(folder)
    assert [entry["id"] for entry in content["images"]] == [1, 2, 3, 4, 5]
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    for entry, image in zip(content["images"], made.images, strict=True):
        pixels = np.asarray(Image.open(folder / "train" / entry["file_name"]).convert("RGB"))
        assert np.array_equal(pixels.transpose(2, 0, 1), image.numpy())
        assert (entry["height"], entry["width"]) == (40, 40)
    assert len(content["annotations"]) == len(made.owners)
    for place, entry in enumerate(content["annotations"]):
        assert entry["image_id"] == int(made.owners[place]) + 1 and entry["iscrowd"] == 0
        assert names[entry["category_id"]] == made.classes[int(made.labels[place])]
        x, y, width, height = entry["bbox"]
        assert [x, y, x + width, y + height] == made.boxes[place].tolist()
        flat = []
        for run, count in enumerate(entry["segmentation"]["counts"]):
            flat += [run % 2 == 1] * count
        mask = np.array(flat).reshape(entry["segmentation"]["size"], order="F")
        assert np.array_equal(mask, made.masks[place].numpy())
        assert entry["area"] == mask.sum()


def test_what_was_written_comes_back(folder: Path) -> None:
    back, before = read_coco(folder, "train"), scenes()
    for name in ("images", "instances", "owners", "labels", "boxes"):
        assert torch.equal(getattr(back, name), getattr(before, name)), name
    assert back.classes == before.classes


def test_parts_lie_side_by_side(folder: Path) -> None:
    write_coco(scenes().take(torch.tensor([2, 2])), folder, "val")
    assert len(read_coco(folder, "val")) == 2 and len(read_coco(folder, "train")) == 5


Change = Callable[[dict[str, Any]], Any]


def change(folder: Path, how: Change) -> None:
    content = content_of(folder)
    how(content)
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))


def test_polygons_crowds_and_sparse_identities_are_read(folder: Path) -> None:
    """As in COCO's own files: categories have gaps, objects are polygons, annotations unsorted."""

    def official(content: dict[str, Any]) -> None:
        content["categories"] = [
            {"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"},
        ]  # fmt: skip
        two_parts = [[1, 1, 4, 1, 4, 3, 1, 3], [6, 1, 8, 1, 8, 3, 6, 3]]
        crowd = {"counts": [0, 80, 1520], "size": [40, 40]}
        kinds = (
            (2, 1, 1, [0, 0, 2, 40], crowd),
            (2, 90, 0, [1, 1, 7, 2], two_parts),
            (1, 1, 0, [0, 0, 2, 40.2], crowd),
        )
        keys = ("image_id", "category_id", "iscrowd", "bbox", "segmentation")
        content["annotations"] = [dict(zip(keys, kind, strict=True)) for kind in kinds]

    change(folder, official)
    read = read_coco(folder, "train")
    assert read.classes == ("person", "toothbrush")
    assert read.owners.tolist() == [0, 1] and read.labels.tolist() == [0, 1]
    assert read.boxes.tolist() == [[0, 0, 2, 40], [1, 1, 8, 3]]
    expected = torch.zeros(40, 40, dtype=torch.uint8)
    expected[:, :2] = 255
    expected[1:3, 1:4], expected[1:3, 6:8] = 1, 1
    assert torch.equal(read.instances[1], expected)


def first(key: str, **values: Any) -> Change:
    return lambda content: content[key][0].update(values)


def runs(**values: Any) -> Change:
    return lambda content: content["annotations"][0]["segmentation"].update(values)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda c: c.pop("images"), "images is None; expected a list of objects"),
        (lambda c: c.update(annotations={}), "annotations is {}; expected a list of objects"),
        (lambda c: c.update(categories=[1]), "categories is [1]; expected a list of objects"),
        (lambda c: c.update(images=[], annotations=[]), "no images; expected at least one"),
        (lambda c: c.update(categories=[], annotations=[]), "classes are 0; expected 1 to 254"),
        (first("images", file_name="../annotations/instances_train.json"), "file name is '../ann"),
        (first("images", file_name="/etc/passwd"), "file name is '/etc/passwd'; expected one"),
        (first("images", file_name=None), "image 0: file name is None"),
        (first("images", file_name="absent.png"), "absent.png is missing; expected an image"),
        (first("images", height=41), "image 0: size is 40x41"),
        (first("images", height=10**9), "image 0: size is 40x1000000000"),
        (first("images", width="40"), "image 0: width is '40'; expected a whole number"),
        (first("images", id="1"), "image 0: id is '1'; expected a whole number"),
        (first("images", id=2), "image 1: id is 2, as before; expected each one once"),
        (first("categories", id=2), "category 1: id is 2, as before"),
        (first("categories", name=5), "category 0: name is 5; expected text"),
        (first("annotations", image_id=77), "annotation 0: image_id is 77; not an image's"),
        (first("annotations", image_id=[1]), "annotation 0: image_id is [1]"),
        (first("annotations", category_id=77), "category_id is 77; not a category's"),
        (first("annotations", category_id={}), "category_id is {}; not a category's"),
        (first("annotations", bbox=None), "annotation 0: bbox is None; expected x, y, width"),
        (first("annotations", bbox=[1, 2, 3]), "annotation 0: bbox is [1, 2, 3]"),
        (first("annotations", bbox=[1, 2, 3, "x"]), "annotation 0: bbox is 'x'; expected a number"),
        (first("annotations", bbox=[1, 2, 3, float("nan")]), "bbox is nan; expected a number"),
        (first("annotations", bbox=[30, 30, 20, 5]), "annotation 0: box is [30.0, 30.0, 50.0, 35"),
        (first("annotations", bbox=[-5, 0, 20, 5]), "inside 40x40 pixels"),
        (first("annotations", bbox=[5, 5, 0, 5]), "expected left < right"),
        (first("annotations", bbox=[5, 5, -3, 5]), "expected left < right"),
        (first("annotations", segmentation=None), "segmentation is None; expected polygons or"),
        (first("annotations", segmentation=[]), "segmentation is []"),
        (first("annotations", segmentation=[[1, 2]]), "annotation 0: polygon is [1, 2]"),
        (runs(size=[40, 41]), "annotation 0: size is [40, 41]; expected [40, 40]"),
        (runs(counts="abc"), "annotation 0: counts are 'abc'; expected a list of run lengths"),
        (runs(counts=[1600, 1]), "annotation 0: counts add up to 1601"),
        (lambda c: c["annotations"].extend(c["annotations"][:1] * 255), "expected 254 at most"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, how: Change, message: str) -> None:
    change(folder, how)
    with pytest.raises(InputError, match=re.escape(message)):
        read_coco(folder, "train")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 200_000, b'{"a": ' * 200_000, b"1" * 10_000, b"nul"],
)
def test_malformed_json_is_named(folder: Path, content: bytes) -> None:
    (folder / "annotations" / "instances_train.json").write_bytes(content)
    with pytest.raises(InputError, match=r"instances_train\.json: malformed"):
        read_coco(folder, "train")


def test_missing_files_and_other_sizes_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"instances_val\.json: cannot be read"):
        read_coco(folder, "val")
    Image.new("RGB", (39, 40)).save(folder / "train" / "000000000002.png")
    with pytest.raises(InputError, match="39x40 pixels; expected 40x40"):
        read_coco(folder, "train")
    (folder / "train" / "000000000002.png").unlink()
    with pytest.raises(InputError, match=r"000000000002\.png is missing"):
        read_coco(folder, "train")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't write"):
        write_coco(scenes(), tmp_path / "file", "train")
