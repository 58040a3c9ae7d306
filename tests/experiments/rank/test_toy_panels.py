"""Figures of the toy experiment."""

from pathlib import Path
from typing import Any

import numpy as np

from plastorch.experiments.rank.toy_panels import NAMES, panels
from plastorch.report.load import Row, RunData
from plastorch.report.theme import DARK, LIGHT

CURVE = np.array([[3.0, 0.8, 0.6, 0.0], [9.0, 0.9, 0.95, 0.1]])


def arrays(*names: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        steps = 40 if name.startswith("signal") else 25
        found |= {
            f"{name}.curve": CURVE,
            f"{name}.fixed": np.linspace(0.5, 1.0, steps),
            f"{name}.steps": np.ones((2, steps + 1), np.int64),
        }
        if steps == 40:
            found[f"{name}.noise"] = np.tile([1.0, 4.0, 9.0], (10, 1))
        else:
            found[f"{name}.lag"] = np.array([3, 1, 0])
    return found


def run(*names: str) -> RunData:
    rows: list[Row] = [
        {"phase": name, "batch": batch, "mean_step": 30.0 - batch, "computed_steps": 35.0 - batch}
        for name in names
        for batch in (10, 20)
    ]
    known = arrays(*names, "signal-observer", "runs-observer")
    known["signal-best.curve"] = CURVE[:, :2]
    return RunData(Path("run"), {"experiment": "rank-toy", "data": {}}, rows, known)


def test_each_task_has_its_figures() -> None:
    found = panels(run(*NAMES))
    assert [panel.name for panel in found] == [
        "signal-accuracy-time",
        "runs-accuracy-time",
        "signal-training",
        "runs-training",
        "signal-times",
        "runs-times",
        "signal-noise",
        "runs-lag",
    ]
    for panel in found:
        for theme in (LIGHT, DARK):
            panel.draw(theme)
    trade_off, _, training, _, times, _, noise, lag = found
    lines = trade_off.draw(LIGHT).axes[0].lines
    names = [line.get_label() for line in lines]
    assert names[:3] == ["ideal threshold", "ideal rules", "first crossing"]
    assert names[-2:] == ["last step", "fixed time"]
    assert lines[2].get_xydata().tolist() == [[4.0, 80.0], [10.0, 90.0]]  # type: ignore[union-attr]
    assert "first crossing: 11.0" in training.caption
    assert len(times.draw(LIGHT).axes) == 4
    assert len(noise.draw(LIGHT).axes[0].lines) == 7
    assert "STPN: 0.25 steps" in lag.caption


def test_a_run_of_one_model_has_what_is_left() -> None:
    names = [panel.name for panel in panels(run("runs-stpn"))]
    assert names == ["runs-accuracy-time", "runs-training", "runs-times", "runs-lag"]
