"""Pairs of keys: which tell more than their keys do, against counts by hand; their columns."""

import numpy as np
import polars as pl

from plastorch.files.keys import infer_keys
from plastorch.files.pairs import best_pairs, pair_name, with_pairs

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


def test_best_pairs_are_those_of_a_table_of_counts() -> None:
    labels = (A + 2 * B + (RANDOM.random(800) < 0.1)) % 3
    found = best_pairs(FRAME, infer_keys(FRAME), labels, count=9)
    gains = {}
    for (one, first), (two, second) in (
        (("a", A), ("b", B)), (("a", A), ("c", C)), (("b", B), ("c", C))
    ):  # fmt: skip
        alone = max(0, information(first, labels), information(second, labels))
        gains[one, two] = max(0, information(first * 5 + second, labels)) - alone
    assert found[0] == ("a", "b") and set(found) <= {pair for pair in gains if gains[pair] > -0.01}
    assert {pair for pair in gains if gains[pair] > 0.01} <= set(found)
    assert best_pairs(FRAME, infer_keys(FRAME), labels, count=1) == [("a", "b")]
    assert best_pairs(FRAME, infer_keys(FRAME), labels, count=0) == []


def test_columns_of_pairs() -> None:
    frame = pl.DataFrame(
        {"a": ["x", "xy", None, "x"], "b": ["yz", "z", "u", "yz"], "c": [1, 2, 3, 4]}
    )
    found = with_pairs(frame, [("a", "b"), ("b", "c")])
    assert found.columns == ["a", "b", "c", pair_name("a", "b"), pair_name("b", "c")]
    both = found[pair_name("a", "b")].to_list()
    assert both[0] == both[3] != both[1] and both[2] is None
    assert found[pair_name("b", "c")].n_unique() == 4
    assert with_pairs(frame, []).equals(frame)
