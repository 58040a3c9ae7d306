"""What readers of annotated images share: names, pictures and values that may be hostile."""

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from plastorch.data.annotations import (
    checked_box,
    inside,
    number,
    read_map,
    read_picture,
    shown,
    whole,
)
from plastorch.engine.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an image, beside a file that it must not lead to."""
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    for file in (images / "a.png", images / "sub" / "b.png", tmp_path / "secret.png"):
        Image.fromarray(pixels).save(file)
    (images / "link.png").symlink_to(tmp_path / "secret.png")
    (images / "out").symlink_to(tmp_path)
    (images / "loop.png").symlink_to(images / "loop.png")
    return images


@pytest.mark.parametrize("name", ["a.png", "sub/b.png", "./a.png"])
def test_files_inside_are_found(folder: Path, name: str) -> None:
    assert inside(folder, name, "x").read_bytes() == (folder / "a.png").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "sub/../../secret.png",
        "..\\secret.png",
        "/etc/passwd",
        "C:\\secret.png",
        "C:secret.png",
        "\\\\host\\share\\secret.png",
        "link.png",
        "out/secret.png",
        "a.png\0.jpg",
        "a\n.png",
        "",
        " ",
        "x" * 5000,
        None,
        7,
        ["a.png"],
    ],
)
def test_names_that_lead_elsewhere_are_refused(folder: Path, name: Any) -> None:
    with pytest.raises(InputError, match=r"^x: file name is .*; expected one inside"):
        inside(folder, name, "x")


@pytest.mark.parametrize("name", ["b.png", "sub", "loop.png"])
def test_missing_files_are_named(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"^x: "):
        inside(folder, name, "x")


def test_pictures_and_maps_are_read_as_they_are(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    colour = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "c.png")
    assert torch.equal(
        read_picture(tmp_path / "c.png", (5, 7)).permute(1, 2, 0), torch.tensor(colour)
    )
    grey = random.integers(0, 256, (5, 7), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "g.png")
    assert torch.equal(read_picture(tmp_path / "g.png", None), torch.tensor(grey).expand(3, 5, 7))
    palette = Image.fromarray(grey).convert("P")
    palette.putpalette([0] * 768)
    palette.save(tmp_path / "p.png")
    for name in ("g.png", "p.png"):
        assert torch.equal(read_map(tmp_path / name, (5, 7)), torch.tensor(grey))


def bomb(side: int) -> bytes:
    """A PNG that says it has so many pixels a side, and holds none."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", b"")):
        check = zlib.crc32(kind + body)
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)
    return chunks


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be opened"),
        (b"GIF89a", "cannot be opened"),
        (bomb(5000), "5000x5000 pixels; expected at most 16777216 pixels"),
        (bomb(12000), "12000x12000 pixels"),
        (bomb(60000), "cannot be opened"),
        (bomb(8), "cannot be decoded"),
    ],
    ids=["empty", "gif", "large", "larger", "largest", "truncated"],
)
def test_damaged_and_oversized_pictures_are_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{file}: {message}")):
        read_picture(file, None)


def test_wrong_sizes_kinds_and_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: 6x4 pixels; expected 4x6"):
        read_picture(folder / "a.png", (6, 4))
    with pytest.raises(InputError, match=r"a\.png: pixel format RGB found; expected numbers"):
        read_map(folder / "a.png", None)
    with pytest.raises(InputError, match=r"none\.png is missing"):
        read_map(folder / "none.png", None)
    Image.fromarray(np.zeros((2, 2), dtype=np.uint16)).save(folder / "deep.png")
    with pytest.raises(InputError, match=r"pixel format I;16 found; expected 8-bit"):
        read_picture(folder / "deep.png", None)


def test_boxes_may_go_beyond_by_rounding_only() -> None:
    assert checked_box([-1, 0, 7, 4.5], (4, 6), "x") == [0, 0, 6, 4]
    for box in ([-1.5, 0, 3, 3], [0, 0, 3, 5.5], [3, 0, 3, 2], [0, 2, 3, 1], [6, 0, 7, 2]):
        with pytest.raises(InputError, match=re.escape(f"x: box is {box}; expected left < right")):
            checked_box(box, (4, 6), "x")


@pytest.mark.parametrize(
    "value", [None, "", "1x", True, [1], {}, "nan", "inf", 10**400, "1" * 5000]
)
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"x is {shown(value)}; expected a number")):
        number(value, "x")
    with pytest.raises(InputError, match="expected a whole number"):
        whole(value, "x")


def test_numbers() -> None:
    assert number(" 12.5 ", "x") == 12.5 and number(3, "x") == 3 and whole(-3, "x") == -3
    assert len(shown("x" * 9999)) == 40
