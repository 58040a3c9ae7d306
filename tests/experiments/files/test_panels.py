"""Figures of the experiments that classify records by their metadata."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
def test_figures_show_what_was_logged(theme: Theme) -> None:
    drawn = {panel.name: panel.draw(theme) for panel in panels(run(**arrays()))}
    adult, files = drawn["accuracies"].axes
    assert [axes.get_title(loc="left") for axes in (adult, files)] == ["adult", "debian files"]
    assert adult.lines[0].get_xdata()[0] == pytest.approx(80.5)  # the mean of two folds
    np.testing.assert_allclose(adult.collections[0].get_segments()[0][:, 0], [80, 81])
    compensated, plain = drawn["devices"].axes
    np.testing.assert_allclose(plain.lines[0].get_ydata(), [78, 78], atol=0.1)
    assert compensated.lines[0].get_xdata().tolist() == [25, DAY] and plain.get_xscale() == "log"
    assert "1 d" in [tick.get_text() for tick in plain.get_xticklabels()]
    np.testing.assert_allclose(drawn["stream"].axes[0].lines[0].get_ydata(), [20, 40, 60, 80])
    np.testing.assert_allclose(
        drawn["coincidences"].axes[0].lines[0].get_ydata()[[0, -1]], [5, 100]
    )
    shared = [len(axes.collections[0].get_offsets()) for axes in drawn["patterns"].axes]
    assert shared[0] == 30 and shared[1] >= 20 and all(to_png(f, dpi=40) for f in drawn.values())


def test_confusions_are_counts_of_the_most_frequent_classes() -> None:
    (panel,) = (panel for panel in panels(run()) if panel.name == "confusions")
    axes = panel.draw(LIGHT).axes[0]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == [*(f"kind-{n}" for n in range(9)), "others"]
    counts = {text.get_position(): int(text.get_text()) for text in axes.texts}
    assert sum(counts.values()) == sum(r["count"] for r in rows() if r["model"] == "confusion")
    assert (counts[0, 0], counts[1, 0], counts[9, 8], counts[0, 9]) == (40, 2, 2, 2)
    assert counts[9, 9] == 2 * (11 + 10 + 9 + 2)


def test_the_page_of_a_run_has_its_figures(make_run: Callable[..., Path], tmp_path: Path) -> None:
    made = make_run(tmp_path, experiment="files-tables")
    found = [row for row in rows() if row["model"] == "stream"]
    (made / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    (made / "arrays.safetensors").unlink()
    page = write_report(made, panels_of).read_text()
    assert "While keys arrive" in page and "Course of" not in page
    assert {path.stem for path in (made / "figures").glob("*.png")} == {"stream", "thumbnail"}
