"""Updates of a model: old classes stay, new ones come, and nothing is changed by bad records."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from plastorch.cli import main
from plastorch.data.root import data_root
from plastorch.data.tables.records import load_table
from plastorch.engine.errors import InputError
from plastorch.files.classifier import FileClassifier
from plastorch.files.kept import HELD, LEARNED, OFTEN, PER_CLASS, Kept, grown, shown
from plastorch.spiking.patterns.network import PatternNetwork

SIZES = {"code": 10.0, "image": 1000.0, "text": 100_000.0, "video": 1e7}


def records(count: int, kinds: list[str], seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.choice(kinds, count)
    size = np.array([SIZES[label] for label in labels]) * 10 ** random.normal(0, 0.3, count)
    return pl.DataFrame({"size": size, "hour": random.integers(0, 24, count)}), labels


def model(**changes: Any) -> FileClassifier:
    settings: dict[str, Any] = {"hidden": 24, "neurons": 80, "epochs": 8, "batch_size": 32}
    return FileClassifier(**settings | changes).fit(*records(600, ["code", "text", "video"]))


def test_what_is_kept() -> None:
    random = np.random.default_rng(0)
    codes = np.where(random.random(9000) < 0.002, 1, 0)
    held = random.random(9000) < 0.5
    whole = Kept(random.integers(0, 20, (9000, 3)).astype(np.uint8), codes, held)
    kept = whole.sample(seed=0)
    for part, most in ((kept.take(~kept.held), LEARNED), (kept.take(kept.held), HELD)):
        assert most <= len(part.codes) <= most + PER_CLASS
        rare = int(((codes == 1) & (held == part.held[0])).sum())
        assert (part.codes == 1).sum() >= min(rare, PER_CLASS)
    few = whole.take(np.arange(50))
    again = few.sample(seed=0)
    assert sorted(again.bins.tolist()) == sorted(few.bins.tolist())


def test_new_records_are_repeated_to_the_size_of_an_old_class() -> None:
    old = Kept(np.zeros((60, 1), np.uint8), np.arange(60) % 2, np.zeros(60, bool))
    new = Kept(np.ones((5, 1), np.uint8), np.array([2, 2, 2, 2, 3]), np.zeros(5, bool))
    assert np.bincount(shown(old, new).codes).tolist() == [30, 30, 28, OFTEN]


def test_a_new_class_comes_between_old_ones(tmp_path: Path) -> None:
    updated, (frame, labels) = model(), records(300, ["code", "text", "video"], seed=1)
    before, counts = updated.score(frame, labels), updated.class_count_.sum()
    assert before > 0.9
    updated.update(*records(8, ["image"], seed=2))
    assert updated.classes_.tolist() == ["code", "image", "text", "video"]
    assert updated.class_count_.tolist()[1] == 8 and updated.class_count_.sum() == counts + 8
    assert updated.score(frame, labels) >= before - 0.03
    assert updated.score(*records(100, ["image"], seed=3)) > 0.8
    updated.save(tmp_path / "model")
    loaded = FileClassifier.load(tmp_path / "model")
    assert loaded.fingerprint == updated.fingerprint
    assert loaded.kept_score(["code"]) == updated.kept_score(["code"])
    assert np.isnan(loaded.kept_score(["image"]))
    for one in (loaded, updated):
        one.update(*records(30, ["image", "code"], seed=4))
    assert loaded.fingerprint == updated.fingerprint
    assert not np.isnan(updated.kept_score(["image"]))


@pytest.mark.parametrize("ensemble", [False, True])
def test_every_neuron_of_a_class_moves_with_it(ensemble: bool) -> None:
    random = torch.Generator().manual_seed(0)
    network = PatternNetwork(5, 4, 2, population=3, ensemble=ensemble, generator=random)
    copied = grown(network, np.array([2, 0]), 3, random)
    for old, new in ((0, 2), (1, 0)):
        for name in ("output_weight", "output_bias"):
            one, two = (getattr(net, name).unflatten(0, (-1, 3)) for net in (network, copied))
            assert torch.equal(one[old], two[new])
    assert copied.output_weight.shape == (9, 4) and copied.population == 3
    assert copied.ensemble is ensemble


def test_a_small_model_learns_all_and_keeps_its_calibration() -> None:
    small = FileClassifier(hidden=24, neurons=80, epochs=8, batch_size=32)
    small.fit(*records(60, ["code", "text"]))
    before = small.calibration_
    assert small.class_count_.sum() == 60 and len(before.confidences) > 0
    small.update(*records(20, ["image"], seed=2))
    assert small.class_count_.sum() == 80 and not small.kept_.held.any()
    assert small.calibration_ == before and np.isnan(small.kept_score(["code"]))
    assert small.score(*records(90, ["code", "image", "text"], seed=3)) > 0.8


def test_without_kept_records_it_would_forget() -> None:
    few = records(20, ["image"], seed=2)
    forgetful, frame = model(), records(300, ["code", "text", "video"], seed=1)
    forgetful.kept_ = forgetful.kept_.take(np.arange(1))
    assert forgetful.update(*few).score(*frame) < 0.7 < 0.85 < model().update(*few).score(*frame)


BAD: list[tuple[Any, Any, str]] = [
    ([{"size": 1.0}], ["image"], "records lack 1 of the model's 2 keys: hour; expected all"),
    ([{"color": "red"}], ["image"], "records lack 2 of the model's 2 keys"),
    ([{"size": 1.0, "hour": 3}], [7], "y holds 7; expected classes like 'code'"),
    ([{"size": 1.0, "hour": 3}], ["a", "b"], "y has 2 classes; expected 1"),
    ([{"size": 1.0, "hour": 3}], [None], "y is missing"),
]


@pytest.mark.parametrize(("X", "y", "words"), BAD)
def test_bad_updates_leave_a_model_as_it_was(X: Any, y: Any, words: str) -> None:
    whole = model(epochs=1)
    before = whole.fingerprint
    with pytest.raises(InputError, match=words):
        whole.update(X, y)
    assert whole.fingerprint == before


def test_a_model_that_keeps_nothing_is_not_updated() -> None:
    frame, labels = records(50, ["code", "text"])
    online = FileClassifier(hidden=4, neurons=10).partial_fit(frame, labels, ["code", "text"])
    with pytest.raises(InputError, match="the model keeps no records"):
        online.update(frame, labels)


@pytest.mark.parametrize(("key_pairs", "least"), [(0, 0.5), (15, 0.4)])
def test_a_real_table_learns_a_class_from_ten_records_and_keeps_the_others(
    key_pairs: int, least: float
) -> None:
    """Nursery, first without its second largest class: 0 % of that are right before. Ten records
    have few of its combinations, so with pairs fewer of the others are recognized."""
    if not (data_root() / "metadata" / "nursery.csv.gz").is_file():
        pytest.skip("needs the table nursery in the data root")
    table = load_table("nursery")
    rows = np.random.default_rng(0).permutation(len(table.labels))[:4000]
    frame, labels = table.frame[rows], table.labels[rows]
    new = labels == "not_recom"
    old, old_labels = frame.filter(~new), labels[~new]
    whole = FileClassifier(hidden=48, key_pairs=key_pairs, epochs=12)
    whole.fit(old[:2000], old_labels[:2000])
    assert len(whole.pairs_) == key_pairs
    before = whole.score(old[2000:], old_labels[2000:])
    whole.update(frame.filter(new)[:10], labels[new][:10])
    assert before > 0.85
    assert whole.score(old[2000:], old_labels[2000:]) > before - 0.03
    assert whole.score(frame.filter(new)[10:], labels[new][10:]) > least


def write(path: Path, count: int, kinds: list[str]) -> str:
    frame, labels = records(count, kinds)
    frame.with_columns(kind=pl.Series(labels)).write_csv(path)
    return str(path)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write(tmp_path / "old.csv", 700, ["code", "text"])
    new = write(tmp_path / "new.csv", 60, ["image"])  # of that many, unique hours would be ids
    pl.read_csv(new).with_columns(hour=pl.int_range(60)).write_csv(new)
    out = str(tmp_path / "model")
    fit = ["files", "fit", "--label", "kind", "--epochs", "8"]
    assert main([*fit, old, "--out", out, "--hidden", "16", "--neurons", "60"]) == 0
    capsys.readouterr()
    assert main([*fit, new, "--out", out, "--update", out]) == 0
    printed = capsys.readouterr().out
    assert "old classes, kept records never learned from: " in printed and "before" in printed
    assert "of 12 held-out ones right" in printed and "3 classes, 1 of them new" in printed
    data = Path(out).read_bytes()
    pl.read_csv(new).drop("hour").write_csv(tmp_path / "less.csv")
    for given, words in (
        ([str(tmp_path / "less.csv")], "lack 1 of the model's 2 keys: hour"),
        ([new, "--hidden", "9"], "hidden is 9; expected none with --update"),
        ([new, "--hidden", "256"], "hidden is 256; expected none with --update"),
        ([new, "--dropout", "0"], "dropout is 0.0; expected none with --update"),
        ([new, "--epochs", "0"], "epochs is 0"),
    ):
        assert main([*fit, *given, "--out", out, "--update", out]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("plastorch: ") and words in line
    assert Path(out).read_bytes() == data
