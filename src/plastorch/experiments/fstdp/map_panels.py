"""Weather stations on a map, with what a neuron learned about them."""

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Dots, Plot
from plastorch.report.format import number
from plastorch.report.load import Array, RunData, kept
from plastorch.report.panel import Panel
from plastorch.report.theme import HUES, MARKERS

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


def stations(run: RunData) -> Panel | None:
    """Returns the panel of maps, if the run kept the places of its stations."""
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
    plots = [_map(longitude, latitude, title, values) for title, values in maps.items()]
    return Panel(
        name="stations",
        title="Stations on the map",
        caption=f"Weather stations on the map, north up; a station is an input, and its spikes are "
        f"rain. Shown are the {number(int(inside.sum()))} of {number(len(inside))} in the "
        f"contiguous states.{told}",
        alt=f"Maps of {number(len(inside))} weather stations, colored by {', '.join(maps)}.",
        draw=lambda theme: charts.chart(*plots, share="", theme=theme),
    )


def _map(longitude: Array, latitude: Array, title: str, values: Array) -> Plot:
    """Returns a map of values, or of clusters if they are integers; those below 0 are none."""
    stretch = 1 / float(np.cos(np.deg2rad((SOUTH + NORTH) / 2)))  # degrees of latitude are longer
    size = min(40.0, max(14.0, 9000 / len(longitude)))
    marks = [Dots(x=longitude, y=latitude, values=values, size=size)]
    if values.dtype.kind in "iu":
        marks = _clusters(longitude, latitude, values, size)
    return Plot(
        marks=marks,
        title=title,
        height=_WIDTH * stretch * (NORTH - SOUTH) / (EAST - WEST),
        x_range=(WEST, EAST),
        y_range=(SOUTH, NORTH),
        x_ticks={},
        y_ticks={},
        aspect=stretch,
    )


def _clusters(x: Array, y: Array, values: Array, size: float) -> list[Dots]:
    """Returns dots of a color and a marker per cluster, the largest cluster first."""
    alone = values < 0
    marks = [Dots(x=x[alone], y=y[alone], color="muted", size=size / 3, alpha=0.6)]
    names, counts = np.unique(values[~alone], return_counts=True)
    for index, name in enumerate(names[np.argsort(-counts, kind="stable")]):
        here = values == name
        color, marker = HUES[index % len(HUES)], MARKERS[index % len(MARKERS)]
        marks.append(Dots(x=x[here], y=y[here], size=size, color=color, marker=marker))
    return marks
