"""Similarity against its definition, written out for two values at a time."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.files.key import Key
from plastorch.files.similarity import similarity, similarity_matrix

KEYS = (
    Key("owner", "category", 10),
    Key("size", "number", 25, center=3.0, scale=2.0, width=1.5),
    Key("age", "number", 2, center=1.0, scale=0.5, log=True),
    Key("count", "number", 3, scale=4.0, exact=True),
    Key("hour", "cycle", 15, period=24, width=6),
    Key("tags", "set", 20),
    Key("path", "path", 25, depth=4),
)


def naive_kernel(key: Key, a: Any, b: Any) -> float:
    """k_m by the table of the module."""
    if a is None or b is None:
        return 0.0
    if key.kind == "number":
        if key.log:
            a, b = np.log1p(max(a, 0)), np.log1p(max(b, 0))
        near = max(0.0, 1 - abs(a - b) / (key.scale * key.width))
        exact = key.neurons // 2 * key.exact
        return float((near * (key.neurons - exact) + (a == b) * exact) / key.neurons)
    if key.kind == "cycle":
        around = abs(a - b) % key.period
        return max(0.0, 1 - min(around, key.period - around) / key.width)
    if key.kind == "set":
        first, second = ({part for part in x.split("|") if part} for x in (a, b))
        return len(first & second) / len(first | second) if first | second else 1.0
    if key.kind == "path":
        first, second = ([part for part in x.split("/") if part] for x in (a, b))
        if first == second:
            return 1.0
        shared = 0
        while shared < min(len(first), len(second)) and first[shared] == second[shared]:
            shared += 1
        return min(shared, key.depth) / key.depth
    return float(a == b)


def naive_similarity(keys: tuple[Key, ...], a: dict[str, Any], b: dict[str, Any]) -> float:
    """S, as a sum over keys."""
    total = sum(key.neurons for key in keys)
    return sum(
        key.neurons / total * naive_kernel(key, a.get(key.name), b.get(key.name)) for key in keys
    )


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


RECORDS = st.fixed_dictionaries(
    {
        "owner": optional(st.sampled_from(["ada", "ben", "", "änne"])),
        "size": optional(st.floats(-1, 8)),
        "age": optional(st.floats(-1, 3)),
        "count": optional(st.integers(0, 6)),
        "hour": optional(st.floats(-30, 60)),
        "tags": optional(st.lists(st.sampled_from(["a", "b", "c", ""])).map("|".join)),
        "path": optional(st.lists(st.sampled_from(["x", "y", ""]), max_size=6).map("/".join)),
    }
)
SCHEMA = {
    "owner": pl.String,
    "size": pl.Float64,
    "age": pl.Float64,
    "count": pl.Int64,
    "hour": pl.Float64,
    "tags": pl.String,
    "path": pl.String,
}


@settings(max_examples=40)
@given(st.lists(st.tuples(RECORDS, RECORDS), min_size=1, max_size=20))
def test_similarity_is_its_definition(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    first, second = (pl.DataFrame(list(rows), schema=SCHEMA) for rows in zip(*pairs, strict=True))
    expected = np.array([naive_similarity(KEYS, a, b) for a, b in pairs])
    np.testing.assert_allclose(similarity(KEYS, first, second), expected, atol=1e-9)
    np.testing.assert_array_equal(similarity(KEYS, second, first), similarity(KEYS, first, second))
    matrix = similarity_matrix(KEYS, first, second)
    np.testing.assert_allclose(np.diag(matrix), expected, atol=1e-5)


@settings(max_examples=20)
@given(st.lists(RECORDS, min_size=1, max_size=12))
def test_a_record_is_like_itself_in_what_it_has(rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA)
    has = [sum(k.neurons for k in KEYS if row[k.name] is not None) / 100 for row in rows]
    np.testing.assert_allclose(similarity(KEYS, frame, frame), has)


def test_the_matrix_holds_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plastorch.files.similarity.ROWS", 7)
    rng = np.random.default_rng(0)
    rows = [
        {
            "owner": str(rng.integers(3)),
            "size": rng.normal(3, 2),
            "age": rng.exponential(),
            "count": int(rng.integers(6)),
            "hour": rng.uniform(0, 24),
            "tags": "|".join(rng.choice(["a", "b", "c"], rng.integers(4)).tolist()),
            "path": "/".join(rng.choice(["x", "y"], rng.integers(6)).tolist()),
        }
        for _ in range(30)
    ]
    expected = [[naive_similarity(KEYS, a, b) for b in rows] for a in rows]
    whole = similarity_matrix(KEYS, rows)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    part = similarity_matrix(KEYS, rows[:5], rows[9:])
    np.testing.assert_allclose(part, np.array(expected)[:5, 9:], atol=1e-5)


def test_kinds_take_any_type() -> None:
    keys = (Key("c", "category", 1), Key("s", "set", 1), Key("n", "number", 2))
    first = pl.DataFrame({"c": [7.0, 7.5], "s": [["a", "b"], []], "n": ["1", "x"]})
    second = pl.DataFrame({"c": ["7", "7"], "s": ["b|a|a", ""], "n": [1.5, 1.5]})
    assert similarity(keys, first, second).tolist() == [0.25 + 0.25 + 0.25, 0.25]


def test_infinite_numbers_are_like_each_other() -> None:
    keys, inf = (Key("n", "number", 1),), float("inf")
    assert similarity(keys, [{"n": inf}, {"n": inf}], [{"n": inf}, {"n": -inf}]).tolist() == [1, 0]
    cycle = (Key("n", "cycle", 1, period=4),)
    assert similarity(cycle, [{"n": inf}], [{"n": inf}]).tolist() == [0]


def test_bad_input() -> None:
    rows = [{"owner": "ada"}, {"owner": "ben"}]
    with pytest.raises(InputError, match="second has 1 records; expected 2"):
        similarity(KEYS, rows, rows[:1])
    with pytest.raises(InputError, match="records have the keys x; expected some of owner, size"):
        similarity(KEYS, [{"x": 1}], rows[:1])
    with pytest.raises(InputError, match="key 'size' holds lists"):
        similarity(KEYS, [{"size": [1]}], rows[:1])
