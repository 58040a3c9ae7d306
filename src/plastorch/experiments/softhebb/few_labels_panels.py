"""Figure of few labels: accuracy by number of labels, for each network."""

import numpy as np

from plastorch.experiments.softhebb.few_labels import NAMES
from plastorch.report import charts
from plastorch.report.load import RunData
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

SHORT = NAMES | {"backprop": "backprop"}


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a softhebb-few-labels run has data for."""
    return with_curves(run, [_accuracy(run)], r"readouts|unlabeled-.*|backprop-.*")


def _accuracy(run: RunData) -> Panel | None:
    rows = [row for row in run.rows if row.get("phase") == "readouts"]
    curves = {}
    for network, name in SHORT.items():
        points = [(r["labels"], 100 * r["test_accuracy"]) for r in rows if r["network"] == network]
        if points:
            curves[name] = np.array(points, dtype=float).T
    if not curves:
        return None
    ends = "; ".join(f"{name} {right[-1]:.1f} %" for name, (_, right) in curves.items())
    most = max(row["labels"] for row in rows)
    return Panel(
        name="few-labels",
        title="Few labels",
        caption="Test accuracy against the number of labeled images per class. All networks except "
        "that of backprop learned from all images without labels, and a ridge readout from the "
        f"labeled ones. With {most} per class: {ends}.",
        alt=f"Line plot of test accuracy against labels per class; with {most}, {ends}.",
        draw=lambda theme: charts.lines(
            {"": curves}, x="labeled images per class", log="x", y_unit="%", theme=theme
        ),
    )
