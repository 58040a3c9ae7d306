"""Patterns of records by their parts are those of the encoder; distinct rows are found."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.files.distinct import distinct, packed
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key
from plastorch.files.predict import _different
from plastorch.spiking.patterns.parts import Parts, different

KEYS = (
    Key("owner", "category", 5),
    Key("size", "number", 9, center=2.0, scale=3.0),
    Key("hour", "cycle", 4, period=24, width=6),
    Key("tags", "set", 3),
    Key("path", "path", 6, depth=3),
)
VALUES = {
    "owner": st.sampled_from([None, "", "ada", "bob", "ädä"]),
    "size": st.one_of(st.none(), st.floats(-50, 50, allow_subnormal=False), st.just(float("inf"))),
    "hour": st.one_of(st.none(), st.integers(-5, 30)),
    "tags": st.sampled_from([None, "", "a", "a|b", "b|a"]),
    "path": st.sampled_from([None, "/a/b", "/a/c/d/e", "a/b", "/"]),
}
SCHEMA = {"owner": pl.String, "size": pl.Float64, "hour": pl.Int64, "tags": pl.String,
          "path": pl.String}  # fmt: skip


@given(st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=40), st.integers(0, 9))
def test_every_pattern_of_a_part_occurs(rows: list[dict], seed: int) -> None:
    encoder = CorrelativeEncoder(KEYS, bins=20, seed=seed)
    parts = encoder.encode_parts(pl.DataFrame(rows, schema=SCHEMA))
    for part, table in enumerate(parts.tables):
        assert sorted(np.unique(parts.codes[:, part])) == list(range(len(table)))


def test_numbers_with_the_same_pattern_are_one() -> None:
    random = np.random.default_rng(0)
    encoder = CorrelativeEncoder([Key("size", "number", 10)])
    frame = pl.DataFrame({"size": random.uniform(-2, 2, 5000)})
    parts = encoder.encode_parts(frame)
    assert (parts.assemble() == encoder.encode(frame)).all()
    # A grid of ten neurons on four widths; a step to the same bin makes no new pattern.
    assert 30 < len(parts.tables[0]) <= 41


def test_threads_and_missing_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"size": random.integers(0, 9, 100_000), "owner": ["ada", "b"] * 50_000})
    encoder = CorrelativeEncoder(KEYS)
    assert (encoder.encode_parts(frame).assemble() == encoder.encode(frame)).all()
    with pytest.raises(InputError, match="expected some of owner, size"):
        encoder.encode_parts(pl.DataFrame({"color": [1]}))


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(0, 3), min_size=width, max_size=width), min_size=0, max_size=60
        ).map(lambda rows: np.array(rows, np.uint64).reshape(-1, width))
    )
)
def test_distinct_rows(rows: np.ndarray) -> None:
    codes, firsts = distinct(rows)
    assert (rows[firsts][codes] == rows).all()
    assert len(firsts) == len(np.unique(rows, axis=0)) and (np.diff(firsts) > 0).all()


def test_slots_of_rows_can_not_be_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else made-up rows that share one would be compared each with each."""
    drawn = []
    monkeypatch.setattr("secrets.randbits", lambda bits: drawn.append(bits) or 7 * len(drawn))
    rows = np.random.default_rng(0).integers(0, 9, (300, 2)).astype(np.uint64)
    (codes, firsts), again = distinct(rows), distinct(rows)
    assert drawn == [64, 64]
    assert (codes == again[0]).all() and (firsts == again[1]).all()


def test_rows_of_another_type() -> None:
    with pytest.raises(InputError, match="rows is int64; expected"):
        distinct(np.zeros((3, 1), np.int64))
    with pytest.raises(InputError, match=r"rows is \[3\]; expected \[any, any\]"):
        distinct(np.zeros(3, np.uint64))


@given(st.lists(st.integers(1, 1 << 32), min_size=1, max_size=7), st.integers(0, 99))
def test_packed_codes_are_equal_where_the_codes_are(counts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    some = np.stack([random.integers(0, count, 3, dtype=np.uint32) for count in counts], 1)
    codes = some[random.integers(0, 3, 20)]
    words = packed(codes, counts)
    same = (codes[:, None] == codes).all(2)
    assert ((words[:, None] == words).all(2) == same).all()


@pytest.mark.parametrize("rows", [3, 90])
@pytest.mark.parametrize("mostly", [0.0, 1.0])
def test_repeated_records_are_found_unless_most_are_different(
    monkeypatch: pytest.MonkeyPatch, rows: int, mostly: float
) -> None:
    monkeypatch.setattr("plastorch.files.predict.MOSTLY", mostly)
    random = np.random.default_rng(0)
    tables = [np.zeros((rows, 2), np.uint8)] * 2
    parts = Parts(tables, random.integers(0, rows, (200, 2), dtype=np.uint32))
    found, expected = _different(parts), different(parts)
    assert (parts.codes[found.rows][found.which] == parts.codes).all()
    assert len(found.rows) == (len(expected.rows) if mostly else 200)


@given(
    st.lists(
        st.one_of(
            st.floats(-1e18, 1e18, allow_subnormal=False),
            st.just(float("nan")),
            st.floats(-3, 3, allow_subnormal=False),
        ),
        min_size=1,
    ),
    st.integers(1, 40),
)
def test_numbers_in_the_same_cells_are_one(values: list[float], neurons: int) -> None:
    """The shortcut to a number's cells in all grids gives the patterns of each number alone."""
    encoder = CorrelativeEncoder([Key("size", "number", neurons)])
    frame = pl.DataFrame({"size": values}, schema={"size": pl.Float64})
    alone = [encoder.encode(frame[row : row + 1])[0] for row in range(frame.height)]
    assert (encoder.encode(frame) == np.array(alone).reshape(-1, neurons)).all()
