"""Readers of the official binary formats of MNIST (IDX) and STL-10; CIFAR has its own module.

Nothing in a file is ever executed; a damaged file raises InputError with its name.
"""

import gzip
import math
import mmap
import struct
import sys
import zlib
from pathlib import Path

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_file

MOST_BYTES = 1 << 30
"""Largest size of a file that is read whole, 20 times that of the largest official one."""
STL10_SHAPE = (3, 96, 96)
# A private map counts as used memory unless flagged otherwise, and one larger than memory would be
# refused. Python has a name for the flag only from 3.13 on.
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Reads an IDX file of unsigned bytes, gzipped if its name ends in ``.gz``.

    The tensor has the shape that the header states. Raises InputError if the file is unreadable, of
    another type or number of dimensions, or not as long as that.
    """
    content = bytearray(read_bytes(path))
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise InputError(f"{path}: {len(content)} bytes found; the IDX header alone has {start}")
    if content[:4] != bytes((0, 0, 8, dimensions)):
        raise InputError(
            f"{path}: starts with 0x{content[:4].hex()}; expected 0x{8 << 8 | dimensions:08x}, "
            f"an IDX file of bytes in {dimensions} dimension(s)"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    size = math.prod(shape)
    expected = start + size
    if len(content) != expected:
        raise InputError(
            f"{path}: {len(content):,} bytes found; its header {shape} needs {expected:,}"
        )
    if size == 0:
        raise InputError(f"{path}: the header states {shape}; expected at least one item")
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).view(shape)


def read_bytes(path: Path) -> bytes:
    """Reads a file, decompressed if its name ends in ``.gz``.

    Raises InputError if the file is unreadable, damaged, not regular, or holds more than a
    gigabyte: a small compressed file can hold more than any memory.
    """
    check_file(path, "a whole file")
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        size = path.stat().st_size
        with opened(path, "rb") as file:
            content: bytes = file.read(MOST_BYTES + 1) if size <= MOST_BYTES else b""
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} is damaged or cannot be read ({error}); expected a whole file"
        ) from error
    if max(size, len(content)) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES:,} bytes in it; expected at most as many")
    return content


def read_stl10_images(path: Path) -> Tensor:
    """Maps an STL-10 image file, uint8 [N, 3, 96, 96]; nothing is read until a batch is indexed.

    The file stores each image column by column, so the result is a transposed view.
    """
    channels, height, width = STL10_SHAPE
    content = mapped_bytes(path)
    whole, rest = divmod(len(content), channels * height * width)
    if rest:
        raise InputError(
            f"{path}: {len(content):,} bytes found, {rest:,} more than {whole:,} images; "
            f"expected a multiple of {channels * height * width:,}"
        )
    return content.view(whole, channels, width, height).transpose(2, 3)


def read_stl10_labels(path: Path) -> Tensor:
    """Reads an STL-10 label file, int64 [N]; its classes 1 to 10 become 0 to 9."""
    labels = mapped_bytes(path).to(torch.int64)
    if labels.min() < 1 or labels.max() > 10:
        bad = int(labels[(labels < 1) | (labels > 10)][0])
        raise InputError(f"{path}: label {bad} found; expected 1 to 10")
    return labels - 1


def mapped_bytes(path: Path) -> Tensor:
    """Maps a file into memory, uint8 [bytes], privately: writes never reach the file."""
    try:
        with path.open("rb") as file:
            if sys.platform == "win32":
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            else:
                flags, access = mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
                content = mmap.mmap(file.fileno(), 0, flags=flags, prot=access)
    except (OSError, ValueError) as error:  # ValueError: an empty file can't be mapped
        raise InputError(f"{path}: cannot be read ({error}); expected a file of bytes") from error
    return torch.frombuffer(content, dtype=torch.uint8)
