"""Pairs of keys: which tell more than their keys do, against counts by hand; their patterns."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from plastorch.engine.errors import InputError
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key
from plastorch.files.keys import infer_keys
from plastorch.files.pairs import Pair, best_pairs

RANDOM = np.random.default_rng(0)
A, B, C, NUMBER = RANDOM.integers(0, (3, 4, 2, 90), (800, 4)).T
FRAME = pl.DataFrame({"a": A.astype(str), "b": B.astype(str), "c": C.astype(str), "n": NUMBER})


def information(codes: np.ndarray, labels: np.ndarray) -> float:
    """Mutual information less its bias, from a table of counts."""
    counts = np.zeros((codes.max() + 1, labels.max() + 1))
    np.add.at(counts, (codes, labels), 1)
    share = counts / counts.sum()
    alone = share.sum(1, keepdims=True) * share.sum(0)
    told = (share[share > 0] * np.log(share[share > 0] / alone[share > 0])).sum()
    return float(told - (len(counts) - 1) * (counts.shape[1] - 1) / (2 * len(codes)))


def names(pairs: tuple[Pair, ...]) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in pairs]


def test_best_pairs_are_those_of_a_table_of_counts() -> None:
    labels = (A + 2 * B + (RANDOM.random(800) < 0.1)) % 3
    keys = infer_keys(FRAME)
    found = names(best_pairs(FRAME, keys, labels, count=9, neurons=7))
    gains = {}
    for (one, first), (two, second) in (
        (("a", A), ("b", B)), (("a", A), ("c", C)), (("b", B), ("c", C))
    ):  # fmt: skip
        alone = max(0, information(first, labels), information(second, labels))
        gains[one, two] = max(0, information(first * 5 + second, labels)) - alone
    assert found[0] == ("a", "b") and set(found) <= {pair for pair in gains if gains[pair] > -0.01}
    assert {pair for pair in gains if gains[pair] > 0.01} <= set(found)
    assert best_pairs(FRAME, keys, labels, count=1, neurons=7) == (Pair("a", "b", 7),)
    assert best_pairs(FRAME, keys, labels, count=0, neurons=7) == ()


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
    pairs = Pair("a", "b", 8), Pair("c", "a", 9)
    encoder = CorrelativeEncoder(KEYS, bins=20, seed=3, pairs=pairs)
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
