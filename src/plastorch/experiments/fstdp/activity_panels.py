"""Figures of a spiking network over time: spikes in and out, membrane, learning weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from plastorch.experiments.fstdp.arrays import RULES, input_groups
from plastorch.report import charts
from plastorch.report.charts import Line
from plastorch.report.format import NBSP, number
from plastorch.report.load import Array, RunData, by_network, kept
from plastorch.report.panel import Panel
from plastorch.report.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEP = 1e-3
"""Step of the rasters that runs keep, seconds."""


def raster(run: RunData) -> Panel | None:
    """Returns the panel of input and output spikes, if the run kept them."""
    found = kept(run, raster="TN", output="T")
    if found is None or not found[0].any():
        return None
    spikes, output = (array.astype(bool) for array in found)
    steps, source = np.nonzero(spikes)
    groups = input_groups(run, spikes.shape[1])
    counts = f"{number(len(steps))} input spikes and {number(int(output.sum()))} output spikes"
    span = f"{len(spikes) * STEP:.2g}{NBSP}s"
    return Panel(
        name="raster",
        title="Spikes in, spikes out",
        caption=f"The last {span} of learning: a row per input, a dot per spike, and a bar per "
        "spike of the neuron that learns. Columns of dots in a group are correlated spikes. "
        f"{counts[0].upper()}{counts[1:]}.",
        alt=f"Raster plot of {span}, inputs grouped as {', '.join(groups)}: {counts}.",
        draw=lambda theme: charts.raster(
            steps * STEP,
            source,
            groups,
            output=np.flatnonzero(output) * STEP,
            theme=theme,
        ),
    )


def membrane(run: RunData) -> Panel | None:
    """Returns the panel of the membrane potential, if the run kept it."""
    found = kept(run, membrane="T", theta="T", output="T")
    if found is None:
        return None
    potential, theta, output = found
    spikes = output.astype(bool)
    factor, unit = charts.unit_of_time([len(potential) * STEP])
    times = factor * STEP * np.arange(len(potential))
    curves = {
        "membrane": Line(x=times, y=potential, width=1.2, marker=""),
        "threshold": Line(x=times, y=theta, marker=""),
        "output spike": Line(
            x=times[spikes], y=potential[spikes], color="ink", marker="o", joined=False
        ),
    }
    span, count = f"{len(times) * STEP:.2g}{NBSP}s", number(int(spikes.sum()))
    return Panel(
        name="membrane",
        title="Membrane and threshold",
        caption=f"The neuron in the same {span}. Its membrane sums up input and leaks; where it "
        "exceeds the threshold, the neuron spikes and the membrane is reset. Each output spike "
        f"raises the threshold a little, and silence lowers it. Output spikes: {count}.",
        alt=f"Line plot of a membrane potential below a threshold that it exceeds {count} times.",
        draw=lambda theme: charts.lines({"": curves}, x=unit, theme=theme),
    )


def weights(run: RunData) -> Panel | None:
    """Returns the panel of learning weights, if the run kept them."""
    found = kept(run, times="P")
    courses = {
        rule: course
        for rule, course in by_network(run, "weights", "PN", RULES).items()
        if found and len(course) == len(found[0])
    }
    if not found or not courses:
        return None
    inputs = {course.shape[1] for course in courses.values()}
    if len(inputs) > 1:
        return None
    groups = input_groups(run, inputs.pop())
    ends = "; ".join(
        f"{rule}: "
        + ", ".join(f"{name} {np.median(course[-1, mask]):.2f}" for name, mask in groups.items())
        for rule, course in courses.items()
    )
    return Panel(
        name="weights",
        title="Weights during learning",
        caption="Lines are medians over a group of inputs, bands their middle halves. Medians at "
        f"the end: {ends}.",
        alt=f"Line plots of weights against time, one per rule. Medians at the end: {ends}.",
        draw=lambda theme: draw_weights(found[0], courses, groups, theme),
    )


def draw_weights(
    times: Array, weights: Mapping[str, Array], groups: Mapping[str, Array], theme: Theme = LIGHT
) -> "Figure":
    """Draws weights [P, N] over seconds [P]: one axes per rule, median and quartiles by group."""
    parts = {
        rule: {
            name: [times, *np.quantile(course[:, group], (0.5, 0.25, 0.75), axis=1)]
            for name, group in groups.items()
        }
        for rule, course in weights.items()
    }
    return charts.lines(parts, x="seconds", share="xy", theme=theme)
