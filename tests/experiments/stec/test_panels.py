"""Figures of learning with efference copies: what they draw, and what they say."""

from pathlib import Path
from typing import Any

import pytest

from plastorch.experiments.stec.panels import panels
from plastorch.report.load import RunData
from plastorch.report.panel import Panel
from plastorch.report.theme import DARK, LIGHT


def measured(arm: str, seed: int, right: float, **more: Any) -> dict[str, Any]:
    row = {"phase": "stec-measure", "step": 1, "arm": arm, "seed": seed, "exam": "images"}
    row |= {
        "weight": 1.0,
        "accuracy": right,
        "logistic_accuracy": right - 0.25,
        "within": 0.6,
        "between": 0.5,
    }
    if arm.endswith("stec"):
        row |= {"found_flip": 0.7, "majority_flip": 0.5, "found_shift_x": 0.3,
                "majority_shift_x": 0.2}  # fmt: skip
    return row | more


def run(rows: list[dict[str, Any]], metrics: dict[str, float] | None = None) -> RunData:
    result = {"experiment": "stec-cifar10", "metrics": metrics or {}}
    return RunData(Path("run"), result, rows, {})


def drawn(rows: list[dict[str, Any]], metrics: dict[str, float] | None = None) -> dict[str, Panel]:
    found = panels(run(rows, metrics))
    for panel in found:
        assert panel.draw(DARK).axes
    return {panel.name: panel for panel in found}


def test_gains_are_paired_by_seed_and_in_points() -> None:
    rows = [measured("byol-baseline", seed, 0.5 + seed / 10) for seed in (1, 0)]
    rows += [measured("byol-stec", seed, 0.52 + seed / 10 + seed / 100) for seed in (0, 1)]
    metrics = {f"byol_stec_gain_{kind}_{probe}": value
               for probe in ("accuracy", "logistic_accuracy")
               for kind, value in (("mean", 0.025), ("low", 0.01), ("high", 0.04))}  # fmt: skip
    for probe in ("accuracy", "logistic_accuracy"):
        panel = drawn(rows, metrics)[f"gains-{probe}"]
        axes = panel.draw(LIGHT).axes[0]
        assert axes.collections[1].get_offsets()[:, 0].tolist() == pytest.approx([2.0, 3.0])
        assert [text.get_text() for text in axes.get_yticklabels()] == ["BYOL S-TEC"]
        assert axes.collections[0].get_segments()[0][:, 0] == pytest.approx([1.0, 4.0])
        assert "BYOL S-TEC +2.50" in panel.caption
    assert not any("gains" in name for name in drawn(rows))  # of a run that has not ended


def test_courses_are_means_over_seeds_by_method_and_role() -> None:
    rows = [
        {"phase": f"simclr-{role}-{seed}", "step": step, "test_accuracy": base + step / 10 + seed}
        for role, base in (("baseline", 0.1), ("stec", 0.2))
        for seed in (0, 1)
        for step in (1, 2)
    ]
    (panel,) = drawn(rows).values()
    lines = panel.draw(LIGHT).axes[0].lines
    assert [line.get_label() for line in lines] == ["baseline", "S-TEC"]
    assert lines[1].get_ydata() == pytest.approx([80.0, 90.0])


def test_what_is_told_has_a_row_per_factor_and_a_mark_per_encoder() -> None:
    rows = [measured("relic-stec", 0, 0.5)]
    for arm, share in (("relic-stec", 0.6), ("relic-baseline", 0.55)):
        rows.append({"phase": "stec-control", "arm": arm, "seed": 0, "found_flip": share})
    axes = drawn(rows)["told-relic"].draw(LIGHT).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["flip", "shift x"]
    marks = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert marks["with the encoder"] == pytest.approx([70.0, 30.0])
    assert marks["later, baseline"] == pytest.approx([55.0])
    assert marks["most frequent"] == pytest.approx([50.0, 20.0])


def test_transfer_and_geometry_compare_arms() -> None:
    rows: list[dict[str, Any]] = [measured("simclr-shuffled", 0, 0.5)]
    for role, value in (("baseline", 0.1), ("stec", 0.3)):
        for seed in (0, 1):
            more = {"place_r2": value + seed / 5, "detection_ap50": 0.5}
            rows.append({"phase": "stec-transfer", "arm": f"simclr-{role}", "seed": seed, **more})
    found = drawn(rows)
    axes = found["transfer"].draw(LIGHT).axes[0]
    assert len(axes.get_yticklabels()) == 2
    assert axes.lines[1].get_xdata() == pytest.approx([0.4, 0.5])
    geometry = found["stec-geometry"].draw(LIGHT).axes[0]
    assert [line.get_xdata()[0] for line in geometry.lines] == [0.6, 0.5]


def test_a_sweep_is_drawn_over_its_weights() -> None:
    rows = [measured(f"simclr-swept{1000 * w:.0f}", seed, 0.5 + w / 100 + seed / 10, weight=w)
            for w in (3.0, 0.0, 0.1) for seed in (0, 1)]  # fmt: skip
    panel = drawn(rows)["sweep"]
    axes = panel.draw(LIGHT).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "0.1", "3"]
    assert axes.lines[0].get_ydata() == pytest.approx([30.0, 30.1, 33.0])
    assert panel.caption.endswith("The best is 3.")


def test_other_phases_get_plain_curves() -> None:
    assert panels(run([])) == []
    ours = ("simclr-swept300-0", "probe-relic-baseline-2-images")
    rows = [
        {"phase": phase, "step": step, "loss": 1 / step}
        for phase in (*ours, "readout", "simclr-other-0")
        for step in (1, 2)
    ]
    titles = [panel.title for panel in panels(run(rows))]
    assert titles == ["Course of “readout”", "Course of “simclr-other-0”"]
