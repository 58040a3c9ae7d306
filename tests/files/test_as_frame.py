"""Records in every form become the same frame; what can't is named."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.files.as_frame import as_frame
from plastorch.files.column_values import numbers, prefixes, texts, utf8
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key

ROWS = [{"owner": "ada", "size": 7, "load": 0.5}, {"owner": None, "size": 9, "load": None}]
FRAME = pl.DataFrame(ROWS)


@pytest.mark.parametrize(
    "form", ["dicts", "generator", "polars", "lazy", "pandas", "arrow", "path"]
)
def test_every_form_gives_the_same_frame(form: str, tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "a[1].parquet")
    forms = {
        "dicts": ROWS,
        "generator": (row for row in ROWS),
        "polars": FRAME,
        "lazy": FRAME.lazy(),
        "pandas": pd.DataFrame(ROWS, index=[5, 5]),
        "arrow": pa.Table.from_pylist(ROWS),
        "path": tmp_path / "a[1].parquet",
    }
    assert as_frame(forms[form]).equals(FRAME)


def test_a_path_may_be_text_and_pandas_columns_numbers(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "a.parquet")
    assert as_frame(str(tmp_path / "a.parquet")).equals(FRAME)
    assert as_frame(pd.DataFrame(np.eye(2))).columns == ["0", "1"]


def test_missing_is_null() -> None:
    frame = as_frame([{"a": float("nan"), "b": ""}, {"c": 1, "a": 2.0}])
    assert frame.rows() == [(None, "", None), (2.0, None, 1)]
    pandas = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None], "c": [True, None]})
    assert as_frame(pandas).rows() == [(1.0, "x", True), (None, None, None)]
    assert as_frame(pl.DataFrame({"a": [float("nan"), 1.0]}))["a"].to_list() == [None, 1.0]


@pytest.mark.parametrize("missing", [pd.NA, pd.NaT, np.datetime64("NaT")])
def test_missing_values_of_pandas_in_dicts(missing: Any) -> None:
    rows = [
        {"a": 1.5, "b": "x", "c": ["y", "z"]},
        {"a": missing, "b": missing, "c": ["y", missing]},
    ]
    assert as_frame(rows).rows() == [(1.5, "x", ["y", "z"]), (None, None, ["y", None])]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, "seven"], ["7", "seven"]),
        ([True, "x", None], ["true", "x", None]),
        ([1.5, 2, "x"], ["1.5", "2", "x"]),
        ([["a", "b"], "a"], ["a|b", "a"]),
        (["a", ["b", 3]], ["a", "b|3"]),
        ([["a", 1]], [["a", "1"]]),
        ([datetime.date(2020, 1, 2), "x"], ["2020-01-02", "x"]),
        ([{"k": 1}, "x"], ["{'k': 1}", "x"]),
        ([True, 2, 1.5], [1.0, 2.0, 1.5]),
        (["ok", "\udcff.txt"], ["ok", "\\udcff.txt"]),
        (["a", float("nan")], ["a", None]),
        ([2**200, 5], [str(2**200), "5"]),
        ([2**70, 5], [2**70, 5]),
        ([2**70, "x"], [str(2**70), "x"]),
        ([np.int64(3), np.float32(0.5)], [3.0, 0.5]),
    ],
)
@pytest.mark.parametrize("form", ["dicts", "pandas"])
def test_mixed_types_become_text(values: list[Any], expected: list[Any], form: str) -> None:
    if form == "pandas":
        records = pd.DataFrame({"k": pd.Series(values, dtype=object), "n": range(len(values))})
    else:
        records = [{"k": value, "n": place} for place, value in enumerate(values)]
    assert as_frame(records)["k"].to_list() == expected


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "records are 0 with 0 keys"),
        ([{}], "records are 1 with 0 keys"),
        (pl.DataFrame({"a": []}), "records are 0 with 1 keys"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "keys a appear twice"),
        (pa.table([[1], [2]], names=["a", "a"]), "not a frame: .*a"),
        ([{"a": 1}, 3], r"records\[1\] is int; expected a dict"),
        ([{7: 1}], "key 7 is int; expected text"),
        ([{"a": b"x"}], "key 'a' holds Binary"),
        ([{"a": {"b": 1}}], "key 'a' holds Struct"),
        ([{"a": [[1]]}], "key 'a' holds List"),
        ([{"a": object()}], "key 'a' holds Object"),
        (pd.DataFrame({"b": [1, 2], "a": [1j, 2]}), "key 'a' holds Object"),
        (pd.DataFrame({"a": np.ones(2, np.longdouble)}), "key 'a'.*float128"),
        ("nowhere.parquet", "nowhere.parquet is not a file"),
        (__file__, "is not Parquet"),
        (Path(__file__).parent, "is not a file"),
        (7, "records are int; expected dicts"),
        ({"a": [1]}, "records are dict; expected dicts"),
    ],
)
def test_bad_input(records: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_frame(records)


def test_half_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    FRAME.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="is not Parquet"):
        as_frame(path)


@pytest.mark.parametrize("kind", ["category", "set", "path"])
def test_a_value_of_ten_megabytes_is_hashed_whole(kind: Any) -> None:
    long = "a/b|c" * 2_000_000
    encoder = CorrelativeEncoder((Key("k", kind, 20, depth=3 if kind == "path" else 0),))
    bins = encoder.encode([{"k": long}, {"k": long + "/z|z"}, {"k": long}])
    assert (bins[0] == bins[2]).all()
    # Of paths, only three components count.
    assert (bins[0] == bins[1]).all() == (kind == "path")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pl.Series([1, None]), ["1", None]),
        (pl.Series([1.0, -2.5, 2.0**52, float("nan")]), ["1", "-2.5", str(2**52), None]),
        (pl.Series([True, False]), ["true", "false"]),
        (pl.Series(["x"], dtype=pl.Categorical), ["x"]),
        (pl.Series([["b", None, "a"], []]), ["b|a", ""]),
        (pl.Series([[7.0, None, -2.5], [], None]), ["7|-2.5", "", None]),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)), ["1|2"]),
        (pl.Series([Decimal("1.50")]), ["1.5"]),
        (pl.Series([datetime.timedelta(seconds=2)]), ["2000000"]),
        (pl.Series([None, None]), [None, None]),
    ],
)
def test_values_as_text(column: pl.Series, expected: list[str | None]) -> None:
    assert texts(column).to_list() == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pl.Series([1, None]), [1, np.nan]),
        (pl.Series([True]), [1]),
        (pl.Series(["2.5", "x"], dtype=pl.Categorical), [2.5, np.nan]),
        (pl.Series([Decimal("1.5")]), [1.5]),
        (pl.Series([datetime.date(1970, 1, 2)]), [86400]),
        (pl.Series([datetime.datetime(1970, 1, 1, 1, 0, 0, 500_000)]), [3600.5]),
        (pl.Series([datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)]), [0]),
        (pl.Series([datetime.timedelta(milliseconds=1500)]), [1.5]),
        (pl.Series([datetime.time(1, 0, 1)]), [3601]),
    ],
)
def test_values_as_numbers(column: pl.Series, expected: list[float]) -> None:
    np.testing.assert_equal(numbers(column), expected)


@settings(max_examples=50)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_bytes_of_texts(values: list[str | None]) -> None:
    data, offsets, present = utf8(pl.Series(values, dtype=pl.String))
    assert present.tolist() == [value is not None for value in values]
    for value, begin, end in zip(values, offsets[:-1], offsets[1:], strict=True):
        assert bytes(data[begin:end]) == (value or "").encode()


def test_first_components_of_paths() -> None:
    found = prefixes(pl.Series(["/usr/share/doc", "etc", None]), 2)
    assert found.to_list() == ["usr/share", "etc", None]
