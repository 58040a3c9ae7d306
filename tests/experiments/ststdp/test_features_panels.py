"""Figures of ststdp-features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plastorch.experiments.ststdp.features_panels import panels
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, Theme, to_png

METRICS = {"scale_features_short_term_accuracy": 0.8, "scale_pixels_cnn_accuracy": 0.9}
CURVES = {"curve_scale_features-short-term": np.linspace(0, 1, 8)}


def run(metrics: dict[str, float], arrays: dict[str, Any]) -> RunData:
    return RunData(Path("run"), {"data": {}, "metrics": metrics}, [], arrays)


def test_panels_come_only_with_their_data() -> None:
    assert [panel.name for panel in panels(run(METRICS, CURVES))] == [
        "accuracy-by-transform",
        "accuracy-since-onset",
    ]
    assert panels(run({}, {})) == []
    assert panels(run({}, {"curve_scale_features-short-term": np.zeros((2, 2))})) == []


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_panels_are_drawn(theme: Theme) -> None:
    for panel in panels(run(METRICS, CURVES)):
        assert to_png(panel.draw(theme), dpi=40)
