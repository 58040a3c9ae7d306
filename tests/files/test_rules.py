"""Rules: what speaks for a class, compared with a naive computation and with what was planted."""

import json
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from plastorch.cli import main
from plastorch.engine.errors import InputError
from plastorch.files.classifier import FileClassifier
from plastorch.files.rules import rules


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The owner tells the class, the size a little, the color nothing; some sizes are missing."""
    random = np.random.default_rng(0)
    return [
        {
            "owner": "ada" if place % 2 else "bob",
            "size": None if place % 10 == 0 else float(random.integers(100) + 30 * (place % 2)),
            "color": ["red", "green", "blue"][int(random.integers(3))],
        }
        for place in range(80)
    ]


@pytest.fixture(scope="module")
def model(rows: list[dict[str, Any]]) -> FileClassifier:
    labels = ["code" if row["owner"] == "ada" else "music" for row in rows]
    return FileClassifier(hidden=16, neurons=60).fit(rows, labels)


def test_what_was_planted_is_found(model: FileClassifier, rows: list[dict[str, Any]]) -> None:
    found = rules(model, rows)
    best = found.group_by("class", maintain_order=True).first().select("class", "key", "value")
    assert best.rows() == [("code", "owner", "ada"), ("music", "owner", "bob")]
    assert found.filter(key="owner")["records"].to_list() == [40, 40]
    assert (found["log_odds"] > 0).all()
    for _, part in found.group_by("class"):
        assert part.height <= 5 and part["log_odds"].is_sorted(descending=True)


def test_the_naive_computation(model: FileClassifier, rows: list[dict[str, Any]]) -> None:
    """Row by row, with all records, of which there are fewer than are drawn."""
    for name, key, text, change, count in rules(model, rows, top=20).iter_rows():
        place = model.classes_.tolist().index(name)
        values = {row[key] if text is not None else None for row in rows}
        shown = {None if v is None else v if isinstance(v, str) else f"{v:.4g}": v for v in values}
        total = 0.0
        for row in rows:
            for sign, given in ((-1, row), (1, row | {key: shown[text]})):
                chance = float(model.predict_proba([given])[0, place])
                chance = min(max(chance, 1e-6), 1 - 1e-6)
                total += sign * log(chance / (1 - chance))
        assert change == pytest.approx(total / len(rows), abs=1e-3)
        if key != "size":
            assert count == sum(row[key] == text for row in rows)


def test_missing_is_a_value(model: FileClassifier, rows: list[dict[str, Any]]) -> None:
    missing = rules(model, rows, top=50).filter(pl.col("value").is_null())
    assert set(missing["key"]) <= {"size"} and set(missing["records"]) <= {8}


@pytest.mark.parametrize("kind", [float, int, bool, str])
def test_classes_of_any_type(rows: list[dict[str, Any]], kind: type) -> None:
    labels = [kind(place % 2) for place in range(len(rows))]
    model = FileClassifier(hidden=8, neurons=30, epochs=2).fit(rows, labels)
    assert set(rules(model, rows)["class"]) <= {str(name) for name in model.classes_.tolist()}


def test_other_kinds_of_keys(rows: list[dict[str, Any]]) -> None:
    """Paths, sets, times, numbers in text, and a key that no record has."""
    when = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2020, 3, 20), "1d", eager=True)
    frame = pl.DataFrame(
        {
            "path": [f"/a/{place % 2}/{place % 5}" for place in range(80)],
            "tags": [[f"t{place % 2}", "x"] for place in range(80)],
            "when": when,
            "hour": [place % 24 for place in range(80)],
            "lost": [place % 3 for place in range(80)],
        }
    )
    labels = ["ab"[place % 2] for place in range(80)]
    model = FileClassifier(hidden=8, neurons=80, epochs=40).fit(frame, labels)
    found = rules(model, frame.drop("lost"), top=100)
    assert {"path", "tags"} <= set(found["key"]) <= {"path", "tags", "when", "hour"}
    assert set(found.filter(key="tags")["value"]) <= {"t0|x", "t1|x"}


def test_numbers_that_count_exactly_are_listed_one_by_one() -> None:
    rows = [{"count": place % 20 * 10} for place in range(400)]
    labels = ["even" if place % 2 == 0 else "odd" for place in range(400)]
    model = FileClassifier(hidden=16, neurons=40, epochs=40).fit(rows, labels)
    found = rules(model, rows, top=20)
    told = {name: set(part["value"]) for (name,), part in found.group_by("class")}
    assert told["even"] == {str(n) for n in range(0, 200, 20)}
    assert told["odd"] == {str(n) for n in range(10, 200, 20)}


def test_rare_values_are_left_out(model: FileClassifier, rows: list[dict[str, Any]]) -> None:
    odd = [row | {"color": f"c{place}"} for place, row in enumerate(rows)]
    assert "color" not in rules(model, odd, top=100)["key"]


def test_bad_input(model: FileClassifier, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="top is 0"):
        rules(model, rows, top=0)
    with pytest.raises(InputError, match="expected some of"):
        rules(model, [{"other": 1}])
    with pytest.raises(InputError, match="share no value in 5 of them"):
        rules(model, [{"owner": "ada"}, {"owner": "bob"}])


def test_the_command(
    model: FileClassifier,
    rows: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model.save(tmp_path / "m")
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "t.parquet")
    command = ["files", "rules", str(tmp_path / "m"), str(tmp_path / "t.parquet"), "--top", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "code\n" in printed and "  owner = ada  (40 of 80 records)\n" in printed
    assert "the mean over 80 records" in printed
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rules(model, frame, 2).to_dicts()


def test_mistakes_are_one_line(
    model: FileClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.save(tmp_path / "m")
    (tmp_path / "t.csv").write_text("other\n1\n2\n")
    for records, more, words in (
        ("no", [], "is not a file"),
        ("t.csv", [], "has none of the model's keys"),
        ("t.csv", ["--top", "0"], ""),
    ):
        assert main(["files", "rules", str(tmp_path / "m"), str(tmp_path / records), *more]) == 2
        printed = capsys.readouterr()
        assert words in printed.err and len(printed.err.splitlines()) == 1 and printed.out == ""


def test_names_are_harmless_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[2Jrm\n"
    rows = [{f"k{evil}": f"{evil}{place % 2}", "n": place % 7} for place in range(40)]
    labels = [f"{evil}{place % 2}" for place in range(40)]
    FileClassifier(hidden=8, neurons=30, epochs=4).fit(rows, labels).save(tmp_path / "m")
    pl.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    assert main(["files", "rules", str(tmp_path / "m"), str(tmp_path / "t.parquet")]) == 0
    assert "\x1b" not in (printed := capsys.readouterr().out) and "\\x1b[2Jrm" in printed
