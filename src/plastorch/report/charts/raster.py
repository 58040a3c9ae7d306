"""Spikes over time: a dot each, a row per neuron or input."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from plastorch.engine.errors import InputError
from plastorch.report.charts.marks import Dots, Line, Mark
from plastorch.report.charts.plot import Plot, chart
from plastorch.report.load import Array
from plastorch.report.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Groups = Mapping[str, Array]
"""Groups of inputs or neurons by name: bool [N] each."""
_SHORT = 2.0
"""Seconds up to which an axis is in milliseconds."""


def raster(
    times: Array,
    source: Array,
    groups: Groups,
    *,
    output: Array | None = None,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws spikes as dots, a row per input, grouped; output spikes as bars below.

    Args:
        times: times of the spikes, seconds [E].
        source: input of each spike, int [E].
        groups: groups of the inputs [N].
        output: times of output spikes, seconds [S]; None if there are none to show.
        theme: colors.

    Returns:
        A figure with one axes and a collection per group, and a line of bars.

    Raises:
        InputError: numbers of times and inputs differ, or inputs are in no group.

    Example:
        >>> groups = {"slow": np.array([True, False]), "fast": np.array([False, True])}
        >>> figure = raster(np.array([0.1, 0.2, 0.3]), np.array([0, 1, 1]), groups)
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
    factor, unit = unit_of_time(times)
    gap, first = 0.03 * len(order), 0.0
    size = float(np.clip(400 / len(order), 1.5, 12))
    marks: list[Mark] = []
    ticks = {}
    for index, (name, group) in enumerate(groups.items()):
        mine = group[source]
        height = row[source[mine]] + index * gap
        marks.append(Dots(x=factor * times[mine], y=height, size=size))
        ticks[first + (group.sum() - 1) / 2] = name.replace(", ", ",\n")
        first += group.sum() + gap
    if output is not None:
        bottom = first + 0.1 * len(order)
        marks.append(_bars(factor * output, first, bottom))
        ticks[(first + bottom) / 2] = "output"
    return chart(Plot(marks=marks, x=unit, height=3.3, y_ticks=ticks, down=True), theme=theme)


def unit_of_time(times: ArrayLike) -> tuple[float, str]:
    """Returns the factor from seconds to the unit in which times are shown, and its name.

    Example:
        >>> unit_of_time([0.1, 0.2]), unit_of_time([1.0, 60.0])
        ((1000.0, 'milliseconds'), (1.0, 'seconds'))
    """
    brief = np.max(times, initial=0.0) <= _SHORT
    return (1000.0, "milliseconds") if brief else (1.0, "seconds")


def _bars(times: Array, top: float, bottom: float) -> Line:
    """Returns an upright bar at each time."""
    heights = np.tile([top, bottom, np.nan], len(times))
    return Line(x=times.repeat(3), y=heights, color="ink", width=1.3, marker="")
