"""Figures of the experiments that classify records by their metadata."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plastorch.experiments.files.figures import (
    draw_accuracies,
    draw_coincidence,
    draw_curves,
    draw_patterns,
)
from plastorch.experiments.files.panels import panels
from plastorch.experiments.registry import panels_of
from plastorch.report import write_report
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, Theme, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
DAY = 86_400.0
Rows = list[dict[str, Any]]


def rows() -> Rows:
    """As files-tables logs them: two tables, two folds."""
    made: Rows = []
    for table, base in (("adult", 0.8), ("debian_files", 0.9)):
        for fold in (0, 1):
            row = {"phase": f"tables-{table}", "step": 1, "table": table, "fold": fold}
            made += [
                row | {"model": "inputs", "correlation": 0.995},
                row | {"model": "snn", "accuracy": base + 0.01 * fold},
                row | {"model": "logistic", "accuracy": base - 0.05},
                *(
                    row | {"model": m, "labeled": share, "accuracy": base + 0.02 * share - 0.1}
                    for m in ("stdp", "k-modes")
                    for share in (0.01, 0.1, 1.0)
                ),
                *(
                    row
                    | {"model": "memristive", "seconds": t, "compensated": c, "instance": i}
                    | {"accuracy": base - 0.02 * (1 - c) - 1e-8 * t, "ideal": base}
                    for t in (25.0, DAY)
                    for c in (0, 1)
                    for i in (0, 1)
                ),
            ]
            if fold == 0:
                made += [
                    row | {"model": "stream", "keys": k / 4, "accuracy": base * k / 4}
                    for k in (1, 2, 3, 4)
                ]
            if table == "debian_files":
                made += [
                    row
                    | {"model": "confusion", "class": f"kind-{a}", "answer": f"kind-{b}"}
                    | {"count": 20 - a if a == b else 1}
                    for a in range(12)
                    for b in (a, (a + 1) % 12)
                ]
    return made


def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    alike = random.random(50)
    bins = random.integers(0, 20, (3, 30))
    bins[1, :20] = bins[0, :20]
    bins[2, :4] = 255
    return {
        "pair_similarity": alike,
        "pair_coincidence": alike + (1 - alike) / 20,
        "example_bins": bins,
        "example_similarity": np.array([1.0, 0.7, 0.1]),
        "example_ends": np.array([10, 20, 30]),
    }


def run(found: Rows | None = None, **kept: np.ndarray) -> RunData:
    return RunData(Path("run"), {"data": {}}, rows() if found is None else found, kept)


NAMES = [
    *("accuracies", "devices", "stream", "labels", "confusions", "coincidences", "patterns"),
]


def test_a_run_has_the_panels_that_it_has_data_for() -> None:
    assert [panel.name for panel in panels(run(**arrays()))] == NAMES  # and no plain curves
    assert panels(run([])) == []
    system = [
        {
            "phase": "system-python-kind",
            "table": "python-kind",
            "fold": 0,
            "model": m,
            "accuracy": a,
        }
        for m, a in (("snn", 0.9), ("majority", 0.5))
    ]
    (only,) = panels(run(system))
    assert only.name == "accuracies" and "python kind: spiking, labels" in only.caption


def test_records_that_are_damaged_are_left_out() -> None:
    row = {"phase": "tables-adult", "table": "adult", "fold": 0, "model": "snn"}
    for bad in (
        row,
        row | {"accuracy": "high"},
        row | {"accuracy": 0.5, "table": 3},
        row | {"accuracy": 0.5, "fold": None},
        row | {"accuracy": 0.5, "phase": 7},
    ):
        assert panels(run([bad])) == []
    broken = arrays() | {"pair_similarity": np.full(50, np.nan), "example_ends": np.array([])}
    assert panels(run([], **broken)) == []


def test_other_phases_get_plain_curves() -> None:
    found = [
        {"phase": phase, "step": step, "loss": 1 / step}
        for phase in ("tables-adult", "system-share-kind", "readout")
        for step in (1, 2)
    ]
    assert [panel.title for panel in panels(run(found))] == ["Course of “readout”"]


def test_captions_tell_figures() -> None:
    found = {panel.name: panel for panel in panels(run(**arrays()))}
    assert "adult: spiking, labels" in found["accuracies"].caption
    assert "Correlation 1.0000" in found["coincidences"].caption
    assert found["confusions"].title.endswith("debian files")
    assert "9 most frequent classes and all others" in found["confusions"].caption


@THEMES
def test_accuracies_are_means_with_the_range_of_folds(theme: Theme) -> None:
    tables = {
        "adult": {"spiking, labels": [0.8, 0.9], "logistic": [0.7, 0.7]},
        "corpus": {"logistic": [0.5]},
    }
    figure = draw_accuracies(tables, theme)
    first, second = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["adult", "corpus"]
    assert [dot.get_xdata()[0] for dot in first.lines] == pytest.approx([85, 70])
    assert [dot.get_ydata()[0] for dot in first.lines] == [0, 1]
    assert first.collections[0].get_segments()[0].tolist() == pytest.approx(
        np.array([[80, 0], [90, 0]])
    )
    assert first.lines[0].get_color() != first.lines[1].get_color()
    assert first.lines[0].get_marker() != first.lines[1].get_marker()
    assert [tick.get_text() for tick in second.get_yticklabels()] == ["logistic"]
    to_png(figure, dpi=50)


@THEMES
def test_curves_have_an_axes_per_part_and_named_places(theme: Theme) -> None:
    curves = {"adult": np.array([[25.0, DAY], [0.9, 0.8]])}
    parts = {"one": curves, "two": curves | {"corpus": np.array([[25.0], [0.5]])}}
    figure = draw_curves(parts, "time", {25.0: "25 s", DAY: "1 d"}, theme)
    one, two = figure.axes
    assert one.lines[0].get_ydata().tolist() == pytest.approx([90, 80])
    assert len(two.lines) == 2 and two.get_xscale() == "log" and two.get_xlabel() == "time"
    assert [tick.get_text() for tick in two.get_xticklabels()] == ["25 s", "1 d"]
    looks = [(line.get_color(), line.get_linestyle()) for line in two.lines]
    assert looks[0] != looks[1]
    assert one.lines[0].get_color() == two.lines[0].get_color()
    to_png(figure, dpi=50)
    assert draw_curves({"": curves}, "share").axes[0].get_xscale() == "linear"


@THEMES
def test_coincidence_is_drawn_with_what_is_expected(theme: Theme) -> None:
    figure = draw_coincidence(np.array([0.0, 0.5]), np.array([0.1, 0.6]), 10, theme)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[0, 10], [0.5, 60]])
    np.testing.assert_allclose(axes.lines[0].get_data(), [[0, 1], [10, 100]])
    to_png(figure, dpi=50)


@THEMES
def test_patterns_show_what_they_share_with_the_first(theme: Theme) -> None:
    bins = np.array([[3, 7, 255], [3, 9, 2], [255, 255, 4]])
    figure = draw_patterns(bins, np.array([2, 3]), ["a", "b", "c"], theme)
    counts = [[len(dots.get_offsets()) for dots in axes.collections[:2]] for axes in figure.axes]
    assert counts == [[2, 0], [1, 2], [0, 1]]
    np.testing.assert_allclose(figure.axes[1].collections[0].get_offsets(), [[3, 0]])
    assert figure.axes[-1].get_xlabel() == "milliseconds"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "as in the first",
        "at another time",
    ]
    to_png(figure, dpi=50)


def test_confusions_are_counts_of_the_most_frequent_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("plastorch.report.figures.confusion", lambda *given: drawn.append(given))
    (panel,) = [p for p in panels(run()) if p.name == "confusions"]
    panel.draw(LIGHT)
    matrix, names, _ = drawn[0]
    assert names == [*(f"kind-{n}" for n in range(9)), "others"]
    assert matrix.sum() == sum(row["count"] for row in rows() if row["model"] == "confusion")
    assert matrix[0, 0] == 40 and matrix[0, 1] == 2 and matrix[8, 9] == 2
    assert matrix[9, 9] == 2 * (11 + 10 + 9 + 2) and matrix[9, 0] == 2


def test_the_page_of_a_run_has_its_figures(make_run: Callable[..., Path], tmp_path: Path) -> None:
    made = make_run(tmp_path, experiment="files-tables")
    found = [row for row in rows() if row["model"] == "stream"]
    (made / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    (made / "arrays.safetensors").unlink()
    page = write_report(made, panels_of).read_text()
    assert "While keys arrive" in page and "Course of" not in page
    assert {path.stem for path in (made / "figures").glob("*.png")} == {"stream"}
