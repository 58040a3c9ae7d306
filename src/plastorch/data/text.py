"""Text that comes with every Python: the source of its standard library. No download."""

import sysconfig
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import InputError

SYMBOLS = 128
"""Number of different characters, those of ASCII; others are read as question marks."""
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests"}
"""Folders whose files are not part of the library, or not of every Python."""
MACHINE = "_sysconfigdata"
"""Beginning of the names of files that differ from machine to machine."""
PARTS = 10
"""Number of parts of the files: one to test, one to validate, the others to learn from."""


class Text(NamedTuple):
    """Characters of three parts of a text, which share no file, as numbers below 128, uint8."""

    train: Tensor
    validation: Tensor
    test: Tensor
    files: int
    """Number of files of all parts."""


def library_source(root: Path | None = None) -> Text:
    """Reads the source of Python's standard library.

    A file's part follows from its path alone, so it stays the same when other files come and go.

    Args:
        root: folder of the library; by default that of the running Python.

    Returns:
        The text, about 12 million characters with Python 3.11.

    Raises:
        InputError: a part has no file.

    Example:
        >>> text = library_source()
        >>> len(text.train) > 4 * len(text.test)
        True
    """
    root = Path(sysconfig.get_path("stdlib")) if root is None else root
    parts: list[list[bytes]] = [[] for _ in range(PARTS)]
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if LEFT_OUT.isdisjoint(place.parts) and not path.name.startswith(MACHINE):
            part = int.from_bytes(sha256(place.as_posix().encode()).digest()) % PARTS
            text = path.read_text("utf-8", errors="replace")
            parts[part].append(text.encode("ascii", errors="replace"))
    test, validation, *others = map(b"".join, parts)
    found = {"train": b"".join(others), "validation": validation, "test": test}
    for name, characters in found.items():
        if not characters:
            raise InputError(f"{root} has no Python files for the part {name!r}")
    train, validated, tested = (_tensor(characters) for characters in found.values())
    return Text(train, validated, tested, sum(map(len, parts)))


def _tensor(characters: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(bytearray(characters), np.uint8))


STRING = 7
"""Length of compared strings: six characters, and the one to be predicted."""


def windows(text: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Cuts a text into windows, int64 [N, T]; returns them and the characters that follow, [N, T].

    An incomplete window at the end is dropped.

    Example:
        >>> read, following = windows(torch.tensor([0, 1, 2, 3, 4, 5]), 2)
        >>> read.tolist(), following.tolist()
        ([[0, 1], [2, 3]], [[1, 2], [3, 4]])
    """
    both = text.unfold(0, steps + 1, steps).long()
    return both[:, :-1], both[:, 1:]


def new_repeats(read: Tensor, following: Tensor, known: Tensor) -> Tensor:
    """Returns which characters can be predicted only from the window itself.

    They end a string of seven characters that occurs earlier in the window, and nowhere in the
    known text. Examples are names that a file introduces: a reader can complete them the second
    time.

    Args:
        read: windows [N, T].
        following: characters to be predicted, those that follow [N, T].
        known: text that models learn from [M].

    Returns:
        Whether this holds for each following character, bool [N, T].
    """
    strings = _strings(torch.cat([read, following[:, -1:]], dim=1))
    elsewhere = torch.unique(_strings(known))
    place = torch.searchsorted(elsewhere, strings).clamp(max=len(elsewhere) - 1)
    before = [
        (own[:, :, None] == own[:, None]).tril(-1).any(2) for own in torch.split(strings, 256)
    ]
    found = torch.zeros(read.shape, dtype=torch.bool)
    found[:, STRING - 2 :] = torch.cat(before) & (elsewhere[place] != strings)
    return found


def _strings(text: Tensor) -> Tensor:
    """Returns a number for each string, which no other string has."""
    place = SYMBOLS ** torch.arange(STRING)
    return (text.long().unfold(-1, STRING, 1) * place).sum(-1)
