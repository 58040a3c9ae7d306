"""Figures of the experiments with streams of digits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plastorch.experiments.ststdp.panels import panels
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, Theme, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
Arrays = dict[str, np.ndarray]


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


PANELS = ("accuracy-since-onset", "accuracy-occluded", "stream", "output-spikes")


def run(rows: Any = (), **arrays: np.ndarray) -> RunData:
    return RunData(Path("run"), {"data": {}}, list(rows), arrays)


def names(**arrays: np.ndarray) -> list[str]:
    return [panel.name for panel in panels(run(**arrays))]


def test_panels_come_in_order_and_only_with_their_arrays() -> None:
    assert names(**digits()) == list(PANELS)
    assert names() == []
    whole = digits()
    for name, array in whole.items():
        for change in (array[:0], array[:, None], np.zeros(()), array[..., :1]):
            assert set(names(**whole | {name: change})) <= set(PANELS)


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("course_frames", {"stream"}),
        ("course_labels", set()),
        ("covered_occlusion", {"accuracy-occluded"}),
        ("names", {"output-spikes"}),
    ],
)
def test_what_a_missing_array_takes_with_it(missing: str, gone: set[str]) -> None:
    arrays = digits()
    del arrays[missing]
    assert set(PANELS) - set(names(**arrays)) == gone


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"raster_neurons": np.array([3, 13, 20])}, "output-spikes"),
        ({"raster_neurons": np.array([3.0, 13.0, 7.0])}, "output-spikes"),
        ({"covered_occlusion": np.zeros(8)}, "accuracy-occluded"),
        ({"covered_occlusion": np.ones(7)}, "accuracy-occluded"),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_left_out(change: Arrays, gone: str) -> None:
    found = names(**digits() | change)
    assert set(PANELS) - set(found) == {gone}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_arrays_of_a_diverged_run_are_left_out(bad: float) -> None:
    whole = digits()
    lost = {n: np.full_like(a, bad) if a.dtype.kind == "f" else a for n, a in whole.items()}
    assert names(**lost) == []


def test_captions_tell_figures() -> None:
    found = {panel.name: panel for panel in panels(run(**digits()))}
    assert "answers of ST-STDP, CNN. Wrong answers are bold" in found["stream"].caption
    assert "The 3 neurons of 20 that spike" in found["output-spikes"].caption


@THEMES
def test_figures_show_what_was_kept(theme: Theme) -> None:
    drawn = {panel.name: panel.draw(theme) for panel in panels(run(**digits()))}
    occlusion, scale = drawn["accuracy-since-onset"].axes
    assert len(occlusion.lines) == 3 and len(scale.lines) == 1
    np.testing.assert_allclose(
        occlusion.lines[2].get_ydata(), 100 * digits()["curve_occlusion_cnn"]
    )
    first, second = drawn["stream"].axes
    assert [len(axes.images) for axes in (first, second)] == [3, 3]
    bold = [text.get_text() for text in first.texts if text.get_weight() == "bold"]
    assert bold == ["9"]  # of the CNN, once
    raster = drawn["output-spikes"].axes[0]
    assert [tick.get_text() for tick in raster.get_yticklabels()] == ["3", "7"]
    assert all(to_png(figure, dpi=40) for figure in drawn.values())


def test_answers_are_those_of_the_frames_that_are_shown() -> None:
    (stream,) = (p for p in panels(run(**digits())) if p.name == "stream")
    texts = [text.get_text() for axes in stream.draw(LIGHT).axes for text in axes.texts]
    first = texts.index("CNN") + 1
    assert texts[first : first + 8] == ["3", "3", "9", "3", "3", "3", "7", "7"]


def test_frames_that_are_equally_covered_count_together() -> None:
    arrays = digits()
    found = {panel.name: panel for panel in panels(run(**arrays))}
    line = found["accuracy-occluded"].draw(LIGHT).axes[0].lines[0]
    curve = arrays["curve_occlusion_short-term"]
    np.testing.assert_allclose(line.get_xdata(), [0, 0.2, 0.5, 0.7])
    np.testing.assert_allclose(line.get_ydata(), 50 * (curve[:4] + curve[:3:-1]))


def test_only_phases_that_are_a_course_get_plain_curves() -> None:
    ours = ("static-cnn", "mixed-stpn", "tests-scale", "settings-occlusion", "smoothing-mixed")
    others = ("learning", "readout", "tests", "static", "scale-", "settings-readout", "stpn")
    found = [
        {"phase": phase, "step": i, "auc": 1 / i} for phase in (*ours, *others) for i in (1, 2)
    ]
    titles = [panel.title for panel in panels(run(found))]
    assert titles == [f"Course of “{phase}”" for phase in others]
