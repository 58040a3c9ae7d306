"""Early classification of series: rivals against loops, claims, figures, and a small whole run."""

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from plastorch.data.series import SeriesSet
from plastorch.engine.errors import InputError
from plastorch.experiments.context import Context
from plastorch.experiments.rank import series
from plastorch.experiments.rank.series import RankSeriesConfig, measure
from plastorch.experiments.rank.series_claims import chosen, claims, difference, figures, ranks
from plastorch.experiments.rank.series_panels import groups, panels
from plastorch.experiments.rank.series_rivals import Prefixes, by_induction, by_threshold, teaser
from plastorch.rank.thresholds import costs
from plastorch.report.load import load_run
from plastorch.report.theme import LIGHT

EXPERIMENT = "rank-series"


def prefixes(count: int, seed: int, known_at: int = 3) -> Prefixes:
    """Series of two classes, of which nothing is known before a time, and all from then on."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    sure = np.where(np.arange(1, 7) < known_at, 0.5, 0.95)
    right = np.where(labels[:, None] == 1, sure, 1 - sure)
    chances = np.stack([1 - right, right], axis=2) + random.normal(0, 1e-3, (count, 6, 1)) * [-1, 1]
    lengths = np.full(count, 12)
    return Prefixes(chances, labels, np.full(count, 6), 2 * np.arange(1, 7), lengths)


@pytest.mark.parametrize("rule", [by_threshold, by_induction])
def test_rivals_wait_until_they_know(rule: Callable[..., Any]) -> None:
    held_out, test = prefixes(60, 0), prefixes(80, 1)
    answers = rule(held_out, test, 0.8)
    assert answers.right.all() and set(answers.time) == {6} and set(answers.lengths) == {12}


@pytest.mark.parametrize("rule", [by_threshold, by_induction])
def test_rivals_guess_at_once_if_time_is_dear(rule: Callable[..., Any]) -> None:
    answers = rule(prefixes(60, 0, 6), prefixes(80, 1, 6), 0.05)
    assert answers.time.mean() < 3


def test_induction_beats_a_threshold_where_some_never_become_sure() -> None:
    """Half stay at chance, for which waiting is useless; others are likely, then sure."""

    def mixed(seed: int) -> Prefixes:
        found, random = prefixes(300, seed, 4), np.random.default_rng(seed + 9)
        chances, hopeless = found.chances.copy(), random.random(300) < 0.5
        chances[hopeless] = 0.5 + random.normal(0, 1e-3, (hopeless.sum(), 6, 1)) * [-1, 1]
        likely = np.where(random.random(300) < 0.6, found.labels, 1 - found.labels)
        shown = np.where(likely[:, None] == [0, 1], 0.6, 0.4)
        chances[~hopeless, :3] = shown[~hopeless, None]
        return found._replace(chances=chances)

    read = mixed(0), mixed(1)
    prices = [costs(*rule(*read, 0.8), 0.8).mean() for rule in (by_threshold, by_induction)]
    assert prices[1] < prices[0] - 0.03


class FakeTeaser:
    """What aeon documents: updates take undecided series only, and are sure at the full length."""

    def __init__(self, classification_points: list[int], random_state: int) -> None:
        assert classification_points == [8, 12, 24] and random_state == 3

    def fit(self, X: np.ndarray, y: np.ndarray) -> None:
        assert X.shape == (6, 1, 24) and list(y) == ["a", "b"] * 3

    def predict(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Answers series whose first value is below the number of steps; that is their class."""
        sure = (X[:, 0, 0] < X.shape[2]) | (X.shape[2] == 24)
        return np.where(sure, np.where(X[:, 0, 1] > 0, "b", "a"), "-1"), sure

    update_predict = predict


def test_teaser_gives_up_series_once_it_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("aeon.classification.early_classification")
    module.TEASER = FakeTeaser  # type: ignore[attr-defined]
    for name in ("aeon", "aeon.classification"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    values, labels = np.zeros((6, 1, 24), np.float32), np.array(["a", "b"] * 3)
    values[:, 0, 0] = [1, 9, 20, 30, 1, 9]
    values[:, 0, 1] = [0, 1, 0, 1, 0, 0]
    answers = teaser(SeriesSet("x", tuple(values), labels, tuple(values), labels), 3)
    assert answers.time.tolist() == [8, 12, 24, 24, 8, 12]
    assert answers.right.tolist() == [True] * 5 + [False]


def rows(sets: int = 8) -> list[dict[str, Any]]:
    """Records in which "hybrid" is best on held-out series and on five of eight sets."""
    found: list[dict[str, Any]] = []
    methods = ("all", "hybrid", "threshold", "induction", "teaser")
    for place, method, alpha in product(range(sets), methods, (0.5, 0.8, 0.95)):
        early = place < 3
        prices = {"all": 0.3, "hybrid": 0.2, "teaser": 0.5}
        prices |= {"threshold": 0.1 if early else 0.4, "induction": 0.15 if early else 0.45}
        cost = prices[method]
        row = {"phase": f"set{place}", "method": method, "alpha": alpha, "accuracy": 0.9}
        row |= {"cost": cost + 0.001 * place, "earliness": cost, "harmonic_mean": 1 - cost}
        if method in ("all", "hybrid"):
            row["validation_cost"] = cost
        if method != "teaser" or early:
            found.append(row)
    return found


def test_claims_are_about_the_objective_that_held_out_series_choose() -> None:
    records = rows()
    assert chosen(records) == "hybrid"
    order = ranks(records)
    assert next(iter(order)) in ("threshold", "hybrid") and sum(order.values()) == pytest.approx(10)
    assert "teaser" not in order
    found = {claim.id: claim for claim in claims(records, True)}
    assert found["sets-below-a-rival"].measured == 5 and found["sets-below-a-rival"].holds
    assert found["teaser"].measured == pytest.approx(0.3) and found["teaser"].holds
    assert found["mean-rank"].measured == pytest.approx(
        min(order["threshold"], order["induction"]) - order["hybrid"]
    )
    assert all(claim.holds is None for claim in claims(records, False))
    assert figures(records)["set0_hybrid_80_cost"] == pytest.approx(0.2)
    assert figures(records)["validation_score"] == pytest.approx(-0.2)
    assert difference(records, "all", "hybrid") == pytest.approx(2 / 2**8)
    assert difference(records, "all", "all") == 1.0
    assert groups(records)[0][0] == next(iter(order))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of noise with a trend, in place of those in packages."""

    def load(name: str) -> SeriesSet:
        random = np.random.default_rng(len(name))
        labels = np.array(["down", "up"] * 12)
        values = random.normal(np.where(labels == "up", 1, -1)[:, None, None], 1, (24, 1, 12))
        series = tuple(values.astype(np.float32))
        return SeriesSet(name, series, labels, series, labels)

    monkeypatch.setattr(series, "load_series", load)


@pytest.mark.usefixtures("made")
def test_a_small_run(tmp_path: Path, context: Callable[..., Context]) -> None:
    config = RankSeriesConfig(rivals=False, hidden_size=4)
    result = measure(config, context(tmp_path))
    assert result["complete"] and result["data"]["n_test"] == 48
    assert {"chosen_cost", "test_accuracy", "hybrid_rank", "all_cost_80"} <= result[
        "metrics"
    ].keys()
    found = panels(load_run(tmp_path))
    assert [panel.name for panel in found] == ["ranks", "costs", "accuracy-earliness"]
    for panel in found:
        panel.draw(LIGHT)


def test_few_series_are_of_all_classes() -> None:
    labels = np.array(["a"] * 10 + ["b"] * 3)
    values = tuple(np.zeros((1, 4), np.float32) for _ in labels)
    few = SeriesSet("x", values, labels, values, labels).few(4)
    assert sorted(few.train_labels) == ["a", "a", "b", "b"] and len(few.test) == 4


def test_unknown_sets_are_named() -> None:
    with pytest.raises(InputError, match=r"sets are .*expected some of"):
        RankSeriesConfig(sets=("GunPoints",))


def test_real_sets() -> None:
    pytest.importorskip("aeon")
    from plastorch.data.series import load_series

    found = load_series("JapaneseVowels")
    assert (
        len(found.train) == 270
        and found.train[0].shape[0] == 12
        and len(set(found.test_labels)) == 9
    )
