"""Figures of the short-term plasticity experiments."""

from pathlib import Path
from typing import Any

import pytest

from plastorch.experiments.stpn.panels import panels
from plastorch.report.load import RunData
from plastorch.report.theme import LIGHT


def rows(model: str, *accuracies: float) -> list[dict[str, Any]]:
    return [
        {"phase": model, "epoch": i, "validation_accuracy": a, "energy": 2.0 - i / 10}
        for i, a in enumerate(accuracies, start=1)
    ]


def run(*records: list[dict[str, Any]]) -> RunData:
    return RunData(Path("run"), {}, [row for rows in records for row in rows], {})


def test_one_line_per_model_that_was_trained() -> None:
    accuracy, energy = panels(run(rows("lstm", 0.1, 0.25), rows("stpn", 0.5, 1.0)))
    assert (accuracy.name, energy.name) == ("validation-accuracy", "energy")
    axes = accuracy.draw(LIGHT).axes[0]
    assert [line.get_label() for line in axes.lines] == ["STPN", "LSTM"]
    assert axes.lines[0].get_ydata().tolist() == [50.0, 100.0]
    assert "STPN 100 %; LSTM 25 %" in accuracy.caption and "LSTM 1.8" in energy.alt


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (
            [{"phase": "lstm", "iteration": 10, "reward": 5.0, "energy_per_neuron": 0.1}],
            ["reward", "energy-per-neuron"],
        ),
        (
            [
                {"phase": "stpnf", "step": 10, "train_accuracy": 0.7, "validation_accuracy": 0.6},
                {"phase": "generalisation-stpnf", "step": 1, "repeat": 1, "accuracy": 0.5},
            ],
            ["train-accuracy", "validation-accuracy", "generalisation-accuracy"],
        ),
    ],
    ids=["maze", "familiarity"],
)
def test_each_experiment_has_its_figures(rows: list[dict[str, Any]], names: list[str]) -> None:
    found = panels(run(rows))
    assert [panel.name for panel in found] == names
    assert all(len(panel.draw(LIGHT).axes[0].lines) == 1 for panel in found)


def test_models_need_no_plain_curves() -> None:
    names = [panel.name for panel in panels(run(rows("fast-weights", 0.1, 0.2)))]
    assert names == ["validation-accuracy", "energy"]
