"""Readers of the official binary formats: IDX (MNIST), CIFAR pickles, STL-10.

Nothing in a file is ever executed; a damaged file is an InputError that names it.
"""

import gzip
import io
import math
import mmap
import pickle
import pickletools
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_file

MOST_BYTES = 1 << 30
"""Of a file that is read as a whole; the largest of the official ones has a twentieth."""
STL10_SHAPE = (3, 96, 96)
# A private map is charged against memory unless told not to be, and one larger than memory would
# be refused. Python names the flag only from 3.13 on.
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Reads an IDX file of unsigned bytes, gzipped if its name ends in ``.gz``.

    Args:
        path: The file.
        dimensions: How many it must have: 3 for images, 1 for labels.

    Returns:
        uint8, of the shape that the header states.

    Raises:
        InputError: The file is unreadable, of another type, cut short or too long.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "labels")
        ...     _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
        ...     read_idx(file, 1)
        tensor([7, 9], dtype=torch.uint8)
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
    """What is in a file, unpacked if its name ends in ``.gz``.

    Args:
        path: The file.

    Raises:
        InputError: It is unreadable, damaged, no regular file, or holds more than a gigabyte: a
            small packed file can hold more than any memory.
    """
    check_file(path, "a whole file")
    opened = gzip.open if path.suffix == ".gz" else open
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


def read_pickle(path: Path) -> dict[str, Any]:
    """Reads a CIFAR pickle: a dictionary of arrays, lists and strings, and nothing else.

    Args:
        path: The file.

    Returns:
        The dictionary, its keys as str whether they were pickled as bytes or text.

    Raises:
        InputError: The pickle names any class or function beyond those that rebuild a numpy
            array (they are refused, not called), is cut short, or is no dictionary.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "batch")
        ...     _ = file.write_bytes(pickle.dumps({b"labels": [3, 1]}, protocol=2))
        ...     read_pickle(file)
        {'labels': [3, 1]}
    """
    try:
        content = path.read_bytes()
        _check_opcodes(content)
        value = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        size = f"{path.stat().st_size:,} bytes" if path.is_file() else "no file"
        raise InputError(
            f"{path}: {size} found that end or break before the pickle is complete "
            f"({type(error).__name__}: {error}); expected the official file"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: a {type(value).__name__} found; expected a pickled dictionary")
    return {k.decode("latin1") if isinstance(k, bytes) else str(k): v for k, v in value.items()}


class _ArraysOnly(pickle.Unpickler):
    """Resolves the few names that rebuild numpy arrays, and refuses every other."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "ndarray"): _empty_array,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _latin1_bytes,
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
        }
        if (module, name) not in allowed:
            raise InputError(f"the pickle asks for {module}.{name}, which is refused")
        return allowed[module, name]


def _empty_array(*_: object) -> "np.ndarray[Any, Any]":
    """What numpy begins with, whatever the pickle says: the content, which is counted, follows."""
    return np.empty(0, np.int8)


def _check_opcodes(content: bytes) -> None:
    """Refuses what makes a small pickle take endless memory or time.

    That is to remember an object under a huge number, and to build tuples, or sets, that hold one
    another many times.
    """
    tuples: dict[int, bool] = {}
    before = ""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if opcode.name in ("DUP", "FROZENSET", "ADDITEMS"):
            raise InputError(f"the pickle has the opcode {opcode.name}, which is refused")
        if "PUT" in opcode.name or opcode.name == "MEMOIZE":
            place = len(tuples) if opcode.name == "MEMOIZE" else int(argument or 0)
            if place > count:
                raise InputError(f"the pickle has the place {place}, which is refused")
            tuples[place] = "TUPLE" in before
        elif "GET" in opcode.name and tuples.get(int(argument or 0)):
            raise InputError("the pickle repeats a tuple, which is refused")
        before = opcode.name


def _latin1_bytes(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise InputError(f"the pickle asks for the encoding {encoding!r}, which is refused")
    return text.encode("latin1")


def read_cifar(path: Path, label_key: str) -> tuple[Tensor, Tensor]:
    """Reads a batch file of CIFAR-10 or CIFAR-100.

    Args:
        path: The file.
        label_key: ``"labels"`` (CIFAR-10) or ``"fine_labels"`` (CIFAR-100).

    Returns:
        Images, uint8 [N, 3, 32, 32], and labels, int64 [N].

    Raises:
        InputError: The file is damaged, unsafe, or holds something else.
    """
    batch = read_pickle(path)
    if missing := {"data", label_key} - batch.keys():
        raise InputError(f"{path}: no {sorted(missing)} in {sorted(batch)}; expected a CIFAR batch")
    data, labels = batch["data"], batch[label_key]
    if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (3072,)):
        found = getattr(data, "shape", type(data).__name__)
        raise InputError(f"{path}: 'data' is {found}; expected bytes of shape [N, 3072]")
    if isinstance(labels, np.ndarray) and labels.itemsize > 0:
        labels = labels.tolist()
    if not (isinstance(labels, list) and all(type(y) is int and 0 <= y < 100 for y in labels)):
        raise InputError(
            f"{path}: {label_key!r} is no list of class numbers; expected one an image"
        )
    if len(labels) != len(data):
        raise InputError(f"{path}: {len(data):,} images but {len(labels):,} labels")
    images = torch.from_numpy(data.copy()).view(-1, 3, 32, 32)
    return images, torch.tensor(labels, dtype=torch.int64)


def read_stl10_images(path: Path) -> Tensor:
    """Maps an STL-10 image file; nothing is read until a batch is indexed.

    The file stores each image column by column, so what is returned is a transposed view.

    Args:
        path: ``train_X.bin``, ``test_X.bin`` or ``unlabeled_X.bin``.

    Returns:
        uint8 [N, 3, 96, 96], a view of the mapped file.

    Raises:
        InputError: The file is empty or not a whole number of images.
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
    """Reads an STL-10 label file, whose classes 1 to 10 become 0 to 9.

    Args:
        path: ``train_y.bin`` or ``test_y.bin``.

    Returns:
        int64 [N].

    Raises:
        InputError: The file is empty or a label is outside 1 to 10.
    """
    labels = mapped_bytes(path).to(torch.int64)
    if labels.min() < 1 or labels.max() > 10:
        bad = int(labels[(labels < 1) | (labels > 10)][0])
        raise InputError(f"{path}: label {bad} found; expected 1 to 10")
    return labels - 1


def mapped_bytes(path: Path) -> Tensor:
    """Maps a file into memory, privately: a write to the tensor never reaches the file.

    Args:
        path: The file; it may be larger than memory.

    Returns:
        uint8 [bytes].

    Raises:
        InputError: The file is not there, not readable or empty.
    """
    try:
        with path.open("rb") as file:
            if sys.platform == "win32":
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            else:
                flags, access = mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
                content = mmap.mmap(file.fileno(), 0, flags=flags, prot=access)
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise InputError(f"{path}: cannot be read ({error}); expected a file of bytes") from error
    return torch.frombuffer(content, dtype=torch.uint8)
