"""Figures that runs of several systems have, and plain curves of any run's log."""

from collections.abc import Callable, Sequence

import numpy as np

from plastorch.report import figures
from plastorch.report.format import number, percent, plain
from plastorch.report.load import Row, RunData, is_number, series
from plastorch.report.panel import Panel

_COUNTERS = ("epoch", "step", "examples")
_MAX_FIELDS = 6


def plain_curves(run: RunData, drawn: Callable[[str], bool] = lambda phase: False) -> list[Panel]:
    """Returns plain curves of each phase that was logged.

    Args:
        run: data of the run.
        drawn: function that says whether a phase has figures of its own, by its name.

    Returns:
        One panel per phase; phases with rows of layers have none.

    Example:
        >>> from pathlib import Path
        >>> plain_curves(RunData(Path("run"), {}, [], {}))
        []
    """
    names = dict.fromkeys(row["phase"] for row in run.rows if isinstance(row.get("phase"), str))
    found = [_curves(run, phase) for phase in names if not drawn(phase)]
    panels = [panel for panel in found if panel]
    return [
        Panel(f"curves-{index}", p.title, p.caption, p.alt, p.draw)
        for index, p in enumerate(panels, start=1)
    ]


def accuracy_course(run: RunData) -> list[float]:
    """Returns the test accuracy per epoch of the readout.

    Example:
        >>> from pathlib import Path
        >>> accuracy_course(RunData(Path("run"), {}, [], {}))
        []
    """
    return [row["test_accuracy"] for row in _readout(run)]


def has_filters(run: RunData) -> bool:
    """Whether the run kept first-layer filters that can be shown as images.

    Example:
        >>> from pathlib import Path
        >>> has_filters(RunData(Path("run"), {}, [], {}))
        False
    """
    filters = run.arrays.get("filters")
    return filters is not None and filters.size > 0 and filters.shape[1] in (1, 3)


def learning_curve(run: RunData) -> Panel | None:
    """Returns the accuracy of a readout by epochs, if the run has one.

    Example:
        >>> from pathlib import Path
        >>> learning_curve(RunData(Path("run"), {}, [], {})) is None
        True
    """
    rows = _readout(run)
    if not rows:
        return None
    test, train = (percent(rows[-1][f"{name}_accuracy"]) for name in ("test", "train"))
    return Panel(
        name="learning-curve",
        title="Learning curve",
        caption="Share of right answers after each pass over the labeled data. At the end "
        f"{test} of the test examples are right, against {train} of the training examples.",
        alt=f"Line plot of accuracy against epoch; test accuracy ends at {test}, training "
        f"accuracy at {train}.",
        draw=lambda theme: figures.learning_curve(rows, theme),
    )


def receptive_fields(run: RunData) -> Panel | None:
    """Returns the weights of first-layer neurons as images, if the run kept them.

    Example:
        >>> from pathlib import Path
        >>> receptive_fields(RunData(Path("run"), {}, [], {})) is None
        True
    """
    if not has_filters(run):
        return None
    filters = run.arrays["filters"]
    count, _, height, width = filters.shape
    sample = f" An even sample of {figures.MAX_TILES} is shown." * (count > figures.MAX_TILES)
    return Panel(
        name="receptive-fields",
        title="Receptive fields",
        caption=f"What the {number(count)} neurons of the first layer look for. Each tile is one "
        f"neuron's {height} × {width} weights, stretched from the smallest to the largest; those "
        f"with the clearest pattern come first.{sample}",
        alt=f"Grid of small pictures, the {height} by {width} weights of the first-layer neurons.",
        draw=lambda theme: figures.receptive_fields(filters, theme),
    )


def confusion(run: RunData) -> Panel | None:
    """Returns the confusion matrix, if the run kept it.

    Example:
        >>> from pathlib import Path
        >>> confusion(RunData(Path("run"), {}, [], {})) is None
        True
    """
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
    cells = " Numbers are counts." if len(matrix) <= figures.MAX_LABELED else ""
    return Panel(
        name="confusion",
        title="What is taken for what",
        caption="Each row is a true class, each column an answer on the test examples; the "
        "stronger its shade, the larger its share of the row. A perfect result fills only the "
        f"diagonal.{cells} {worst}",
        alt=f"Confusion matrix of {len(matrix)} classes. {worst}",
        draw=lambda theme: figures.confusion(matrix, classes, theme),
    )


def _readout(run: RunData) -> list[Row]:
    return series(run.rows, "readout", "epoch", ["train_accuracy", "test_accuracy"])


def _curves(run: RunData, phase: str) -> Panel | None:
    mine = [row for row in run.rows if row.get("phase") == phase]
    x = next((name for name in _COUNTERS if all(is_number(r.get(name)) for r in mine)), None)
    if x is None or any("layer" in row for row in mine):
        return None
    fields = _moving_fields(series(mine, phase, x, []))
    rows = series(mine, phase, x, fields)
    if not fields:
        return None
    names = ", ".join(plain(name) for name in fields)
    return Panel(
        name="curves",
        title=f"Course of “{phase}”",
        caption=f"As logged: {names}, each against {x}.",
        alt=f"Line plots of {names} against {x}.",
        draw=lambda theme: figures.field_curves(rows, x, fields, theme),
    )


def _moving_fields(rows: Sequence[Row]) -> list[str]:
    names = [
        name
        for name in rows[0]
        if name not in _COUNTERS and all(is_number(row.get(name)) for row in rows)
    ]
    return [name for name in names if len({row[name] for row in rows}) > 1][:_MAX_FIELDS]
