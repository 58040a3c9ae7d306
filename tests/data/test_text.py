"""Text of the standard library: its parts, windows, and what only a window tells."""

import ast
import os
import sysconfig
from pathlib import Path

import pytest
import torch

from plastorch.data.text import STRING, library_source, new_repeats, windows
from plastorch.engine.errors import InputError


def library(root: Path, names: dict[str, str]) -> Path:
    """Returns a folder with 60 files, and others by name."""
    for name, text in {f"m{k}.py": f"x = {k:02}\n" for k in range(60)}.items() | names.items():
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_files_are_read_once_and_whole(tmp_path: Path) -> None:
    strange = {"ä.py": "é\n", "test/a.py": "!", "site-packages/b.py": "!", "c.txt": "!"}
    text = library_source(library(tmp_path, {**strange, "_sysconfigdata_x.py": "!"}))
    assert text.files == 61
    lines = "".join(bytes(part.numpy()).decode("ascii") for part in text[:3]).splitlines()
    assert sorted(lines) == sorted(["?", *(f"x = {k:02}" for k in range(60))])
    assert 0 < len(text.test) < len(text.train) / 2


def test_a_file_stays_in_its_part(tmp_path: Path) -> None:
    few = library_source(library(tmp_path, {}))
    more = library_source(library(tmp_path, {"a.py": "a\n", "b/c.py": "b\n"}))
    for before, after in zip(few[:3], more[:3], strict=True):
        lines = [bytes(part.numpy()).splitlines() for part in (before, after)]
        assert set(lines[0]) == set(lines[1]) - {b"a", b"b"}


def test_the_real_library() -> None:
    text = library_source()
    assert len(text.train) > 5_000_000
    everything = b"".join(bytes(part.numpy()) for part in text[:3])
    source = Path(ast.__file__).read_bytes()
    assert source.isascii() and source in everything
    assert Path(os.__file__).is_relative_to(sysconfig.get_path("stdlib"))


def test_a_part_without_files(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("x")
    with pytest.raises(InputError, match="has no Python files for the part"):
        library_source(tmp_path)


def test_new_repeats_against_strings() -> None:
    """A search of each window by hand."""
    random = torch.Generator().manual_seed(0)
    text = torch.randint(2, (3000,), generator=random, dtype=torch.uint8)
    known = torch.randint(2, (60,), generator=random, dtype=torch.uint8)
    read, following = windows(text, 40)
    found = new_repeats(read, following, known)
    elsewhere, count = bytes(known.numpy()), 0
    for row, (window, after) in enumerate(zip(read, following, strict=True)):
        whole = bytes([*window.tolist(), int(after[-1])])
        for end in range(2, len(whole) + 1):
            string = whole[max(0, end - STRING) : end]
            # The string before it may overlap with it, but isn't it.
            told = len(string) == STRING and whole.find(string, 0, end - 1) >= 0
            expected = told and string not in elsewhere
            assert bool(found[row, end - 2]) == expected
            count += expected
    assert 0 < count < found.numel() / 2
