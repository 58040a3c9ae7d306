"""Calibrated confidence: against naive loops, scikit-learn, a search by hand, and real tables."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from plastorch.data.root import data_root
from plastorch.data.tables.records import load_table
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.files.calibration import (
    Calibration,
    best_line,
    best_temperature,
    expected_calibration_error,
    fold_numbers,
    held_out,
    reliability_curve,
)
from plastorch.files.classifier import FileClassifier
from plastorch.files.encode import CorrelativeEncoder
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.training import answer, train


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), st.integers(0, 99))
def test_a_fifth_of_each_class_is_held_out(codes: list[int], seed: int) -> None:
    given = np.array(codes)
    held = held_out(given, seed)
    for code in set(codes):
        assert held[given == code].sum() == (given == code).sum() // 5
    assert (held == held_out(given, seed)).all()
    few = held_out(given, seed, most=3)
    assert few.sum() == min(3, held.sum()) and not (few & ~held).any()


def test_which_are_held_out_depends_on_the_seed_only_by_chance() -> None:
    codes = np.repeat([0, 1], 5000)
    held = [held_out(codes, seed) for seed in range(2)]
    assert abs((held[0] & held[1]).mean() - 0.04) < 0.01
    assert abs(held[0][:2500].mean() - 0.2) < 0.03


ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def naive_error(answers: list[tuple[float, bool]], bins: int) -> float:
    total = 0.0
    for k in range(bins):
        inside = [a for a in answers if k < a[0] * bins <= k + 1 or (k == 0 and a[0] == 0)]
        if inside:
            sure = sum(confidence for confidence, _ in inside) / len(inside)
            right = sum(yes for _, yes in inside) / len(inside)
            total += len(inside) / len(answers) * abs(sure - right)
    return total


@given(ANSWERS, st.integers(1, 20))
def test_expected_calibration_error_is_that_of_a_loop(
    answers: list[tuple[float, bool]], bins: int
) -> None:
    confidence, right = zip(*answers, strict=True)
    found = expected_calibration_error(confidence, right, bins)
    assert found == pytest.approx(naive_error(answers, bins), abs=1e-12)


def test_reliability_curve_is_scikit_learn_s() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(500)
    right = random.random(500) < confidence**2
    found = reliability_curve(confidence, right, bins=10)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy, accuracy)
    np.testing.assert_allclose(found.confidence, mean)
    assert found.answers.sum() == 500


@pytest.mark.parametrize("stretch", [0.3, 1.0, 4.0])
def test_temperature_undoes_a_stretch(stretch: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 5))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    codes = (random.random((4000, 1)) > chances.cumsum(1)).sum(1)
    found = best_temperature(stretch * logits, codes)
    assert found == pytest.approx(stretch, rel=0.06)

    def loss(temperature: float) -> float:
        scaled = np.exp(stretch * logits / temperature)
        return float(log_loss(codes, scaled / scaled.sum(1, keepdims=True), labels=range(5)))

    assert loss(found) <= min(map(loss, stretch * np.linspace(0.7, 1.5, 30))) + 1e-5


def test_few_records_hardly_move_the_temperature() -> None:
    assert 0.5 < best_temperature(np.array([[9.0, 0.0]]), np.array([0])) < 2
    assert 0.5 < best_temperature(np.array([[1.0, 0.0]] * 2), np.array([0, 0])) < 1


@pytest.mark.parametrize(("slope", "offset"), [(0.5, 0.4), (1.0, 0.0), (2.5, -1.0)])
def test_a_line_is_that_of_logistic_regression(slope: float, offset: float) -> None:
    random = np.random.default_rng(0)
    log_odds = random.normal(1, 2, 20_000)
    right = random.random(20_000) < expit(slope * log_odds + offset)
    found = best_line(log_odds, right)
    assert found == pytest.approx((slope, offset), abs=0.1)
    free = LogisticRegression(C=np.inf).fit(log_odds[:, None], right)
    assert found == pytest.approx((free.coef_.item(), free.intercept_.item()), abs=0.01)


def test_few_records_hardly_move_the_line() -> None:
    assert best_line(np.array([3.0]), np.array([True])) == pytest.approx((1, 0), abs=0.2)
    slope, offset = best_line(np.array([3.0, -1.0]), np.array([False, True]))
    assert 0.3 < slope < 1 and abs(offset) < 1


def test_threshold_is_a_quantile() -> None:
    calibration = Calibration(confidences=tuple(np.linspace(0, 1, 101).tolist()))
    assert calibration.threshold(1) == 0
    assert calibration.threshold(0.8) == pytest.approx(0.2)
    with pytest.raises(InputError, match="no records were held out"):
        Calibration().threshold(0.8)
    assert Calibration().threshold(1) == 0


@pytest.mark.parametrize("coverage", [0, -0.5, 1.01, float("nan")])
def test_bad_coverage(coverage: float) -> None:
    with pytest.raises(InputError, match=f"coverage is {coverage}; expected more than 0, and 1"):
        Calibration().threshold(coverage)


BAD: list[tuple[Any, Any, int, str]] = [
    ([], [], 15, "shapes"),
    ([0.5], [True, False], 15, r"shapes \(1,\) and \(2,\)"),
    ([[0.5]], [[True]], 15, "shapes"),
    ([1.5], [True], 15, r"outside \[0, 1\]"),
    ([float("nan")], [True], 15, r"outside \[0, 1\]"),
    ([0.5], [True], 0, "bins is 0"),
]


@pytest.mark.parametrize(("confidence", "right", "bins", "words"), BAD)
def test_bad_answers(confidence: Any, right: Any, bins: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        reliability_curve(confidence, right, bins)


def noisy(count: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Records whose class the size tells the more surely, the farther it is from 0."""
    random = np.random.default_rng(seed)
    size = random.normal(0, 2, count)
    frame = pl.DataFrame({"size": size, "hour": random.integers(0, 24, count)})
    return frame, np.where(random.random(count) < 1 / (1 + np.exp(-2 * size)), "up", "down")


def test_confidence_is_right_as_often_as_it_says() -> None:
    model = FileClassifier(hidden=24, neurons=60, epochs=15, batch_size=32).fit(*noisy(3000, 0))
    frame, labels = noisy(4000, 1)
    confidence = model.predict_proba(frame).max(1)
    right = model.predict(frame) == labels
    assert expected_calibration_error(confidence, right) < 0.03
    given = confidence >= model.threshold(0.6)
    assert abs(given.mean() - 0.6) < 0.05 and right[given].mean() > right.mean() + 0.05
    told = model.describe(frame, min_confidence=model.threshold(0.6))
    assert (told["label"].is_not_null().to_numpy() == given).all()
    assert told["confidence"].null_count() == 0
    assert model.describe(frame)["label"].null_count() == 0


def test_an_overconfident_model_is_calibrated_again() -> None:
    model = FileClassifier(hidden=24, neurons=60, epochs=5, batch_size=32).fit(*noisy(600, 0))
    model.calibration_ = Calibration(0.1)
    frame, labels = noisy(4000, 1)
    right = model.predict(frame) == labels
    before = expected_calibration_error(model.predict_proba(frame).max(1), right)
    model.calibrate(*noisy(1000, 2))
    after = expected_calibration_error(model.predict_proba(frame).max(1), right)
    assert (model.predict(frame) == labels).tolist() == right.tolist()
    assert after < 0.04 < before
    with pytest.raises(InputError, match="y holds 'left'; expected only the 2 known classes"):
        model.calibrate(frame[:2], ["up", "left"])


def test_few_records_are_all_learned_and_calibrate_networks_that_have_not_seen_them() -> None:
    frame, labels = noisy(48, 0)
    model = FileClassifier(hidden=8, neurons=20, epochs=3, random_state=2).fit(frame, labels)
    assert model.class_count_.sum() == 48 and not model.kept_.held.any()
    codes = np.unique(labels, return_inverse=True)[1]
    bins = torch.from_numpy(CorrelativeEncoder(model.keys_, 20, 2).encode(frame))
    parts = fold_numbers(codes, 5, 2)
    logits = np.empty((48, 2))
    for part in range(5):
        net = PatternNetwork(20, 8, 2, generator=stream(2, 0))
        known = torch.from_numpy(parts != part)
        train(
            net,
            bins[known],
            torch.from_numpy(codes)[known],
            stream(2, 4, part),
            epochs=3,
            dropout=0.2,
        )
        logits[parts == part] = -answer(net, bins[~known]).distance.numpy() / 16
    temperature = best_temperature(logits, codes)
    highest = softmax(logits / temperature, 1).max(1)
    log_odds = np.log(highest / (1 - highest))
    slope, offset = best_line(log_odds, logits.argmax(1) == codes)
    assert model.calibration_[:3] == pytest.approx((temperature, slope, offset), abs=1e-3)
    sure = np.maximum(expit(slope * log_odds + offset), 0.5)
    assert model.threshold(0.5) == pytest.approx(np.median(sure), abs=1e-4)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_very_few_records(count: int) -> None:
    frame = pl.DataFrame({"size": range(count)})
    model = FileClassifier(hidden=4, neurons=10, epochs=1).fit(frame, ["a", "b", *"c" * 5][:count])
    assert model.class_count_.sum() == count and 0 < model.threshold(0.5) <= 1


def test_without_ten_records_of_a_class_nothing_is_held_back() -> None:
    frame, _ = noisy(540, 0)
    model = FileClassifier(hidden=4, neurons=10, epochs=1).fit(frame, np.arange(540) // 9)
    assert model.calibration_ == Calibration() and model.class_count_.sum() == 540
    with pytest.raises(InputError, match="no records were held out"):
        model.threshold(0.5)


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_bad_confidence(least: float) -> None:
    frame, labels = noisy(10, 0)
    model = FileClassifier(hidden=4, neurons=10, epochs=1).fit(frame, labels)
    with pytest.raises(InputError, match=f"min_confidence is {least}; expected 0 to 1"):
        model.describe(frame, least)


@pytest.mark.parametrize("name", ["nursery", "adult"])
def test_real_tables_are_two_points_off_at_most(name: str) -> None:
    """All records of a sample, each answered by a network that has seen four folds of five."""
    if not (data_root() / "metadata" / f"{name}.csv.gz").is_file():
        pytest.skip(f"needs the table {name} in the data root")
    table = load_table(name)
    rows = np.random.default_rng(0).permutation(len(table.labels))[:8000]
    frame, labels = table.frame[rows], table.labels[rows]
    confidence, right = np.zeros(len(rows)), np.zeros(len(rows), bool)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for known, asked in folds.split(rows, labels):
        model = FileClassifier(hidden=32, neurons=200, epochs=4).fit(frame[known], labels[known])
        confidence[asked] = model.predict_proba(frame[asked]).max(1)
        right[asked] = model.predict(frame[asked]) == labels[asked]
    assert expected_calibration_error(confidence, right) <= 0.02
