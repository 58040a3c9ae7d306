from pathlib import Path

import numpy as np
import pytest

from plastorch.experiments.softhebb.panels import panels
from plastorch.report.load import RunData, load_run
from plastorch.report.theme import LIGHT


def names(run: RunData) -> list[str]:
    return [panel.name for panel in panels(run)]


def bare(rows=(), **arrays) -> RunData:
    return RunData(Path("run"), {"data": {}}, list(rows), arrays)


def test_a_full_run_has_all_figures(make_run, tmp_path):
    assert names(load_run(make_run(tmp_path))) == [
        "learning-curve",
        "receptive-fields",
        "confusion",
        "weight-norms",
        "convergence",
        "winner-probability",
    ]


def test_an_interrupted_run_has_what_it_logged(make_run, tmp_path):
    assert names(load_run(make_run(tmp_path, complete=False))) == [
        "weight-norms",
        "convergence",
        "winner-probability",
    ]


def test_captions_tell_the_last_values(make_run, tmp_path):
    found = {panel.name: panel for panel in panels(load_run(make_run(tmp_path, layers=1)))}
    assert "79.60\u00a0%" in found["learning-curve"].caption
    assert "95 of 96" in found["convergence"].caption
    assert "96 neurons" in found["receptive-fields"].caption
    assert all(panel.alt for panel in found.values())


def test_layers_have_their_radius_and_the_winner_its_probability(make_run, tmp_path):
    run = load_run(make_run(tmp_path))
    found = {panel.name: panel.draw(LIGHT) for panel in panels(run)}
    for layer, axes in enumerate(found["weight-norms"].axes):
        rows = [row for row in run.rows if row.get("layer") == layer]
        line, unit = axes.lines
        assert line.get_ydata().tolist() == [row["radius_mean"] for row in rows]
        assert list(unit.get_ydata()) == [1, 1]
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        low = min(row["radius_mean"] - row["radius_std"] for row in rows)
        assert band.min() == pytest.approx(low)
    (axes,) = found["winner-probability"].axes
    assert axes.lines[0].get_ydata().tolist() == [
        row["winner_probability"] for row in run.rows if row.get("layer") == 0
    ]
    (axes,) = found["learning-curve"].axes
    readout = [row for row in run.rows if row["phase"] == "readout"]
    np.testing.assert_allclose(
        axes.lines[0].get_ydata(), [100 * row["test_accuracy"] for row in readout]
    )


def test_the_most_frequent_mistake_is_named():
    matrix = np.array([[9, 0, 1], [0, 6, 4], [2, 0, 8]])
    run = RunData(Path("r"), {"data": {"classes": ["a", "b", "c"]}}, [], {"confusion": matrix})
    assert "b taken for c, 4 of 10 times" in panels(run)[0].caption
    perfect = bare(confusion=np.eye(3, dtype=np.int64))
    assert "No example was taken for another class" in panels(perfect)[0].caption


def test_filters_that_are_no_pictures_are_left_out():
    assert names(bare(filters=np.zeros((4, 2, 3, 3), np.float32))) == []


def test_a_readout_with_other_fields_gets_plain_curves():
    rows = [{"phase": "readout", "epoch": e, "loss": 1 / e} for e in (1, 2)]
    assert names(bare(rows)) == ["curves-1"]
