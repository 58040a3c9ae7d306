"""Sidecars and tags: what other programs find, and that nothing of theirs is lost."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from plastorch.cli import main
from plastorch.files import hand_over
from plastorch.files.hand_over import TAGS, Answer, write_sidecars, write_tags

XMP_KEYWORDS = "{*}RDF/{*}Description/{http://purl.org/dc/elements/1.1/}subject/{*}Bag/{*}li"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    for name in ("a.txt", "sub/b.txt", "sub/c"):
        (root / name).write_text("hello")
    return root


def answer(path: str, label: str = "text") -> Answer:
    return Answer(path, label, 0.75, "size, owner")


@pytest.fixture
def attributes(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, bytes]]:
    """Attributes of files by inode: not every file system of a test machine has them."""
    kept: dict[int, bytes] = {}

    def get(file: int, name: str) -> bytes:
        assert name == TAGS
        if os.fstat(file).st_ino not in kept:
            raise OSError(errno.ENODATA, "no data")
        return kept[os.fstat(file).st_ino]

    def put(file: int, name: str, value: bytes) -> None:
        assert name == TAGS
        kept[os.fstat(file).st_ino] = value

    monkeypatch.setattr(os, "getxattr", get)
    monkeypatch.setattr(os, "setxattr", put)
    yield kept


def test_json(tree: Path) -> None:
    fates = write_sidecars(tree, [answer("a.txt"), answer("sub/c", 'a"b\n')], "json", "m1")
    assert fates == {"written": 2}
    assert json.loads((tree / "a.txt.json").read_text()) == {
        "plastorch": "m1",
        "class": "text",
        "confidence": 0.75,
        "keys": ["size", "owner"],
    }
    assert json.loads((tree / "sub" / "c.json").read_text())["class"] == 'a"b\n'


@pytest.mark.parametrize("label", ["text", "<b>&amp;", "\x1b[2J\0", "é\u202e", "]]>", "{}"])
def test_xmp(tree: Path, label: str) -> None:
    assert write_sidecars(tree, [answer("a.txt", label)], "xmp", "m") == {"written": 1}
    root = ElementTree.parse(tree / "a.txt.xmp").getroot()
    (keyword,) = root.findall(XMP_KEYWORDS)
    assert keyword.text == label.replace("\x1b", "\\x1b").replace("\0", "\\x00")


@pytest.mark.parametrize("form", ["json", "xmp"])
def test_own_sidecars_are_renewed_and_those_of_others_kept(tree: Path, form: str) -> None:
    (tree / f"sub/b.txt.{form}").write_text("{}")
    os.symlink(tree / "a.txt", tree / f"sub/c.{form}")
    answers = [answer("a.txt"), answer("sub/b.txt"), answer("sub/c")]
    fates = write_sidecars(tree, answers, form, "m")  # type: ignore[arg-type]
    assert fates == {"written": 1, "kept a sidecar of another program": 2}
    again = [answer("a.txt", "new"), answer(f"a.txt.{form}")]
    fates = write_sidecars(tree, again, form, "m")  # type: ignore[arg-type]
    assert fates == {"written": 1, "sidecars themselves": 1}
    assert "new" in (tree / f"a.txt.{form}").read_text()
    assert (tree / f"sub/b.txt.{form}").read_text() == "{}"
    assert (tree / "a.txt").read_text() == "hello"
    assert not list(tree.rglob("*.partial")) and not (tree / f"a.txt.{form}.{form}").exists()


def test_files_that_are_not_there_any_more(tree: Path) -> None:
    (tree / "link").symlink_to("a.txt")
    (tree / "folder").symlink_to("sub")
    os.mkfifo(tree / "pipe")
    answers = [answer(name) for name in ("gone", "gone/x", "link", "folder/b.txt", "pipe", "sub")]
    expected = {"vanished": 4, "reached through a symbolic link": 2}
    assert write_sidecars(tree, answers, "json", "m") == expected
    assert write_tags(tree, answers, dry=False, tell=pytest.fail) == expected  # type: ignore[arg-type]
    assert sorted(path.name for path in tree.rglob("*.json")) == []


def test_folders_that_cannot_be_written(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise hand_over.WriteError(f"can't write {path}")

    monkeypatch.setattr(hand_over, "write_atomically", refuse)
    assert write_sidecars(tree, [answer("a.txt")], "json", "m") == {"can't be written": 1}


def test_names_too_long_for_a_sidecar(tree: Path) -> None:
    name = "a" * 254
    (tree / name).write_text("hello")
    assert write_sidecars(tree, [answer(name)], "json", "m") == {"can't be written": 1}


def test_tags_are_added(tree: Path, attributes: dict[int, bytes]) -> None:
    names = ("a.txt", "sub/b.txt", "sub/c")
    inodes = [(tree / name).stat().st_ino for name in names]
    attributes[inodes[1]] = b"mine,\xff caf\xc3\xa9"
    attributes[inodes[2]] = b"mine, text"
    before = dict(attributes)
    told: list[Answer] = []
    for dry in (True, False):
        fates = write_tags(tree, map(answer, names), dry=dry, tell=told.append)
        assert fates == {"tagged": 2, "tagged before": 1}
        if dry:
            assert attributes == before
    assert [each.path for each in told] == ["a.txt", "sub/b.txt"] * 2
    assert [attributes[inode] for inode in inodes] == [
        *(b"text", b"mine,\xff caf\xc3\xa9,text", b"mine, text")
    ]
    assert write_tags(tree, map(answer, names), dry=False, tell=told.append) == {"tagged before": 3}


@pytest.mark.parametrize(
    ("number", "fate"),
    [
        (errno.ENOTSUP, "on a file system without extended attributes"),
        (errno.EROFS, "can't be written"),
        (errno.ENOSPC, "no room for tags"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_file_systems_that_refuse(
    tree: Path, attributes: object, monkeypatch: pytest.MonkeyPatch, number: int, fate: str
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "setxattr", refuse)
    answers = [answer("a.txt"), answer("sub/c")]
    assert write_tags(tree, answers, dry=False, tell=lambda each: None) == {fate: 2}


def test_real_attributes(tree: Path) -> None:
    try:
        os.setxattr(tree / "a.txt", TAGS, b"mine")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    write_tags(tree, [answer("a.txt")], dry=False, tell=lambda each: None)
    assert os.getxattr(tree / "a.txt", TAGS) == b"mine,text"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree, and a model of its kinds of files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    random = np.random.default_rng(0)
    for number in range(30):
        end = ("py", "txt")[number % 2]
        (tmp_path / "files" / f"a{number}.{end}").write_text("x" * int(random.integers(99)))
    (tmp_path / "files" / "=\udcff\\xff\x1b.txt").write_text("odd")
    assert main(["files", "scan", "files", "--out", "c.parquet"]) == 0
    fit = ["files", "fit", "c.parquet", "--label", "extension", "--out", "m"]
    assert main([*fit, "--epochs", "2", "--hidden", "8", "--neurons", "40"]) == 0
    return tmp_path


PREDICT = ["files", "predict", "m", "files", "--out"]


@pytest.mark.parametrize("out", ["o.csv", "o.parquet", "o.jsonl"])
def test_the_command(
    place: Path, attributes: dict[int, bytes], out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([*PREDICT, out, "--sidecar", "json", "--write-xattr"]) == 0
    printed = capsys.readouterr().out
    assert "sidecars: 31 written\n" in printed and not attributes
    assert "tags: 31 tagged; nothing was written: --yes writes them\n" in printed
    assert printed.count("would tag ") == 20 and "\x1b" not in printed
    assert len(list((place / "files").glob("*.json"))) == 31

    assert main([*PREDICT, out, "--write-xattr", "--yes"]) == 0
    assert "tags: 62 tagged\n" in capsys.readouterr().out and len(attributes) == 62
    assert main([*PREDICT, out, "--sidecar", "json"]) == 0
    assert "sidecars: 31 sidecars themselves, 31 written\n" in capsys.readouterr().out


def test_names_that_look_like_numbers_or_formulas_stay(
    tmp_path: Path, attributes: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("files").mkdir()
    sizes = dict(zip(("1", "01", "001", "'=x"), (9, 900, 9, 900), strict=True))
    for name, size in sizes.items():
        Path("files", name).write_text("x" * size)
    frame = pl.DataFrame({"size": [9, 900] * 20, "k": ["01", "02"] * 20})
    frame.write_parquet("t.parquet")
    fit = ["files", "fit", "t.parquet", "--label", "k", "--out", "m", "--epochs", "60"]
    assert main([*fit, "--hidden", "16", "--neurons", "20"]) == 0
    assert main([*PREDICT, "o.csv", "--raw", "--sidecar", "json", "--write-xattr", "--yes"]) == 0
    found = {name: json.loads(Path("files", f"{name}.json").read_text()) for name in sizes}
    assert {name: each["class"] for name, each in found.items()} == {
        name: "01" if size == 9 else "02" for name, size in sizes.items()
    }
    assert sorted(attributes.values()) == [b"01", b"01", b"02", b"02"]


def test_what_is_being_written_is_not_labeled(place: Path) -> None:
    for _ in range(2):
        assert main([*PREDICT, "files/o.parquet"]) == 0
        assert pl.read_parquet("files/o.parquet").height == 31


def test_mistakes_are_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"size": [1, 2] * 9, "k": ["a,b", "c"] * 9}).write_csv("t.csv")
    fit = ["files", "fit", "t.csv", "--label", "k", "--out", "n"]
    assert main([*fit, "--epochs", "1", "--hidden", "4", "--neurons", "4"]) == 0
    capsys.readouterr()
    for arguments, words in (
        (["m", "c.parquet", "--sidecar", "xmp"], "records are 'c.parquet'; expected a folder"),
        (["m", "c.parquet", "--write-xattr"], "records are 'c.parquet'; expected a folder"),
        (["m", "files", "--yes"], "expected --write-xattr with it"),
        (["n", "files", "--write-xattr"], "class 'a,b' holds a comma"),
    ):
        assert main(["files", "predict", *arguments, "--out", "o.csv"]) == 2
        printed = capsys.readouterr()
        assert words in printed.err and len(printed.err.splitlines()) == 1 and printed.out == ""
        assert not Path("o.csv").exists()
