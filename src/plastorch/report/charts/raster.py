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
    """Draws spikes at times [E], seconds, as dots in the row of their input ``source`` [E].

    Inputs are in groups, bool [N] each; times [S] of output spikes are bars below.
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
    """Returns the factor from seconds to the unit in which times are shown, and its name."""
    brief = np.max(times, initial=0.0) <= _SHORT
    return (1000.0, "milliseconds") if brief else (1.0, "seconds")


def _bars(times: Array, top: float, bottom: float) -> Line:
    """Returns an upright bar at each time."""
    heights = np.tile([top, bottom, np.nan], len(times))
    return Line(x=times.repeat(3), y=heights, color="ink", width=1.3, marker="")
