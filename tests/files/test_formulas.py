"""Text in CSV that a spreadsheet would take for a formula."""

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastorch.files.catalog import read_catalog, write_frames
from plastorch.files.formulas import guarded, unguarded

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
TEXTS = st.text(st.sampled_from("'=+-@\t\r\n\",;.e19 aä＝"), max_size=8) | st.text(max_size=20)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formulas") / "a.csv"


@given(texts=st.lists(st.none() | TEXTS, max_size=6))
def test_what_is_read_is_what_was_written(path: Path, texts: list[str | None]) -> None:
    frame = pl.DataFrame({"text": ["text", *texts], "size": range(-1, len(texts))})
    write_frames([frame], path)
    assert read_catalog(path).equals(frame)
    with open(path, newline="", encoding="utf-8") as file:
        for cell, _ in csv.reader(file):
            if cell.startswith(STARTS):
                float(cell)


@pytest.mark.parametrize("text", ["-5", "+5", "-1.5", "-.5", "+2.", "-1e-9", "7", "", "a-b", "'a'"])
def test_plain_numbers_and_other_text_stay(text: str) -> None:
    assert guarded(pl.LazyFrame({"a": [text]})).collect()["a"].to_list() == [text]


NEARLY = ["-", "+", "-a", "-1+1", "-1-1", "--1", "-1e", "+1 2", "-1\n", "-١"]


@pytest.mark.parametrize("text", NEARLY)
def test_what_is_nearly_a_number_is_guarded(text: str) -> None:
    found = guarded(pl.LazyFrame({"a": [text]})).collect()
    assert found["a"].to_list() == [f"'{text}"]
    assert unguarded(found)["a"].to_list() == [text]


def test_categories_and_names_of_columns_are_guarded(path: Path) -> None:
    texts = pl.Series("=1+1", ["=2+2", "-5", None])
    enum = pl.Enum(["=2+2", "-5"])
    frame = pl.DataFrame([texts.cast(pl.Categorical), texts.alias("@b").cast(enum)])
    write_frames([frame], path)
    assert path.read_text() == "'=1+1,'@b\n'=2+2,'=2+2\n-5,-5\n,\n"
    assert read_catalog(path).equals(frame.cast(pl.String))


def test_columns_of_other_types_stay(path: Path) -> None:
    frame = pl.DataFrame({"size": [-5, 5], "share": [-0.5, None], "yes": [True, False]})
    write_frames([frame], path)
    assert "'" not in path.read_text() and read_catalog(path).equals(frame)
