"""What the estimator's confidence is worth, over folds; pairs of keys."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from plastorch.data.tables.corpus import make_corpus
from plastorch.data.tables.records import Table
from plastorch.engine.run import Record
from plastorch.experiments.files.config import FilesTablesConfig
from plastorch.experiments.files.estimator import estimator
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.spiking import Supervised, Way, learn, supervised
from plastorch.experiments.files.tables_claims import of_confidence
from plastorch.experiments.files.tables_metrics import metrics
from plastorch.files.calibration import expected_calibration_error, reliability_curve
from plastorch.files.classifier import FileClassifier
from plastorch.files.pairs import Pair


def test_calibration_error_of_all_folds_is_that_of_all_answers() -> None:
    random = np.random.default_rng(0)
    confidence = random.random((3, 200)) ** 0.5
    right = random.random((3, 200)) < confidence**2
    rows: list[Record] = []
    for fold in range(3):
        curve = reliability_curve(confidence[fold], right[fold])
        for sure, share, count in zip(*curve, strict=True):
            bin_: Record = {
                "confidence": float(sure),
                "accuracy": float(share),
                "answers": int(count),
            }
            rows.append(
                {"table": "t", "model": "reliability", "fold": fold, **bin_, "answers": int(count)}
            )
    whole: Record = {"table": "t", "model": "estimator", "accuracy": 0.6, "error_of_surest": 0.3}
    rows += [{**whole, "fold": fold} for fold in range(3)]
    found = metrics(rows)
    expected = expected_calibration_error(confidence.ravel(), right.ravel())
    assert found["t_reliability_calibration_error"] == pytest.approx(expected)
    assert found["test_accuracy"] == 0.6
    made = {claim.id: claim for claim in of_confidence(found, ["t"], evidence=True)}
    assert made["calibration-t"].measured == pytest.approx(expected)
    assert made["surest-t"].measured == pytest.approx(0.75) and not made["surest-t"].holds


def test_it_is_the_estimator_with_its_defaults_but_for_two_settings() -> None:
    config, model = FilesTablesConfig(), FileClassifier()
    assert config.estimator_dropout == model.dropout
    assert config.estimator_members is model.members is None
    fold = Fold(make_corpus(120), 0, folds=3, neurons=60, references=20, seed=0)
    whole, *curve = estimator(fold, 0.3, 2)
    model = FileClassifier(dropout=0.3, members=2, random_state=0).fit(
        fold.train, fold.train_labels
    )
    sure, right = (
        model.predict_proba(fold.test).max(1),
        model.predict(fold.test) == fold.test_labels,
    )
    assert whole["accuracy"] == right.mean()
    assert sum(int(row["answers"]) for row in curve) == 40
    best = np.argsort(-sure, kind="stable")[:32]
    assert whole["error_of_surest"] == pytest.approx(1 - right[best].mean())
    assert Counter(str(row["model"]) for row in curve) == {"reliability": len(curve)}


def test_pairs_that_are_asked_for_are_taken_where_they_tell_more_than_their_keys() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 6, (2, 900))
    frame = pl.DataFrame({"a": a.astype(str), "b": b.astype(str)})
    settings = Supervised(hidden=24, epochs=8, ways=(Way(0.0, False),), key_pairs=5,
                          neurons_per_pair=60)  # fmt: skip
    sums = Fold(Table("sum", frame, ((a + b) % 6).astype(str), "", ""), 0, folds=3, neurons=40,
                references=20, seed=0)  # fmt: skip
    assert learn(sums, settings).fold.pairs == (Pair("a", "b", 60),)
    found = supervised(sums, settings, shown=False)
    assert found[0]["model"] == "snn" and found[0]["pairs"] == 1
    assert float(found[0]["accuracy"]) > 0.6
    steps = [row for row in found if row["model"] == "stream"]
    assert len(steps) == 2  # keys arrive, and pairs don't
    alone = Fold(Table("a", frame, (a > 2).astype(str), "", ""), 0, folds=3, neurons=40,
                 references=20, seed=0)  # fmt: skip
    assert learn(alone, settings).fold.pairs == ()
