"""Pairs of keys: which tell more than their keys do, against loops; their patterns."""

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest

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


def told(counted: Counter[Any], value: Any, prior: np.ndarray) -> np.ndarray:
    """Probabilities of classes from counts of a value with each class, and five records before."""
    own = np.array([counted[value, label] for label in range(len(prior))])
    return (own + 5 * prior) / (own.sum() + 5)


def naive_gain(one: np.ndarray, two: np.ndarray, labels: np.ndarray) -> float:
    """Gain of the combination, less two standard errors, by loops over records."""
    order = np.random.default_rng(0).permutation(len(labels))
    rows = list(zip(one[order].tolist(), two[order].tolist(), labels[order].tolist(), strict=True))
    gains: list[float] = []
    for known, asked in ((rows[::2], rows[1::2]), (rows[1::2], rows[::2])):
        base = np.array([1 + sum(c == label for _, _, c in known) for label in range(3)])
        base = base / base.sum()
        first, second, both = (
            Counter((key(row), row[2]) for row in known)
            for key in (lambda row: row[0], lambda row: row[1], lambda row: row[:2])
        )
        tellers = []
        for s, t in ((1, 1), (1, 0), (0, 1), (0.5, 0.5)):
            teller = []
            for a, b, _ in asked:
                ratio = (told(first, a, base) / base) ** s * (told(second, b, base) / base) ** t
                teller.append(base * ratio / (base * ratio).sum())
            tellers.append(teller)

        def surprise(teller: list[np.ndarray], asked: Any = asked) -> list[float]:
            return [-np.log(p[c]) for p, (_, _, c) in zip(teller, asked, strict=True)]

        prior = min(tellers, key=lambda teller: np.mean(surprise(teller)))
        again = [
            [told(first, a, p) for p, (a, _, _) in zip(prior, asked, strict=True)],
            [told(second, b, p) for p, (_, b, _) in zip(prior, asked, strict=True)],
        ]
        least = min(map(surprise, [prior, *again]), key=np.mean)
        pair = [told(both, (a, b), p) for p, (a, b, _) in zip(prior, asked, strict=True)]
        gains += np.subtract(least, surprise(pair)).tolist()
    return float(np.mean(gains) - 2 * np.std(gains) / len(gains) ** 0.5)


def test_best_pairs_are_those_of_loops_over_records(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = (A + 2 * B + (RANDOM.random(800) < 0.1) * C) % 3
    keys = infer_keys(FRAME)
    columns = {"a": A, "b": B, "c": C}
    gains = {
        pair: naive_gain(columns[pair[0]], columns[pair[1]], labels)
        for pair in combinations("abc", 2)
    }
    order = sorted(gains, key=lambda pair: -gains[pair])
    assert order[0] == ("a", "b")
    for least, found in ((gains["a", "b"] - 1e-9, order), (gains["a", "b"] + 1e-9, [])):
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
