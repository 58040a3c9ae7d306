"""Early classifier of series: scikit-learn's checks, early answers, live streams, files."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from plastorch.engine.errors import InputError
from plastorch.rank import RankClassifier, RankCoder, estimator_file, fitting
from plastorch.rank.thresholds import MOST_TRIED

SMALL: dict[str, Any] = {
    "core": "gru",
    "hidden_size": 8,
    "objective": "all",
    "folds": 1,
    "epochs": 15,
    "learning_rate": 0.02,
}
Series = tuple[Any, np.ndarray]


def small(**settings: Any) -> RankClassifier:
    return RankClassifier(**SMALL | settings)


@pytest.fixture(scope="module")
def noisy() -> Series:
    """Series [60, 2, 20] that go up or down in the first channel; the second is noise."""
    random = np.random.default_rng(0)
    y = np.repeat(["down", "up"], 30)
    X = random.normal(0, 0.7, (60, 2, 20))
    X[:, 0] += np.where(y == "up", 1, -1)[:, None] * np.linspace(0.5, 1.5, 20)
    return X, y


@pytest.fixture(scope="module")
def fitted(noisy: Series) -> RankClassifier:
    return small(folds=2, objective="hybrid", epochs=30).fit(*noisy)


@parametrize_with_checks([small(batch_size=64, learning_rate=0.05, alpha=0.95)])
def test_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_networks_may_learn_at_the_same_time(noisy: Series) -> None:
    one, both = (small(folds=2, epochs=2, n_jobs=n_jobs).fit(*noisy) for n_jobs in (None, 2))
    np.testing.assert_allclose(one.predict_proba(noisy[0]), both.predict_proba(noisy[0]), atol=1e-5)
    assert one.validation_cost_ == pytest.approx(both.validation_cost_)


def test_networks_that_learn_at_the_same_time_share_the_threads(
    noisy: Series, tmp_path: Path
) -> None:
    def core(channels: int) -> nn.Module:
        (tmp_path / str(os.getpid())).write_text(str(torch.get_num_threads()))
        return nn.GRU(channels, 4)

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        small(core=core, folds=2, epochs=1, n_jobs=2).fit(*noisy)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    told = {path.read_text() for path in tmp_path.iterdir() if path.name != str(os.getpid())}
    assert told == {"2"}


def test_held_out_series_are_read_in_batches(
    noisy: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small(class_weight="balanced", epochs=3).fit(*noisy)
    monkeypatch.setattr(fitting, "AT_ONCE", 5)
    parts = small(class_weight="balanced", epochs=3).fit(*noisy)
    np.testing.assert_allclose(parts.predict_proba(noisy[0]), whole.predict_proba(noisy[0]))
    assert parts.validation_cost_ == pytest.approx(whole.validation_cost_)


def test_labels_of_a_score_are_checked(fitted: RankClassifier, noisy: Series) -> None:
    X, y = noisy
    with pytest.warns(DataConversionWarning):
        assert fitted.score(X, y[:, None]) == fitted.score(X, y)
    with pytest.raises(InputError, match="y has 1 classes; expected 60"):
        fitted.score(X, y[:1])


def test_answers_are_early_and_right(fitted: RankClassifier, noisy: Series) -> None:
    X, y = noisy
    early = fitted.predict_early(X)
    assert (early.label == y).mean() > 0.9 and early.time.mean() < 10
    assert early.time.min() >= 1 and early.time.max() <= 20
    np.testing.assert_array_equal(fitted.predict(X), early.label)
    np.testing.assert_allclose(fitted.predict_proba(X).max(axis=1), early.confidence)
    cost = 0.8 * (early.label != y) + 0.2 * early.time / 20
    assert fitted.score(X, y) == pytest.approx(-cost.mean())


def test_a_late_answer_costs_more_the_smaller_alpha_is(noisy: Series) -> None:
    X, y = noisy
    model, times = small().fit(X, y), []
    for alpha in (0.1, 0.99):
        times.append(model.set_price(alpha).predict_early(X).time.mean())
        again = small(alpha=alpha).fit(X, y)
        np.testing.assert_array_equal(again.predict_early(X).time, model.predict_early(X).time)
        assert again.validation_cost_ == model.validation_cost_ and model.alpha == alpha
    assert times[0] < times[1]


def test_what_comes_after_the_answer_makes_no_difference(
    fitted: RankClassifier, noisy: Series
) -> None:
    """Normalization and network never look ahead."""
    early = fitted.predict_early(noisy[0])
    changed = noisy[0].copy()
    for row, time in enumerate(early.time):
        changed[row, :, time:] = 1e3
    again = fitted.predict_early(changed)
    np.testing.assert_array_equal(again.time, early.time)
    np.testing.assert_allclose(again.confidence, early.confidence, rtol=1e-5)


def test_series_of_all_lengths(noisy: Series) -> None:
    """A list of series answers as the same series one by one; padding plays no part."""
    X, y = noisy
    lengths = np.random.default_rng(1).integers(5, 21, 60)
    rows = [row[:, :end] for row, end in zip(X, lengths, strict=True)]
    model = small(thresholds="per-step").fit(rows, y)
    early = model.predict_early(rows)
    assert (early.time <= lengths).all()
    for place in (0, 17, 59):
        one = model.predict_early([rows[place]])
        assert one.time[0] == early.time[place] and one.label[0] == early.label[place]
    assert np.isfinite(model.predict_proba([np.zeros((2, 300))])).all()


@pytest.mark.parametrize("thresholds", ["constant", "per-step"])
@pytest.mark.parametrize("core", ["gru", "convolutional"])
def test_streams_answer_as_whole_series_do(noisy: Series, core: Any, thresholds: Any) -> None:
    X, y = noisy
    model = small(core=core, thresholds=thresholds, epochs=5).fit(X, y)
    early = model.predict_early(X)
    pending = list(range(0, 60, 7))
    for part in np.split(np.arange(20), [1, 4, 11]):
        for name in list(pending):
            if model.update(X[name][:, part], stream=name):
                pending.remove(name)
    for name in range(0, 60, 7):
        answer = model.end(name)
        assert answer.step + 1 == early.time[name] and answer.label == early.label[name]
        assert answer.probability == pytest.approx(early.confidence[name], abs=1e-5)


def test_bad_samples_leave_a_stream_as_it_was(fitted: RankClassifier, noisy: Series) -> None:
    series, model = noisy[0][3], fitted
    expected = int(model.predict_early(series[None]).time[0])
    for start in range(expected - 1):
        assert model.update(series[:, start : start + 1], "a") is None
        for bad in (np.zeros((3, 1)), np.full((2, 1), np.nan), np.zeros((2, 0)), "x"):
            with pytest.raises(InputError, match="new_samples"):
                model.update(bad, "a")
    answer = model.update(series[:, expected - 1 :], "a")
    assert answer is not None and answer.step == expected - 1
    with pytest.raises(InputError, match="was answered at step"):
        model.update(series, "a")
    assert model.end("a") == answer
    with pytest.raises(InputError, match="has no samples"):
        model.end("a")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"core": "lstm", "folds": 3, "alpha": 0.5, "class_weight": "balanced", "n_jobs": 1},
        {"core": "convolutional", "thresholds": "per-step", "missing": "mask", "batch_size": 16},
        {"class_weight": {"up": 2, "down": 1}, "random_state": np.random.RandomState(3)},
    ],
)
def test_files(noisy: Series, tmp_path: Path, settings: dict[str, Any]) -> None:
    X, y = noisy
    model, path = small(**settings | {"epochs": 2}).fit(X, y), tmp_path / "model.safetensors"
    model.save(path)
    loaded = RankClassifier.load(path)
    for own, theirs in zip(model.predict_early(X), loaded.predict_early(X), strict=True):
        np.testing.assert_array_equal(own, theirs)
    assert loaded.score(X, y) == model.score(X, y)
    assert loaded.validation_cost_ == model.validation_cost_
    machine = {"device": "auto", "n_jobs": None}
    seed = settings.get("random_state") and np.random.RandomState(3).randint(2**31 - 1)
    known = {} if seed is None else {"random_state": seed}
    assert loaded.get_params() == model.get_params() | machine | known
    again = loaded.set_params(device=model.device).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    loaded = RankClassifier.load(path)
    with pytest.raises(InputError, match="held-out series are not in the file"):
        loaded.set_price(0.5)
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"SHA-256|damaged|NaN"):
        RankClassifier.load(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("folds", 0, "folds is 0"),
        ("objective", "rank", "objective is 'rank'"),
        ("batch_size", -4, "batch_size is -4"),
        ("learning_rate", 0.0, "learning_rate is 0"),
        ("random_state", -1, "-1 is not a whole number"),
        ("class_weight", "none", "class_weight is none"),
    ],
)
def test_files_of_wrong_arguments_are_refused(
    fitted: RankClassifier, tmp_path: Path, name: str, value: Any, message: str
) -> None:
    path = tmp_path / "model"
    fitted.save(path)
    saved = estimator_file.read(path)
    estimator_file.write(path, saved._replace(params=saved.params | {name: value}))
    with pytest.raises(InputError, match=f"{path} is not a classifier.*{message}"):
        RankClassifier.load(path)


def test_files_hold_named_cores_only(noisy: Series, tmp_path: Path) -> None:
    model = small(core=lambda channels: nn.GRU(channels, 4), epochs=1).fit(*noisy)
    assert isinstance(model.coder_, RankCoder)
    with pytest.raises(InputError, match="core is"):
        model.save(tmp_path / "model")
    model = small(epochs=1, class_weight={("up",): 1, "up": 1, "down": 2}).fit(*noisy)
    with pytest.raises(InputError, match=r"class_weight is .* text or numbers"):
        model.save(tmp_path / "model")
    with pytest.raises(InputError, match="missing; expected a classifier"):
        RankClassifier.load(tmp_path / "none")


def test_missing_values(noisy: Series) -> None:
    X, y = noisy[0].copy(), noisy[1]
    X[np.random.default_rng(2).random(X.shape) < 0.2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        small().fit(X, y)
    model = small(missing="mask", epochs=40).fit(X, y)
    assert (model.predict(X) == y).mean() > 0.8
    assert model.predict_early(X[:, :, :1]).time.tolist() == [1] * 60


def test_constant_channels_and_rare_classes(noisy: Series) -> None:
    X, y = noisy[0].copy(), noisy[1].astype("U9")
    X[:, 1] = 7.0
    y[:1] = "once"
    for folds in (1, 3):
        model = small(epochs=2, folds=folds).fit(X, y)
        assert np.isfinite(model.predict_proba(X)).all() and len(model.classes_) == 3


def test_equal_seeds_give_equal_networks(noisy: Series) -> None:
    one, other = (clone(small(epochs=2)).fit(*noisy) for _ in range(2))
    for name, tensor in one.coder_.state_dict().items():
        assert torch.equal(tensor, other.coder_.state_dict()[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.0}, "alpha is 1.0"),
        ({"alpha": 0}, "alpha is 0"),
        ({"core": "grus"}, "core is 'grus'.*did you mean gru"),
        ({"core": lambda channels: nn.Identity()}, "hidden_size is None"),
        ({"core": lambda channels: nn.GRU(channels, 6, batch_first=True)}, "GRU with batch_first"),
        ({"core": nn.GRU(2, 6)}, "core is a module, GRU; expected a function"),
        ({"objective": "rank"}, "objective is 'rank'"),
        ({"folds": 0}, "folds is 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"thresholds": "none"}, "thresholds is 'none'"),
        ({"class_weight": [1, 2]}, "class_weight can't be used"),
    ],
)
def test_bad_arguments(noisy: Series, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**settings).fit(*noisy)


def test_bad_series(fitted: RankClassifier, noisy: Series) -> None:
    X, y = noisy
    with pytest.raises(InputError, match="y holds 1 class"):
        small().fit(X, np.zeros(60))
    with pytest.raises(InputError, match="y has 59 classes; expected 60, one for each series"):
        small().fit(X, y[1:])
    with pytest.raises(InputError, match="3 channels; expected 2"):
        fitted.predict([np.zeros((3, 20))])
    with pytest.raises(InputError, match=r"series of \[1, 2\] channels"):
        fitted.predict([np.zeros((2, 20)), np.zeros(20)])
    with pytest.raises(InputError, match=r"X\[0\] has shape"):
        fitted.predict([np.zeros((2, 0))])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X: X + 1j, "complex128; expected real numbers"),
        (lambda X: X.astype("M8[s]"), "datetime64.*; expected real numbers"),
        (lambda X: np.where(X > 2, np.nan, X), 'expected finite ones; missing="mask"'),
    ],
)
def test_series_are_finite_real_numbers(
    fitted: RankClassifier, noisy: Series, change: Any, words: str
) -> None:
    X = change(noisy[0])
    for form in (X, list(X)):
        with pytest.raises(InputError, match=words):
            fitted.predict(form)
    with pytest.raises(InputError, match=words):
        fitted.update(X[np.isnan(X).any(axis=(1, 2)).argmax()], "unused")


@pytest.mark.parametrize("form", ["lists", "series", "tensors", "objects", "nested"])
def test_lists_of_series_take_any_form(fitted: RankClassifier, noisy: Series, form: str) -> None:
    rows = [row[:, : 10 + place % 5] for place, row in enumerate(noisy[0])]
    nested = np.empty(len(rows), object)
    nested[:] = rows
    forms = {
        "lists": [row.tolist() for row in rows],
        "tensors": [torch.from_numpy(row) for row in rows],
        "objects": nested,
        "nested": noisy[0].tolist(),
        "series": [pd.DataFrame(row) for row in rows],
    }
    expected = noisy[0] if form == "nested" else rows
    np.testing.assert_array_equal(fitted.predict_proba(forms[form]), fitted.predict_proba(expected))


def test_small_changes_around_a_large_mean_are_seen(noisy: Series) -> None:
    """Single precision has steps of 64 there."""
    X, y = np.round(noisy[0] * 1024) / 1024, noisy[1]  # sums are exact
    plain, far = small(epochs=3).fit(X, y), small(epochs=3).fit(X + 1e9, y)
    np.testing.assert_allclose(far.predict_proba(X + 1e9), plain.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(far.predict_proba(list(X + 1e9)), plain.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("backend", ["threading", "sequential"])
def test_networks_learn_one_after_the_other_where_workers_share_memory(
    noisy: Series, backend: str
) -> None:
    with parallel_config(backend="loky", n_jobs=1):
        alone = small(folds=3, epochs=3, core="convolutional").fit(*noisy)
    with parallel_config(backend=backend, n_jobs=3):
        shared = small(folds=3, epochs=3, core="convolutional").fit(*noisy)
    np.testing.assert_array_equal(alone.predict_proba(noisy[0]), shared.predict_proba(noisy[0]))


def test_a_failed_fit_leaves_the_estimator_as_it_was(noisy: Series) -> None:
    X, y = noisy[0][:, 0], noisy[1]
    model = small(epochs=1).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(InputError, match="59 classes"):
        model.fit(X[:, :10], y[1:])
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert model.n_features_in_ == 20
    model.fit(noisy[0], y)
    assert not hasattr(model, "n_features_in_")


def test_arguments_set_after_training_do_not_change_the_networks(
    noisy: Series, tmp_path: Path
) -> None:
    X, y = noisy[0].copy(), noisy[1]
    X[:, 1, 3] = np.nan
    model = small(missing="mask", epochs=1).fit(X, y)
    before = model.predict_proba(X)
    model.set_params(missing="error", hidden_size=5, core="lstm")
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.save(tmp_path / "model")
    loaded = RankClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), before)
    assert loaded.hidden_size == 8


def test_sizes_may_be_numbers_of_numpy(noisy: Series, tmp_path: Path) -> None:
    """As GridSearchCV gives them."""
    sizes = {"hidden_size": 4, "folds": 2, "epochs": 2, "patience": 1, "batch_size": 16}
    plain = small(**sizes).fit(*noisy)
    model = small(**{name: np.int64(size) for name, size in sizes.items()}).fit(*noisy)
    np.testing.assert_array_equal(model.predict_proba(noisy[0]), plain.predict_proba(noisy[0]))
    model.save(tmp_path / "model")
    assert RankClassifier.load(tmp_path / "model").hidden_size == 4
    with pytest.raises(InputError, match="hidden_size is True"):
        small(hidden_size=True).fit(*noisy)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
def test_bad_weights_of_classes(noisy: Series, weight: float) -> None:
    with pytest.raises(InputError, match=r"class_weight is .*; expected finite"):
        small(class_weight={"up": weight, "down": 1.0}).fit(*noisy)


def test_a_class_may_have_no_weight(noisy: Series) -> None:
    """Some batches have no other class."""
    model = small(class_weight={"up": 0, "down": 1}, batch_size=2, epochs=2).fit(*noisy)
    assert np.isfinite(model.predict_proba(noisy[0])).all()


def test_a_constant_threshold_is_rounded_down() -> None:
    """Nothing in single precision would cross it if it were rounded up to 1."""
    number = MOST_TRIED // 2  # so that both values are neighboring quantiles
    sure = np.tile([1 - 2.0**-24, 1.0], (number, 1))
    right = np.tile([False, True], (number, 1))
    threshold, _ = fitting.HeldOut(sure, right, np.full(number, 2)).thresholds("constant", 0.9)
    assert isinstance(threshold, float)
    assert (torch.from_numpy(sure[0]).float() > threshold).tolist() == [False, True]
