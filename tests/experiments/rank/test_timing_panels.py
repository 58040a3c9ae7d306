"""Figures of rank-mnist and rank-speech: what they draw, in which unit, and what they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plastorch.experiments.rank.timing_panels import Clock, answers, panels
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT

MS = Clock(25, 10, "ms")


def run(experiment: str, arrays: dict[str, Any], rows: list[Any] | None = None) -> RunData:
    data: dict[str, Any] = {"classes": ["no", "yes"]}
    if experiment == "rank-speech":
        data["frame_ms"] = [25.0, 10.0]
    return RunData(Path("run"), {"experiment": experiment, "data": data}, rows or [], arrays)


def readings(name: str, steps: int = 4) -> dict[str, Any]:
    counts = np.zeros((2, steps + 1), int)
    counts[0, 1], counts[1, 2], counts[0, -1] = 6, 2, 2
    return {
        f"{name}.curve": np.array([[2.0, 0.9, 0.95, 0.2], [1.0, 0.5, 0.5, 0.0]]),
        f"{name}.fixed": np.linspace(0.1, 0.9, steps),
        f"{name}.steps": counts,
    }


def test_pictures_are_timed_in_steps_from_1() -> None:
    found = panels(run("rank-mnist", readings("lstm-last") | readings("lstm-rank")))
    assert [panel.name for panel in found] == ["accuracy-time", "decision-times", "fixed-time"]
    axes = found[0].draw(LIGHT).axes[0]
    assert [line.get_label() for line in axes.lines] == ["LSTM, rank-coded", "LSTM, last step"]
    assert axes.lines[0].get_xydata().tolist() == [[2.0, 50.0], [3.0, 90.0]]
    assert axes.get_xlabel() == "mean time of the answer, steps"
    assert "LSTM, last step: 90.00 % at best" in found[0].caption.replace("\xa0", " ")
    fixed = found[2].draw(LIGHT).axes[0]
    assert fixed.lines[0].get_xdata().tolist() == [1, 2, 3, 4]


def test_words_are_timed_in_milliseconds() -> None:
    arrays = readings("chosen") | readings("rank") | {"grid": np.array([[0.9, 0.1, 3.0, 0.8]])}
    arrays |= {
        "word.bands": np.zeros((5, 8)),
        "word.probabilities": np.tile([0.3, 0.7], (5, 1)),
        "word.answer": np.array([3, 1]),
    }
    found = {panel.name: panel for panel in panels(run("rank-speech", arrays))}
    assert next(iter(found)) == "word" and "threshold-entropy" in found
    assert "“yes”, came after 55 ms" in found["word"].caption
    assert "joins the best readings, by validation, of many" in found["accuracy-time"].caption
    axes = found["accuracy-time"].draw(LIGHT).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [35.0, 45.0]
    above, below = found["word"].draw(DARK).axes
    assert below.lines[-1].get_xdata() == [55.0, 55.0] == above.lines[-1].get_xdata()
    assert [line.get_label() for line in below.lines[:2]] == ["yes", "no"]


def test_answers_add_up_to_what_crossed() -> None:
    ((title, bands),) = answers({"last step": readings("a")["a.steps"]}, MS).items()
    assert title == "last step, 20 % without crossing"
    times, right, *_ = bands["right"]
    _, both, low, high = bands["wrong"]
    assert times.tolist() == [25, 35, 45, 55] and right.tolist() == [0, 60, 0, 0]
    assert both.tolist() == high.tolist() == [0, 60, 20, 0] and low.tolist() == right.tolist()


def test_nothing_crosses() -> None:
    counts = np.zeros((2, 5), int)
    counts[:, -1] = 3
    (panel,) = panels(run("rank-mnist", {"lstm-last.steps": counts}))
    (axes,) = panel.draw(LIGHT).axes
    assert axes.get_title(loc="left") == "LSTM, last step, 100 % without crossing"
    assert axes.get_ylim()[0] == 0


def test_a_grid_has_a_line_per_weight_of_entropy() -> None:
    rows = [[theta, beta, 10 * theta, 0.5] for theta in (0.9, 0.7) for beta in (0.0, 0.1, 0.3)]
    (panel,) = panels(run("rank-speech", {"grid": np.array(rows)}))
    axes = panel.draw(LIGHT).axes[0]
    assert [line.get_label() for line in axes.lines] == ["β = 0", "β = 0.1", "β = 0.3"]
    assert [text.get_text() for text in axes.texts] == ["0.7", "0.9"] * 3
    assert axes.lines[0].get_xdata() == pytest.approx([95, 115])


def test_work_is_drawn_of_those_that_need_less_and_less() -> None:
    rows = [
        {"phase": name, "batch": batch, "computed_steps": steps}
        for name, course in (("lstm-last", (20, 20)), ("lstm-rank", (20, 2)))
        for batch, steps in enumerate(course, start=1)
    ]
    (panel,) = panels(run("rank-mnist", {}, rows))
    assert panel.name == "computed-steps"
    (line,) = panel.draw(LIGHT).axes[0].lines
    assert line.get_ydata().tolist() == [20, 2] and line.get_label() == "LSTM, rank-coded"
