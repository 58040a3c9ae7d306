"""Weather stations on a map, with what a neuron learned about them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from plastorch.engine.errors import InputError
from plastorch.report.format import number
from plastorch.report.load import Array, RunData, kept
from plastorch.report.panel import Panel
from plastorch.report.theme import HUES, LIGHT, MARKERS, SMALL, Theme, label, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAPS = {
    "rain": "share of hours with rain",
    "weights_stdp": "weights of STDP",
    "weights_fstdp": "weights of fatiguing STDP",
    "weights_memristive": "the same, phase-change synapses",
    "covariance_sums": "row sums of the normalized covariance",
}
"""Arrays that are shown, and their titles."""
CLUSTERS = "clusters of the normalized covariance"
WEST, EAST, SOUTH, NORTH = -126.0, -66.0, 24.0, 50.0
"""Bounds of the map, degrees: the contiguous states."""
_WIDTH = 4.0
"""Width of a map, inches."""


def draw_map(
    longitude: Array, latitude: Array, maps: Mapping[str, Array], theme: Theme = LIGHT
) -> "Figure":
    """Draws stations of the contiguous USA, one map for each quantity.

    Args:
        longitude: longitudes, degrees [S].
        latitude: latitudes, degrees [S].
        maps: a value per station, or its cluster (int; below 0 for none), by title [S].
        theme: colors.

    Returns:
        A figure with one axes per map, and a scale beside each map of values.

    Raises:
        InputError: a map has another number of stations.

    Example:
        >>> east, north = np.array([-100.0, -80.0]), np.array([40.0, 30.0])
        >>> figure = draw_map(east, north, {"STDP": np.array([0.1, 0.9])})
        >>> figure.axes[0].get_title(loc="left")
        'STDP'
    """
    if any(len(values) != len(longitude) for values in (latitude, *maps.values())):
        raise InputError(f"maps: expected {len(longitude)} stations in each, found another number")
    stretch = 1 / np.cos(np.deg2rad((SOUTH + NORTH) / 2))  # degrees of latitude are longer
    height = _WIDTH * stretch * (NORTH - SOUTH) / (EAST - WEST)
    figure = new_figure((0.35 + height) * len(maps), theme)
    for axes, (title, values) in zip(
        new_axes(figure, theme, rows=len(maps)), maps.items(), strict=True
    ):
        if values.dtype.kind in "iu":
            _clusters(axes, longitude, latitude, values, theme)
        else:
            _values(axes, longitude, latitude, values, theme)
        axes.set(aspect=stretch, xlim=(WEST, EAST), ylim=(SOUTH, NORTH), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        label(axes, theme, title=title)
    return figure


def stations(run: RunData) -> Panel | None:
    """Returns the panel of maps, if the run kept the places of its stations.

    Example:
        >>> from pathlib import Path
        >>> stations(RunData(Path("run"), {}, [], {}))
    """
    places = kept(run, longitude="S", latitude="S")
    if places is None:
        return None
    longitude, latitude = places
    inside = (longitude > WEST) & (longitude < EAST) & (latitude > SOUTH) & (latitude < NORTH)
    found = {title: kept(run, longitude="S", **{name: "S"}) for name, title in MAPS.items()}
    maps = {title: arrays[1] for title, arrays in found.items() if arrays}
    told = " The darkest and the lightest shade are for one in fifty stations each." if maps else ""
    cluster = kept(run, longitude="S", clusters="S")
    if cluster and cluster[1].dtype.kind in "iu":
        maps[CLUSTERS] = cluster[1]
        groups = len(np.unique(cluster[1][cluster[1] >= 0]))
        told += f" There are {groups} clusters; stations in none are small gray dots."
    if not maps or not inside.any():
        return None
    return Panel(
        name="stations",
        title="Stations on the map",
        caption=f"Weather stations where they are, north up; a station is an input, its spikes are "
        f"rain. Shown are the {number(int(inside.sum()))} of {number(len(inside))} in the "
        f"contiguous states.{told}",
        alt=f"Maps of {number(len(inside))} weather stations, colored by {', '.join(maps)}.",
        draw=lambda theme: draw_map(longitude, latitude, maps, theme),
    )


def _values(axes: "Axes", x: Array, y: Array, values: Array, theme: Theme) -> None:
    """Draws shaded values, the largest on top."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("shade", (theme.grid, theme.shade[1]))
    order = np.argsort(values)
    low, high = np.quantile(values, (0.02, 0.98))
    points = axes.scatter(x[order], y[order], _size(len(x)), values[order], cmap=shades)
    points.set(clim=(low, high), linewidths=0)
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(points, ax=axes, aspect=25, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=theme.muted, labelsize=SMALL, length=0)


def _clusters(axes: "Axes", x: Array, y: Array, values: Array, theme: Theme) -> None:
    """Draws a color and a marker per cluster, the largest cluster first."""
    alone = values < 0
    axes.scatter(x[alone], y[alone], _size(len(x)) / 3, theme.muted, linewidths=0, alpha=0.6)
    names, counts = np.unique(values[~alone], return_counts=True)
    for index, name in enumerate(names[np.argsort(-counts, kind="stable")]):
        here = values == name
        marker, color = MARKERS[index % len(MARKERS)], HUES[index % len(HUES)]
        axes.scatter(x[here], y[here], _size(len(x)), color, marker=marker, linewidths=0)


def _size(stations: int) -> float:
    return min(40.0, max(14.0, 9000 / stations))
