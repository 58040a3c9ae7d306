"""Figures of the experiments with fatiguing STDP."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from plastorch.experiments.fstdp.activity_panels import draw_weights
from plastorch.experiments.fstdp.arrays import input_groups
from plastorch.experiments.fstdp.panels import panels
from plastorch.experiments.registry import panels_of
from plastorch.report import write_report
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, Theme, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
Arrays = dict[str, np.ndarray]


def synthetic() -> Arrays:
    """As fstdp-synthetic keeps them: 8 slow inputs, 3 of them correlated, and 8 fast ones."""
    random = np.random.default_rng(0)
    margin = np.linspace(-1, 1, 2 * 3 * 5).reshape(2, 3, 5)
    output = np.zeros(50, bool)
    output[[10, 40]] = True
    return {
        "rates": np.repeat([10.0, 40.0], 8),
        "members": np.arange(16) < 3,
        "times": np.linspace(0, 10, 6),
        "weights_stdp": np.linspace(0.5, 0.2, 6)[:, None] * np.ones(16),
        "weights_fstdp": np.linspace(0.5, 0.7, 6)[:, None] * np.ones(16),
        "raster": random.random((50, 16)) < 0.2,
        "output": output,
        "membrane": np.where(output, 7.0, 3.0),
        "theta": np.full(50, 6.0),
        "boundary_ratios": np.array([2.0, 4.0]),
        "boundary_correlations": np.array([0.1, 0.2, 0.5]),
        "boundary_strengths": np.array([0.1, 0.2, 0.5, 1.0, 10.0]),
        "boundary_margin": margin,
        "boundary_auc_fast": 0.5 + margin / 2,
        "cost_synapses": np.array([1e3, 2e3, 4e3]),
        "cost_synapse_seconds": np.array([0.01, 0.02, 0.04]),
        "cost_spikes": np.array([1e3, 2e3]),
        "cost_spike_seconds": np.array([0.003, 0.006]),
        "cost_slopes": np.array([1.0, 0.85]),
        "cost_misfits": np.array([0.02, 0.07]),
    }


def weather() -> Arrays:
    """Four stations, the last one on an island."""
    return {
        "longitude": np.array([-120.0, -100.0, -80.0, -158.0]),
        "latitude": np.array([45.0, 40.0, 30.0, 21.0]),
        "rain": np.array([0.1, 0.2, 0.9, 0.3]),
        "covariance_sums": np.array([0.9, 0.2, 0.1, 0.3]),
        "clusters": np.array([0, 0, 1, -1]),
    }


PANELS = {
    "stations": weather,
    "raster": synthetic,
    "weights": synthetic,
    "membrane": synthetic,
    "condition": synthetic,
    "cost": synthetic,
}


def run(rows: Any = (), **arrays: np.ndarray) -> RunData:
    return RunData(Path("run"), {"data": {}}, list(rows), arrays)


def names(**arrays: np.ndarray) -> list[str]:
    return [panel.name for panel in panels(run(**arrays))]


def looks(line: Any) -> tuple[object, object]:
    return line.get_color(), line.get_linestyle()


@THEMES
def test_weights_are_medians_and_quartiles_of_groups(theme: Theme) -> None:
    course = np.random.default_rng(0).random((4, 20))
    first = np.arange(20) < 7
    groups = {"first": first, "rest": ~first}
    figure = draw_weights(np.arange(4), {"STDP": course, "other": course / 2}, groups, theme)
    upper, lower = figure.axes
    assert [axes.get_title(loc="left") for axes in (upper, lower)] == ["STDP", "other"]
    np.testing.assert_allclose(upper.lines[0].get_ydata(), np.median(course[:, :7], axis=1))
    np.testing.assert_allclose(lower.lines[1].get_ydata(), np.median(course[:, 7:], axis=1) / 2)
    band = upper.collections[0].get_paths()[0].vertices
    quartiles = np.quantile(course[:, :7], (0.25, 0.75), axis=1)
    assert band[:, 1].min() == pytest.approx(quartiles.min())
    assert band[:, 1].max() == pytest.approx(quartiles.max())
    assert upper.get_ylim() == lower.get_ylim()
    assert looks(upper.lines[0]) != looks(upper.lines[1])
    to_png(figure, dpi=50)


@THEMES
def test_figures_show_what_was_kept(theme: Theme) -> None:
    arrays = synthetic() | weather()
    drawn = {panel.name: panel.draw(theme) for panel in panels(run(**arrays))}
    synapses, spikes = drawn["cost"].axes
    assert (spikes.get_xscale(), spikes.get_yscale()) == ("log", "log")
    measured, proportion = synapses.lines
    np.testing.assert_allclose(measured.get_ydata(), [0.01, 0.02, 0.04])
    np.testing.assert_allclose(proportion.get_ydata(), [0.01, 0.02, 0.04])
    rain, sums, clusters = drawn["stations"].axes[:3]
    assert rain.collections[0].get_array().tolist() == [0.1, 0.2, 0.3, 0.9]
    assert sums.get_title(loc="left") == "row sums of the normalized covariance"
    alone, *groups = clusters.collections
    assert alone.get_offsets()[:, 0].tolist() == [-158]
    assert [group.get_offsets()[:, 0].tolist() for group in groups] == [[-120, -100], [-80]]
    membrane, theta, spikes = drawn["membrane"].axes[0].lines
    assert membrane.get_ydata().max() == 7 and set(theta.get_ydata()) == {6}
    np.testing.assert_allclose(spikes.get_data(), [[10, 40], [7, 7]])
    assert all(to_png(figure, dpi=40) for figure in drawn.values())


def test_condition_shows_where_its_margin_begins_to_be_positive() -> None:
    auc, margin = np.array([[[0.0, 0.25, 1.0], [0.0, 1.0, 1.0]]]), np.zeros((1, 2, 3))
    margin[0] = [[-3.0, -1.0, 1.0], [0.5, 1.0, 2.0]]
    kept = {"ratios": np.array([4.0]), "correlations": np.array([0.1, 0.5]),
            "strengths": np.array([0.1, 1.0, 10.0]), "auc_fast": auc, "margin": margin}  # fmt: skip
    (panel,) = panels(run(**{f"boundary_{name}": array for name, array in kept.items()}))
    lines, picture, bar = panel.draw(LIGHT).axes
    # Half way on the scale of logarithms; the other is met from the beginning.
    (diamond,) = (line for line in lines.lines if line.get_marker() == "D")
    np.testing.assert_allclose(diamond.get_data(), ([np.sqrt(10)], [0.625]))
    assert picture.images[0].get_array().tolist() == auc[0].tolist()
    border = picture.collections[0].get_paths()[0].vertices
    assert [1.5, 0] in border.tolist()  # half way from -1 to 1
    assert bar.get_xlabel() == "AUC"


def test_panels_come_in_order_and_only_with_their_arrays() -> None:
    assert names(**synthetic(), **weather()) == list(PANELS)
    assert names() == []
    whole = synthetic() | weather()
    for name, array in whole.items():
        for change in (array[:0], array[:, None], np.zeros(()), array[..., :1]):
            assert set(names(**whole | {name: change})) <= set(PANELS)


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("output", {"raster", "membrane"}),
        ("theta", {"membrane"}),
        ("times", {"weights"}),
        ("members", set()),
        ("rates", set()),
        ("boundary_margin", {"condition"}),
        ("cost_spikes", {"cost"}),
        ("cost_slopes", set()),
        ("cost_misfits", set()),
        ("latitude", {"stations"}),
        ("rain", set()),
    ],
)
def test_what_a_missing_array_takes_with_it(missing: str, gone: set[str]) -> None:
    arrays = synthetic() | weather()
    del arrays[missing]
    assert set(PANELS) - set(names(**arrays)) == gone


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"raster": np.zeros((50, 16), bool)}, "raster"),
        ({"weights_stdp": np.ones((6, 5))}, "weights"),
        ({"cost_synapse_seconds": np.zeros(3)}, "cost"),
        ({"boundary_strengths": np.zeros(5)}, "condition"),
        ({"longitude": np.full(4, 10.0)}, "stations"),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_left_out(change: Arrays, gone: str) -> None:
    found = names(**synthetic() | weather() | change)
    assert set(PANELS) - set(found) == {gone}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_arrays_of_a_diverged_run_are_left_out(bad: float) -> None:
    whole = synthetic() | weather()
    lost = {n: np.full_like(a, bad) if a.dtype.kind == "f" else a for n, a in whole.items()}
    assert names(**lost) == ["raster"]


def test_captions_tell_figures() -> None:
    arrays = synthetic() | weather()
    found = {panel.name: panel for panel in panels(run(**arrays))}
    spikes = int(arrays["raster"].sum())
    assert f"{spikes} input spikes and 2 output spikes" in found["raster"].caption
    assert "fatiguing STDP: slow, correlated 0.70, slow 0.70, fast 0.70" in found["weights"].caption
    assert "right in 30 of 30 settings" in found["condition"].caption
    assert "slopes of straight fits are 1.00 and 0.85" in found["cost"].caption
    assert "fit to within 7\u00a0%" in found["cost"].caption
    assert "3 of 4 in the contiguous states" in found["stations"].caption
    assert "There are 2 clusters" in found["stations"].caption
    assert "share of hours with rain, row sums of" in found["stations"].alt
    bare = run(**weather() | {"clusters": np.ones(4), "weights_fstdp": np.ones(4)})
    (stations,) = panels(bare)
    assert "fatiguing STDP" in stations.alt and "clusters" not in stations.caption


def test_inputs_of_many_rates_are_correlated_or_not() -> None:
    two = run(rates=np.repeat([1.0, 9.0], 2), members=np.array([True, False, True, False]))
    slow, plain, fast, rest = input_groups(two, 4).values()
    assert [g.argmax() for g in (slow, plain, fast, rest)] == [0, 1, 2, 3]
    many = run(rates=np.arange(4.0), members=np.array([True, False, True, False]))
    assert list(input_groups(many, 4)) == ["correlated", "others"]
    assert list(input_groups(run(), 4)) == list(input_groups(many, 5)) == ["inputs"]


def test_only_phases_that_are_a_course_get_plain_curves() -> None:
    ours = ("boundary", "grid", "cost", "stand-in", "controls")
    others = ("learning", "readout", "tests")
    found = [
        {"phase": phase, "step": i, "auc": 1 / i} for phase in (*ours, *others) for i in (1, 2)
    ]
    titles = [panel.title for panel in panels(run(found))]
    assert titles == [f"Course of “{phase}”" for phase in others]


def test_the_page_of_a_run_has_its_figures(make_run: Callable[..., Path], tmp_path: Path) -> None:
    made = make_run(tmp_path, experiment="fstdp-synthetic")
    (made / "metrics.jsonl").write_text(json.dumps({"phase": "grid", "step": 1, "auc": 0.5}) + "\n")
    arrays = {name: array for name, array in synthetic().items() if name.startswith("cost_")}
    save_file(arrays, made / "arrays.safetensors")
    assert "Cost of a simulated second" in write_report(made, panels_of).read_text()
    assert {path.stem for path in (made / "figures").glob("*.png")} == {"cost", "thumbnail"}
