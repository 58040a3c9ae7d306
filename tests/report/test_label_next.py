"""The page of what to label next: in a browser, by keyboard, with hostile names, and back again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from plastorch.cli import main
from plastorch.files.catalog import read_catalog
from plastorch.files.classifier import FileClassifier

EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e,\n"
FORMULA = "=cmd|' /C calc'!A0"
FOCUSED = """() => { const style = getComputedStyle(document.activeElement);
  return [document.activeElement.tagName, style.outlineStyle !== 'none'
          && parseFloat(style.outlineWidth) >= 2] }"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of hostile names with a model, and its page."""
    folder, random = tmp_path_factory.mktemp("page"), np.random.default_rng(0)
    labels = np.array([EVIL, FORMULA, "plain"])[np.arange(90) % 3]
    frame = pl.DataFrame(
        {
            "path": [f"/a/{EVIL}{number}" for number in range(90)],
            "owner": [f"{FORMULA}{number % 5}" for number in range(90)],
            f"k{EVIL}": [EVIL, "x", None] * 30,
            "size": random.integers(0, 50, 90) + 9 * (np.arange(90) % 3),
            "tags": [["a", "b"], ["b"]] * 45,
        }
    )
    frame.write_parquet(folder / "t.parquet")
    model = FileClassifier(hidden=16, neurons=60, epochs=30).fit(frame.drop("path"), labels)
    model.save(folder / "m")
    command = ["files", "page", str(folder / "m"), str(folder / "t.parquet"), "--out"]
    assert main([*command, str(folder / "p.html")]) == 0
    return folder


@pytest.fixture(params=[(1440, "light"), (390, "dark")], ids=["laptop", "phone"])
def page(opened: Any, place: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, which complains of nothing, executes no name and asks for nothing."""
    with opened(place / "p.html", *request.param) as page:
        yield page


def test_labels_come_back(page: Any, place: Path, tmp_path: Path) -> None:
    """Labels that are given in the page, as fit reads them, with the keys of their records."""
    assert page.locator("select").count() == 50
    assert page.locator("#told").inner_text() == "0 of 50 labeled"
    page.locator("#download").click()
    assert page.locator("#told").inner_text() == "Choose a class first."
    names = page.locator("select").first.locator("option").all_inner_texts()
    chosen = {0: 1, 3: 2, 7: 3}
    for row, option in chosen.items():
        page.locator("select").nth(row).select_option(index=option)
    assert page.locator("#told").inner_text() == "3 of 50 labeled"
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "labels.csv"
    download.value.save_as(tmp_path / "labels.csv")

    found = read_catalog(tmp_path / "labels.csv")
    assert found.columns[0] == "path" and found.columns[-1] == "label" and found.height == 3
    assert "alert" in names[1] + names[2] + names[3] and FORMULA in names
    assert set(found["label"]) == {EVIL, FORMULA, "plain"}
    model = FileClassifier.load(place / "m")
    given = pl.read_parquet(place / "t.parquet")
    same = given.filter(pl.col("path").is_in(found["path"].to_list()))
    same = found.select("path").join(same, on="path", maintain_order="left")
    assert same["size"].to_list() == found["size"].to_list()
    assert np.allclose(model.predict_proba(found), model.predict_proba(same), atol=1e-6)
    sure = model.predict_proba(given).max(1)
    assert (model.predict_proba(found).max(1) <= np.sort(sure)[49] + 1e-6).all()
    model.partial_fit(found.drop("label"), found["label"].to_numpy())


def test_it_fits_and_can_be_used_by_keyboard(page: Any) -> None:
    width = page.evaluate("document.documentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for _ in range(50):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED) == ["SELECT", True]
    page.keyboard.press("ArrowDown")
    assert page.locator("#told").inner_text() == "1 of 50 labeled"
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == ["BUTTON", True]
    with page.expect_download():
        page.keyboard.press("Enter")


def test_axe_finds_no_barrier(page: Any, barriers: Any) -> None:
    assert barriers(page) == []


def test_what_it_shows(place: Path) -> None:
    page = (place / "p.html").read_text()
    assert page.count("<script") == 2 and page.count("<select") == 50 and "<img" not in page
    assert "50–60 %" in page and ">90<" in page.replace("\n", "")
    assert "default-src 'none'" in page and "script-src 'sha256-" in page


def test_mistakes_are_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "other.csv").write_text("other\n1\n")
    for records, out, words in (
        ("no", "q.html", "is not a file"),
        ("other.csv", "q.html", "has none of the model's keys"),
        ("t.parquet", "t.parquet", "which is read as well"),
        ("t.parquet", "m", "which is read as well"),
    ):
        command = ["files", "page", str(place / "m"), str(place / records), "--out"]
        assert main([*command, str(place / out)]) == 2
        printed = capsys.readouterr()
        assert words in printed.err and len(printed.err.splitlines()) == 1 and printed.out == ""
        assert not (place / "q.html").exists()
