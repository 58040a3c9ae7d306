"""Marks of a plot: lines, dots and cells of a matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from plastorch.report.theme import SMALL, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW_POINTS = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Points at x [N] and y [N] joined by a line, with a band from low [N] to high [N] around it.

    Args:
        name: name in the legend; lines of one name look alike in all plots of a figure.
        color: "ink", "muted", "grid" or a hex string; the theme's next color and dash if empty.
        width: width of the line, points.
        marker: marker of the points; a dot if there are few points, by default.
        labels: texts beside the points [N].
        left: left ends of level bars through the points [N]; ``right`` are their right ends.
    """

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    name: str = ""
    color: str = ""
    width: float = 2.0
    marker: str | None = None
    joined: bool = True
    labels: Sequence[str] = ()
    left: ArrayLike | None = None
    right: ArrayLike | None = None

    def draw(self, axes: "Axes", theme: Theme, look: int) -> None:
        """Draws the line in the theme's look number ``look``."""
        x, y = np.asarray(self.x, dtype=float), np.asarray(self.y, dtype=float)
        style = theme.line(look)
        if self.color:
            style = {"color": theme.color(self.color, look), "linestyle": "-"}
        style["linestyle"] = style["linestyle"] if self.joined else ""
        marker = ("o" if len(x) <= _FEW_POINTS else "") if self.marker is None else self.marker
        style |= {"linewidth": self.width, "markersize": 4 if self.joined else 6}
        axes.plot(x, y, marker=marker, label=self.name or "_", **style)
        if self.low is not None and self.high is not None:
            axes.fill_between(x, self.low, self.high, color=style["color"], alpha=0.2, linewidth=0)
        if self.left is not None and self.right is not None:
            axes.hlines(y, self.left, self.right, color=style["color"], linewidth=2.2)
        for text, place in zip(self.labels, zip(x, y, strict=True), strict=False):
            axes.annotate(
                text,
                place,
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=SMALL - 2,
                color=style["color"],
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Dots:
    """Dots at x [N] and y [N], all of one color or shaded by values [N], the largest on top.

    Args:
        color: as for :class:`Line`.
        size: area of a dot, square points.
    """

    x: ArrayLike
    y: ArrayLike
    values: ArrayLike | None = None
    name: str = ""
    color: str = ""
    size: float = 8.0
    marker: str = "o"
    alpha: float = 1.0

    def draw(self, axes: "Axes", theme: Theme, look: int) -> None:
        """Draws the dots in the theme's color number ``look``."""
        style: dict[str, Any] = {"marker": self.marker, "alpha": self.alpha, "linewidths": 0}
        if self.values is None:
            style |= {"color": theme.color(self.color, look), "label": self.name or "_"}
            axes.scatter(self.x, self.y, self.size, **style)
            return
        values = np.asarray(self.values, dtype=float)
        order = np.argsort(values)
        x, y = (np.asarray(of)[order] for of in (self.x, self.y))
        style |= {"c": values[order], "cmap": theme.shades(theme.grid)}
        low, high = np.quantile(values, (0.02, 0.98))
        points = axes.scatter(x, y, self.size, vmin=low, vmax=high, **style)
        bar = axes.get_figure().colorbar(points, ax=axes, aspect=25, pad=0.01)  # type: ignore[union-attr]
        theme.bare_scale(bar)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """Cells that are shaded by values [rows, columns], the first row at the bottom.

    Args:
        low: value of the first shade; ``high`` is that of the last.
        x: middles of the columns, evenly spaced; 0, 1, … by default.
        diverging: whether shades go from blue over white to red.
        border: values whose zeros are joined by a line [rows, columns].
        scale: label of a scale below all plots; none if empty.
    """

    values: ArrayLike
    low: float | None = None
    high: float | None = None
    x: ArrayLike | None = None
    diverging: bool = False
    border: ArrayLike | None = None
    scale: str = ""
    name: str = ""
    color: str = ""

    def draw(self, axes: "Axes", theme: Theme, look: int) -> None:
        """Draws the cells."""
        values = np.asarray(self.values)
        rows, columns = values.shape
        x = np.arange(columns) if self.x is None else np.asarray(self.x)
        half = (x[1] - x[0]) / 2 if columns > 1 else 0.5
        axes.imshow(
            values,
            cmap="RdBu_r" if self.diverging else theme.shades(),
            vmin=self.low,
            vmax=self.high,
            aspect="auto",
            interpolation="nearest",
            origin="lower",
            extent=(x[0] - half, x[-1] + half, -0.5, rows - 0.5),
        )
        axes.grid(False)
        if self.border is not None and min(values.shape) > 1:
            heights = range(rows)
            axes.contour(x, heights, self.border, [0], colors=theme.series[1], linewidths=2.5)


Mark = Line | Dots | Matrix
