"""Confusion matrices."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.report.charts.lines import MAX_LABELED
from plastorch.report.format import short
from plastorch.report.theme import LIGHT, SMALL, Theme, label, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def confusion(matrix: NDArray[Any], classes: Sequence[str], *, theme: Theme = LIGHT) -> "Figure":
    """Draws counts [classes, classes], by true class and answer; shades are shares of a row.

    With more than ``MAX_LABELED`` classes, neither names nor counts are drawn.
    """
    from matplotlib.colors import PowerNorm

    if matrix.shape != (len(classes), len(classes)):
        raise InputError(f"confusion: {len(classes)} classes, found a matrix {matrix.shape}")
    totals = matrix.sum(axis=1, keepdims=True)
    percent = 100 * matrix / np.maximum(totals, 1)
    figure = new_figure(4.9, theme)
    (axes,) = new_axes(figure, theme)
    norm = PowerNorm(0.5, vmin=0, vmax=100)  # a linear shade hides all but the diagonal
    picture = axes.imshow(percent, cmap=theme.shades(), norm=norm)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    label(axes, theme, x="answer")
    axes.set_ylabel("true class", color=theme.muted, fontsize=SMALL)
    bar = figure.colorbar(picture, ax=axes, location="top", aspect=40, ticks=[0, 5, 20, 50, 100])
    bar.ax.xaxis.set_major_formatter("{x:g} %")
    theme.bare_scale(bar)
    if len(classes) <= MAX_LABELED:
        _name_cells(axes, [short(name) for name in classes], theme)
        _count_cells(axes, matrix, dark=percent > 30, theme=theme)
    return figure


def _name_cells(axes: "Axes", names: Sequence[str], theme: Theme) -> None:
    places = range(len(names))
    slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(places, names, **slanted if max(map(len, names)) > 3 else {})
    axes.set_yticks(places, names)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set(parse_math=False, color=theme.ink)


def _count_cells(
    axes: "Axes", matrix: NDArray[Any], *, dark: NDArray[np.bool_], theme: Theme
) -> None:
    size = 9.5 if matrix.max() < 1000 else 8
    for row, column in np.argwhere(matrix):
        color = theme.paper if dark[row, column] else theme.ink
        text = str(matrix[row, column])
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
