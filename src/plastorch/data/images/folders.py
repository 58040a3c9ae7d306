"""Trees of image files, decoded once into a memory-mapped array on disk."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from plastorch.data.images.formats import mapped_bytes
from plastorch.data.images.imageset import ImageSet
from plastorch.data.images.trees import Tree, shown
from plastorch.data.root import cache_root
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.errors import InputError, check_file
from plastorch.engine.output import writing

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
EXPECTED = "expected JPEG, PNG, WebP, BMP or TIFF"
_GRAY = ("1", "L", "LA")
_COLOR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
_BLOCK = 4096  # images handed to the threads at a time
MOST_PIXELS = 1 << 26
"""Largest number of pixels of an image; a small file can claim to hold more than the memory."""


def common_size(files: Sequence[Path]) -> tuple[int, int] | None:
    """Returns the width and height that all images share; None if they differ."""
    found: tuple[int, int] | None = None
    for file in files:
        with _opened(file) as image:
            if image.size != (found := found or image.size):
                return None
    return found


def read_parts(
    name: str,
    train: Tree,
    test: Tree,
    side: int | None = None,
    color: bool | None = None,
    notice: str = "",
) -> ImageSet:
    """Reads training and test images as a set, mapped from disk.

    The first call decodes every file into the user's cache; later calls map the result. Images are
    squashed to ``side`` pixels (antialiased bilinear, as torchvision's ``Resize``); None keeps
    their size, which must be the same. Squashed ones have an ``aspect``. Without ``color``, the
    first image sets the number of channels.
    """
    if color is None:
        with _opened(train.files[0]) as image:
            color = image.mode not in _GRAY
    cache = _decoded(train, test, side, color)
    try:
        train_images, test_images = (_mapped_array(cache / f"{p}.npy") for p in ("train", "test"))
        aspect = torch.from_numpy(np.load(cache / "aspect.npy"))
        sha256 = json.loads((cache / "info.json").read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError):
        raise InputError(f"{cache} is damaged; expected decoded images: remove it") from None
    return ImageSet(
        name=name,
        train_images=train_images,
        train_labels=torch.tensor(train.labels),
        test_images=test_images,
        test_labels=torch.tensor(test.labels),
        classes=tuple(map(shown, train.classes)),
        source=str(train.folder.parent),
        sha256=sha256,
        notice=notice,
        aspect=None if side is None else aspect,
    )


def _decoded(train: Tree, test: Tree, side: int | None, color: bool) -> Path:
    """Returns the cache folder of these files in this form, filled first if it is missing."""
    home = cache_root() / "decoded"
    final = home / _key(train, test, side, color)
    if final.is_dir():
        return final
    with _opened(train.files[0]) as image:
        width, height = image.size if side is None else (side, side)
    shape = (3 if color else 1, height, width)
    home.mkdir(parents=True, exist_ok=True)
    needed = (len(train.files) + len(test.files)) * shape[0] * height * width
    if needed > (free := shutil.disk_usage(home).free):
        raise InputError(
            f"{home}: {needed:,} bytes needed for decoded images, {free:,} free; "
            "set XDG_CACHE_HOME to a folder with more room"
        )
    with writing(final), tempfile.TemporaryDirectory(dir=home, prefix=".partial-") as partial:
        filled = Path(partial, "set")
        filled.mkdir()
        aspect = _decode_part(train, train.files[0], shape, side, filled / "train.npy")
        _decode_part(test, train.files[0], shape, side, filled / "test.npy")
        np.save(filled / "aspect.npy", aspect)
        images = [_mapped_array(filled / f"{part}.npy") for part in ("train", "test")]
        labels = torch.tensor(train.labels), torch.tensor(test.labels)
        digest = fingerprint(images[0], labels[0], images[1], labels[1])
        (filled / "info.json").write_text(json.dumps({"sha256": digest}))
        try:
            filled.rename(final)
        except OSError:
            if not final.is_dir():  # otherwise another process was faster, with the same content
                raise
    return final


def _decode_part(
    tree: Tree, first: Path, shape: tuple[int, ...], side: int | None, target: Path
) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """Decodes a tree's images into an .npy file; returns each original's width / height."""
    array = np.lib.format.open_memmap(
        target, mode="w+", dtype=np.uint8, shape=(len(tree.files), *shape)
    )
    aspect = np.empty(len(tree.files), dtype=np.float32)

    def decode(index: int) -> None:
        file = tree.files[index]
        pixels, aspect[index] = _pixels(file, side, color=shape[0] == 3)
        if pixels.shape != shape:
            raise InputError(
                f"{file}: {pixels.shape[2]}x{pixels.shape[1]} pixels, but {first} has "
                f"{shape[2]}x{shape[1]}; expected images of one size"
            )
        array[index] = pixels

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(tree.files), _BLOCK):
            stop = min(start + _BLOCK, len(tree.files))
            for _ in threads.map(decode, range(start, stop)):
                pass  # raises any exception of a thread
    array.flush()
    return aspect


def _pixels(
    file: Path, side: int | None, color: bool
) -> tuple["np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", float]:
    """Returns one image as uint8 [C, H, W], and its original width / height."""
    with _opened(file) as image:
        if image.mode not in _GRAY + _COLOR:
            raise InputError(f"{file}: pixel format {image.mode} found; expected 8-bit gray or RGB")
        aspect = image.width / image.height
        try:
            if image.mode == "P":  # straight to RGB, a palette with transparency gives a warning
                image = image.convert("RGBA")
            image = image.convert("RGB" if color else "L")
        except Exception as error:  # Pillow's decoders raise many kinds
            raise InputError(f"{file}: cannot be decoded ({error}); expected an image") from error
        if side is not None:
            image = image.resize((side, side), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return (pixels.transpose(2, 0, 1) if color else pixels[None]), aspect


def _opened(file: Path) -> Image.Image:
    check_file(file, "an image")
    try:
        image = Image.open(file, formats=FORMATS)
    except Exception as error:
        raise InputError(f"{file}: cannot be opened ({error}); {EXPECTED}") from error
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise InputError(
            f"{file}: {image.width}x{image.height} pixels; expected at most {MOST_PIXELS:,}"
        )
    return image


def _mapped_array(file: Path) -> Tensor:
    header = np.load(file, mmap_mode="r")
    return mapped_bytes(file)[header.offset :].view(header.shape)


def _key(train: Tree, test: Tree, side: int | None, color: bool) -> str:
    """Returns a cache key that changes with any file's name, size or time."""
    digest = hashlib.sha256(json.dumps([1, side, color]).encode())
    for file in train.files + test.files:
        try:
            status = file.stat()
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; expected an image") from None
        line = f"{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]
