"""Drawings of the experiments that classify files and other records by their metadata."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from plastorch.report.load import Array
from plastorch.report.theme import LIGHT, Theme, label, legend_above, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.2
"""Height of a model's line, inches."""

Accuracies = Mapping[str, Sequence[float]]
"""One accuracy per fold for each model."""
Curves = Mapping[str, Array]
"""Curves [2, X] by name: x values, and fractions there."""


def draw_accuracies(tables: Mapping[str, Accuracies], theme: Theme = LIGHT) -> "Figure":
    """Draws the accuracy of each model on each table: a dot at the mean, a bar of all folds.

    Args:
        tables: accuracies of models by table; spiking models, whose names begin with "spiking",
            have a color of their own.
        theme: colors.

    Returns:
        A figure with one axes per table.

    Example:
        >>> figure = draw_accuracies({"adult": {"spiking": [0.8, 0.9], "logistic": [0.7]}})
        >>> [round(dot.get_xdata()[0]) for dot in figure.axes[0].lines]
        [85, 70]
    """
    heights = [_LINE * len(models) + 0.55 for models in tables.values()]
    figure = new_figure(sum(heights) + 0.3, theme)
    stack = new_axes(figure, theme, rows=len(tables), share_x=False)
    stack[0].get_gridspec().set_height_ratios(heights)  # type: ignore[union-attr]
    for axes, (table, models) in zip(stack, tables.items(), strict=True):
        for place, (model, values) in enumerate(models.items()):
            percent = 100 * np.asarray(values)
            color = theme.series[0 if model.startswith("spiking") else 1]
            mark = "o" if model.startswith("spiking") else "s"
            axes.hlines(place, percent.min(), percent.max(), color=color, linewidth=2.5)
            axes.plot([percent.mean()], [place], mark, color=color, markersize=6)
        axes.set_yticks(range(len(models)), list(models))
        axes.set_ylim(len(models) - 0.4, -0.6)
        axes.tick_params(axis="y", colors=theme.ink)
        axes.xaxis.set_major_formatter("{x:g} %")
        axes.margins(x=0.04)
        label(axes, theme, title=table)
    return figure


def draw_curves(
    parts: Mapping[str, Curves],
    x: str,
    ticks: Mapping[float, str] | None = None,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws fractions in per cent against x: one axes per part, one line per name.

    Args:
        parts: x values and fractions, by title and name.
        x: label of the x axis.
        ticks: labels of places on a logarithmic axis; None for a linear one.
        theme: colors.

    Returns:
        A figure with one axes per part.

    Example:
        >>> parts = {"compensated": {"adult": np.array([[1.0, 60.0], [0.9, 0.8]])}}
        >>> draw_curves(parts, "time", {1.0: "1 s"}).axes[0].lines[0].get_ydata().tolist()
        [90.0, 80.0]
    """
    names = list(dict.fromkeys(name for curves in parts.values() for name in curves))
    figure = new_figure(1.0 + 0.2 * len(names) / 3 + 2.3 * len(parts), theme)
    stack = new_axes(figure, theme, rows=len(parts))
    for axes, (title, curves) in zip(stack, parts.items(), strict=True):
        for name, (where, values) in curves.items():
            style = theme.line(names.index(name))
            axes.plot(where, 100 * values, linewidth=2, label=name, **style)
        axes.yaxis.set_major_formatter("{x:g} %")
        if ticks is not None:
            _log_ticks(axes, ticks)
        label(axes, theme, title=title)
    label(stack[-1], theme, x=x)
    legend_above(stack[0], theme)
    return figure


def _log_ticks(axes: "Axes", ticks: Mapping[float, str]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())


def draw_coincidence(alike: Array, coincide: Array, bins: int, theme: Theme = LIGHT) -> "Figure":
    """Draws how often two patterns fire together against how alike two records are.

    Args:
        alike: similarity S [P].
        coincide: share of inputs that fire in the same bin [P].
        bins: number of time bins of a pattern.
        theme: colors.

    Returns:
        A figure with dots, and the expected line S + (1 - S) / bins.

    Example:
        >>> figure = draw_coincidence(np.array([0.0, 1.0]), np.array([0.1, 1.0]), 20)
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [5.0, 100.0]
    """
    figure = new_figure(3.6, theme)
    (axes,) = new_axes(figure, theme)
    ends = np.array([0.0, 1.0])
    axes.scatter(alike, 100 * coincide, 6, theme.series[0], linewidths=0, alpha=0.5)
    expected = 100 * (ends + (1 - ends) / bins)
    axes.plot(ends, expected, color=theme.ink, linewidth=1.5, label="expected")
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x="similarity of two records", title="inputs that fire together")
    legend_above(axes, theme)
    return figure


def draw_patterns(bins: Array, ends: Array, names: Sequence[str], theme: Theme = LIGHT) -> "Figure":
    """Draws patterns one below the other, marking spikes that they share with the first one.

    Args:
        bins: time at which each input fires, milliseconds; 255 if it doesn't [P, N].
        ends: end of each key's inputs [M].
        names: labels of the patterns [P].
        theme: colors.

    Returns:
        A figure with one axes per pattern: spikes of the first, in ink if shared, and its own.

    Example:
        >>> figure = draw_patterns(np.array([[3, 4], [3, 9]]), np.array([1, 2]), ["one", "other"])
        >>> [len(dots.get_offsets()) for dots in figure.axes[1].collections[:2]]
        [1, 1]
    """
    figure = new_figure(0.8 + 1.9 * len(bins), theme)
    stack = new_axes(figure, theme, rows=len(bins))
    inputs = np.arange(bins.shape[1])
    for axes, pattern, name in zip(stack, bins, names, strict=True):
        fires = pattern != 255
        shared = fires & (pattern == bins[0])
        for which, color, words in (
            (shared, theme.series[0], "as in the first"),
            (fires & ~shared, theme.series[1], "at another time"),
        ):
            axes.scatter(pattern[which], inputs[which], 5, color, linewidths=0, label=words)
        axes.hlines(ends[:-1], -0.5, bins[bins != 255].max() + 0.5, theme.grid, linewidth=0.8)
        axes.set_yticks([])
        axes.grid(False)
        axes.invert_yaxis()
        axes.margins(x=0.01, y=0.01)
        label(axes, theme, title=name)
    label(stack[-1], theme, x="milliseconds")
    legend_above(stack[-1], theme)
    return figure
