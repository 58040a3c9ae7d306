"""The made-up corpus: its form, its statistics, and that it is the same each time."""

import numpy as np
import pytest

from plastorch.data.tables.corpus import make_corpus
from plastorch.engine.errors import InputError
from plastorch.files.keys import infer_keys


def test_keys_and_classes() -> None:
    table = make_corpus(3000)
    assert table.name == "corpus" and len(table.labels) == 3000
    kinds = {key.name: key.kind for key in infer_keys(table.frame, table.labels)}
    assert kinds == {
        **dict.fromkeys(("extension", "owner", "directory"), "category"),
        "log_size": "number",
        "hour": "cycle",
        "age": "number",
    }
    _, counts = np.unique(table.labels, return_counts=True)
    assert len(counts) == 6 and counts.min() > 400
    assert table.frame["hour"].min() >= 0 and table.frame["hour"].max() < 24  # type: ignore[operator]


def test_classes_have_habits_which_are_those_of_every_corpus() -> None:
    one, two = make_corpus(20_000), make_corpus(20_000, seed=1)
    for name in ("log_size", "age"):
        means = [
            [t.frame[name].to_numpy()[t.labels == c].mean() for c in np.unique(t.labels)]
            for t in (one, two)
        ]
        np.testing.assert_allclose(*means, rtol=0.05)
        assert np.ptp(means[0]) > 0.2 * np.mean(means[0])
    shares = [
        (t.frame["owner"].to_numpy()[t.labels == "class-0"][:, None] == owners).mean(0)
        for t in (one, two)
        for owners in [np.array([f"owner-{i}" for i in range(40)])]
    ]
    np.testing.assert_allclose(*shares, atol=0.03)
    size = one.frame["log_size"].to_numpy()[one.labels == "class-3"]
    assert size.std() == pytest.approx(1.5, rel=0.05)


def test_equal_seeds_give_equal_corpora() -> None:
    one, two, other = make_corpus(50), make_corpus(50), make_corpus(50, seed=1)
    assert one.frame.equals(two.frame) and one.sha256 == two.sha256 != other.sha256


def test_no_records() -> None:
    with pytest.raises(InputError, match="records is 0"):
        make_corpus(0)
