"""Simple learners: against counts by hand and what is possible."""

import numpy as np
import polars as pl

from plastorch.files.evaluation import baselines
from plastorch.files.keys import infer_keys


def records(count: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2, count)
    owner = pl.Series(np.array(["ada", "bob"])[codes ^ (random.random(count) < 0.2)])
    frame = pl.DataFrame(
        {
            "owner": owner.set(pl.Series(random.random(count) < 0.1), None),
            "size": pl.Series(codes + random.normal(0, 1, count)).set(pl.Series(codes > 5), None),
            "hour": random.integers(0, 24, count),
        }
    )
    return frame, codes


def test_baselines_are_near_what_is_possible() -> None:
    """Bayes' rule with the true densities is the limit for both."""
    train, codes = records(4000, 0)
    test, right = records(4000, 1)
    found = dict(baselines(infer_keys(train, codes), train, codes, test))
    assert list(found) == ["largest class", "logistic regression", "naive Bayes"]
    size = test["size"].to_numpy()
    odds = np.where(test["owner"].is_null(), 0, np.log(4) * (test["owner"] == "bob").fill_null(0))
    odds = np.where(test["owner"] == "ada", -np.log(4), odds) + size - 0.5
    best = ((odds > 0) == right).mean()
    for name in ("logistic regression", "naive Bayes"):
        assert best - 0.02 < (found[name] == right).mean() < best + 0.02
    assert len(set(found["largest class"])) == 1


def test_values_that_no_training_record_has() -> None:
    train, codes = records(200, 0)
    test = records(50, 1)[0].with_columns(owner=pl.lit("eve"), size=pl.lit(None, pl.Float64))
    for _, answers in baselines(infer_keys(train, codes), train, codes, test):
        assert answers.shape == (50,)


def test_a_number_that_no_training_record_has() -> None:
    train, codes = records(100, 0)
    keys = infer_keys(train, codes)
    train = train.with_columns(size=pl.lit(None, pl.Float64))
    for _, answers in baselines(keys, train, codes, records(50, 1)[0]):
        assert answers.shape == (50,)


def test_a_key_that_is_infinite_or_missing_somewhere() -> None:
    train, codes = records(100, 0)
    train = train.with_columns(
        pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise("size")
    )
    train = train.with_columns(
        size=pl.when(pl.int_range(pl.len()) % 9 == 0).then(np.inf).otherwise("size")
    )
    for _, answers in baselines(infer_keys(train, codes), train, codes, train):
        assert answers.shape == (100,)
