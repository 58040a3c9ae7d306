"""Scenes in the layout of COCO's instance annotations.

A folder holds ``annotations/instances_PART.json`` and the images ``PART/*``. Masks are polygons or
run lengths: how many pixels in a row are off, on, off ..., down the columns from the left one.
"""

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from plastorch.data.annotations import (
    check_room,
    checked_box,
    inside,
    number,
    read_picture,
    shown,
    whole,
)
from plastorch.data.masks import Size, decode_runs, encode_runs, fill_polygon
from plastorch.data.scenes import VOID, Scenes
from plastorch.engine.errors import InputError


def write_coco(scenes: Scenes, folder: Path, part: str) -> None:
    """Writes scenes as COCO does: images as PNG, masks as run lengths, so that nothing is lost.

    Pixels of which it is not said what they show are not kept apart: they become background.

    Args:
        scenes: what to write.
        folder: made if it isn't there; other parts in it stay.
        part: such as "train" or "val".

    Raises:
        InputError: if the folder can't be written.
    """
    height, width = scenes.instances.shape[1:]
    names = [f"{i + 1:012d}.png" for i in range(len(scenes))]
    masks = scenes.masks.cpu()
    content = {
        "info": {"description": "made by plastorch"},
        "licenses": [],
        "images": [
            {"id": i + 1, "file_name": name, "height": height, "width": width}
            for i, name in enumerate(names)
        ],
        "annotations": [_annotation(scenes, place, mask) for place, mask in enumerate(masks)],
        "categories": [
            {"id": i + 1, "name": name, "supercategory": "object"}
            for i, name in enumerate(scenes.classes)
        ],
    }
    target = folder / "annotations" / f"instances_{part}.json"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / part).mkdir(exist_ok=True)
        for image, name in zip(scenes.images, names, strict=True):
            Image.fromarray(image.permute(1, 2, 0).cpu().numpy()).save(folder / part / name)
        target.write_text(json.dumps(content))
    except OSError as error:
        raise InputError(f"can't write {folder}: {error.strerror}") from None


def read_coco(folder: Path, part: str) -> Scenes:
    """Reads the images of a part, all of one size, and their objects.

    What a later object covers of an earlier one belongs to the later. Crowds (``iscrowd``) are no
    objects; where they are, it is not said what is seen.

    Args:
        folder: with ``annotations`` and the part's images.
        part: such as "train" or "val".

    Raises:
        InputError: if a file is missing, damaged or hostile, or says what can't be.
    """
    file = folder / "annotations" / f"instances_{part}.json"
    images, annotations, categories = _lists(file)
    names = _categories(categories, file)
    rows: dict[int, int] = {}
    pictures: list[Tensor] = []
    size: Size | None = None
    for place, entry in enumerate(images):
        where = f"{file}: image {place}"
        _identify(rows, entry, where)
        path = inside(folder / part, entry.get("file_name"), where)
        pictures.append(read_picture(path, size))
        size = pictures[0].shape[1], pictures[0].shape[2]
        check_room(len(images), size, str(file))
        stated = tuple(whole(entry.get(key), f"{where}: {key}") for key in ("height", "width"))
        if stated != size:
            raise InputError(f"{where}: size is {stated[1]}x{stated[0]}; {path} is not that large")
    if size is None:
        raise InputError(f"{file}: no images; expected at least one")
    return _scenes(torch.stack(pictures), _by_image(annotations, rows, file), names, file)


def _scenes(
    images: Tensor, found: list[list[tuple[dict[str, Any], str]]], names: dict[int, str], file: Path
) -> Scenes:
    """What the annotations of each image say."""
    size = images.shape[2], images.shape[3]
    instances = torch.zeros(len(images), *size, dtype=torch.uint8)
    order = {category: label for label, category in enumerate(names)}
    owners, labels, boxes = [], [], []
    for row, annotations in enumerate(found):
        placed = 0
        for entry, where in annotations:
            mask = _mask(entry.get("segmentation"), size, where)
            if entry.get("iscrowd", 0) == 1:
                instances[row][mask] = VOID
                continue
            category = entry.get("category_id")
            if type(category) is not int or category not in order:
                raise InputError(f"{where}: category_id is {shown(category)}; not a category's")
            placed += 1
            if placed >= VOID:
                raise InputError(f"{where}: object {placed} of its image; expected 254 at most")
            instances[row][mask] = placed
            owners.append(row)
            labels.append(order[category])
            boxes.append(_box(entry.get("bbox"), size, where))
    return Scenes(
        images,
        instances,
        torch.tensor(owners, dtype=torch.int64),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        tuple(names.values()),
    )


def _lists(file: Path) -> list[list[dict[str, Any]]]:
    """The lists of images, annotations and categories."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); expected JSON") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: malformed ({shown(str(error))}); expected JSON") from None
    lists = []
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise InputError(f"{file}: {key} is {shown(entries)}; expected a list of objects")
        lists.append(entries)
    return lists


def _categories(entries: list[dict[str, Any]], file: Path) -> dict[int, str]:
    """Names by identity, in its order."""
    seen: dict[int, int] = {}
    for place, entry in enumerate(entries):
        where = f"{file}: category {place}"
        _identify(seen, entry, where)
        if not isinstance(entry.get("name"), str):
            raise InputError(f"{where}: name is {shown(entry.get('name'))}; expected text")
    return {identity: entries[seen[identity]]["name"] for identity in sorted(seen)}


def _by_image(
    annotations: list[dict[str, Any]], rows: dict[int, int], file: Path
) -> list[list[tuple[dict[str, Any], str]]]:
    """The annotations of each image, and what to call them."""
    found: list[list[tuple[dict[str, Any], str]]] = [[] for _ in rows]
    for place, entry in enumerate(annotations):
        where, image = f"{file}: annotation {place}", entry.get("image_id")
        if type(image) is not int or image not in rows:
            raise InputError(f"{where}: image_id is {shown(image)}; not an image's")
        found[rows[image]].append((entry, where))
    return found


def _identify(seen: dict[int, int], entry: dict[str, Any], where: str) -> None:
    """Takes down an entry's identity, which must be new."""
    identity = whole(entry.get("id"), f"{where}: id")
    if identity in seen:
        raise InputError(f"{where}: id is {identity}, as before; expected each one once")
    seen[identity] = len(seen)


def _mask(segmentation: Any, size: Size, where: str) -> Tensor:
    if isinstance(segmentation, dict):
        if segmentation.get("size") != list(size):
            raise InputError(
                f"{where}: size is {shown(segmentation.get('size'))}; expected {list(size)}"
            )
        return decode_runs(segmentation.get("counts"), size, where)
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError(
            f"{where}: segmentation is {shown(segmentation)}; expected polygons or run lengths"
        )
    mask = torch.zeros(size, dtype=torch.bool)
    for each in segmentation:
        mask |= fill_polygon(each, size, where)
    return mask


def _box(values: Any, size: Size, where: str) -> list[float]:
    if not isinstance(values, list) or len(values) != 4:
        raise InputError(f"{where}: bbox is {shown(values)}; expected x, y, width, height")
    left, top, width, height = (number(value, f"{where}: bbox") for value in values)
    return checked_box([left, top, left + width, top + height], size, where)


def _annotation(scenes: Scenes, place: int, mask: Tensor) -> dict[str, Any]:
    left, top, right, bottom = scenes.boxes[place].tolist()
    return {
        "id": place + 1,
        "image_id": int(scenes.owners[place]) + 1,
        "category_id": int(scenes.labels[place]) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": {"counts": encode_runs(mask), "size": list(mask.shape)},
    }
