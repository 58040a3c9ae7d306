"""Plots one below the other: marks, axes and a legend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from plastorch.report.charts.marks import Mark, Matrix
from plastorch.report.load import Array
from plastorch.report.theme import (
    LIGHT,
    SMALL,
    Theme,
    label,
    legend_above,
    legend_rows,
    new_axes,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Range = tuple[float | None, float | None]
"""Lowest and highest value of an axis; None for those of the data."""
_WIDE = 10_000
"""Smallest number for which an axis counts in thousands."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plot:
    """One plot of a chart.

    Args:
        title: title, which also names the vertical axis.
        height: height, inches.
        log: axes that are logarithmic where all values are positive.
        x_unit: unit of the numbers of the horizontal axis.
        x_ticks: texts by place; numbers if None.
        at_x: places of upright reference lines.
        at_y: heights of level reference lines.
        down: whether heights grow downward.
        aspect: length of a vertical unit, in horizontal ones; if None, the plot is filled.
    """

    marks: Sequence[Mark]
    title: str = ""
    x: str = ""
    height: float = 1.4
    log: Literal["", "x", "y", "xy"] = ""
    x_unit: str = ""
    y_unit: str = ""
    x_range: Range = (None, None)
    y_range: Range = (None, None)
    x_ticks: Mapping[float, str] | None = None
    y_ticks: Mapping[float, str] | None = None
    at_x: Sequence[float] = ()
    at_y: Sequence[float] = ()
    down: bool = False
    aspect: float | None = None


def chart(*plots: Plot, share: Literal["", "x", "xy"] = "x", theme: Theme = LIGHT) -> "Figure":
    """Draws plots one below the other, and a legend above them if marks have names.

    ``share`` tells which axes all plots have in common.
    """
    names = list(dict.fromkeys(mark.name for plot in plots for mark in plot.marks if mark.name))
    heights = [plot.height + 0.3 * bool(plot.title) for plot in plots]
    figure = new_figure(sum(heights) + 0.5 + 0.22 * legend_rows(names), theme)
    stack = new_axes(figure, theme, heights=heights, share=share)
    looks: dict[str, int] = {}
    for axes, plot in zip(stack, plots, strict=True):
        for place, mark in enumerate(plot.marks):
            if mark.name and not mark.color:
                place = looks.setdefault(mark.name, len(looks))
            mark.draw(axes, theme, place)
    places = [_data(axes, "x") for axes in stack]
    for index, (axes, plot) in enumerate(zip(stack, plots, strict=True)):
        _dress(axes, plot, np.concatenate(places) if share else places[index], theme)
    _scale(stack, plots, theme)
    if names:
        legend_above(stack, theme)
    return figure


def _data(axes: "Axes", name: str) -> Array:
    """Returns the places or the heights of all lines."""
    return np.concatenate([*(getattr(line, f"get_{name}data")() for line in axes.lines), []])


def _dress(axes: "Axes", plot: Plot, places: Array, theme: Theme) -> None:
    """Sets scales, ticks, labels and reference lines; places are those of all shared axes."""
    few = 4 if plot.height < 2 else 6
    _numbers(axes, "x", places, most=6, unit=plot.x_unit, log="x" in plot.log)
    _numbers(axes, "y", _data(axes, "y"), most=few, unit=plot.y_unit, log="y" in plot.log)
    if plot.x_range != (None, None):
        axes.set_xlim(*plot.x_range)
    if plot.y_range != (None, None):
        axes.set_ylim(*plot.y_range)
    _refer(axes, plot, theme)
    if plot.x_ticks is not None:
        axes.set_xticks(list(plot.x_ticks), list(plot.x_ticks.values()))
        axes.minorticks_off()
        axes.spines["bottom"].set_visible(bool(plot.x_ticks))
    if plot.y_ticks is not None:
        axes.set_yticks(list(plot.y_ticks), list(plot.y_ticks.values()), parse_math=False)
        axes.tick_params(axis="y", colors=theme.ink)
    if plot.down:
        axes.invert_yaxis()
    if plot.aspect is not None:
        axes.set_aspect(plot.aspect)
    label(axes, theme, x=plot.x, title=plot.title)


def _refer(axes: "Axes", plot: Plot, theme: Theme) -> None:
    """Draws reference lines."""
    reference: dict[str, Any] = {"color": theme.ink, "linewidth": 1, "linestyle": (0, (4, 3))}
    for place in plot.at_x:
        axes.axvline(place, **reference)
    for place in plot.at_y:
        axes.axhline(place, **reference)


def _numbers(axes: "Axes", name: str, values: Array, *, most: int, unit: str, log: bool) -> None:
    """Chooses the scale of an axis, few round numbers on it, and how they are written."""
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

    axis = axes.xaxis if name == "x" else axes.yaxis
    finite = values[np.isfinite(values)]
    if log and len(finite) == len(values) and values.min(initial=np.inf) > 0:
        axes.set(**{f"{name}scale": "log"})
        span = finite.max(initial=0) / values.min(initial=np.inf)
        subs = (1, 2, 5) if span < 300 else (1,)
        axis.set_major_locator(LogLocator(subs=subs) if span >= 5 else MaxNLocator(4))
        axis.set_minor_formatter(NullFormatter())
    else:
        whole = name == "x" and bool((finite % 1 == 0).all())
        axis.set_major_locator(MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10]))
    if unit == "s" or (finite.max(initial=0) >= _WIDE and not unit):
        axis.set_major_formatter(EngFormatter(unit, sep=" " * bool(unit)))
    else:
        axis.set_major_formatter(f"{{x:g}} {unit}".rstrip())


def _scale(stack: "list[Axes]", plots: Sequence[Plot], theme: Theme) -> None:
    """Draws the scale of the matrices below all plots, if they have a name for it."""
    for axes, plot in zip(stack, plots, strict=True):
        named = [mark.scale for mark in plot.marks if isinstance(mark, Matrix) and mark.scale]
        if named:
            figure = axes.get_figure(root=True)
            assert figure is not None
            bar = figure.colorbar(axes.images[0], ax=stack, location="bottom", aspect=40, pad=0.01)
            bar.set_label(named[0], color=theme.muted, fontsize=SMALL)
            theme.bare_scale(bar)
            return
