"""Scenes in the layout of the PASCAL VOC challenge, which torchvision's VOC classes read.

A folder holds ``JPEGImages/ID.jpg``, ``Annotations/ID.xml``, ``SegmentationClass/ID.png`` and
``SegmentationObject/ID.png`` (numbers in a palette; 255 where it is not said), and lists of IDs in
``ImageSets/Main/PART.txt`` and ``ImageSets/Segmentation/PART.txt``. Boxes count pixels from 1 and
hold their last one.
"""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from plastorch.data.annotations import (
    check_room,
    checked_box,
    inside,
    number,
    read_map,
    read_picture,
    shown,
)
from plastorch.data.scenes import VOID, Scenes
from plastorch.engine.errors import InputError

_FOLDERS = (
    "JPEGImages",
    "Annotations",
    "SegmentationClass",
    "SegmentationObject",
    "ImageSets/Main",
    "ImageSets/Segmentation",
)
_MOST_BYTES = 1 << 20
"""Of an annotation; 254 objects need a tenth of it."""


def write_voc(scenes: Scenes, folder: Path, part: str) -> None:
    """Writes scenes as VOC does; JPEG changes the pixels a little, but neither boxes nor masks.

    Args:
        scenes: what to write.
        folder: such as ``VOCdevkit/VOC2012``, made if it isn't there; other parts in it stay.
        part: such as "train" or "val".

    Raises:
        InputError: if the folder can't be written.
    """
    names = [f"{part}_{i:06d}" for i in range(len(scenes))]
    maps = {"SegmentationClass": scenes.class_maps, "SegmentationObject": scenes.instances}
    try:
        for place in _FOLDERS:
            (folder / place).mkdir(parents=True, exist_ok=True)
        for row, name in enumerate(names):
            pixels = scenes.images[row].permute(1, 2, 0).cpu().numpy()
            target = folder / "JPEGImages" / f"{name}.jpg"
            Image.fromarray(pixels).save(target, quality=95, subsampling=0)
            for place, values in maps.items():
                image = Image.fromarray(values[row].cpu().numpy()).convert("P")
                image.putpalette(_palette())
                image.save(folder / place / f"{name}.png")
            tree = ElementTree.ElementTree(_annotation(scenes, row, name))
            ElementTree.indent(tree)
            tree.write(folder / "Annotations" / f"{name}.xml", encoding="utf-8")
        for place in _FOLDERS[-2:]:
            (folder / place / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
    except OSError as error:
        raise InputError(f"can't write {folder}: {error.strerror}") from None


def read_voc(folder: Path, part: str, classes: tuple[str, ...]) -> Scenes:
    """Reads the images of a part of which objects are known by pixel, all of one size.

    Objects that are marked difficult count like the others.

    Args:
        folder: such as ``VOCdevkit/VOC2012``.
        part: such as "train" or "val".
        classes: names, in the order of their labels.

    Raises:
        InputError: if a file is missing, damaged or hostile, or says what can't be.
    """
    names = _listed(folder / "ImageSets/Segmentation" / f"{part}.txt")
    images: list[Tensor] = []
    instances: list[Tensor] = []
    owners, labels, boxes = [], [], []
    size: tuple[int, int] | None = None
    for row, name in enumerate(names):
        where = f"{part}.txt"
        image = read_picture(inside(folder / "JPEGImages", f"{name}.jpg", where), size)
        size = image.shape[1], image.shape[2]
        check_room(len(names), size, where)
        images.append(image)
        objects = inside(folder / "SegmentationObject", f"{name}.png", where)
        instances.append(read_map(objects, size))
        found = _objects(inside(folder / "Annotations", f"{name}.xml", where), classes, size)
        owners += [row] * len(found)
        labels += [label for label, _ in found]
        boxes += [box for _, box in found]
    return Scenes(
        torch.stack(images),
        torch.stack(instances),
        torch.tensor(owners, dtype=torch.int64),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        classes,
    )


def read_xml(file: Path) -> ElementTree.Element:
    """The root of an XML file without document type, so without entities of its own.

    Entities can make a small file expand to more than the memory, or name other files.

    Args:
        file: of 1 MB at most.

    Raises:
        InputError: if it is missing, too large, malformed, or has a document type.
    """

    def refuse(*_: object) -> None:
        raise InputError(f"{file}: a document type (DOCTYPE) found; expected plain XML")

    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(f"{file}: {file.stat().st_size} bytes; expected at most {_MOST_BYTES}")
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); expected XML") from None
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except InputError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(f"{file}: malformed ({error}); expected XML") from None
    return builder.close()


def _listed(file: Path) -> list[str]:
    try:
        names = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); expected names of images") from None
    if not names:
        raise InputError(f"{file} is empty; expected names of images")
    return names


def _objects(
    file: Path, classes: tuple[str, ...], size: tuple[int, int]
) -> list[tuple[int, list[float]]]:
    """Label and box of each object, the box in our own way of counting."""
    root = read_xml(file)
    if root.tag != "annotation":
        raise InputError(f"{file}: root is {shown(root.tag)}; expected annotation")
    stated = tuple(number(root.findtext(f"size/{k}"), f"{file}: {k}") for k in ("height", "width"))
    if stated != size:
        raise InputError(
            f"{file}: size is {stated[1]:g}x{stated[0]:g}; its image has {size[1]}x{size[0]} pixels"
        )
    objects = []
    for place, each in enumerate(root.findall("object"), start=1):
        where = f"{file}: object {place}"
        name = each.findtext("name")
        if name not in classes:
            raise InputError(
                f"{where}: name is {shown(name)}; expected one of {', '.join(classes)}"
            )
        sides = ("xmin", "ymin", "xmax", "ymax")
        left, top, right, bottom = (
            number(each.findtext(f"bndbox/{side}"), f"{where}: {side}") for side in sides
        )
        box = checked_box([left - 1, top - 1, right, bottom], size, where)
        objects.append((classes.index(name), box))
    return objects


def _annotation(scenes: Scenes, row: int, name: str) -> ElementTree.Element:
    height, width = scenes.instances.shape[1:]
    root = ElementTree.Element("annotation")
    _add(root, folder="plastorch", filename=f"{name}.jpg")
    _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    _add(root, segmented=1)
    for place in (scenes.owners == row).nonzero()[:, 0].tolist():
        left, top, right, bottom = scenes.boxes[place].tolist()
        each = ElementTree.SubElement(root, "object")
        _add(each, name=scenes.classes[int(scenes.labels[place])], pose="Unspecified")
        _add(each, truncated=0, difficult=0)
        box = ElementTree.SubElement(each, "bndbox")
        _add(box, xmin=f"{left + 1:g}", ymin=f"{top + 1:g}", xmax=f"{right:g}", ymax=f"{bottom:g}")
    return root


def _add(parent: ElementTree.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)


def _palette() -> list[int]:
    """VOC's colours: the lowest three bits of a number are the highest of red, green and blue."""
    values = np.arange(VOID + 1)
    colours = np.zeros((len(values), 3), dtype=int)
    for place in range(8):
        channel, depth = place % 3, place // 3
        colours[:, channel] |= (values >> place & 1) << (7 - depth)
    return colours.flatten().tolist()
