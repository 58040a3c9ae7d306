"""Figures that runs of several systems have, and plain curves of any run's log."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from plastorch.report import charts
from plastorch.report.format import number, percent, plain
from plastorch.report.load import Array, Row, RunData, columns, is_number, series
from plastorch.report.panel import Panel

_COUNTERS = ("epoch", "step", "examples")
_MAX_FIELDS = 6


def with_curves(run: RunData, found: Iterable[Panel | None], drawn: str = "") -> list[Panel]:
    """Returns those panels that there is data for, then plain curves of other phases.

    Phases that match the regular expression ``drawn`` have figures of their own, or need none.
    """
    return [panel for panel in found if panel] + plain_curves(run, drawn)


def plain_curves(run: RunData, drawn: str = "") -> list[Panel]:
    """Returns a panel of plain curves for each phase that was logged, but for rows of layers.

    Phases that match the regular expression ``drawn`` have none.
    """
    names = dict.fromkeys(row["phase"] for row in run.rows if isinstance(row.get("phase"), str))
    others = [phase for phase in names if not (drawn and re.fullmatch(drawn, phase))]
    panels = [panel for phase in others if (panel := _curves(run, phase))]
    return [replace(panel, name=f"curves-{index}") for index, panel in enumerate(panels, start=1)]


def shown_filters(run: RunData) -> Array | None:
    """Returns the first-layer filters that the run kept, if they can be shown as images."""
    filters = run.arrays.get("filters")
    fits = filters is not None and filters.size > 0 and filters.shape[1] in (1, 3)
    return filters if fits else None


def learning_curve(run: RunData) -> Panel | None:
    """Returns the accuracy of a readout by epochs, if the run has one."""
    rows = series(run.rows, "readout", "epoch", ["train_accuracy", "test_accuracy"])
    if not rows:
        return None
    curves = {
        name: columns(rows, "epoch", f"{name}_accuracy") * [[1], [100]]
        for name in ("test", "train")
    }
    test, train = (percent(rows[-1][f"{name}_accuracy"]) for name in ("test", "train"))
    return Panel(
        name="learning-curve",
        title="Learning curve",
        caption="Share of correct answers after each pass over the labeled data. At the end "
        f"{test} of the test examples are correct, and {train} of the training examples.",
        alt=f"Line plot of accuracy against epoch; test accuracy ends at {test}, training "
        f"accuracy at {train}.",
        draw=lambda theme: charts.lines(
            {"": curves}, x="epoch of the readout", y_unit="%", theme=theme
        ),
    )


def receptive_fields(run: RunData) -> Panel | None:
    """Returns the weights of first-layer neurons as images, if the run kept them."""
    filters = shown_filters(run)
    if filters is None:
        return None
    count, _, height, width = filters.shape
    sample = f" An even sample of {charts.MAX_TILES} is shown." * (count > charts.MAX_TILES)
    return Panel(
        name="receptive-fields",
        title="Receptive fields",
        caption=f"What the {number(count)} neurons of the first layer look for. Each tile is one "
        f"neuron's {height} × {width} weights, stretched from the smallest to the largest; those "
        f"with the clearest pattern come first.{sample}",
        alt=f"Grid of small pictures, the {height} by {width} weights of the first-layer neurons.",
        draw=lambda theme: charts.images({"": charts.filters(filters)}, theme=theme),
    )


def confusion(run: RunData) -> Panel | None:
    """Returns the confusion matrix, if the run kept it."""
    matrix = run.arrays.get("confusion")
    if matrix is None or not len(matrix):
        return None
    classes = [str(name) for name in run.result["data"].get("classes") or []]
    if len(classes) != len(matrix):
        classes = [str(index) for index in range(len(matrix))]
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    row, col = np.unravel_index(wrong.argmax(), wrong.shape)
    worst = "No example was taken for another class."
    if wrong.max() > 0:
        worst = (
            f"The most frequent mistake: {classes[row]} taken for {classes[col]}, "
            f"{number(int(wrong.max()))} of {number(int(matrix[row].sum()))} times."
        )
    cells = " Numbers are counts." if len(matrix) <= charts.MAX_LABELED else ""
    return Panel(
        name="confusion",
        title="Confusion matrix",
        caption="Each row is a true class, each column an answer on the test examples; the "
        "stronger its shade, the larger its share of the row. A perfect result fills only the "
        f"diagonal.{cells} {worst}",
        alt=f"Confusion matrix of {len(matrix)} classes. {worst}",
        draw=lambda theme: charts.confusion(matrix, classes, theme=theme),
    )


def _curves(run: RunData, phase: str) -> Panel | None:
    mine = [row for row in run.rows if row.get("phase") == phase]
    x = counter_of(mine)
    if x is None or any("layer" in row for row in mine):
        return None
    fields = moving_fields(series(mine, phase, x, []))
    rows = series(mine, phase, x, fields)
    if not fields:
        return None
    parts = {plain(name): {"": columns(rows, x, name)} for name in fields}
    names = ", ".join(parts)
    return Panel(
        name="curves",
        title=f"Course of “{phase}”",
        caption=f"As logged: {names}, each against {x}.",
        alt=f"Line plots of {names} against {x}.",
        draw=lambda theme: charts.lines(parts, x=x, theme=theme),
    )


def counter_of(rows: Sequence[Row]) -> str | None:
    """Returns the field that counts rows: epoch, step or examples, if all have it."""
    return next((name for name in _COUNTERS if all(is_number(r.get(name)) for r in rows)), None)


def moving_fields(rows: Sequence[Row]) -> list[str]:
    """Returns at most six numeric fields that all rows have, and that change."""
    names = [
        name
        for name in (rows[0] if rows else ())
        if name not in _COUNTERS and all(is_number(row.get(name)) for row in rows)
    ]
    return [name for name in names if len({row[name] for row in rows}) > 1][:_MAX_FIELDS]
