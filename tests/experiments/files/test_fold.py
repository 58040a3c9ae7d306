"""Folds of tables and the forms in which models take records; baselines and clusters on them."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier

from plastorch.data.tables.corpus import make_corpus
from plastorch.data.tables.records import Table
from plastorch.experiments.files import baselines as files_baselines
from plastorch.experiments.files import clusters as files_clusters
from plastorch.experiments.files.baselines import BASELINES, TrainedModel, measured, scores
from plastorch.experiments.files.clusters import (
    CLUSTERINGS,
    clustered,
    k_medoids,
    k_modes,
    nearest_mode,
)
from plastorch.experiments.files.config import MODELS
from plastorch.experiments.files.fold import BINS, Fold, keys_with_shares
from plastorch.experiments.files.raster import RASTER, most_coincident, prototypes, regression
from plastorch.experiments.files.streams import FoldStream
from plastorch.files.calibration import fold_numbers
from plastorch.files.encode import coincidence
from plastorch.files.pairs import Pair
from plastorch.files.similarity import similarity_matrix
from plastorch.spiking.patterns.rule import NO_SPIKE


def fold(records: int = 300, neurons: int = 60, table: Table | None = None) -> Fold:
    return Fold(table or make_corpus(records), 0, folds=3, neurons=neurons, references=80, seed=0)


def easy(records: int = 300) -> Table:
    """Three classes that an owner and a size tell nearly always."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, records)
    owner = np.where(random.random(records) < 0.95, labels, random.integers(0, 3, records))
    frame = pl.DataFrame(
        {
            "owner": [f"owner-{value}" for value in owner],
            "size": random.normal(labels * 3.0, 0.6),
            "junk": [f"junk-{value}" for value in random.integers(0, 4, records)],
        }
    )
    return Table("easy", frame, labels.astype(np.str_), "made up", "")


@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=60),
    folds=st.integers(2, 5),
    seed=st.integers(0, 9),
)
def test_folds_share_out_each_class_evenly(labels: list[int], folds: int, seed: int) -> None:
    classes = np.array(labels)
    numbers = fold_numbers(classes, folds, seed)
    for chosen in [classes >= 0, *(classes == c for c in np.unique(classes))]:
        counts = np.bincount(numbers[chosen], minlength=folds)
        assert counts.max() - counts.min() <= 1
    assert np.array_equal(numbers, fold_numbers(classes, folds, seed))


def test_a_fold_parts_records_and_keeps_its_forms() -> None:
    one, two = fold(), Fold(make_corpus(300), 1, folds=3, neurons=60, references=80, seed=0)
    assert (one.train.height, one.test.height) == (200, 100)
    assert one.test.join(two.test, on=one.test.columns).height == 0
    assert one.train_bins is one.train_bins and one.features is one.features
    assert one.train_bins.shape == (200, 60) and one.test_bins.shape == (100, 60)
    assert not torch.equal(
        torch.from_numpy(one.encoder.encode(two.test)), two.test_bins
    )  # another hash, other shares
    some = one.some(200, 50, FoldStream.REFERENCES).tolist()
    assert len(some) == 50 and some == sorted(set(some))
    assert one.some(30, 50, FoldStream.REFERENCES).tolist() == list(range(30))


def test_neurons_go_by_information_as_far_as_single_keys_tell() -> None:
    random = np.random.default_rng(0)
    a, b, c = random.integers(0, 2, (3, 4000))
    frame = pl.DataFrame({"a": a.astype(str), "b": b.astype(str), "c": c.astype(str)})
    both = keys_with_shares(frame, a, 100)
    assert [key.neurons for key in both] == [96, 2, 2]
    only_together = keys_with_shares(frame, a ^ b, 90)
    assert all(abs(key.neurons - 30) <= 1 for key in only_together)
    half = keys_with_shares(frame, a * 2 + (b ^ c), 100)  # half of the entropy is in one key
    np.testing.assert_allclose([key.neurons for key in half], [65, 18, 17], atol=2)


def test_codes_are_levels_of_numbers_and_places_of_texts() -> None:
    made = fold()
    train, test = made.codes
    for place, key in enumerate(made.keys):
        values = made.train[key.name].to_numpy()
        if key.kind == "category":
            known = sorted(set(values))
            assert train[:, place].tolist() == [1 + known.index(v) for v in values]
            assert set(test[:, place]) <= {*range(1 + len(known))}
        else:
            counts = np.bincount(train[:, place])[1:]
            assert len(counts) == 16 and counts.max() - counts.min() <= 2
            assert np.corrcoef(train[:, place], values)[0, 1] > 0.85
            assert made.ordinals[0][:, place].tolist() == values.tolist()


def test_every_model_is_there() -> None:
    assert {"snn", "stdp", *BASELINES, *RASTER, *CLUSTERINGS} == set(MODELS)
    made = fold(table=easy())
    (most,) = measured("majority", made, BASELINES["majority"])
    shares = np.bincount(made.test_labels) / made.test.height
    assert float(most["accuracy"]) == shares[np.bincount(made.train_labels).argmax()]
    assert most["kappa"] == 0


def test_trees_take_the_iterations_and_leaves_that_are_best_on_held_out_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("ITERATIONS", 3), ("MOST_ITERATIONS", 12)):
        monkeypatch.setattr(files_baselines, name, value)
    made = fold()
    held, rest = (rows.numpy() for rows in made.validation())
    train, labels = made.ordinals[0], made.train_labels
    shares = {}
    for leaves in (31, 63):
        whole = HistGradientBoostingClassifier(
            max_iter=12, max_leaf_nodes=leaves, l2_regularization=1.0, early_stopping=False
        ).fit(train[rest], labels[rest])
        for iterations, answers in enumerate(whole.staged_predict(train[held]), start=1):
            if iterations % 3 == 0:
                shares[iterations, leaves] = (answers == labels[held]).mean()
    found = [files_baselines._validated(made, leaves) for leaves in (31, 63)]
    best = max(shares, key=lambda place: shares[place])
    assert max(found, key=lambda each: each[0]) == (shares[best], *best)


@pytest.mark.parametrize("name", sorted({*BASELINES, *RASTER} - {"majority", "rbf-nystroem"}))
def test_models_learn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_baselines, "MOST_ITERATIONS", 50)
    (record,) = measured(name, fold(table=easy()), (BASELINES | RASTER)[name])
    assert float(record["accuracy"]) > 0.85
    assert float(record["kappa"]) > 0.7 and float(record["macro_f1"]) > 0.8
    assert int(record["parameters"]) > 0 and float(record["operations"]) > 0
    assert (record["model"], record["table"], record["fold"]) == (name, "easy", 0)


def test_the_approximated_kernel_is_for_many_records_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fold(table=easy())
    assert measured("rbf-nystroem", made, BASELINES["rbf-nystroem"]) == []
    assert measured("rbf-svm", made, BASELINES["rbf-svm"])[0]["learned_from"] == 200
    monkeypatch.setattr(files_baselines, "EXACT", 100)
    monkeypatch.setattr(files_baselines, "SOME", 50)
    monkeypatch.setattr(files_baselines, "COMPONENTS", 40)
    (record,) = measured("rbf-nystroem", made, BASELINES["rbf-nystroem"])
    assert float(record["accuracy"]) > 0.9 and record["learned_from"] == 200
    assert measured("rbf-svm", made, BASELINES["rbf-svm"])[0]["learned_from"] == 50


def test_scores_of_known_answers() -> None:
    found = scores(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
    expected = (0.75 - 0.5) / (1 - 0.5)  # chance: 3/4 x 1/2 + 1/4 x 1/2
    assert found["kappa"] == pytest.approx(expected) and found["accuracy"] == 0.75
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores(np.zeros(3, int), np.zeros(3, int))["kappa"] == 0


def test_coincidences_are_those_of_pairs() -> None:
    random = np.random.default_rng(0)
    bins = random.integers(0, 4, (30, 12)).astype(np.uint8)
    bins[random.random(bins.shape) < 0.2] = NO_SPIKE
    found = most_coincident(bins[:20], bins[20:])
    naive = np.array([[coincidence(a, b) for b in bins[20:]] for a in bins[:20]])
    assert found.tolist() == naive.argmax(1).tolist()


def test_prototypes_are_mean_coincidences_with_classes() -> None:
    made = fold(120, 40)
    train, test = made.train_bins.numpy(), made.test_bins.numpy()
    alike = np.array([coincidence(row, train) for row in test])
    means = [alike[:, made.train_labels == c].mean(1) for c in range(6)]
    assert prototypes(made).answer().tolist() == np.argmax(means, axis=0).tolist()


def test_logistic_regression_on_the_raster_is_linear_in_its_spikes() -> None:
    made = fold(table=easy())
    model = regression(made)
    silent = torch.full_like(made.test_bins, NO_SPIKE)
    answers = model.answer()
    made.test_bins = silent
    assert len(set(model.answer().tolist())) == 1 and len(set(answers.tolist())) == 3
    assert model.parameters == (60 * BINS + 1) * 3


def test_k_modes_are_those_of_a_naive_loop() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 4, (80, 5))
    modes, before = codes[:6].copy(), 0
    for rounds in range(1, 5):
        found = k_modes(codes, modes, rounds)
        matches = (codes[:, None] == found).sum(-1).max(1).sum()
        assert matches >= before  # what it climbs
        before = matches
    clusters = nearest_mode(codes, found)
    for cluster in range(6):
        for key in range(5):
            counts = np.bincount(codes[clusters == cluster, key], minlength=4)
            assert counts[found[cluster, key]] == counts.max()


def test_k_medoids_find_the_middle_of_groups() -> None:
    made = fold()
    alike = similarity_matrix(made.keys, made.train)
    first = np.arange(8)
    costs = [alike[:, k_medoids(alike, first, rounds)].max(1).sum() for rounds in range(6)]
    assert costs == sorted(costs) and costs[-1] > costs[0]


def test_clusters_are_found_without_labels_and_named_by_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = fold(table=easy())
    monkeypatch.setattr(files_clusters, "LABELED", (0.1, 1.0))
    for name, fit in CLUSTERINGS.items():
        few, whole = clustered(name, made, fit)
        assert (few["labeled"], whole["labeled"]) == (0.1, 1.0)
        assert float(whole["accuracy"]) > 0.8, name
        assert float(few["accuracy"]) <= float(whole["accuracy"]) + 0.05
    other = Fold(easy(), 0, folds=3, neurons=60, references=80, seed=0)
    other.train_labels = other.train_labels[::-1].copy()  # tells nothing of clusters
    assert made.keys != other.keys
    other.keys = made.keys
    for name in CLUSTERINGS:
        one, two = (CLUSTERINGS[name](each) for each in (made, other))
        assert one.train.tolist() == two.train.tolist()


def test_a_model_may_be_no_good_for_a_table() -> None:
    def none(_: Fold) -> TrainedModel | None:
        return None

    assert measured("none", fold(60, 30), none) == []


def test_naive_bayes_of_a_number_that_only_a_test_record_lacks() -> None:
    made = fold()
    train, test = (codes.copy() for codes in made.codes)
    test[0, 0] = train[:, 0].max() + 1
    made.codes = train, test
    assert BASELINES["naive-bayes"](made).answer().shape == (len(test),)  # type: ignore[union-attr]


def test_a_fold_with_pairs_of_keys_is_one_of_its_own() -> None:
    random = np.random.default_rng(0)
    a, b, c = random.integers(0, 4, (3, 600))
    frame = pl.DataFrame({"a": a.astype(str), "b": b.astype(str), "c": c.astype(str)})
    labels = ((a + b) % 4).astype(str)
    table = Table("sum", frame, labels, "here", "")
    plain = Fold(table, 0, folds=3, neurons=60, references=80, seed=0)
    assert plain.pairs == () and plain.train_bins.shape == (400, 60)
    paired = plain.paired(1, 30)
    assert paired.pairs == (Pair("a", "b", 30),)
    assert paired.keys == plain.keys and paired.neurons == 90
    assert paired.train_bins.shape == (400, 90) and paired.test_bins.shape == (200, 90)
    assert paired.key_of_neuron.bincount().tolist() == [*(key.neurons for key in plain.keys), 30]
    assert plain.train_bins.shape == (400, 60) and plain.train.width == 3
    alike = Table("none", frame.select("a"), labels, "here", "")
    single = Fold(alike, 0, folds=3, neurons=9, references=80, seed=0)
    assert single.paired(1, 30) is single
