from pathlib import Path

import numpy as np
import pytest

from plastorch.experiments.softhebb.sensitivity_panels import (
    convergence,
    sweep,
)
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def learning_rows(layers=(0, 1), steps=20):
    return [
        {
            "phase": "unsupervised",
            "layer": layer,
            "examples": 100 * step,
            "r1_neurons": step + layer,
            "neurons": 40,
            "radius_distance": 20 / step,
            "rate_mean": 0.1 / step,
        }
        for layer in layers
        for step in range(1, steps + 1)
    ]


def sweep_rows(setting="temperature", seeds=(0, 1, 2)):
    random = np.random.default_rng(0)
    return [
        {
            "phase": f"{setting}-sweep",
            setting: value,
            "competition": rule,
            "seed": seed,
            "test_accuracy": random.uniform(0.3, 0.7),
            "r1_share": random.uniform(0, 1),
        }
        for rule in ("softkrotov", "soft")
        for value in (10.0, 0.1, 1.0)
        for seed in seeds
    ]


def run(rows) -> RunData:
    return RunData(Path("run"), {"data": {}}, rows, {})


@THEMES
def test_convergence_draws_share_distance_and_rate(theme):
    rows = learning_rows()
    figure = convergence(run(rows)).draw(theme)
    fields = (lambda r: 100 * r["r1_neurons"] / r["neurons"], lambda r: r["radius_distance"],
              lambda r: r["rate_mean"])  # fmt: skip
    for axes, field in zip(figure.axes, fields, strict=True):
        for layer, line in enumerate(axes.lines):
            mine = [row for row in rows if row["layer"] == layer]
            assert line.get_xdata().tolist() == [row["examples"] for row in mine]
            np.testing.assert_allclose(line.get_ydata(), [field(row) for row in mine])
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log", "log"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["layer 1", "layer 2"]
    to_png(figure, dpi=50)


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
def test_values_that_no_log_axis_has_can_be_drawn(bad):
    rows = learning_rows(layers=(0,))
    rows[3]["rate_mean"] = rows[5]["radius_distance"] = bad
    figure = convergence(run(rows)).draw(LIGHT)
    assert [axes.get_yscale() for axes in figure.axes] == ["linear"] * 3
    to_png(figure, dpi=50)


@THEMES
@pytest.mark.parametrize("setting", ["temperature", "radius"])
def test_sweeps_draw_the_mean_and_the_range_over_seeds(theme, setting):
    rows = sweep_rows(setting)
    figure = sweep(run(rows), setting).draw(theme)
    for axes, field in zip(figure.axes, ("test_accuracy", "r1_share"), strict=True):
        assert axes.get_xscale() == "log"
        for rule, line, band in zip(
            ("softkrotov", "soft"), axes.lines, axes.collections, strict=True
        ):
            assert line.get_xdata().tolist() == [0.1, 1, 10]
            found = {
                value: [
                    100 * r[field] for r in rows if (r["competition"], r[setting]) == (rule, value)
                ]
                for value in (0.1, 1.0, 10.0)
            }
            np.testing.assert_allclose(line.get_ydata(), [np.mean(f) for f in found.values()])
            box = band.get_datalim(axes.transData)
            assert box.y0 == pytest.approx(min(map(min, found.values())))
            assert box.y1 == pytest.approx(max(map(max, found.values())))
    assert setting in figure.axes[1].get_xlabel()
    to_png(figure, dpi=50)


def test_panels_are_there_if_their_rows_are():
    panel = convergence(run(learning_rows()))
    assert "layer 1: 20 of 40; layer 2: 21 of 40" in panel.caption
    rows = sweep_rows()
    best = max(rows, key=lambda row: row["test_accuracy"])
    panel = sweep(run(rows), "temperature")
    assert panel.name == "temperature-sweep"
    assert f"{100 * best['test_accuracy']:.2f}" in panel.caption and "18 networks" in panel.caption
    to_png(panel.draw(DARK), dpi=50)
    assert sweep(run(rows), "radius") is None and convergence(run(rows)) is None


def test_a_point_logged_twice_counts_once():
    rows = sweep_rows(seeds=(0,))
    assert "best of 6 networks" in sweep(run([*rows, *rows]), "temperature").caption


def test_damaged_rows_are_left_out():
    rows = learning_rows()
    assert convergence(run([row | {"rate_mean": "x"} for row in rows])) is None
    assert convergence(run([row | {"neurons": 0} for row in rows])) is None
    points = sweep_rows()
    for change in ({"seed": None}, {"temperature": -1.0}, {"competition": 3}):
        assert sweep(run([row | change for row in points]), "temperature") is None
