"""Figures of the experiments with spiking networks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from plastorch.engine.errors import InputError
from plastorch.experiments.fstdp.activity_panels import draw_membrane, draw_raster, draw_weights
from plastorch.experiments.fstdp.arrays import input_groups
from plastorch.experiments.fstdp.condition_panels import draw_condition, draw_cost
from plastorch.experiments.fstdp.map_panels import draw_map
from plastorch.experiments.fstdp.panels import is_spiking_phase, spiking_panels
from plastorch.experiments.registry import panels_of as panels
from plastorch.experiments.ststdp.panels import draw_accuracy_over, draw_streams
from plastorch.report import write_report
from plastorch.report.load import RunData, kept
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


def digits() -> Arrays:
    """As ststdp-digits keeps them: 12 of 24 frames, of two digits."""
    random = np.random.default_rng(1)
    labels = np.repeat([3, 7], 12)
    curves = {
        f"curve_occlusion_{name}": random.random(8) for name in ("short-term", "static", "cnn")
    }
    return curves | {
        "curve_occlusion_tau-2": random.random(8),
        "curve_scale_lstm": random.random(8),
        "covered_occlusion": np.array([0.0, 0.2, 0.5, 0.7, 0.7, 0.5, 0.2, 0.0]),
        "course_frames": random.random((12, 6, 6)),
        "course_expected": random.normal(size=(12, 6, 6)),
        "course_rest": random.normal(size=(12, 6, 6)),
        "course_shares": np.eye(10)[labels],
        "course_answers_cnn": np.where(np.arange(24) == 4, 9, labels),
        "course_labels": labels,
        "names": np.arange(20) % 10,
        "raster_times": np.array([0.1, 0.2, 0.9]),
        "raster_neurons": np.array([3, 13, 7]),
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
    "accuracy-since-onset": digits,
    "accuracy-occluded": digits,
    "stream": digits,
    "output-spikes": digits,
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
    return [panel.name for panel in spiking_panels(run(**arrays))]


def looks(line: Any) -> tuple[object, object]:
    return line.get_color(), line.get_linestyle()


@THEMES
def test_raster_has_a_row_per_input_by_group(theme: Theme) -> None:
    groups = {"odd, right": np.array([False, True, False, True]), "even": np.arange(4) % 2 == 0}
    times, source = np.array([0.0, 0.1, 0.2, 0.5]), np.array([0, 1, 3, 3])
    figure = draw_raster(times, source, groups, np.array([0.4]), theme)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "milliseconds"
    odd, even, output = (collection for collection in axes.collections)
    np.testing.assert_allclose(odd.get_offsets(), [[100, 0], [200, 1], [500, 1]])
    np.testing.assert_allclose(even.get_offsets(), [[0, 2 + 0.12]])
    assert output.get_segments()[0][0][0] == 400
    assert output.get_segments()[0][0][1] > 4
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["odd,\nright", "even", "output"]
    to_png(figure, dpi=50)


def test_long_rasters_are_in_seconds() -> None:
    figure = draw_raster(np.array([1.0, 5.0]), np.array([0, 0]), {"all": np.array([True])})
    assert figure.axes[0].get_xlabel() == "seconds"
    assert figure.axes[0].collections[0].get_offsets()[1, 0] == 5


@pytest.mark.parametrize("source", [np.array([0]), np.array([0, 2]), np.array([0, -1])], ids=str)
def test_spikes_of_no_group_are_refused(source: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"raster: .* expected as many, of inputs in the 1 groups"):
        draw_raster(np.array([0.1, 0.2]), source, {"all": np.array([True, True])})


@THEMES
def test_membrane_is_drawn_with_what_it_exceeds(theme: Theme) -> None:
    arrays = synthetic()
    times = np.arange(50) / 1000
    figure = draw_membrane(times, arrays["membrane"], arrays["theta"], arrays["output"], theme)
    membrane, theta, spikes = figure.axes[0].lines
    assert membrane.get_ydata().max() == 7 and set(theta.get_ydata()) == {6}
    np.testing.assert_allclose(spikes.get_xdata(), [10, 40])
    assert spikes.get_ydata().tolist() == [7, 7]
    assert {membrane.get_color(), theta.get_color()} < set(theme.series)
    to_png(figure, dpi=50)


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
def test_condition_shows_where_its_margin_begins_to_be_positive(theme: Theme) -> None:
    strengths, auc = np.array([0.1, 1.0, 10.0]), np.array([[[0.0, 0.25, 1.0], [0.0, 1.0, 1.0]]])
    margin = np.array([[[-3.0, -1.0, 1.0], [0.5, 1.0, 2.0]]])
    figure = draw_condition(np.array([4.0]), np.array([0.1, 0.5]), strengths, auc, margin, theme)
    lines, picture, bar = figure.axes
    # Half way on the scale of logarithms; the other is met from the beginning.
    diamonds = [line for line in lines.lines if line.get_marker() == "D"]
    assert len(diamonds) == 1
    np.testing.assert_allclose(diamonds[0].get_data(), ([np.sqrt(10)], [0.625]))
    assert picture.images[0].get_array().tolist() == auc[0].tolist()
    edges = {tuple(map(tuple, edge)) for edge in picture.collections[0].get_segments()}
    assert edges == {
        ((1.5, -0.5), (1.5, 0.5)),
        ((-0.5, 0.5), (0.5, 0.5)),
        ((0.5, 0.5), (1.5, 0.5)),
    }
    assert bar.get_xlabel() == "AUC"
    to_png(figure, dpi=50)


@THEMES
def test_cost_has_a_line_of_slope_one_through_the_largest(theme: Theme) -> None:
    x, y = np.array([10.0, 100.0, 1000.0]), np.array([2.0, 5.0, 20.0])
    figure = draw_cost(x, y, x, y / 2, theme)
    for axes, expected in zip(figure.axes, (y, y / 2), strict=True):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        measured, proportion = axes.lines
        np.testing.assert_allclose(measured.get_ydata(), expected)
        np.testing.assert_allclose(proportion.get_ydata(), expected[-1] * x / 1000)
    to_png(figure, dpi=50)


@THEMES
def test_maps_show_weights_and_clusters(theme: Theme) -> None:
    east, north = np.array([-120.0, -100.0, -80.0]), np.array([45.0, 40.0, 30.0])
    maps = {"weight": np.array([0.5, 0.9, 0.1]), "cluster": np.array([1, -1, 1])}
    figure = draw_map(east, north, maps, theme)
    weight, cluster = figure.axes[:2]
    points = weight.collections[0]
    assert points.get_array().tolist() == [0.1, 0.5, 0.9]  # the largest on top
    assert points.get_clim() == pytest.approx(np.quantile(maps["weight"], (0.02, 0.98)))
    assert points.get_offsets()[-1].tolist() == [-100, 40]
    alone, group = cluster.collections
    assert alone.get_offsets().tolist() == [[-100, 40]]
    assert group.get_offsets()[:, 0].tolist() == [-120, -80]
    to_png(figure, dpi=50)
    with pytest.raises(InputError, match="expected 3 stations in each"):
        draw_map(east, north, {"weight": np.ones(2)}, theme)


@THEMES
def test_streams_mark_wrong_answers(theme: Theme) -> None:
    frames = np.random.default_rng(0).random((10, 4, 4))
    labels, answers = np.repeat([3, 7], 5), np.full(10, 3)
    figure = draw_streams({"frame": frames, "rest": frames}, {"CNN": answers}, labels, theme)
    first, second = figure.axes
    assert len(first.images) == len(second.images) == 2
    texts = [text.get_text() for text in second.texts]
    assert texts == ["frame", "rest", "shown", "7", "7", "CNN", "3", "3"]
    bold = [
        text.get_text()
        for axes in figure.axes
        for text in axes.texts
        if text.get_weight() == "bold"
    ]
    assert bold == ["3"] * 5
    to_png(figure, dpi=50)
    with pytest.raises(InputError, match="for each of 10 frames"):
        draw_streams({"frame": frames}, {"CNN": answers[:9]}, None, theme)


@THEMES
def test_accuracy_is_a_line_per_network_with_the_same_look_everywhere(theme: Theme) -> None:
    curve = np.array([[0.0, 1.0], [0.9, 0.4]])
    parts = {"occlusion": {"CNN": curve, "GRU": curve / 2}, "scale": {"GRU": curve}}
    figure = draw_accuracy_over(parts, "frames", theme)
    upper, lower = figure.axes
    assert upper.lines[0].get_ydata().tolist() == [90.0, 40.0]
    assert looks(upper.lines[1]) == looks(lower.lines[0]) != looks(upper.lines[0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CNN", "GRU"]
    assert lower.get_xlabel() == "frames" and upper.yaxis.get_major_formatter()(50) == "50 %"


@pytest.mark.parametrize("name", PANELS)
def test_each_panel_has_words_and_is_drawn_in_both_themes(name: str) -> None:
    found = {panel.name: panel for panel in spiking_panels(run(**PANELS[name]()))}
    panel = found[name]
    assert panel.title and panel.alt and panel.caption.endswith(".")
    pictures = {to_png(panel.draw(theme), dpi=40) for theme in (LIGHT, DARK)}
    assert len(pictures) == 2


def test_panels_come_in_order_and_only_with_their_arrays() -> None:
    assert names(**synthetic(), **digits(), **weather()) == list(PANELS)
    assert names() == []
    whole = synthetic() | digits() | weather()
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
        ("course_frames", {"stream"}),
        ("course_labels", set()),
        ("covered_occlusion", {"accuracy-occluded"}),
        ("names", {"output-spikes"}),
        ("latitude", {"stations"}),
        ("rain", set()),
    ],
)
def test_what_a_missing_array_takes_with_it(missing: str, gone: set[str]) -> None:
    arrays = synthetic() | digits() | weather()
    del arrays[missing]
    assert set(PANELS) - set(names(**arrays)) == gone


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"raster": np.zeros((50, 16), bool)}, "raster"),
        ({"weights_stdp": np.ones((6, 5))}, "weights"),
        ({"cost_synapse_seconds": np.zeros(3)}, "cost"),
        ({"boundary_strengths": np.zeros(5)}, "condition"),
        ({"raster_neurons": np.array([3, 13, 20])}, "output-spikes"),
        ({"raster_neurons": np.array([3.0, 13.0, 7.0])}, "output-spikes"),
        ({"covered_occlusion": np.zeros(8)}, "accuracy-occluded"),
        ({"covered_occlusion": np.ones(7)}, "accuracy-occluded"),
        ({"longitude": np.full(4, 10.0)}, "stations"),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_left_out(change: Arrays, gone: str) -> None:
    found = names(**synthetic() | digits() | weather() | change)
    assert set(PANELS) - set(found) == {gone}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_arrays_of_a_diverged_run_are_left_out(bad: float) -> None:
    whole = synthetic() | digits() | weather()
    lost = {n: np.full_like(a, bad) if a.dtype.kind == "f" else a for n, a in whole.items()}
    assert names(**lost) == ["raster"]


def test_captions_tell_figures() -> None:
    arrays = synthetic() | digits() | weather()
    found = {panel.name: panel for panel in spiking_panels(run(**arrays))}
    spikes = int(arrays["raster"].sum())
    assert f"{spikes} input spikes and 2 output spikes" in found["raster"].caption
    assert "fatiguing STDP: slow, correlated 0.70, slow 0.70, fast 0.70" in found["weights"].caption
    assert "right about 30 of 30 settings" in found["condition"].caption
    assert "slopes of straight fits are 1.00 and 0.85" in found["cost"].caption
    assert "fit to within 7\u00a0%" in found["cost"].caption
    assert "answers of ST-STDP, CNN. Wrong answers are bold" in found["stream"].caption
    assert "The 3 neurons of 20 that spike" in found["output-spikes"].caption
    assert "3 of 4 in the contiguous states" in found["stations"].caption
    assert "There are 2 clusters" in found["stations"].caption
    assert "share of hours with rain, row sums of" in found["stations"].alt
    bare = run(**weather() | {"clusters": np.ones(4), "weights_fstdp": np.ones(4)})
    (stations,) = spiking_panels(bare)
    assert "fatiguing STDP" in stations.alt and "clusters" not in stations.caption


def test_answers_are_those_of_the_frames_that_are_shown() -> None:
    (stream,) = (p for p in spiking_panels(run(**digits())) if p.name == "stream")
    texts = [text.get_text() for axes in stream.draw(LIGHT).axes for text in axes.texts]
    first = texts.index("CNN") + 1
    assert texts[first : first + 8] == ["3", "3", "9", "3", "3", "3", "7", "7"]


def test_frames_that_are_equally_covered_count_together() -> None:
    arrays = digits()
    found = {panel.name: panel for panel in spiking_panels(run(**arrays))}
    line = found["accuracy-occluded"].draw(LIGHT).axes[0].lines[0]
    curve = arrays["curve_occlusion_short-term"]
    np.testing.assert_allclose(line.get_xdata(), [0, 0.2, 0.5, 0.7])
    np.testing.assert_allclose(line.get_ydata(), 50 * (curve[:4] + curve[:3:-1]))


def test_inputs_of_many_rates_are_correlated_or_not() -> None:
    two = run(rates=np.repeat([1.0, 9.0], 2), members=np.array([True, False, True, False]))
    slow, plain, fast, rest = input_groups(two, 4).values()
    assert [g.argmax() for g in (slow, plain, fast, rest)] == [0, 1, 2, 3]
    many = run(rates=np.arange(4.0), members=np.array([True, False, True, False]))
    assert list(input_groups(many, 4)) == ["correlated", "others"]
    assert list(input_groups(run(), 4)) == list(input_groups(many, 5)) == ["inputs"]


def test_kept_arrays_have_equal_sizes_where_letters_are_equal() -> None:
    found = run(a=np.ones((2, 3)), b=np.ones((3, 2)), empty=np.ones((0, 3)))
    assert kept(found, a="NM", b="MN") is not None
    assert kept(found, a="NM", b="NM") is None
    assert kept(found, a="NN") is None
    assert kept(found, a="N") is None
    assert kept(found, empty="NM") is None


def test_only_phases_that_are_a_course_get_plain_curves() -> None:
    ours = ("boundary", "grid", "cost", "stand-in", "controls", "static-cnn", "mixed-stpn")
    for phase in (*ours, "tests-scale", "settings-occlusion", "smoothing-mixed"):
        assert is_spiking_phase(phase)
    for phase in ("learning", "readout", "tests", "static", "scale-", "settings-readout", "stpn"):
        assert not is_spiking_phase(phase)
    grid = [{"phase": "grid", "step": i, "auc": 1 / i} for i in (1, 2)]
    learning = [{"phase": "learning", "epoch": i, "norm": 1 / i} for i in (1, 2)]
    assert [panel.name for panel in panels(run([*grid, *learning]))] == ["curves-1"]


def test_the_page_of_a_run_has_its_figures(make_run: Callable[..., Path], tmp_path: Path) -> None:
    made = make_run(tmp_path, experiment="fstdp-synthetic")
    (made / "metrics.jsonl").write_text(json.dumps({"phase": "grid", "step": 1, "auc": 0.5}) + "\n")
    arrays = {name: array for name, array in synthetic().items() if name.startswith("cost_")}
    save_file(arrays, made / "arrays.safetensors")
    assert "Cost of a simulated second" in write_report(made).read_text()
    assert {path.stem for path in (made / "figures").glob("*.png")} == {"cost"}
