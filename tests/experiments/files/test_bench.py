import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import plastorch.experiments.files.bench as files
from plastorch.bench import run_group
from plastorch.engine.errors import InputError
from plastorch.experiments.files.bench import TableSize, measure, pipeline, records

TINY = TableSize("corpus", learned=300, predicted=400, epochs=2, rounds=1)


def test_file_of_a_tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "rows", lambda: ({"name": "tiny"}, measure((TINY,))))
    out = tmp_path / "bench.json"
    run_group("files", out, lambda line: None)
    (row,) = json.loads(out.read_text())["rows"]
    assert row["name"] == "predict-corpus" and row["ratio"] > 0
    assert (row["records"], row["keys"], row["classes"], row["different"]) == (400, 6, 6, 1.0)
    assert 100 < row["streamed_mb"] < 1000


def test_made_up_records_are_learned_or_predicted_but_never_both() -> None:
    known, labels, asked = records(TINY)
    assert (len(known), len(labels), len(asked)) == (300, 300, 400)
    assert pl.concat([known, asked]).n_unique() == 700


def test_records_of_a_table_are_drawn_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "metadata"
    folder.mkdir()
    lines = [f"{'abc'[row % 3]},{row},{'xy'[row % 2]}" for row in range(50)]
    frame = "\n".join(["label,size,owner", *lines])
    monkeypatch.setenv("PLASTORCH_DATA", str(tmp_path))
    with pytest.raises(InputError, match="adult"):
        records(TableSize("adult"))
    import gzip

    (folder / "adult.csv.gz").write_bytes(gzip.compress(frame.encode()))
    known, labels, asked = records(TableSize("adult", learned=30, predicted=500))
    assert (len(known), len(labels)) == (30, 30) and asked.height == 500
    assert 40 < asked.n_unique() <= 50
    expected = [["abc"[size % 3] for size in known["size"]], labels.tolist()]
    assert expected[0] == expected[1]


def test_the_peer_learns_words_and_numbers() -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"word": ["a", "b"] * 50, "size": random.normal(size=100)})
    labels = np.where((frame["word"] == "a").to_numpy(), "yes", "no")
    assert (pipeline(frame).fit(frame, labels).predict(frame) == labels).all()
    labels = np.where(frame["size"].to_numpy() > 0, "yes", "no")
    assert (pipeline(frame).fit(frame, labels).predict(frame) == labels).mean() > 0.9
