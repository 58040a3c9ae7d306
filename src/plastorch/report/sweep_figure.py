"""Figure of a sweep: measured values against a setting, over seeds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plastorch.engine.errors import InputError
from plastorch.engine.sweep_plan import shown
from plastorch.report.figures import plot
from plastorch.report.format import plain
from plastorch.report.load import is_number
from plastorch.report.sweep_table import Line
from plastorch.report.theme import LIGHT, SMALL, Theme, label, legend, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SERIES = 6
"""Maximum number of lines that can be told apart."""
MOST_TICKS = 6
"""Maximum number of values that are written on the axis themselves."""


def draw_grid(lines: Sequence[Line], theme: Theme = LIGHT) -> "Figure":
    """Draws mean over seeds ± sd, and each seed, against the setting that has most values.

    Numbers are on an axis, a line per combination of the other settings (six at most); other
    values are rows.

    Args:
        lines: lines of a sweep; those without a figure are left out.
        theme: colors.

    Raises:
        InputError: nothing was measured.

    Example:
        >>> lines = [Line({"depth": d}, "reward", [d, d + 2.0], [0, 1], 2, 0, [1.0], [])
        ...          for d in (1, 2)]
        >>> draw_grid(lines).axes[0].lines[0].get_ydata().tolist()
        [2.0, 3.0]
    """
    lines = [line for line in lines if line.figures]
    if not lines:
        raise InputError("lines: expected one with a figure or more, found none")
    along = along_which(lines)
    series = series_of(lines, along)
    numeric = along is not None and all(is_number(line.values[along]) for line in lines)
    rows = 0 if numeric else sum(map(len, series.values()))
    figure = new_figure(3.3 + 0.2 * len(series) if numeric else 1.6 + 0.34 * rows, theme)
    (axes,) = new_axes(figure, theme)
    share = all("accuracy" in (line.metric or "") for line in lines)
    scale, form = (100, "{x:g} %") if share else (1, "{x:g}")
    if along is None or not numeric:
        _in_rows(axes, lines, along, scale, theme)
        axes.xaxis.set_major_formatter(form)
        label(axes, theme, x=name_of(lines))
        return figure
    _against(axes, series, along, scale, theme)
    axes.yaxis.set_major_formatter(form)
    label(axes, theme, x=plain(along), title=name_of(lines) if len(series) == 1 else "")
    if len(series) > 1:
        legend(axes, theme)
    return figure


def name_of(lines: Sequence[Line]) -> str:
    """Returns the metric in words, if all have the same."""
    names = {line.metric for line in lines if line.metric}
    return plain(names.pop()) if len(names) == 1 else "first figure of each run"


def along_which(lines: Sequence[Line]) -> str | None:
    """Returns the field of the axis: the numeric one with most values, else the first to vary."""
    values = {name: {shown(line.values[name]) for line in lines} for name in lines[0].values}
    vary = [name for name, found in values.items() if len(found) > 1]
    numbers = [name for name in vary if all(is_number(line.values[name]) for line in lines)]
    return max(numbers, key=lambda name: len(values[name])) if numbers else next(iter(vary), None)


def series_of(lines: Sequence[Line], along: str | None) -> dict[str, list[Line]]:
    """Groups lines that differ in one field only, by the values of the others."""
    series: dict[str, list[Line]] = {}
    for line in lines:
        others = {name: value for name, value in line.values.items() if name != along}
        series.setdefault(words_of(others), []).append(line)
    return series


def words_of(values: dict[str, Any]) -> str:
    """Returns settings in words.

    Example:
        >>> words_of({"batch_size": 3, "models": ["rnn", "lstm"]})
        'batch size 3, models rnn lstm'
    """
    return ", ".join(f"{plain(name)} {shown(value)}" for name, value in values.items())


def _against(
    axes: "Axes", series: dict[str, list[Line]], along: str, scale: float, theme: Theme
) -> None:
    for index, (name, members) in enumerate(list(series.items())[:MOST_SERIES]):
        members = sorted(members, key=lambda line: float(line.values[along]))
        x = np.array([line.values[along] for line in members], dtype=float)
        mean, spread = _over_seeds(members, scale)
        plot(axes, x, mean, theme, index, name=name)
        color = theme.line(index)["color"]
        axes.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.2, linewidth=0)
        for place, line in zip(x, members, strict=True):
            points = scale * np.array(line.figures)
            axes.scatter(np.full(len(points), place), points, s=8, color=color, alpha=0.5)
    values = sorted({float(line.values[along]) for some in series.values() for line in some})
    if values[0] > 0 and values[-1] >= 20 * values[0]:
        axes.set_xscale("log")
    if len(values) <= MOST_TICKS:
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()


def _in_rows(
    axes: "Axes", lines: Sequence[Line], along: str | None, scale: float, theme: Theme
) -> None:
    ordered = [line for members in series_of(lines, along).values() for line in members]
    mean, spread = _over_seeds(ordered, scale)
    rows = np.arange(len(ordered))
    color = theme.line(0)["color"]
    axes.errorbar(mean, rows, xerr=spread, fmt="o", markersize=5, color=color, linewidth=2)
    for row, line in zip(rows, ordered, strict=True):
        points = scale * np.array(line.figures)
        axes.scatter(points, np.full(len(points), row), s=8, color=theme.muted, alpha=0.7)
    names = [_clipped(words_of(line.values) or "all runs") for line in ordered]
    axes.set_yticks(rows, names, fontsize=SMALL)
    axes.invert_yaxis()


def _over_seeds(lines: Sequence[Line], scale: float) -> tuple[Any, Any]:
    """Returns mean and sd over seeds of each line; sd 0 for one seed."""
    mean = np.array([np.mean(line.figures) for line in lines])
    spread = [np.std(line.figures, ddof=1) if len(line.figures) > 1 else 0.0 for line in lines]
    return scale * mean, scale * np.array(spread)


def _clipped(name: str) -> str:
    """Shortens a name to leave room for the figure."""
    return name if len(name) <= 32 else f"{name[:31]}…"
