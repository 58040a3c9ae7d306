"""Spikes over time: a dot each, a row per neuron or input."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from plastorch.engine.errors import InputError
from plastorch.report.load import Array
from plastorch.report.theme import LIGHT, Theme, label, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Groups = Mapping[str, Array]
"""Groups of inputs or neurons by name: bool [N] each."""
_SHORT = 2.0
"""Seconds up to which an axis is in milliseconds."""


def draw_raster(
    times: Array, source: Array, groups: Groups, output: Array | None = None, theme: Theme = LIGHT
) -> "Figure":
    """Draws spikes as dots, a row per input, grouped; output spikes as bars below.

    Args:
        times: times of the spikes, seconds [E].
        source: input of each spike, int [E].
        groups: groups of the inputs [N].
        output: times of output spikes, seconds [S]; None if there are none to show.
        theme: colors.

    Returns:
        A figure with one axes and a collection per group, and one of bars.

    Raises:
        InputError: numbers of times and inputs differ, or inputs are in no group.

    Example:
        >>> groups = {"slow": np.array([True, False]), "fast": np.array([False, True])}
        >>> figure = draw_raster(np.array([0.1, 0.2, 0.3]), np.array([0, 1, 1]), groups)
        >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        ['slow', 'fast']
    """
    order = np.concatenate([np.flatnonzero(group) for group in groups.values()])
    if times.shape != source.shape or not np.isin(source, order).all():
        raise InputError(
            f"raster: {times.shape} times of {source.shape} spikes; expected as many, of inputs in "
            f"the {len(groups)} groups"
        )
    row = np.zeros(1 + order.max(), np.int64)
    row[order] = np.arange(len(order))
    figure = new_figure(3.8, theme)
    (axes,) = new_axes(figure, theme)
    factor = time_axis(axes, times, theme)
    gap, first, ticks = 0.03 * len(order), 0.0, []
    size = float(np.clip(400 / len(order), 1.5, 12))
    for index, group in enumerate(groups.values()):
        mine = group[source]
        height = row[source[mine]] + index * gap
        color = theme.series[index % len(theme.series)]
        axes.scatter(factor * times[mine], height, size, color, linewidths=0)
        ticks.append(first + group.sum() / 2)
        first += group.sum() + gap
    names = [name.replace(", ", ",\n") for name in groups]
    if output is not None:
        bottom = first + 0.1 * len(order)
        axes.vlines(factor * output, first, bottom, color=theme.ink, linewidth=1.3)
        ticks.append((first + bottom) / 2)
        names.append("output")
    axes.set_yticks(ticks, names)
    axes.grid(False)
    axes.invert_yaxis()
    axes.margins(x=0.01, y=0.01)
    return figure


def time_axis(axes: "Axes", times: Array, theme: Theme) -> float:
    """Labels the axis; returns the factor from seconds to its unit."""
    brief = not len(times) or times.max() <= _SHORT
    label(axes, theme, x="milliseconds" if brief else "seconds")
    return 1000.0 if brief else 1.0
