"""Names that are code to a browser stay text on every page.

A page is made twice, with harmless names and with hostile ones: an HTML parser must find the same
elements with the same attributes in both, and the hostile names as text.
"""

import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plastorch.cli import main
from plastorch.files.store import Labeled, LabelStore, Stamp
from plastorch.report import write_gallery, write_report

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></head><iframe src=javascript:alert(1)>",
    "javascript:alert(1)",
    "<!--",
    "]]><svg onload=alert(1)>",
    "&lt;b&gt; &#60;i&#62;",
    "\u202e<bdo dir=rtl>",
    "a\x00<b\x1b[2J\r\n>",
    "\ufeff<\ud800p>",
    "${x}{{x}}`x`",
]


class Skeleton(HTMLParser):
    """Elements with the names of their attributes, addresses, and the text between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *sorted(name for name, _ in attrs)))
        self.addresses += [
            value or "" for name, value in attrs if name in ("href", "src", "srcset")
        ]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(("/", tag))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.tags.append(("declaration", decl))

    def unknown_decl(self, data: str) -> None:
        self.tags.append(("unknown", data))

    def handle_pi(self, data: str) -> None:
        self.tags.append(("instruction", data))


def check(make: Callable[[str, Path], Path], name: str, folder: Path) -> Skeleton:
    """The page of a hostile name has the elements of the page of a harmless one."""
    pages = []
    for place, each in (("harmless", "plain"), ("hostile", name)):
        (folder / place).mkdir()
        content = make(each, folder / place).read_bytes().decode("utf-8")
        assert "\0" not in content
        pages.append(Skeleton(content))
    assert pages[0].tags == pages[1].tags
    for address in pages[1].addresses:
        assert address.startswith(("data:", "./"))
    return pages[1]


def run_folder(name: str, runs: Path) -> Path:
    """A run in which all that can be a name is this one."""
    place = name.translate({ord(odd): "_" for odd in "/\0\ud800"})
    run = runs / place / "20260101-000000-seed0"
    run.mkdir(parents=True)
    claim = dict.fromkeys(("id", "statement", "target", "measured", "origin"), name)
    result = {
        "experiment": name,
        "paper": name,
        "config": {"seed": 0, f"x{name}": name, "list": [name, name]},
        "data": {"name": name, "notice": name, "source": name, "classes": [name, f"y{name}"]},
        "seed": name,
        "metrics": {f"x{name}": 0.5, f"z{name}_s": 2.0},
        "claims": [claim | {"holds": None}, claim | {"holds": True}, claim | {"holds": False}],
        "wall_s": 1.0,
        "device": name,
        "versions": {f"x{name}": name},
        "quick": True,
        "complete": False,
    }
    (run / "result.json").write_text(json.dumps(result))
    rows = [{"phase": name, "step": step, f"x{name}": step / 2} for step in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_the_page_of_a_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plastorch.report.page.to_png", lambda figure, dpi=0: b"png")
    page = check(lambda each, runs: write_report(run_folder(each, runs)), name, tmp_path)
    assert all(word in page.text for word in re.findall("[a-z]{3,}", name))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_the_gallery(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plastorch.report.page.to_png", lambda figure, dpi=0: b"png")
    if "\ud800" in name:
        name = os.fsdecode(b"<\xffp>")  # file names have lone bytes, not lone surrogates

    def make(each: str, runs: Path) -> Path:
        run_folder(each, runs)
        broken = runs / "broken" / each.replace("/", "_").replace("\0", "_")
        broken.mkdir(parents=True)
        (broken / "result.json").write_text(json.dumps({"experiment": each, each: each}))
        return write_gallery(runs)

    check(make, name, tmp_path)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_the_page_of_labels(name: str, tmp_path: Path) -> None:
    def of_store(each: str, folder: Path) -> Path:
        each = each.replace("\ud800", "")
        row = Labeled(f"/a/{each}", Stamp(1, 2, 3, 4), each, 0.9, each, "m", 0.0)
        with LabelStore(folder / "labels") as store:
            store.put([row, row._replace(path="/b", label=f"x{each}", confidence=0.1)])
        assert main(["files", "show", f"{folder}/labels", "--out", f"{folder}/a.html"]) == 0
        return folder / "a.html"

    def of_table(each: str, folder: Path) -> Path:
        each = each.replace("\ud800", "")
        rows = {
            "path": [each, "b"],
            "class": [each, "d"],
            "confidence": [0.9, 0.1],
            "keys": [each] * 2,
        }
        pl.DataFrame(rows).write_parquet(folder / "p.parquet")
        assert main(["files", "show", f"{folder}/p.parquet", "--out", f"{folder}/b.html"]) == 0
        return folder / "b.html"

    for number, make in enumerate((of_store, of_table)):
        (tmp_path / str(number)).mkdir()
        page = check(make, name, tmp_path / str(number))
        assert "\u202e" not in page.text and "\x1b" not in page.text


@pytest.mark.parametrize("page", ["show", "page"])
def test_the_page_of_a_model(page: str, tmp_path: Path) -> None:
    """Classes and keys of hostile names, from a hostile table to the page."""

    def make(each: str, folder: Path) -> Path:
        rows = {"label": [each, "other"] * 10, each: list(range(20)), "n": [1, 2] * 10}
        pl.DataFrame(rows).write_parquet(folder / "t.parquet")
        table, model, out = (f"{folder}/{name}" for name in ("t.parquet", "m", "a.html"))
        small = ["--hidden", "4", "--neurons", "10", "--epochs", "1"]
        assert main(["files", "fit", table, "--label", "label", "--out", model, *small]) == 0
        given = [model] if page == "show" else [model, table]
        assert main(["files", page, *given, "--out", out]) == 0
        return Path(out)

    for number, name in enumerate(("<script>alert(1)</script>", HOSTILE[1], HOSTILE[3])):
        (tmp_path / str(number)).mkdir()
        assert name in check(make, name, tmp_path / str(number)).text


def test_a_file_that_is_called_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the tree to the page: the name is that of the file, and stays it."""
    tree: Any = tmp_path / "tree"
    tree.mkdir()
    for number in range(12):
        (tree / f"<script>{number}.{'py' if number % 2 else 'txt'}").write_text("x" * number)
    table, model, out, page = (str(tmp_path / n) for n in ("t.parquet", "m", "p.parquet", "a.html"))
    small = ["--hidden", "4", "--neurons", "30", "--epochs", "1"]
    assert main(["files", "scan", str(tree), "--out", table]) == 0
    assert main(["files", "fit", table, "--label", "extension", "--out", model, *small]) == 0
    assert main(["files", "predict", model, table, "--out", out]) == 0
    assert main(["files", "show", out, "--out", page]) == 0
    skeleton = Skeleton(Path(page).read_text())
    assert "<script>1.py" in skeleton.text
    assert not [tag for tag in skeleton.tags if "script" in tag]
