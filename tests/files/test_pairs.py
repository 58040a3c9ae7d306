"""Pairs of keys: which tell more than their keys do, against loops; their patterns."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plastorch.engine.errors import InputError
from plastorch.files import pairs
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key
from plastorch.files.keys import infer_keys
from plastorch.files.pairs import Pair, best_pairs

RANDOM = np.random.default_rng(0)
A, B, C, NUMBER = RANDOM.integers(0, (3, 4, 2, 90), (800, 4)).T
FRAME = pl.DataFrame({"a": A.astype(str), "b": B.astype(str), "c": C.astype(str), "n": NUMBER})


def names(found: tuple[Pair, ...]) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in found]


def information(codes: np.ndarray, labels: np.ndarray) -> float:
    """Mutual information less its bias, from a table of counts."""
    codes = np.unique(codes, return_inverse=True)[1]
    counts = np.zeros((codes.max() + 1, labels.max() + 1))
    np.add.at(counts, (codes, labels), 1)
    share = counts / counts.sum()
    alone = share.sum(1, keepdims=True) * share.sum(0)
    told = (share[share > 0] * np.log(share[share > 0] / alone[share > 0])).sum()
    return float(told - (len(counts) - 1) * (counts.shape[1] - 1) / (2 * len(codes)))


def gain_of_all(labels: np.ndarray, taken: list[tuple[str, str]]) -> float:
    """Gain of pairs in a logistic regression, less two standard errors."""
    order = np.random.default_rng(0).permutation(len(labels))
    joined = pd.DataFrame({"a": A, "b": B, "c": C}).astype(str)
    for one, two in taken:
        joined[one + two] = joined[one] + joined[two]
    number = StandardScaler().fit
    halves = []
    for known, asked in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        chances = []
        for columns in (["a", "b", "c"], list(joined)):
            marks = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
            scaled = [
                number(NUMBER[known, None]).transform(NUMBER[part, None]) for part in (known, asked)
            ]
            marks.fit(joined[columns].iloc[known])
            x, new = (
                np.hstack([marks.transform(joined[columns].iloc[part]), numbers])
                for part, numbers in zip((known, asked), scaled, strict=True)
            )
            learner = LogisticRegression(max_iter=1000).fit(x, labels[known])
            chances.append(learner.predict_proba(new)[np.arange(len(asked)), labels[asked]])
        halves.append(np.log(chances[1] + 1e-3) - np.log(chances[0] + 1e-3))
    gain = np.concatenate(halves)
    return float(gain.mean() - 2 * gain.std() / len(gain) ** 0.5)


def test_best_pairs_are_those_of_tables_of_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a logistic regression gains by them."""
    labels = (A + 2 * B + (RANDOM.random(800) < 0.1) * C) % 3
    keys = infer_keys(FRAME)
    gains = {}
    for (one, first), (two, second) in combinations((("a", A), ("b", B), ("c", C)), 2):
        alone = max(0, information(first, labels), information(second, labels))
        gains[one, two] = max(0, information(first * 5 + second, labels)) - alone
    order = sorted((pair for pair in gains if gains[pair] > 0), key=lambda pair: -gains[pair])
    assert order[0] == ("a", "b")
    monkeypatch.setattr(pairs, "LEAST", -np.inf)
    assert names(best_pairs(FRAME, keys, labels, count=9, neurons=7)) == order
    gain = gain_of_all(labels, order)
    assert gain > 0.1
    for least, found in ((gain - 0.002, order), (gain + 0.002, [])):
        monkeypatch.setattr(pairs, "LEAST", least)
        assert names(best_pairs(FRAME, keys, labels, count=9, neurons=7)) == found
    monkeypatch.setattr(pairs, "LEAST", 0.01)
    assert best_pairs(FRAME, keys, labels, count=1, neurons=7) == (Pair("a", "b", 7),)
    assert best_pairs(FRAME, keys, labels, count=0, neurons=7) == ()


def test_keys_that_tell_by_themselves_are_no_pair() -> None:
    """Nor are a key and its copy, a key and a constant, or what differs in each record."""
    labels = np.where(RANDOM.random(800) < 0.9, A, RANDOM.integers(0, 3, 800))
    frame = FRAME.with_columns(
        copy="a", still=pl.lit("x"), each=pl.Series(np.arange(800)).cast(pl.String)
    )
    keys = [Key(name, "category", 5) for name in frame.columns if name != "n"]
    assert best_pairs(frame, keys, labels, count=9, neurons=7) == ()


def test_nothing_is_told_of_classes_that_all_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many that no record would be looked at."""
    monkeypatch.setattr(pairs, "MOST_CELLS", 100)
    assert best_pairs(FRAME, infer_keys(FRAME), np.arange(800), count=9, neurons=7) == ()


def test_the_keys_with_most_neurons_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = (A + 2 * B) % 3
    monkeypatch.setattr(pairs, "MOST_KEYS", 2)
    for neurons, found in (((5, 5, 4), [("a", "b")]), ((5, 4, 5), [])):
        keys = [Key(name, "category", n) for name, n in zip("abc", neurons, strict=True)]
        assert names(best_pairs(FRAME, keys, labels, count=9, neurons=7)) == found


ROWS = pl.DataFrame(
    {
        "a": ["x", "xy", None, "x"],
        "b": ["yz", "z", "u", "yz"],
        "c": [1, 2, 3, 4],
        "n": [0.5, 1, 2, 3],
    }
)
KEYS = (Key("a", "category", 3), Key("n", "number", 4), Key("b", "category", 5),
        Key("c", "category", 6))  # fmt: skip


def test_pairs_have_the_patterns_of_a_column_of_both_texts() -> None:
    both = Pair("a", "b", 8), Pair("c", "a", 9)
    encoder = CorrelativeEncoder(KEYS, bins=20, seed=3, pairs=both)
    joined = ROWS.with_columns(
        pl.Series("a × b", ["x\x1fyz", "xy\x1fz", None, "x\x1fyz"]),
        pl.Series("c × a", ["1\x1fx", "2\x1fxy", None, "4\x1fx"]),
    )
    columns = Key("a × b", "category", 8), Key("c × a", "category", 9)
    expected = CorrelativeEncoder((*KEYS, *columns), bins=20, seed=3).encode(joined)
    assert (encoder.encode(ROWS) == expected).all()
    assert encoder.neurons == 35 and list(encoder.spans) == ["a", "n", "b", "c", "a × b", "c × a"]
    assert encoder.spans["c × a"] == slice(26, 35)
    shuffled = ROWS.select("c", "b", "n", "a")
    assert (encoder.encode(shuffled) == expected).all()
    absent = encoder.encode(ROWS.drop("a"))
    assert (absent[:, 3:18] == expected[:, 3:18]).all() and (absent[:, 18:] == 255).all()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"pairs": [Pair("a", "n", 3)]}, "pairs has a × n; expected two keys that are categories"),
    ({"pairs": [Pair("a", "x", 3)]}, "pairs has a × x; expected two keys that are categories"),
    ({"pairs": [Pair("a", "b", 3)] * 2}, "keys are a, n, b, c, a × b, a × b; expected .*each once"),
    ({"keys": [*KEYS, Key("a × b", "category", 1)], "pairs": [Pair("a", "b", 3)]}, "each once"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_pairs(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CorrelativeEncoder(**{"keys": KEYS, **arguments})
    for values, told in (
        (("a", "a", 3), "second is 'a'; expected another key"),
        (("a", "b", 0), "neurons is 0"),
        (("a", "b", 2.0), "neurons is 2.0; expected a whole number"),
    ):
        with pytest.raises(InputError, match=told):
            Pair(*values)  # type: ignore[arg-type]
