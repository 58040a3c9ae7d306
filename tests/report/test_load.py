import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from plastorch.engine.errors import InputError
from plastorch.report.load import (
    RunData,
    by_network,
    columns,
    is_number,
    kept,
    load_result,
    load_run,
    series,
)


def test_reads_everything_the_run_wrote(make_run, tmp_path):
    run = make_run(tmp_path, layers=2, epochs=5)
    data = load_run(run)
    assert data.result["metrics"]["test_accuracy"] == 0.8012
    assert len(data.rows) == 2 * 50 + 5
    assert data.arrays["filters"].shape == (96, 3, 5, 5)
    assert data.arrays["confusion"].dtype == np.int64


def test_only_the_result_is_needed(make_run, tmp_path):
    run = make_run(tmp_path)
    for name in ("metrics.jsonl", "arrays.safetensors", "config.json"):
        (run / name).unlink()
    data = load_run(run)
    assert data.rows == [] and data.arrays == {}


@pytest.mark.parametrize("tail", [b'{"phase": "readout", "ep', b"\x00\x00\x00", b'{"a": "\xe2\x82'])
def test_half_a_last_line_is_ignored(make_run, tmp_path, tail):
    run = make_run(tmp_path)
    whole = load_run(run).rows
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(tail)
    assert load_run(run).rows == whole


@pytest.mark.parametrize("line", ['{"phase": "read', "[1, 2]", "3"])
def test_a_broken_line_in_the_middle_is_an_error(make_run, tmp_path, line):
    run = make_run(tmp_path)
    text = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(f"{line}\n{text}")
    with pytest.raises(InputError, match=r"metrics\.jsonl: entry 1: expected a JSON object"):
        load_run(run)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a file, found none"),
        (b"", "expected one JSON object, found broken JSON"),
        (b'{"experiment": "x", ', "broken JSON"),
        (b"\xff\xfe", "broken JSON"),
        (b"[]", "expected one JSON object, found list"),
        (b"{}", "field 'experiment': expected str, found no such field"),
    ],
)
def test_a_damaged_result_is_named(make_run, tmp_path, content, message):
    run = make_run(tmp_path)
    (run / "result.json").unlink()
    if content is not None:
        (run / "result.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"result\.json: .*{message}"):
        load_result(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": 3}, "field 'experiment': expected str, found 3"),
        ({"claims": {}}, "field 'claims': expected list"),
        ({"claims": ["yes"]}, "a claim needs id, statement"),
        ({"claims": [{"id": "a"}]}, "a claim needs id, statement"),
        ({"metrics": {"test_accuracy": "high"}}, "metric 'test_accuracy': expected a number"),
        ({"metrics": {"test_accuracy": True}}, "metric 'test_accuracy': expected a number"),
        ({"complete": "yes"}, "field 'complete': expected bool"),
        ({"wall_s": "long"}, "field 'wall_s': expected number"),
        ({"versions": [1]}, "field 'versions': expected dict"),
        ({"data": {"classes": 10}}, "field 'data.classes': expected list, found 10"),
    ],
)
def test_a_wrong_field_is_named(make_run, tmp_path, changes, message):
    run = make_run(tmp_path, changes=changes)
    with pytest.raises(InputError, match=message):
        load_run(run)


def test_holds_is_true_false_or_null(make_run, tmp_path):
    run = make_run(tmp_path)
    result = json.loads((run / "result.json").read_text())
    result["claims"][0]["holds"] = "maybe"
    (run / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match=r"claim 'accuracy': holds must be .* found 'maybe'"):
        load_run(run)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"confusion": np.zeros((3, 4), np.int64)}, "confusion: expected a square matrix"),
        ({"confusion": np.zeros(9, np.int64)}, "confusion: expected a square matrix"),
        ({"filters": np.zeros((3, 4), np.float32)}, "filters: expected shape"),
    ],
)
def test_arrays_of_a_wrong_shape_are_named(make_run, tmp_path, arrays, message):
    run = make_run(tmp_path)
    save_file(arrays, run / "arrays.safetensors")
    with pytest.raises(InputError, match=rf"arrays\.safetensors: {message}"):
        load_run(run)


def test_broken_arrays_are_named(make_run, tmp_path):
    run = make_run(tmp_path)
    (run / "arrays.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"arrays\.safetensors: expected a safetensors file"):
        load_run(run)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(allow_nan=False))))
def test_series_is_sorted_and_the_last_of_a_step_wins(log):
    rows = [{"phase": "a", "step": step, "y": y} for step, y in log]
    others = [{"phase": "b", "step": 0, "y": 0.0}, {"phase": "a", "step": 1}, {"y": 2}]
    found = series([*others, *rows], "a", "step", ["y"])
    assert {row["step"]: row["y"] for row in found} == dict(log)
    assert [row["step"] for row in found] == sorted({step for step, _ in log})


def test_kept_arrays_have_equal_sizes_where_letters_are_equal():
    arrays = {"a": np.ones((2, 3)), "b": np.ones((3, 2)), "empty": np.ones((0, 3))}
    found = RunData(Path("run"), {}, [], arrays)
    assert kept(found, a="NM", b="MN") is not None
    assert kept(found, a="NM", b="NM") is None
    assert kept(found, a="NN") is None
    assert kept(found, a="N") is None
    assert kept(found, empty="NM") is None


def test_columns_are_fields_of_rows() -> None:
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    assert columns(rows, "epoch", "loss").tolist() == [[1, 2], [0.5, 0.25]]
    assert [is_number(value) for value in (0.5, True, "1")] == [True, False, False]


def test_arrays_by_network() -> None:
    run = RunData(Path("run"), {}, [], {"weights_fstdp": np.ones((5, 3))})
    names = {"lstm": "LSTM", "fstdp": "fatiguing STDP"}
    assert list(by_network(run, "weights", "PN", names)) == ["fatiguing STDP"]
