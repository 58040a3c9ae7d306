"""Figures of stdp-mnist."""

import numpy as np

from plastorch.report import charts
from plastorch.report.format import percent
from plastorch.report.load import RunData
from plastorch.report.panel import Panel
from plastorch.report.panels import confusion, receptive_fields, with_curves

_DRAWN = "untrained|learning|names|test"
"""Phases that have figures of their own, or need none."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first."""
    return with_curves(run, [receptive_fields(run), accuracy(run), confusion(run)], _DRAWN)


def accuracy(run: RunData) -> Panel | None:
    """Returns accuracy over the number of images that the network has seen."""
    rows = [row for row in run.rows if {"images", "accuracy"} <= row.keys()]
    if len(rows) < 2:
        return None
    seen, right = ([float(row[name]) for row in rows] for name in ("images", "accuracy"))
    last = percent(right[-1])
    return Panel(
        name="accuracy-over-images",
        title="Accuracy over images seen",
        caption="Share of correct answers of the network while it learned. For each point, labels "
        "of some training images name the neurons again. The learning rate falls to 0, and at the "
        f"end {last} of the answers are correct.",
        alt=f"Line plot of accuracy against the number of images; it ends at {last}.",
        draw=lambda theme: charts.lines(
            {"": {"accuracy": np.array([seen, right]) * [[1], [100]]}},
            x="images seen",
            y_unit="%",
            theme=theme,
        ),
    )
