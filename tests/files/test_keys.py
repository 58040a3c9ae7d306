"""Kinds and statistics of keys, and how the neurons are shared out by what keys tell."""

import datetime
import json
from collections import Counter
from dataclasses import asdict
from math import log
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.files.key import Key
from plastorch.files.keys import MOST_DEPTH, infer_keys
from plastorch.files.neuron_allocation import apportion, levels, mutual_information, with_floor

DAY = datetime.datetime(2020, 1, 1)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["ada", "ben"] * 20, "category"),
        ([True, False] * 20, "category"),
        (list(range(40)), "number"),
        ([0.5, 1.5] * 20, "number"),
        ([1, 2, 8] * 20, "category"),
        ([1.0, None, 8.0] * 20, "category"),
        (list(range(10)) * 2, "category"),
        (list(range(11)) * 20, "number"),
        ([1, 2, 3], "number"),
        ([DAY + datetime.timedelta(days=i % 3) for i in range(40)], "number"),
        ([datetime.date(2020, 1, 1 + i % 3) for i in range(40)], "number"),
        ([datetime.timedelta(hours=i % 3) for i in range(40)], "number"),
        ([datetime.time(i % 24) for i in range(40)], "cycle"),
        ([["a"], ["a", "b"], None] * 5, "set"),
        (["a|b", "b", "a"] * 5, "set"),
        (["/usr/bin", "etc/init.d", "n"] * 5, "path"),
        (["a/b", "c", "d"] * 5, "category"),
    ],
)
def test_kinds(values: list[Any], kind: str) -> None:
    (key,) = infer_keys(pl.DataFrame({"k": values}), neurons=5)
    assert (key.name, key.kind, key.neurons) == ("k", kind, 5)


def test_kinds_can_be_told() -> None:
    frame = pl.DataFrame({"hour": range(24), "angle": range(24), "uid": range(24)})
    hour, angle, uid = infer_keys(frame, kinds={"uid": "category"}, periods={"angle": 360})
    assert (hour.kind, angle.kind, angle.period, angle.width) == ("number", "cycle", 360, 90)
    assert uid.kind == "category"
    assert infer_keys(frame)[0] == Key("hour", "cycle", 134, period=24, width=6)


def test_a_number_needs_a_finite_value() -> None:
    with pytest.raises(InputError, match="key 'x' holds no finite number; expected some"):
        infer_keys(pl.DataFrame({"x": [float("inf"), None] * 20}))


def test_a_cycle_without_a_finite_number_tells_nothing() -> None:
    frame = pl.DataFrame({"hour": [float("inf"), None] * 20, "size": range(40)})
    hour, size = infer_keys(frame, [0, 1] * 20, neurons=100, kinds={"hour": "cycle"})
    assert (hour.kind, hour.neurons, size.neurons) == ("cycle", 50, 50)


def test_numbers_have_robust_statistics() -> None:
    values = np.random.default_rng(0).normal(50, 3, 5000)
    values[::50] = 1e12
    rare = np.zeros(5000)
    rare[::20] = np.arange(250) + 0.5
    frame = pl.DataFrame({"plain": values, "rare": rare, "size": 10.0 ** (np.arange(5000) % 7)})
    plain, rare, size = infer_keys(frame, kinds={"size": "number"})
    assert plain.center == pytest.approx(50, abs=0.3) and not plain.log
    assert plain.scale == pytest.approx(3 * 1.349, rel=0.05)
    assert (rare.center, rare.scale) == (0, pytest.approx(125 / 20)) and not rare.log
    assert size.log and size.center == pytest.approx(log(1001))
    assert size.scale == pytest.approx(4 * log(10), rel=0.02)


def test_numbers_that_recur_count_exactly() -> None:
    """Twenty records per different number; each class has every second one, so only they tell."""
    often = np.arange(400) % 20
    frame = pl.DataFrame({"often": often, "seldom": np.arange(400) % 21})
    one, two = infer_keys(frame, often % 2, neurons=101)
    assert (one.kind, one.exact) == ("number", True) and (two.kind, two.exact) == ("number", False)
    assert one.neurons == 99 and (one.exact_neurons, two.exact_neurons) == (49, 0)


def test_infinite_and_missing_numbers_dont_count() -> None:
    frame = pl.DataFrame({"k": [float("inf"), None, float("nan"), *range(1, 21)]}, strict=False)
    (key,) = infer_keys(frame)
    assert (key.center, key.scale) == (10.5, 9.5)


def test_depth_of_paths_leaves_out_the_few_that_are_deeper() -> None:
    paths = ["/a/b/c"] * 50 + ["a//b/"] * 45 + ["/".join("abcdefghi")] * 5
    (key,) = infer_keys([{"k": path} for path in paths])
    assert key.depth == 3


def test_depth_of_paths_has_a_bound() -> None:
    (key,) = infer_keys(
        pl.DataFrame({"k": ["a/" * 5000 + str(i) for i in range(9)]}), [0, 1, 1] * 3
    )
    assert key.depth == MOST_DEPTH == 32


def test_keys_that_never_vary_are_dropped() -> None:
    rows = [{"same": "x", "none": None, "some": "x" if i % 2 else None, "k": i} for i in range(20)]
    assert [key.name for key in infer_keys(rows)] == ["some", "k"]
    with pytest.raises(InputError, match="records all have the same values"):
        infer_keys([{"same": 1, "also": ["a"]}] * 3)


def test_keys_survive_json() -> None:
    rows = [
        {"hour": i, "size": 3.7**i, "path": f"/a/{i}", "tags": "a|b"[: i % 4]} for i in range(20)
    ]
    keys = infer_keys(rows, labels=[i % 3 for i in range(20)], neurons=33)
    again = tuple(Key(**entry) for entry in json.loads(json.dumps([asdict(key) for key in keys])))
    assert again == keys and sum(key.neurons for key in keys) == 33


def naive_information(values: list[Any], labels: list[Any]) -> float:
    """In nats, from the definition."""
    n = len(values)
    pairs, of_value, of_label = (
        Counter(zip(values, labels, strict=True)),
        Counter(values),
        Counter(labels),
    )
    told = sum(
        count / n * log(count * n / (of_value[value] * of_label[label]))
        for (value, label), count in pairs.items()
    )
    return max(told - (len(of_value) - 1) * (len(of_label) - 1) / (2 * n), 0)


@given(st.lists(st.tuples(st.sampled_from("abc") | st.none(), st.integers(0, 2)), min_size=1))
def test_mutual_information_is_its_definition(pairs: list[tuple[str | None, int]]) -> None:
    values, labels = (list(part) for part in zip(*pairs, strict=True))
    found = mutual_information(pl.Series(values, dtype=pl.String), pl.Series(labels))
    assert found == pytest.approx(naive_information(values, labels), abs=1e-12)


def test_shares_follow_mutual_information() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 4000)
    noisy = np.where(rng.random(4000) < 0.5, labels, rng.integers(0, 4, 4000))
    frame = pl.DataFrame(
        {
            "exact": [str(label) for label in labels],
            "noisy": [str(label) for label in noisy],
            "chance": [str(x) for x in rng.integers(0, 4, 4000)],
            "unique": [f"n{i}" for i in range(4000)],
            "place": labels + rng.normal(0, 0.05, 4000),
            "path": [f"/{'ab'[label % 2]}/{label}/{i}" for i, label in enumerate(labels)],
        }
    )
    keys = infer_keys(frame, labels, neurons=1000)
    shares = {key.name: key.neurons / 1000 for key in keys}
    assert sum(key.neurons for key in keys) == 1000
    assert shares["chance"] == shares["unique"] == 0.02
    expected = naive_information(noisy.tolist(), labels.tolist()) / log(4)
    assert shares["noisy"] / shares["exact"] == pytest.approx(expected, rel=0.05)
    for name in ("place", "path"):
        assert shares[name] == pytest.approx(shares["exact"], rel=0.05)
    assert {key.neurons for key in infer_keys(frame, neurons=600)} == {100}
    assert {key.neurons for key in infer_keys(frame, [7] * 4000, neurons=600)} == {100}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(60, 500))
def test_shares_have_a_floor_and_neurons_sum_up(weights: list[float], total: int) -> None:
    weights[0] += 0.1
    shares, floor = np.array(weights) / sum(weights), min(0.02, 1 / len(weights))
    raised = with_floor(shares, floor)
    assert raised.sum() == pytest.approx(1) and raised.min() >= floor * (1 - 1e-9)
    above = raised > floor * (1 + 1e-9)
    if above.any():
        ratio = raised[above] / shares[above]
        assert ratio.max() == pytest.approx(ratio.min())
    counts = apportion(raised, total)
    assert sum(counts) == total
    assert all(abs(n - share * total) < 1 for n, share in zip(counts, raised, strict=True))


def test_numbers_have_sixteen_levels_and_missing_ones_another() -> None:
    found = levels(np.array([0.0, 7.0, np.nan, 40.0]), np.arange(33.0))
    assert found.tolist() == [0, 3, 16, 15]


def test_few_neurons_for_many_keys() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    frame = pl.DataFrame({f"k{j}": rng.integers(0, 2, 300) for j in range(70)})
    frame = frame.with_columns(told=pl.Series(labels))
    assert {key.neurons for key in infer_keys(frame, labels, neurons=71)} == {1}
    counts = [key.neurons for key in infer_keys(frame[:, -5:], labels, neurons=8)]
    assert sum(counts) == 8 and min(counts) == 1 and counts[-1] == 4


ROWS = [{"a": i, "b": "x" if i % 2 else "y"} for i in range(20)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels": [1, 2]}, "labels are 2; expected one for each of 20"),
        ({"labels": [None] + ["x"] * 19}, "labels are missing"),
        ({"labels": np.array([np.nan] * 20)}, "labels are missing"),
        ({"neurons": 1}, "neurons are 1; expected one or more per key: 2"),
        ({"kinds": {"c": "number"}}, "kinds has 'c': 'number'"),
        ({"kinds": {"a": "color"}}, "kinds has 'a': 'color'"),
        ({"kinds": {"a": "cycle"}}, "periods has 'a': 0"),
        ({"kinds": {"b": "number"}}, "key 'b' holds no finite number"),
        ({"width": 0.0}, "width is 0.0"),
        ({"periods": {"a": -1.0}}, "periods has 'a': -1"),
    ],
)
def test_bad_input(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        infer_keys(ROWS, **arguments)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "color"}, "kind is 'color'"),
        ({"neurons": 0}, "neurons is 0"),
        ({"neurons": 2.0}, r"neurons is 2\.0; expected a whole number"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"scale": 0.0}, "scale is 0"),
        ({"width": "wide"}, "width is 'wide'"),
        ({"kind": "path"}, "depth is 0"),
        ({"exact": "yes"}, "exact is 'yes'; expected True or False"),
        ({"kind": "category", "exact": True}, "exact is True of a category"),
        ({"kind": "cycle"}, "period is 0"),
        ({"kind": "cycle", "period": 24, "width": 7}, "width is 7"),
        ({"kind": "cycle", "period": 24, "width": 24}, "width is 24"),
        (
            {"kind": "cycle", "period": 24, "width": 1e-300},
            "width is 1e-300; expected a part of 24",
        ),
    ],
)
def test_bad_keys(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Key(**{"name": "k", "kind": "number", "neurons": 3} | changes)
