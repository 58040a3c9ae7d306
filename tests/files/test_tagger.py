"""Several tags per record: thresholds and scores against naive loops; fits, files, commands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score
from torch.nn.functional import binary_cross_entropy_with_logits

from plastorch.cli import main
from plastorch.engine.errors import InputError
from plastorch.files import FileClassifier, FileTagger
from plastorch.files.model_file import read
from plastorch.files.tagger import load_model
from plastorch.files.tags import (
    FEWEST,
    as_tags,
    best_thresholds,
    certainty,
    given_tags,
    split_tags,
    tag_scores,
)
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.training import answer, loss, right, train, yes_and_no

SMALL: dict[str, Any] = {"hidden": 32, "neurons": 90, "epochs": 25, "batch_size": 32}


def files(count: int, seed: int = 0) -> tuple[pl.DataFrame, list[set[str]]]:
    """Files with the tags of owner and size, which don't depend on each other; a tenth is wrong."""
    random = np.random.default_rng(seed)
    owner, big = random.integers(0, 3, count), random.random(count) < 0.3
    size = np.where(big, 1e6, 1e3) * 10 ** random.normal(0, 0.3, count)
    frame = pl.DataFrame({"owner": pl.Series(np.array(["ada", "bob", "cyd"])[owner]), "size": size})
    named = [{name} if name != "cyd" else set() for name in frame["owner"]]
    wrong = random.random(count) < 0.1
    return frame, [tags ^ ({"big"} if b ^ w else set()) for tags, b, w in
                   zip(named, big, wrong, strict=True)]  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> FileTagger:
    return FileTagger(**SMALL).fit(*files(700))


def test_tags_are_told_apart_one_by_one(fitted: FileTagger) -> None:
    frame, tags = files(400, seed=1)
    assert fitted.classes_.tolist() == ["ada", "big", "bob"]
    assert fitted.class_count_.shape == (3,) and fitted.network_.out_features == 6
    found = fitted.predict(frame)
    assert found.shape == (400,) and {type(row) for row in found} == {tuple}
    assert fitted.score(frame, tags) > 0.88
    owned = [set(row) - {"big"} == tags - {"big"} for row, tags in zip(found, tags, strict=True)]
    assert np.mean(owned) > 0.97
    assert () in set(found) and max(map(len, found)) == 2


def test_answers_agree(fitted: FileTagger) -> None:
    frame, _ = files(300, seed=2)
    chances, told = fitted.predict_proba(frame), fitted.describe(frame)
    given = given_tags(chances, fitted.tagging_.thresholds)
    sets = [fitted.classes_[row].tolist() for row in given]
    assert [list(row) for row in fitted.predict(frame)] == sets
    assert told["label"].to_list() == [",".join(row) for row in sets]
    for chance, row, confidence in zip(chances, given, told["confidence"], strict=True):
        expected = chance[row].min() if row.any() else 1 - chance.max()
        assert confidence == pytest.approx(expected)
    drove = told.filter(pl.col("label") == "ada,big")["keys"].str.split(", ").explode()
    assert set(drove) == {"owner", "size"}
    least = fitted.threshold(0.5)
    share = fitted.describe(frame, least)["label"].is_not_null().mean()
    assert abs(float(share) - 0.5) < 0.2  # type: ignore[arg-type]


def test_the_network_is_the_rooms_pieces_run_by_hand(fitted: FileTagger) -> None:
    frame, _ = files(50, seed=3)
    distance = answer(fitted.network_, fitted._bins(frame)).distance.double().numpy()
    odds = (distance[:, 1::2] - distance[:, ::2]) / 16 / fitted.calibration_.temperature
    np.testing.assert_allclose(fitted.predict_proba(frame), 1 / (1 + np.exp(-odds)), atol=1e-5)


def test_loss_is_that_of_a_yes_or_no_for_each_tag() -> None:
    random = torch.Generator().manual_seed(0)
    network = PatternNetwork(20, 16, 4, generator=random)
    bins = torch.randint(0, 20, (30, 20), generator=random).byte()
    present = torch.rand(30, 2, generator=random) < 0.5
    response = network(bins)
    yes, no = yes_and_no(response).unbind(1)
    entropy = binary_cross_entropy_with_logits(yes - no, present.float(), reduction="sum") / 30
    rate = response.hidden_spikes / 16
    penalty = 0.02 * ((0.05 - rate).clamp(min=0) + (rate - 1).clamp(min=0)).mean()
    torch.testing.assert_close(loss(response, present, 16), entropy + penalty)
    assert (right(response, present) == ((yes > no) == present).all(1)).all()
    with pytest.raises(InputError, match=r"labels have shape \(30, 3\); expected a tag per 2 of 4"):
        train(network, bins, torch.zeros(30, 3, dtype=torch.bool), random, epochs=1)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40))
def test_threshold_has_the_highest_f1(drawn: list[tuple[int, bool]]) -> None:
    chance = np.array([[share / 20] for share, _ in drawn], np.float32)
    present = np.array([[yes] for _, yes in drawn])
    (found,) = best_thresholds(chance, present)

    def f1(threshold: float) -> float:
        given = chance >= threshold
        return float(2 * (given & present).sum() / max(1, given.sum() + present.sum()))

    if min(present.sum(), (~present).sum()) < FEWEST:
        assert found == 0.5
    else:
        assert f1(found) == pytest.approx(max(map(f1, (np.arange(-1, 21) + 0.5) / 20)))
        assert 0 <= found <= 1


def test_scores_are_scikit_learn_s() -> None:
    random = np.random.default_rng(0)
    given, present = random.random((2, 200, 4)) < 0.4
    found = tag_scores(given, present)
    for figure, judge in ((found.precision, precision_score), (found.recall, recall_score),
                          (found.f1, f1_score)):  # fmt: skip
        np.testing.assert_allclose(figure, judge(present, given, average=None))
    assert np.isnan(tag_scores(np.zeros((2, 1), bool), np.zeros((2, 1), bool)).f1).all()


def test_tags_of_a_score_are_sets_of_each_record() -> None:
    frame, _ = files(60)
    model = FileTagger(**SMALL | {"epochs": 5}).fit(frame, [("a",), ()] * 30)
    assert model.score(frame, list(model.predict(frame))) == 1
    with pytest.raises(InputError, match=r"y\[0\] is 'a'"):
        model.score(frame, ["a", ""] * 30)
    with pytest.raises(InputError, match=r"y\[0\] is 1"):
        model.score(frame, [1] * 60)
    with pytest.raises(InputError, match="y has 1 elements; expected 60"):
        model.score(frame, [("a",)])


def test_confidence_of_a_set() -> None:
    chance = np.array([[0.9, 0.6, 0.1], [0.2, 0.3, 0.1]], np.float32)
    np.testing.assert_allclose(certainty(chance, (0.5, 0.5, 0.5)), [0.6, 0.7])


def test_few_records_and_one_tag() -> None:
    frame, _ = files(60)
    model = FileTagger(**SMALL | {"epochs": 5}).fit(frame, [("a",), ()] * 30)
    assert model.class_count_.tolist() == [30] and len(model.calibration_.confidences) > 0
    assert set(model.predict(frame)) <= {("a",), ()}


def test_a_refused_or_stopped_fit_leaves_the_tagger_as_it_was() -> None:
    frame, tags = files(60)
    model = FileTagger(**SMALL | {"epochs": 1}).fit(frame, tags)
    before = model.fingerprint

    def stop(epoch: int, right: float) -> None:
        raise KeyboardInterrupt

    for other in ([set()] * 60, [{"x"}, {"y"}] * 30):
        with pytest.raises((InputError, KeyboardInterrupt)):
            model.fit(frame.select("size"), other, tell=stop)
        assert model.fingerprint == before and model.n_features_in_ == 2


BAD: list[tuple[Any, Any, str]] = [
    ([{"a,b"}, set()], ",", "y holds the tag 'a,b', in which ',' separates tags; expected another"),
    ([{"a"}, "b"], ",", r"y\[1\] is 'b'; expected a set of tags for each record"),
    ([{"a"}], ",", "y has 1 elements; expected 2"),
    ([{"a"}, {7}], ",", "y holds the tag 7; expected text"),
    ([{"a"}, {""}], ",", "y holds the tag ''; expected text"),
    ([{"a"}, {"b\0"}], ",", r"y holds the tag 'b\\x00'; expected text, valid Unicode"),
    ([{"a"}, {"\udcff"}], ",", r"y holds the tag '\\udcff'; expected text, valid Unicode"),
    (None, ",", "y is None; expected a set of tags for each record"),
    ([{"a"}, None], ",", r"y\[1\] is None; expected a set of tags"),
    ([float("nan"), {"a"}], ",", r"y\[0\] is nan; expected a set of tags"),
    ([[["a"]], []], ",", r"y\[0\] is \[\['a'\]\]; expected a set of tags"),
    ([set(), set()], ",", "y holds no tag"),
    ([{"a"}, set()], "", "separator is ''; expected text"),
]


@pytest.mark.parametrize(("y", "separator", "words"), BAD)
def test_bad_tags(y: Any, separator: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        FileTagger(separator=separator).fit([{"size": 1}, {"size": 2}], y)


def test_texts_are_split() -> None:
    assert split_tags(" red ; big;;", ";") == ("red", "big")
    assert split_tags(None, ";") == split_tags(" ; ", ";") == ()
    tags, present = as_tags([["b", "a", "a"], []], 2, ",")
    assert tags.tolist() == ["a", "b"] and present.tolist() == [[True, True], [False, False]]


def test_models_come_back_and_are_told_from_those_of_classes(
    fitted: FileTagger, tmp_path: Path
) -> None:
    path, frame = tmp_path / "model", files(20, seed=4)[0]
    fitted.save(path)
    for loaded in (FileTagger.load(path), load_model(path)):
        assert isinstance(loaded, FileTagger) and loaded.fingerprint == fitted.fingerprint
        assert loaded.describe(frame).equals(fitted.describe(frame))
    with pytest.raises(InputError, match="gives tags; expected a model of a class for each record"):
        FileClassifier.load(path)
    FileClassifier(hidden=4, neurons=9, epochs=1).fit(frame, ["a", "b"] * 10).save(path)
    with pytest.raises(InputError, match="gives a class for each record; expected a model of tags"):
        FileTagger.load(path)
    assert isinstance(load_model(path), FileClassifier)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"thresholds": (0.5, 0.5)}, "thresholds are not shares for 3 tags"),
        ({"thresholds": (0.5, 0.5, 2.0)}, "thresholds are not shares"),
        ({"separator": ""}, "hold the separator"),
        ({"separator": "d"}, "hold the separator"),
    ],
)
def test_damaged_files(
    fitted: FileTagger, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    saved = fitted._saved()
    assert saved.tagging is not None
    object.__setattr__(saved, "tagging", saved.tagging._replace(**change))
    saved.write(tmp_path / "model")
    with pytest.raises(InputError, match=words):
        read(tmp_path / "model")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tags")
    frame, tags = files(240)
    frame = frame.with_columns(tags=pl.Series([" ; ".join(sorted(row)) for row in tags]))
    frame.write_csv(folder / "table.csv")
    frame.with_columns(pl.Series("tags", list(map(list, tags)))).write_parquet(
        folder / "lists.parquet"
    )
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    fit = ["files", "fit", str(folder / "table.csv"), "--label", "tags", "--separator", ";"]
    small = ["--hidden", "32", "--neurons", "90", "--epochs", "20"]
    assert main([*fit, *small, "--out", str(folder / "model")]) == 0
    return folder / "model"


def test_fit_scores_each_label(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["files", "fit", str(folder / "lists.parquet"), "--label", "tags", "--separator"]
    small = ["--hidden", "32", "--neurons", "90", "--epochs", "20"]
    assert main([*again, ";", *small, "--out", str(folder / "two")]) == 0
    printed = capsys.readouterr().out
    assert "held-out score of 48 records: F1 " in printed and "3 labels, 2 keys" in printed
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.split()}
    assert {"ada", "big", "bob", "spiking", "logistic", "most"} <= set(rows)
    assert len(rows["big"]) == 6 and float(rows["ada"][5].strip("%")) > 80
    one, two = load_model(model), load_model(folder / "two")
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("lists", [True, False])
def test_a_missing_label_is_none(folder: Path, tmp_path: Path, lists: bool) -> None:
    tags = pl.col("tags")
    frame = pl.read_parquet(folder / "lists.parquet")
    frame = frame if lists else frame.with_columns(tags.list.join(";"))
    empty = tags.list.len() == 0 if lists else tags == ""
    missing = frame.with_columns(pl.when(~empty).then(tags))
    assert missing["tags"].null_count()
    small = ["--separator", ";", "--epochs", "1", "--hidden", "8", "--neurons", "20"]
    models = []
    for records in (frame, missing):
        records.write_parquet(tmp_path / "t.parquet")
        fit = ["files", "fit", str(tmp_path / "t.parquet"), "--label", "tags", *small]
        assert main([*fit, "--out", str(tmp_path / "m")]) == 0
        models.append(load_model(tmp_path / "m").fingerprint)
    assert models[0] == models[1]


def test_predict_rules_show_and_sidecars(
    folder: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = str(tmp_path / "out.parquet"), str(folder / "table.csv")
    assert main(["files", "predict", str(model), table, "--out", out, "--by-class"]) == 0
    assert "240 records, 3 tags" in capsys.readouterr().out
    told = pl.read_parquet(out)
    assert {"p_ada", "p_big", "p_bob", "tags"} <= set(told.columns)
    assert set(told["class"]) <= {"", "ada", "ada;big", "big", "big;bob", "bob"}
    assert main(["files", "rules", str(model), table]) == 0
    assert "owner = ada" in capsys.readouterr().out
    for page in ("m.html", "o.html"):
        source = str(model) if page == "m.html" else out
        assert main(["files", "show", source, "--out", str(tmp_path / page)]) == 0
    wrong = ["files", "page", str(model), table, "--out", str(tmp_path / "p.html")]
    assert main(wrong) == 2
    assert "gives tags; expected a model of a class" in capsys.readouterr().err


def test_bad_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"tags": [["a;b"], ["c"]] * 9, "n": range(18)}).write_parquet(
        folder / "bad.parquet"
    )
    for table, extra, words in (
        ("bad.parquet", ["--separator", ";"], "tag 'a;b', in which ';' separates tags"),
        ("table.csv", ["--separator", ""], "separator is ''; expected text between labels"),
        ("table.csv", ["--separator", ";", "--update", "m"], "none with --update"),
    ):
        fit = ["files", "fit", str(folder / table), "--label", "tags", *extra]
        assert main([*fit, "--out", str(folder / "never")]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("plastorch: ") and words in line
    assert not (folder / "never").exists()


def test_sidecars_hold_each_tag(tmp_path: Path) -> None:
    from plastorch.files.hand_over import Answer, write_sidecars

    (tmp_path / "a").write_text("")
    given = [Answer("a", "x<,y", 0.9, "size", ("x<", "y"))]
    assert write_sidecars(tmp_path, given, "xmp", "abc") == {"written": 1}
    assert (
        "<rdf:Bag><rdf:li>x&lt;</rdf:li><rdf:li>y</rdf:li></rdf:Bag>"
        in (tmp_path / "a.xmp").read_text()
    )
    assert write_sidecars(tmp_path, given, "json", "abc") == {"written": 1}
    assert json.loads((tmp_path / "a.json").read_text())["tags"] == ["x<", "y"]
