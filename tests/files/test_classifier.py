"""FileClassifier: what it learns, that chunks and parts don't matter, scikit-learn's rules."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from plastorch.data.root import data_root
from plastorch.data.tables.records import load_table
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.files import learner, trained
from plastorch.files import predict as answers
from plastorch.files.calibration import Calibration, held_out
from plastorch.files.classifier import FileClassifier
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.keys import infer_keys
from plastorch.files.layout import lay_out
from plastorch.files.pairs import Pair
from plastorch.files.trained import AbsentKeysWarning
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import decide
from plastorch.spiking.patterns.training import train

SMALL: dict[str, Any] = {"hidden": 24, "neurons": 60, "epochs": 6, "batch_size": 32}


def small(**changes: Any) -> FileClassifier:
    return FileClassifier(**SMALL | changes)


def files(count: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Files of three kinds, which owner and size tell; a tenth of the owners is missing."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 3, count)
    owners = np.array(["ada", "bob", "cyd"])[(kinds + (random.random(count) < 0.1)) % 3]
    frame = pl.DataFrame(
        {
            "owner": pl.Series(owners).set(pl.Series(random.random(count) < 0.1), None),
            "size": 10 ** (2 + kinds + random.normal(0, 0.4, count)),
            "hour": random.integers(0, 24, count),
            "path": [f"/srv/d{i}/f" for i in random.integers(0, 9, count)],
        }
    )
    return frame, np.array(["code", "image", "text"])[kinds]


def on_the_line(chances: np.ndarray, calibration: Calibration) -> np.ndarray:
    """The highest probability as slope and offset say, but not below the second; those of the
    others in the ratios that they had."""
    best = chances.argmax()
    ratios = chances / np.delete(chances, best).sum()
    sure = expit(calibration.slope * np.log(ratios[best]) + calibration.offset)
    second = np.delete(ratios, best).max()
    sure = max(sure, second / (1 + second))
    found = ratios * (1 - sure)
    found[best] = sure
    return found


@pytest.fixture(scope="module")
def fitted() -> FileClassifier:
    return small().fit(*files(600))


class TestLearning:
    def test_new_records_are_told_apart(self, fitted: FileClassifier) -> None:
        new, labels = files(500, seed=1)
        assert fitted.score(new, labels) > 0.9
        assert fitted.classes_.tolist() == ["code", "image", "text"]
        assert 540 <= fitted.class_count_.sum() <= 543  # a tenth is held back
        assert sum(key.neurons for key in fitted.keys_) == 60

    def test_it_is_the_rooms_pieces_run_by_hand(self) -> None:
        frame, labels = files(600)
        model = small(random_state=3).fit(frame, labels)
        encoder = CorrelativeEncoder(model.keys_, bins=20, seed=3)
        codes = np.unique(labels, return_inverse=True)[1]
        learned = ~held_out(codes, seed=3, parts=10)
        bins, codes = encoder.encode(frame.filter(learned)), codes[learned]
        net = PatternNetwork(60, 24, 3, generator=stream(3, 0))
        order = stream(3, 1)
        train(
            net,
            torch.from_numpy(bins),
            torch.from_numpy(codes),
            order,
            epochs=6,
            batch=32,
            dropout=0.2,
        )
        new = files(300, seed=1)[0]
        with torch.no_grad():
            response = net(torch.from_numpy(encoder.encode(new)))
        assert (model.predict(new) == model.classes_[decide(response).numpy()]).all()
        scaled = -response.distance.double().numpy() / 16 / model.calibration_.temperature
        expected = [on_the_line(row, model.calibration_) for row in softmax(scaled, 1)]
        np.testing.assert_allclose(model.predict_proba(new), expected, atol=1e-6)

    @pytest.mark.parametrize("offset", [-30.0, -1.0, 0.0, 30.0])
    @pytest.mark.parametrize("slope", [0.1, 1.0, 20.0])
    def test_the_class_is_the_most_probable_one_on_any_line(
        self, fitted: FileClassifier, slope: float, offset: float
    ) -> None:
        frame = files(300, seed=1)[0]
        model = copy.copy(fitted)
        model.calibration_ = Calibration()
        before, answers = model.predict_proba(frame), model.predict(frame)
        model.calibration_ = Calibration(slope=slope, offset=offset)
        found = model.predict_proba(frame)
        assert (model.classes_[found.argmax(1)] == answers).all()
        np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
        expected = [on_the_line(row, model.calibration_) for row in before.astype(float)]
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_window_is_20_ms_whatever_the_bins(self) -> None:
        frame, labels = files(300)
        for bins in (2, 7, 20, 100, 254):
            neuron = small(bins=bins, epochs=1).fit(frame, labels).network_.neuron
            assert neuron.input_steps == bins and neuron.dt * bins == pytest.approx(20e-3)
        assert small(bins=50).fit(frame, labels).score(*files(300, seed=1)) > 0.85

    @pytest.mark.parametrize(
        "classes", [["a", "b", "c"], [3, 1, 2], [1.0, -2.0, 0.0], [("x",), ("y",), ("z",)]]
    )
    def test_classes_of_any_sortable_type(self, classes: list[Any]) -> None:
        frame, labels = files(200)
        named = dict(zip(["code", "image", "text"], classes, strict=True))
        y = np.empty(200, object)
        y[:] = [named[label] for label in labels]
        if not isinstance(classes[0], tuple):
            y = np.array(y.tolist())
            model = small().fit(frame, y)
            assert set(model.predict(frame)) == set(classes)
        else:
            with pytest.raises(InputError, match="y can't be used"):
                small().fit(frame, y)

    def test_all_forms_of_records_and_classes_are_one(self, tmp_path: Path) -> None:
        frame, labels = files(150)
        expected = small(epochs=1).fit(frame, labels).predict_proba(frame)
        frame.write_parquet(tmp_path / "a.parquet")
        forms = [frame.to_dicts(), frame.to_pandas(), frame.to_arrow(), tmp_path / "a.parquet"]
        given = [labels.tolist(), pd.Series(labels), pl.Series(labels), labels.astype(object)]
        for form, answer in zip(forms, given, strict=True):
            model = small(epochs=1).fit(form, answer)
            np.testing.assert_array_equal(model.predict_proba(form), expected)

    def test_names_of_columns_that_are_numbers(self, tmp_path: Path) -> None:
        """Text is a name like any other; a pandas frame that counts its columns is an array."""
        frame, labels = files(150)
        frame = frame.rename({name: str(j) for j, name in enumerate(frame.columns)})
        path = tmp_path / "a.csv"
        frame.write_csv(path)
        expected = None
        for form in (path, frame, frame.to_pandas()):
            model = small(epochs=1).fit(form, labels)
            assert {key.name for key in model.keys_} == set("0123")
            for other in (path, frame, frame.to_pandas()):
                found = model.predict_proba(other)
                expected = found if expected is None else expected
                np.testing.assert_array_equal(found, expected)
        numbers = np.random.default_rng(0).normal(size=(150, 3))
        model = small(epochs=1).fit(pd.DataFrame(numbers), labels)
        assert {key.name for key in model.keys_} == {"x0", "x1", "x2"}
        model.predict(numbers)

    def test_sizes_may_be_of_numpy(self) -> None:
        frame, labels = files(150)
        sizes: dict[str, Any] = {name: np.int64(size) for name, size in SMALL.items()}
        model = FileClassifier(**sizes).partial_fit(frame, labels, classes=np.unique(labels))
        assert model.predict(frame).shape == (150,)

    def test_seeds(self) -> None:
        frame, labels = files(150)
        ones = [small(epochs=1, random_state=s).fit(frame, labels) for s in (0, 0, 1)]
        assert ones[0].fingerprint == ones[1].fingerprint != ones[2].fingerprint
        drawn = small(epochs=1, random_state=np.random.RandomState(5)).fit(frame, labels)
        assert drawn.fingerprint not in {one.fingerprint for one in ones}


class TestAnswers:
    def test_chunks_don_t_matter(
        self, fitted: FileClassifier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new = files(300, seed=1)[0]
        whole = fitted.predict_proba(new), fitted.predict(new), fitted.describe(new)
        monkeypatch.setattr(trained, "MOST_ROWS", 7)
        monkeypatch.setattr(answers, "EXPLAINED", 5)
        np.testing.assert_array_equal(fitted.predict_proba(new), whole[0])
        np.testing.assert_array_equal(fitted.predict(new), whole[1])
        assert fitted.describe(new).equals(whole[2])

    def test_probabilities_and_classes_agree_even_if_nothing_fires(self) -> None:
        frame, labels = files(100)
        model = small(epochs=1).fit(frame, labels)
        for parameter in model.network_.parameters():
            parameter.data.mul_(0.0)
        model.network_.output_bias.data.copy_(torch.tensor([0.0, 0.02, 0.01]))
        chances = model.predict_proba(frame)
        np.testing.assert_allclose(chances, 1 / 3, atol=1e-6)
        assert set(model.predict(frame)) == {"image"}
        assert (chances.argmax(1) == 1).all()
        assert model.describe(frame)["keys"].unique().to_list() == [""]

    def test_described(self, fitted: FileClassifier) -> None:
        new = files(300, seed=1)[0]
        told, chances = fitted.describe(new), fitted.predict_proba(new)
        assert told.schema == {"label": pl.String, "confidence": pl.Float32, "keys": pl.String}
        assert told["label"].to_list() == fitted.predict(new).tolist()
        np.testing.assert_array_equal(told["confidence"].to_numpy(), chances.max(axis=1))
        named = told["keys"].str.split(", ")
        assert named.list.len().max() <= 3  # type: ignore[operator]
        assert set(named.explode()) <= {"owner", "size", "hour", "path", ""}
        first = named.list.first().value_counts(sort=True)[0, 0]
        assert first in ("size", "owner")

    def test_a_missing_key_drives_nothing(self, fitted: FileClassifier) -> None:
        new = files(300, seed=1)[0].with_columns(size=None)
        named = fitted.describe(new)["keys"].str.split(", ").explode()
        assert "size" not in set(named) and "owner" in set(named)

    def test_missing_columns_unseen_categories_and_other_types(
        self, fitted: FileClassifier
    ) -> None:
        new, labels = files(300, seed=1)
        with pytest.warns(AbsentKeysWarning, match="lack 3 of the model.s 4 keys"):
            assert fitted.score(new.select("size"), labels) > 0.7
        with pytest.warns(AbsentKeysWarning, match="missing: path"):
            assert fitted.score(new.select("hour", "size", "owner"), labels) > 0.8
        unseen = new.with_columns(owner=pl.lit("eve"), extra=pl.lit(1))
        alike = new.with_columns(owner=pl.lit("e" * 10_000_000))
        assert fitted.score(unseen, labels) > 0.7 and fitted.score(alike[:3], labels[:3]) >= 0
        as_text = new.with_columns(pl.col("size", "hour").cast(pl.String))
        assert (fitted.predict(as_text) == fitted.predict(new)).all()
        nothing = new.with_columns(size=pl.lit("large"))
        with pytest.warns(AbsentKeysWarning, match="lack 1 of the model's 4 keys.*missing: size"):
            without = fitted.predict_proba(new.drop("size"))
        np.testing.assert_array_equal(fitted.predict_proba(nothing), without)

    def test_records_without_any_value(self, fitted: FileClassifier) -> None:
        with pytest.warns(AbsentKeysWarning):
            found = fitted.predict([{"owner": None}, {"size": None}])
        assert set(found) <= set(fitted.classes_)


class TestOnline:
    def test_it_learns_batch_by_batch(self) -> None:
        frame, labels = files(1200)
        model = small()
        for begin in range(0, 1200, 200):
            rows = slice(begin, begin + 200)
            model.partial_fit(frame[rows], labels[rows], classes=["code", "image", "text"])
        assert model.score(*files(300, seed=1)) > 0.85
        assert model.class_count_.sum() == 1200
        codes = np.unique(labels[:200], return_inverse=True)[1]
        keys = infer_keys(frame[:200], codes, 60)
        assert model.keys_ == tuple(lay_out(frame[:200], keys, (), 20, 0)[0].keys)

    def test_order_and_number_of_calls_matter_and_are_reproducible(self) -> None:
        frame, labels = files(300)
        parts = [(frame[rows], labels[rows]) for rows in (slice(0, 150), slice(150, 300))]

        def online(*order: int) -> str:
            model = small()
            for part in order:
                model.partial_fit(*parts[part], classes=["code", "image", "text"])
            return model.fingerprint

        assert online(0, 1) == online(0, 1) != online(0, 1, 1)

    def test_state_of_the_optimizer_is_kept_and_survives_pickle(self) -> None:
        frame, labels = files(300)
        model = small().fit(frame[:150], labels[:150])
        before = model.fingerprint
        model.partial_fit(frame[:150], labels[:150])
        assert model.fingerprint != before
        copied, fresh = pickle.loads(pickle.dumps(model)), copy.deepcopy(model)
        fresh._optimizer = None
        for one in (model, copied, fresh):
            one.partial_fit(frame[150:], labels[150:])
        assert model.fingerprint == copied.fingerprint != fresh.fingerprint

    @pytest.mark.parametrize(
        ("X", "y", "classes", "words"),
        [
            (0, ["code", "poem"], None, "y holds 'poem'; expected only the 3 known classes"),
            (0, ["code", "text"], ["a", "b"], "classes is .*expected None or the known ones"),
            ([{"color": 1}], ["code"], None, "expected some of"),
            (0, ["code"], None, "y has 1 classes; expected 2, one for each record"),
        ],
    )
    def test_bad_batch_leaves_it_as_it_was(
        self, fitted: FileClassifier, X: Any, y: Any, classes: Any, words: str
    ) -> None:
        before = fitted.fingerprint
        with pytest.raises(InputError, match=words):
            fitted.partial_fit(X or files(2)[0], y, classes)
        assert fitted.fingerprint == before

    def test_first_batch_needs_all_classes(self) -> None:
        with pytest.raises(InputError, match="classes is None in the first call"):
            small().partial_fit(*files(20))
        with pytest.raises(InputError, match=r"classes holds 1 class \('code'\)"):
            small().partial_fit(*files(20), classes=["code"])
        with pytest.raises(InputError, match=r"classes holds '\\udcff'; expected text, valid"):
            small().partial_fit(*files(20), classes=["code", "\udcff"])


class TestFailures:
    """What a fit that fails leaves."""

    @pytest.mark.parametrize("labels", [["x"] * 60, ["x", "y", "z"] * 20])
    def test_a_refused_or_stopped_fit_leaves_the_model_as_it_was(self, labels: list[str]) -> None:
        numbers = np.random.default_rng(0).random((60, 3))
        model = small(epochs=1).fit(numbers, ["a", "b", "c"] * 20)
        before, state = model.fingerprint, vars(model).copy()

        def stop(epoch: int, right: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises((InputError, KeyboardInterrupt)):
            model.fit(np.random.default_rng(1).random((60, 5)), labels, tell=stop)
        assert model.fingerprint == before and vars(model) == state
        assert model.predict(numbers).shape == (60,)

    def test_a_model_that_is_fitted_anew_is_a_new_one(self) -> None:
        frame, labels = files(100)
        model = small(epochs=1).fit(frame, labels).partial_fit(frame, labels)
        assert (
            model.fit(frame, labels).fingerprint == small(epochs=1).fit(frame, labels).fingerprint
        )
        assert model._optimizer is None


BAD_LABELS = [
    (None, "requires y to be passed, but the target y is None"),
    (["code"] * 20, r"y holds 1 class \('code'\); expected two or more"),
    (["code"] * 19, "y has 19 classes; expected 20, one for each record"),
    (np.arange(20) / 3, "y can't be used: Unknown label type: continuous"),
    (["code", None] * 10, "y is missing 10 times"),
    ([1.0, np.nan] * 10, "y is missing 10 times"),
    (pl.Series(["a", "b", None, "a"] * 5), "y is missing 5 times"),
    (np.zeros((20, 2)), "y can't be used"),
    ([np.nan, "a", "b", "a"] * 5, "y is missing 5 times"),
    ([pd.NA, "a"] * 10, "y is missing 10 times"),
    ([pd.NaT, "a"] * 10, "y is missing 10 times"),
    (pd.Series(["a", pd.NA] * 10, dtype="string"), "y is missing 10 times"),
    (np.array(["NaT", "2020-01-01"] * 10, "datetime64[ns]"), "y is missing 10 times"),
    (["", "a"] * 10, "y holds ''; expected text, valid Unicode without NUL"),
    (["a\0", "a"] * 10, r"y holds 'a\\x00'; expected text, valid Unicode without NUL"),
    (["\udcff", "a"] * 10, r"y holds '\\udcff'; expected text, valid Unicode without NUL"),
    ([1, "a"] * 10, None),
]
BAD_RECORDS: list[tuple[Any, str]] = [
    ([], "records are 0 with 0 keys"),
    (pl.DataFrame({"a": []}), "records are 0 with 1 keys"),
    (pl.DataFrame({"a": [1] * 20}), "records all have the same values"),
    (np.zeros((20, 3)), "records all have the same values"),
    (np.full((20, 3), np.inf), "X can't be used: Input X contains infinity"),
    (np.zeros(20), "X can't be used: Expected 2D array"),
    ([["a"]] * 20, "X can't be used"),
    ("no/such/file.parquet", "no/such/file.parquet is not a file"),
    (7, "records are int; expected dicts"),
    (pl.DataFrame({f"k{j}": range(20) for j in range(70)}), "neurons are 60; expected one or more"),
]
BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"hidden": 0}, "hidden is 0; expected a whole number, 1 or more"),
    ({"members": 0}, "members is 0; expected a whole number, 1 or more"),
    ({"members": 25}, "members is 25; expected at most 24, as hidden is"),
    ({"neurons": 2.5}, "neurons is 2.5; expected a whole number"),
    ({"key_pairs": -1}, "key_pairs is -1; expected a whole number, 0 or more"),
    ({"key_pairs": 1.5}, "key_pairs is 1.5; expected a whole number"),
    ({"bins": 1}, "bins is 1; expected 2 to 254"),
    ({"bins": 255}, "bins is 255; expected 2 to 254"),
    ({"epochs": "many"}, "epochs is 'many'; expected"),
    ({"batch_size": None}, "batch_size is None; expected"),
    ({"learning_rate": float("nan")}, "learning_rate is nan; expected more than 0"),
    ({"dropout": 1}, "dropout is 1; expected 0 to less than 1"),
    ({"dropout": "some"}, "dropout is 'some'; expected 0 to less than 1"),
    ({"random_state": "dice"}, "random_state is 'dice'; expected a whole number"),
]


@pytest.mark.parametrize(
    ("classes", "arguments", "expected"),
    [
        (2, {"hidden": 128}, 2),
        (3, {"hidden": 191}, 2),
        (2, {"hidden": 63}, 1),
        (4, {"hidden": 256}, 1),
        (4, {"hidden": 16, "members": 3}, 3),
        (2, {"hidden": 256, "members": 1}, 1),
    ],
)
def test_few_classes_are_learned_by_networks_side_by_side(
    classes: int, arguments: dict[str, Any], expected: int
) -> None:
    frame, labels = pl.DataFrame({"size": range(40)}), np.arange(40) % classes
    network = FileClassifier(neurons=10, epochs=1, **arguments).fit(frame, labels).network_
    assert network.population == expected and network.ensemble is (expected > 1)


def test_few_records_are_passed_over_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10,000 updates of 128 records, but 15 to 60 passes."""
    counts = {100: 60, 20_000: 60, 40_000: 32, 80_000: 16, 90_000: 15, 10**6: 15}
    assert {count: FileClassifier().epochs_for(count) for count in counts} == counts
    assert FileClassifier(epochs=7).epochs_for(100) == 7
    monkeypatch.setattr(learner, "UPDATES", 500)
    told: list[int] = []
    model = FileClassifier(hidden=4, neurons=10, batch_size=20)
    model.fit(*files(600), tell=lambda epoch, right: told.append(epoch))
    assert told == list(range(17))
    model.save(tmp_path / "model")
    told.clear()
    loaded = FileClassifier.load(tmp_path / "model")
    loaded.calibrate(*files(50, seed=1)).update(*files(9, seed=2), tell=lambda e, _: told.append(e))
    assert loaded.epochs is None and told == list(range(15))


def test_dropout_leaves_out_spikes_in_training_and_in_updates() -> None:
    (frame, labels), (new, right) = files(600), files(300, seed=1)
    model = small(dropout=0.3, epochs=9).fit(frame, labels)
    assert model.score(new, right) > 0.85
    plain = copy.deepcopy(model).set_params(dropout=0.0)
    assert plain.fingerprint != model.fingerprint
    model.update(new, right)
    plain.update(new, right)
    weights = (each.network_.hidden_weight for each in (model, plain))
    assert not torch.equal(*weights)


class TestPairsOfKeys:
    """Classes that only two keys together tell: the sum of both, modulo five."""

    def records(self, count: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
        a, b, c = np.random.default_rng(seed).integers(0, 5, (3, count))
        frame = pl.DataFrame({"a": a, "size": 1.5 * c, "b": b}).cast({"a": pl.String})
        return frame, (a + b) % 5

    def test_what_keys_tell_together_is_learned(self, tmp_path: Path) -> None:
        train, test = self.records(900, 0), self.records(300, 1)
        alone, paired = (small(key_pairs=count, epochs=24).fit(*train) for count in (0, 4))
        assert paired.pairs_ == (Pair("a", "b", 20),) and alone.pairs_ == ()
        assert paired.score(*test) > 0.95 and alone.score(*test) < 0.5
        assert {key.name for key in paired.keys_} == {"a", "size", "b"}
        assert paired.network_.hidden_weight.shape == (24, 80)
        told = paired.describe(test[0])
        assert told["keys"].str.contains("a × b").mean() > 0.7
        paired.save(tmp_path / "model")
        loaded = FileClassifier.load(tmp_path / "model")
        assert loaded.fingerprint == paired.fingerprint and loaded.pairs_ == paired.pairs_
        assert loaded.describe(test[0]).equals(told)

    def test_new_classes_are_learned_from_pairs(self) -> None:
        frame, sums = self.records(900, 0)
        known = sums < 4
        model = small(key_pairs=1, epochs=12).fit(frame.filter(known), sums[known])
        model.update(frame.filter(~known), sums[~known])
        new, right = self.records(300, 1)
        assert model.score(new, right) > 0.9
        with pytest.warns(AbsentKeysWarning, match="lack 1 of the model's 3 keys.*: b"):
            model.predict(new.drop("b"))


class TestBadInput:
    @pytest.mark.parametrize(("labels", "words"), BAD_LABELS)
    def test_labels(self, labels: Any, words: str | None) -> None:
        if words is None:  # numpy makes text of both
            assert small(epochs=1).fit(files(20)[0], labels).classes_.tolist() == ["1", "a"]
            return
        with pytest.raises(InputError, match=words):
            small().fit(files(20)[0], labels)

    @pytest.mark.parametrize(("records", "words"), BAD_RECORDS)
    def test_records(self, records: Any, words: str) -> None:
        with pytest.raises(InputError, match=words):
            small().fit(records, np.arange(20) % 2)

    @pytest.mark.parametrize(("changes", "words"), BAD_ARGUMENTS)
    def test_arguments(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(InputError, match=words):
            small(**changes).fit(*files(20))

    def test_records_of_another_model(self, fitted: FileClassifier) -> None:
        with pytest.raises(InputError, match="keys color; expected some of"):
            fitted.predict([{"color": "red"}])
        with pytest.raises(InputError, match="X has 2 features, but FileClassifier is expecting 4"):
            fitted.predict(np.zeros((3, 2)))
        with pytest.raises(InputError, match="holds lists; expected numbers"):
            fitted.predict([{"size": [1, 2], "owner": "ada", "hour": 1, "path": "/a"}])

    def test_not_fitted(self, tmp_path: Path) -> None:
        model, frame = small(), files(5)[0]
        for method in (model.predict, model.predict_proba, model.describe):
            with pytest.raises(NotFittedError):
                method(frame)
        with pytest.raises(NotFittedError):
            model.save(tmp_path / "model")
        with pytest.raises(NotFittedError):
            _ = model.fingerprint


class TestScikitLearn:
    @parametrize_with_checks(
        [FileClassifier(hidden=16, neurons=48, epochs=6, batch_size=32)],
        expected_failed_checks=lambda estimator: {
            "check_dtype_object": "values that can't be numbers are bad input like any other: "
            "InputError, which is a ValueError and no TypeError",
        },
    )
    def test_checks(self, estimator: Any, check: Any) -> None:
        check(estimator)

    def test_clone_search_and_validation(self) -> None:
        frame, labels = files(150)
        assert clone(small(bins=30)).get_params()["bins"] == 30
        table = frame.to_pandas()
        assert cross_val_score(small(), table, labels, cv=3).min() > 0.7
        search = GridSearchCV(small(epochs=2), {"hidden": [8, 16]}, cv=2, error_score="raise")
        assert search.fit(table, labels).predict(table).shape == (150,)


def test_files_of_a_real_system() -> None:
    """Kinds of files on a Debian system, by their metadata; little of them and a small net."""
    if not (data_root() / "metadata" / "debian_files.csv.gz").is_file():
        pytest.skip("needs the table debian_files in the data root")
    table = load_table("debian_files")
    random = np.random.default_rng(0).permutation(len(table.labels))
    rows, new = random[:3000], random[3000:6000]
    model = small(hidden=48, neurons=150, epochs=3).fit(table.frame[rows], table.labels[rows])
    most = np.unique(table.labels, return_counts=True)[1].max() / len(table.labels)
    assert model.score(table.frame[new], table.labels[new]) > most + 0.3
