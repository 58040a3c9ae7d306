"""The coincidence law, a naive encoder in plain integers, and spike times that never change."""

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, spearmanr

from plastorch.data.tables.records import TABLES, load_table
from plastorch.engine.errors import InputError
from plastorch.files.column_values import texts
from plastorch.files.encode import NO_SPIKE, CorrelativeEncoder, coincidence
from plastorch.files.key import Key
from plastorch.files.keys import infer_keys
from plastorch.files.similarity import similarity

KEYS = (
    Key("owner", "category", 70),
    Key("size", "number", 50, center=3.0, scale=2.0, width=1.5),
    Key("count", "number", 30, center=2.0, scale=4.0, exact=True),
    Key("hour", "cycle", 70, period=24, width=6),
    Key("tags", "set", 80),
    Key("path", "path", 100, depth=4),
)
ONE = {
    "owner": "ada",
    "size": 3.7,
    "count": 5.0,
    "hour": 23.5,
    "tags": "a|b|c",
    "path": "/usr/share/doc",
}
LIMIT = 2**64


def naive_mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % LIMIT
    x = (x ^ x >> 27) * 0x94D049BB133111EB % LIMIT
    return x ^ x >> 31


def naive_hash(text: str) -> int:
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001B3 % LIMIT
    return state


def naive_bin(key: Key, i: int, value: Any, bins: int, seed: int) -> int:
    """The bin of one neuron, as the module's docstring has it."""
    golden = 0x9E3779B97F4A7C15
    of_key = naive_mix(naive_hash(key.name) ^ naive_mix((seed + golden) % LIMIT))
    salt = naive_mix((of_key + (i + 1) * golden) % LIMIT)
    others = key.neurons - key.neurons // 2 * key.exact
    u = (i + (naive_mix((salt + golden) % LIMIT) >> 11) / 2**53) / others
    if value is None:
        return NO_SPIKE
    if key.kind == "category":
        code = naive_hash(value)
    elif key.kind == "number" and i >= others:
        code = naive_hash(texts(pl.Series([value]))[0])
    elif key.kind == "number":
        place = (value - key.center) / (key.scale * key.width)
        code = floor(place) + (place - floor(place) + u >= 1)
    elif key.kind == "cycle":
        place = value % key.period / key.width
        code = (floor(place) + (place - floor(place) + u >= 1)) % key.cells
    elif key.kind == "path":
        parts = [part for part in value.split("/") if part][: 1 + floor(u * key.depth)]
        code = naive_hash("".join(f"/{part}" for part in parts))
    else:
        elements = [naive_hash(part) for part in value.split("|") if part]
        code = min((naive_mix(e ^ salt) for e in elements), default=LIMIT - 1)
        salt = golden
    return (naive_mix(code % LIMIT ^ salt) >> 32) * bins >> 32


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = {
    "owner": text,
    # Kernels count denormal numbers as 0.
    "size": st.floats(-1e6, 1e6, allow_subnormal=False),
    "count": st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-3, 3).map(float),
    "hour": st.floats(-100, 100, allow_subnormal=False),
    "tags": st.lists(text).map("|".join),
    "path": st.lists(text).map("/".join),
}


@settings(max_examples=20)
@given(
    st.lists(st.fixed_dictionaries({n: st.none() | v for n, v in VALUES.items()}), min_size=1),
    st.integers(2, 254),
    st.integers(0, 2**63 - 1),
)
def test_kernels_are_the_documented_codes(rows: list[Any], bins: int, seed: int) -> None:
    keys = [replace(key, neurons=5) for key in KEYS]
    schema = {n: pl.Float64 if isinstance(value, float) else pl.String for n, value in ONE.items()}
    frame = pl.DataFrame(rows, schema)
    expected = [
        [naive_bin(key, i, row[key.name], bins, seed) for key in keys for i in range(5)]
        for row in rows
    ]
    assert CorrelativeEncoder(keys, bins, seed).encode(frame).tolist() == expected


GOLDEN = {
    "owner": [13, 18, 7, 14, 1, 2],
    "size": [4, 1, 13, 3, 17, 0],
    "count": [9, 17, 11, 5, 12, 3],
    "hour": [18, 10, 11, 3, 6, 15],
    "tags": [14, 0, 18, 8, 19, 10],
    "path": [12, 11, 11, 5, 0, 16],
}
"""Spike times of the record above with seed 0, 20 bins and 6 neurons per key."""


def short_encoder() -> CorrelativeEncoder:
    return CorrelativeEncoder([replace(key, neurons=6) for key in KEYS])


def test_golden_spike_times() -> None:
    encoder = short_encoder()
    (bins,) = encoder.encode([ONE])
    assert {name: bins[span].tolist() for name, span in encoder.spans.items()} == GOLDEN


def test_another_process_gives_the_same_spike_times() -> None:
    program = (
        "from plastorch.files.encode import CorrelativeEncoder; from plastorch.files.keys import *;"
        f"print(CorrelativeEncoder({short_encoder().keys!r}).encode([{ONE!r}])[0].tolist())"
    )
    out = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(out.stdout) == [time for times in GOLDEN.values() for time in times]


@settings(max_examples=20)
@given(st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1))
def test_one_spike_per_neuron_of_a_key_that_is_there(rows: list[dict[str, Any]]) -> None:
    rows[0]["owner"] = "ada"
    encoder = CorrelativeEncoder(KEYS, bins=7)
    bins = encoder.encode(rows)
    assert bins.dtype == np.uint8 and bins.shape == (len(rows), 400) == (len(rows), encoder.neurons)
    for row, found in zip(rows, bins, strict=True):
        for name, span in encoder.spans.items():
            there = found[span]
            assert (there < 7).all() if name in row else (there == NO_SPIKE).all()


# Two values of a key with a similarity that is known without our code.
PAIRS = [
    (Key("k", "category", 100), "ada", "ada", 1.0),
    (Key("k", "category", 100), "ada", "adb", 0.0),
    (Key("k", "category", 100), 7, "7", 1.0),
    (Key("k", "number", 100), 0.3, 0.3, 1.0),
    (Key("k", "number", 100, scale=0.3), 5.0, 5.05, 1 - 0.05 / 0.3),
    (Key("k", "number", 100, scale=0.3), 5.0, 5.2, 1 - 0.2 / 0.3),
    (Key("k", "number", 100, scale=0.5, width=2.0), -0.25, 0.25, 0.5),
    (Key("k", "number", 100), 5.0, 6.0, 0.0),
    (Key("k", "number", 100), 5.0, 1e300, 0.0),
    (Key("k", "number", 100, scale=0.5, width=2.0, exact=True), -0.25, 0.25, 0.25),
    (Key("k", "number", 100, exact=True), 1e300, 1e300, 1.0),
    (Key("k", "number", 100, exact=True), 1e300, 2e300, 0.5),
    (Key("k", "number", 100, exact=True), 7, 7.0, 1.0),
    (Key("k", "number", 100, log=True), np.e - 1, np.e**1.25 - 1, 0.75),
    (Key("k", "cycle", 100, period=24, width=6), 23.0, 1.0, 1 - 2 / 6),
    (Key("k", "cycle", 100, period=24, width=12), 2.0, 14.0, 0.0),
    (Key("k", "cycle", 100, period=24, width=12), 2.0, 11.0, 0.25),
    (Key("k", "cycle", 100, period=1, width=1 / 3), 0.95, 1.05, 0.7),
    (Key("k", "set", 100), "a|b|c", "b|c|d", 0.5),
    (Key("k", "set", 100), ["a", "b"], "b|a|a", 1.0),
    (Key("k", "set", 100), "a|b|c|d|e|f|g|h|i", "a", 1 / 9),
    (Key("k", "set", 100), "", "a", 0.0),
    (Key("k", "set", 100), "", "||", 1.0),
    (Key("k", "path", 100, depth=4), "/usr/share/doc/a", "/usr/share/doc/b", 0.75),
    (Key("k", "path", 100, depth=4), "usr/share", "usr/share/doc/b", 0.5),
    (Key("k", "path", 100, depth=4), "usr/share", "/usr//share/", 1.0),
    (Key("k", "path", 100, depth=3), "a/b/c/d", "a/b/c/e", 1.0),
    (Key("k", "path", 100, depth=3), "", "a", 0.0),
]


@pytest.mark.parametrize(("key", "a", "b", "alike"), PAIRS)
def test_coincidence_law_for_each_kind(key: Key, a: Any, b: Any, alike: float) -> None:
    """E = S + (1 - S) / Tb within 4 standard errors of 30 seeds x 100 neurons."""
    first, second = [{"k": a}], [{"k": b}]
    assert similarity([key], first, second)[0] == pytest.approx(alike)
    found = []
    for seed in range(30):
        encoder = CorrelativeEncoder([key], bins=50, seed=seed)
        found.append(coincidence(encoder.encode(first), encoder.encode(second)))
    expected = alike + (1 - alike) / 50
    error = np.sqrt(expected * (1 - expected) / 3000)
    assert np.mean(found) == pytest.approx(expected, abs=4 * error + 1e-12)


def random_records(rng: np.random.Generator, count: int, missing: float = 0.0) -> pl.DataFrame:
    """With every kind of key."""
    columns: dict[str, Any] = {
        "owner": rng.choice(["ada", "ben", "cleo"], count).tolist(),
        "size": rng.normal(3, 2, count).tolist(),
        "count": rng.integers(0, 8, count).tolist(),
        "hour": rng.normal(22, 3, count).tolist(),
        "tags": ["|".join(rng.choice(list("abcd"), 3)) for _ in range(count)],
        "path": ["/".join(rng.choice(list("xxy"), rng.integers(1, 7))) for _ in range(count)],
    }
    gone = rng.random((len(columns), count)) < missing
    return pl.DataFrame(
        {
            name: pl.Series(
                [None if lost else value for value, lost in zip(values, no, strict=True)]
            )
            for (name, values), no in zip(columns.items(), gone, strict=True)
        }
    )


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_coincidence_law_for_mixtures(missing: float) -> None:
    """Pairs with S from 0 to 1, within 4 standard errors each and all together."""
    rng, seeds = np.random.default_rng(0), 40
    first, second = random_records(rng, 150, missing), random_records(rng, 150, missing)
    first, second = pl.concat([first, first[:10]]), pl.concat([second, first[:10]])
    alike = similarity(KEYS, first, second)
    present = sum(
        key.neurons / 400 * (first[key.name].is_not_null() & second[key.name].is_not_null())
        for key in KEYS
    )
    found = np.zeros(160)
    for seed in range(seeds):
        encoder = CorrelativeEncoder(KEYS, seed=seed)
        found += coincidence(encoder.encode(first), encoder.encode(second)) / seeds
    expected = alike + (np.asarray(present) - alike) / 20
    error = np.sqrt(expected * (1 - expected) / (400 * seeds))
    assert alike.min() < 0.15 and alike.max() > (0.99 if missing == 0 else 0.9)
    assert (np.abs(found - expected) <= 4 * error + 1e-12).all()
    assert abs((found - expected).mean()) < 4 * error.mean() / np.sqrt(160)


def test_coincidence_varies_no_more_than_independent_neurons() -> None:
    """Between seeds, at most 1 / 4N; grids and depths that are spread evenly, even less."""
    rng = np.random.default_rng(1)
    first, second = random_records(rng, 100), random_records(rng, 100)
    found = []
    for seed in range(50):
        encoder = CorrelativeEncoder(KEYS, seed=seed)
        found.append(coincidence(encoder.encode(first), encoder.encode(second)))
    assert np.var(found, axis=0).mean() < 1 / (4 * 400)
    grid = (Key("k", "number", 100),)
    a, b = ([{"k": x} for x in rng.normal(0, 5, 200)] for _ in range(2))
    a = [{"k": row["k"] + x} for row, x in zip(b, rng.uniform(0, 1, 200), strict=True)]
    encoder = CorrelativeEncoder(grid, bins=254)
    rest = coincidence(encoder.encode(a), encoder.encode(b)) - similarity(grid, a, b)
    assert np.abs(rest).max() < 0.04  # 0.15 with independent grids


def test_patterns_rank_pairs_as_similarity_does() -> None:
    """Spearman's correlation above 0.95 and Pearson's from 0.99, 10,000 pairs, N = 400."""
    rng = np.random.default_rng(2)
    first, second = random_records(rng, 10_000), random_records(rng, 10_000)
    keys = infer_keys(first, periods={"hour": 24})
    assert sum(key.neurons for key in keys) == 400
    encoder = CorrelativeEncoder(keys)
    alike = similarity(keys, first, second)
    found = coincidence(encoder.encode(first), encoder.encode(second))
    assert spearmanr(found, alike)[0] > 0.95
    assert np.corrcoef(found, alike)[0, 1] >= 0.99


@pytest.mark.parametrize("name", TABLES)
def test_real_tables_have_that_correlation(name: str) -> None:
    root = os.environ.get("PLASTORCH_DATA")
    if not root or not (Path(root) / "metadata").is_dir():
        pytest.skip("metadata is not in $PLASTORCH_DATA")
    table, rng = load_table(name), np.random.default_rng(0)
    keys = infer_keys(table.frame, table.labels)
    first = rng.integers(0, table.frame.height, 10_000)
    second = (first + rng.integers(1, table.frame.height, 10_000)) % table.frame.height
    patterns = CorrelativeEncoder(keys).encode(table.frame)
    found = coincidence(patterns[first], patterns[second])
    alike = similarity(keys, table.frame[first], table.frame[second])
    assert np.corrcoef(found, alike)[0, 1] >= 0.99
    assert spearmanr(found, alike)[0] > 0.95


def test_another_seed_gives_unrelated_patterns() -> None:
    frame = random_records(np.random.default_rng(3), 2000)
    first, second = (CorrelativeEncoder(KEYS, seed=seed).encode(frame) for seed in (0, 1))
    # 70 neurons of a category repeat what they do in others: only the 2,000 records count.
    assert coincidence(first, second).mean() == pytest.approx(1 / 20, abs=0.01)
    alike = coincidence(first[:1000], first[1000:])
    crossed = coincidence(first[:1000], second[1000:])
    assert abs(np.corrcoef(alike, crossed)[0, 1]) < 0.2
    assert alike.mean() > 5 * crossed.mean()


def test_keys_are_unrelated_too() -> None:
    keys = Key("a", "category", 300), Key("b", "category", 300)
    (bins,) = CorrelativeEncoder(keys).encode([{"a": "x", "b": "x"}])
    assert coincidence(bins[:300], bins[300:]) == pytest.approx(1 / 20, abs=4 * 0.0126)


@pytest.mark.parametrize("kind", ["category", "number", "set", "path"])
def test_bins_are_uniform(kind: Any) -> None:
    """A chi-squared statistic within its 0.01 and 99.99 % quantiles; 100,000 values a neuron."""
    key = Key("k", kind, 3, depth=1 if kind == "path" else 0)
    frame = pl.DataFrame({"k": np.arange(100_000)})
    bins = CorrelativeEncoder([key], bins=13).encode(frame)
    for neuron in range(3):
        counts = np.bincount(bins[:, neuron], minlength=13)
        statistic = ((counts - 100_000 / 13) ** 2 / (100_000 / 13)).sum()
        assert chi2.ppf(1e-4, 12) < statistic < chi2.ppf(1 - 1e-4, 12)
    assert coincidence(bins[:, 0], bins[:, 1]) == pytest.approx(1 / 13, abs=0.004)


def test_unseen_categories_are_unlike_all_others() -> None:
    key = Key("k", "category", 4000)
    known, new = CorrelativeEncoder([key]).encode([{"k": "ada"}, {"k": "never seen"}])
    assert coincidence(known, new) == pytest.approx(1 / 20, abs=4 * 0.0035)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = random_records(np.random.default_rng(4), 1000, missing=0.2)
    encoder = CorrelativeEncoder(KEYS)
    whole = encoder.encode(frame)
    monkeypatch.setattr("plastorch.files.encode.CHUNK", 37)
    assert (encoder.encode(frame) == whole).all()
    single = [encoder.encode(frame[i])[0] for i in range(5)]
    assert (np.stack(single) == whole[:5]).all()


def test_memory_is_the_answer_and_small_change() -> None:
    frame = pl.DataFrame({"a": np.arange(300_000), "b": np.arange(300_000) / 7})
    encoder = CorrelativeEncoder([Key("a", "category", 50), Key("b", "number", 50)])
    encoder.encode(frame[:5])
    tracemalloc.start()
    bins = encoder.encode(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - bins.nbytes < 4e6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"keys": ()}, "keys are none"),
        ({"keys": (KEYS[0], KEYS[0])}, "keys are owner, owner"),
        ({"bins": 1}, "bins is 1"),
        ({"bins": 255}, "bins is 255; expected 2 to 254"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed is"),
    ],
)
def test_bad_input(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CorrelativeEncoder(**{"keys": KEYS} | arguments)


def test_records_of_another_model() -> None:
    with pytest.raises(InputError, match="records have the keys color; expected some of owner"):
        CorrelativeEncoder(KEYS).encode([{"color": "red"}])
    with pytest.raises(InputError, match="key 'hour' holds lists; expected numbers"):
        CorrelativeEncoder(KEYS).encode([{"hour": [1, 2]}])
