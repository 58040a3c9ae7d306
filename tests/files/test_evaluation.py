"""What is held out, and simple learners: against counts by hand and what is possible."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from plastorch.files.evaluation import baselines, held_out
from plastorch.files.keys import infer_keys


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), st.integers(0, 99))
def test_a_fifth_of_each_class_is_held_out(codes: list[int], seed: int) -> None:
    given = np.array(codes)
    held = held_out(given, seed)
    for code in set(codes):
        assert held[given == code].sum() == (given == code).sum() // 5
    assert (held == held_out(given, seed)).all()


def test_which_are_held_out_depends_on_the_seed_only_by_chance() -> None:
    codes = np.repeat([0, 1], 5000)
    held = [held_out(codes, seed) for seed in range(2)]
    assert abs((held[0] & held[1]).mean() - 0.04) < 0.01
    assert abs(held[0][:2500].mean() - 0.2) < 0.03


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
