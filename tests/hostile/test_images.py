"""Files of images: IDX, CIFAR's pickles, STL-10, and folders of images."""

import gzip
import io
import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from plastorch.data import load_images
from plastorch.data.images import formats
from plastorch.data.images.cifar import read_cifar, read_pickle
from plastorch.data.images.folders import FORMATS
from plastorch.data.images.formats import read_idx, read_stl10_images, read_stl10_labels

IDX = struct.pack(">BBBB3I", 0, 0, 8, 3, 5, 4, 3) + bytes(range(60))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.mark.parametrize("packed", [False, True])
@given(data=st.data())
def test_damaged_idx(damaged: Any, survives: Any, folder: Path, packed: bool, data: Any) -> None:
    path = folder / ("idx.gz" if packed else "idx")
    path.write_bytes(damaged(data, gzip.compress(IDX) if packed else IDX))
    found = survives(read_idx, path, 3)
    assert found is None or found.dtype == torch.uint8


@pytest.mark.parametrize("labels", [[1, 2, 3], np.arange(3)])
@given(data=st.data())
def test_damaged_cifar(damaged: Any, survives: Any, folder: Path, labels: Any, data: Any) -> None:
    content = pickle.dumps({"data": np.zeros((3, 3072), np.uint8), "labels": labels}, 2)
    (folder / "batch").write_bytes(damaged(data, content))
    found = survives(read_cifar, folder / "batch", "labels")
    assert found is None or len(found[0]) == len(found[1])


def test_any_order_of_opcodes(survives: Any, folder: Path) -> None:
    """The opcodes of genuine batches, cut out, doubled, and put anywhere."""
    random = np.random.default_rng(0)
    whole = pickle.dumps({"data": np.zeros((3, 4), np.uint8), b"labels": np.arange(3)}, 2)
    starts = [start for _, _, start in pickletools.genops(whole)]
    parts = [whole[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    for _ in range(2000):
        places = np.arange(len(parts)).tolist()
        for place, other in random.integers(0, len(parts), (4, 2)):
            places.insert(place, places.pop(other)) if random.random() < 0.5 else places.insert(
                place, places[other]
            )
        (folder / "batch").write_bytes(b"".join(parts[place] for place in places))
        survives(read_pickle, folder / "batch")


@given(content=st.binary(max_size=60))
def test_stl10_of_any_bytes(survives: Any, folder: Path, content: bytes) -> None:
    (folder / "stl").write_bytes(content)
    survives(read_stl10_images, folder / "stl")
    survives(read_stl10_labels, folder / "stl")


def test_headers_that_claim_more_than_memory(refused: Any, folder: Path) -> None:
    path = folder / "claims"
    for sizes in ((2**32 - 1,) * 3, (2**31, 28, 28), (0, 2**32 - 1, 2**32 - 1)):
        path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, *sizes) + bytes(9))
        refused(read_idx, path, 3)
    with open(path, "wb") as file:  # takes no room on disk
        file.truncate(1 << 40)
    refused(read_idx, path, 1)


def test_a_gzip_bomb(refused: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_BYTES", 1 << 20)
    path, size = folder / "bomb.gz", 1 << 29
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(struct.pack(">BBBBI", 0, 0, 8, 1, size))
        for _ in range(size >> 24):
            file.write(bytes(1 << 24))
    assert path.stat().st_size < size / 100
    refused(read_idx, path, 1, megabytes=100)


CODE = {
    "global": b"cos\nsystem\n(S'touch %s'\ntR.",
    "inst": b"(S'touch %s'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'touch %s'\no.",
    "stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x06touch \x85R.",
    "new": b'\x80\x02cbuiltins\nexec\nS\'open("%s","w")\'\n\x85\x81.',
    "array": b"cnumpy\nfromfile\n(S'%s'\ntR.",
    "attribute": b"cnumpy\ndtype.__class__.__base__\n.",
    "persistent": b"Pos.system\n.",
    "extension": b"\x80\x02\x82\x01.",
    "build": b"cnumpy\ndtype\n(S'u1'\ntR}S'__class__'\ncos\nsystem\nsb.",
}


@pytest.mark.parametrize("name", CODE)
def test_pickles_that_would_run_code(refused: Any, tmp_path: Path, name: str) -> None:
    target = tmp_path / "executed"
    (tmp_path / "batch").write_bytes(CODE[name].replace(b"%s", os.fsencode(target)))
    refused(read_cifar, tmp_path / "batch", "labels")
    assert sorted(os.listdir(tmp_path)) == ["batch"]


def nested(levels: int) -> bytes:
    """A tuple of which each level holds the one below twice: its hash takes 2 ** levels steps."""
    doubled = b"".join(b"q%ch%ch%c\x86" % (place, place, place) for place in range(levels))
    return b"\x80\x02}I1\n" + doubled + b"I1\ns."


BOMBS = {
    "place": b"\x80\x02}r\xff\xff\xff\x7f.",
    "place in text": b"}p2000000000\n.",
    "hash": nested(60),
    "array": b"cnumpy\nndarray\n((I9999999999\nI3072\nltS'u1'\ntR.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"}.",
    "depth": b"(" * 100_000 + b"." * 9,
    "lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "escape": b"S'\\u'\n.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_pickles_that_take_endless_memory_or_time(refused: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "batch").write_bytes(BOMBS[name])
    refused(read_cifar, tmp_path / "batch", "labels")


class Rebuilt:
    """What a pickle rebuilds by a call and a state."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return self.parts


RECONSTRUCT = np.zeros(0, np.uint8).__reduce__()[0]
BYTES, OBJECTS = (3, "|", None, None, None, -1, -1, 0), (3, "|", None, None, None, -1, -1, 63)


def kind(name: str, state: Any = BYTES) -> Rebuilt:
    return Rebuilt(np.dtype, (name, False, True), state)


def array(
    dtype: Any, content: Any, shape: Any = (3,), by_columns: Any = False, version: Any = 1
) -> Rebuilt:
    state = (version, shape, dtype, by_columns, content)
    return Rebuilt(RECONSTRUCT, (np.ndarray, (0,), b"b"), state)


def struct_of(field: Any, at: int, size: int = 8, flags: int = 27) -> Rebuilt:
    return kind("V8", (3, "|", None, ("a",), {"a": (field, at)}, size, 1, flags))


POINTERS = b"A" * 24
STATES = {
    "pointers": array(kind("O8", OBJECTS), POINTERS),
    "pointers by flags": array(kind("u1", (3, "|", None, None, None, 8, 8, 63)), POINTERS),
    "fewer objects": array(kind("O8", OBJECTS), [1]),
    "no objects": array(kind("O8", OBJECTS), []),
    "an object in a struct": array(struct_of(kind("O8", OBJECTS), 0), POINTERS),
    "an object, hidden": array(struct_of(kind("O8", OBJECTS), 0, flags=0), POINTERS),
    "far field": array(struct_of(kind("i8"), 10**9), POINTERS),
    "field before": array(struct_of(kind("i8"), -(10**9)), POINTERS),
    "small struct": array(struct_of(kind("i8"), 0, size=1), b"AAA"),
    "large items": array(kind("V8", (3, "|", None, None, None, 10**9, 1, 0)), b"A" * 24),
    "large parts": array(
        kind("V8", (3, "|", (kind("u1"), (10**9,)), None, None, 8, 1, 0)), POINTERS
    ),
    "items of no size": np.empty(10**12, "V0"),
    "rows of no size": array(kind("u1"), b"", (10**15, 0)),
    "negative": array(kind("u1"), b"AAA", (-3, -1)),
    "huge": array(kind("u1"), b"AAA", (2**62, 4)),
    "deep": array(kind("u1"), b"AAA", (1,) * 99 + (3,)),
    "endless product": array(kind("u1"), b"AAA", (2**31 - 1,) * 100_000),
    "short": array(kind("i8"), b"AAA"),
    "long": array(kind("u1"), POINTERS),
    "list": array(kind("u1"), [1, 2, 3]),
    "number": array(kind("u1"), 3),
    "by columns": array(kind("u1"), b"AAA", by_columns=True),
    "version": array(kind("u1"), b"AAA", version=0),
    "other bytes": array(kind("i8", (3, ">", None, None, None, -1, -1, 0)), POINTERS),
    "fractions": np.zeros(3),
    "text": np.array(["a", "b", "c"]),
    "times": np.zeros(3, "M8[s]"),
    "truth": np.zeros(3, bool),
    "no state": Rebuilt(RECONSTRUCT, (np.ndarray, (0,), b"b")),
    "memory": Rebuilt(RECONSTRUCT, (np.ndarray, (10**9,), b"O")),
    "state of a name": Rebuilt(np.dtype, ("u1", False, True), {"__class__": 1}),
    "type": kind("u1"),
}
"""In the place of labels, which were taken for pointers, or read outside their bytes."""


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("key", ["data", "labels"])
def test_crafted_arrays(refused: Any, tmp_path: Path, name: str, key: str) -> None:
    batch = {"data": np.zeros((3, 3072), np.uint8), "labels": [1, 2, 3]}
    (tmp_path / "batch").write_bytes(pickle.dumps(batch | {key: STATES[name]}, 2))
    refused(read_cifar, tmp_path / "batch", "labels", megabytes=100)


def picture(side: int = 8, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def tree(root: Path, content: bytes, ending: str = "png") -> Path:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True, exist_ok=True)
            (root / part / name / f"a.{ending}").write_bytes(picture())
    (root / "train" / "cat" / f"a.{ending}").write_bytes(content)
    return root


def read_tree(root: Path) -> Any:
    return load_images("cifar10", root)


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
def test_damaged_pictures(damaged: Any, survives: Any, folder: Path, kind: str, data: Any) -> None:
    root = tree(folder / kind, damaged(data, picture(kind=kind)))
    found = survives(read_tree, root)
    assert found is None or found.train_images.dtype == torch.uint8


def claiming(width: int, height: int) -> bytes:
    """A small PNG whose header says another size."""
    import zlib

    content = bytearray(picture())
    content[16:24] = struct.pack(">2I", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (60_000, 60_000), (9000, 9000), (0, 8)])
def test_pictures_that_claim_many_pixels(refused: Any, tmp_path: Path, size: Any) -> None:
    refused(read_tree, tree(tmp_path, claiming(*size)))


def test_a_picture_with_endless_text(survives: Any, tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", " " * (1 << 22), zip=True)
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, "PNG", pnginfo=notes)
    survives(read_tree, tree(tmp_path, buffer.getvalue()))


@pytest.mark.parametrize("content", [b"", b"<script>", b"GIF89a" + bytes(99), b"%!PS\n" + bytes(9)])
def test_files_that_are_no_pictures(refused: Any, tmp_path: Path, content: bytes) -> None:
    refused(read_tree, tree(tmp_path, content))


def test_pipes_links_and_folders_in_a_tree(refused: Any, tmp_path: Path, pipe: Path) -> None:
    file = tree(tmp_path, picture()) / "train" / "cat" / "a.png"
    for target in (pipe, tmp_path / "nowhere", Path("/dev/zero"), file):
        file.unlink()
        file.symlink_to(target)
        refused(read_tree, tmp_path)


def test_folders_that_link_to_one_another(survives: Any, tmp_path: Path) -> None:
    """Followed, the links would make 2 ** 40 paths."""
    inside = tree(tmp_path, picture()) / "train" / "cat"
    for name in ("one", "two"):
        (inside / name).symlink_to(inside)
    found = survives(read_tree, tmp_path)
    assert len(found.train_images) == 2


def test_names_of_classes_stay_names(survives: Any, tmp_path: Path) -> None:
    root = tree(tmp_path, picture())
    for part in ("train", "test"):
        for before, after in (("cat", "<script>"), ("dog", os.fsdecode(b"\xff\n"))):
            (root / part / before).rename(root / part / after)
    assert survives(read_tree, root).classes == ("<script>", "\\xff\n")
