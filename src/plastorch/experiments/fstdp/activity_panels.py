"""Figures of a spiking network over time: spikes in and out, membrane, learning weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from plastorch.experiments.fstdp.arrays import RULES, input_groups
from plastorch.report.format import NBSP, number
from plastorch.report.load import Array, RunData, by_network, kept
from plastorch.report.panel import Panel
from plastorch.report.raster import Groups, draw_raster, time_axis
from plastorch.report.theme import (
    LIGHT,
    Theme,
    label,
    legend,
    legend_above,
    new_axes,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEP = 1e-3
"""Step of the rasters that runs keep, seconds."""


def draw_membrane(
    times: Array, membrane: Array, theta: Array, spikes: Array, theme: Theme = LIGHT
) -> "Figure":
    """Draws a membrane potential against its threshold, with a dot at each output spike.

    Args:
        times: times, seconds [T].
        membrane: membrane potential before a spike resets it [T].
        theta: threshold [T].
        spikes: colors.
        theme: colors.

    Returns:
        A figure with one axes: lines of membrane, threshold and output spikes.

    Example:
        >>> flat = np.ones(3)
        >>> figure = draw_membrane(np.arange(3.0), np.array([0, 2, 0]), flat, flat > 1)
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['membrane', 'threshold', 'output spike']
    """
    figure = new_figure(3.3, theme)
    (axes,) = new_axes(figure, theme)
    factor = time_axis(axes, times, theme)
    style = theme.line(0)
    axes.plot(factor * times, membrane, linewidth=1.2, label="membrane", **style)
    axes.plot(factor * times, theta, linewidth=2, label="threshold", **theme.line(1))
    where = factor * times[spikes], membrane[spikes]
    axes.plot(*where, "o", color=theme.ink, markersize=5, label="output spike")
    axes.margins(x=0.01)
    legend(axes, theme)
    return figure


def draw_weights(
    times: Array, weights: Mapping[str, Array], groups: Groups, theme: Theme = LIGHT
) -> "Figure":
    """Draws weights as they learn: one axes per rule, median and quartiles of each group.

    Args:
        times: times, seconds [P].
        weights: weights by rule [P, N].
        groups: groups of the inputs [N].
        theme: colors.

    Returns:
        A figure with one axes per rule and a line per group.

    Example:
        >>> groups = {"all": np.array([True, True, True])}
        >>> figure = draw_weights(np.arange(2), {"STDP": np.array([[0, 0, 0], [1, 2, 4]])}, groups)
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [0.0, 2.0]
    """
    figure = new_figure(1.0 + 2.1 * len(weights), theme)
    stack = new_axes(figure, theme, rows=len(weights))
    for axes, (rule, course) in zip(stack, weights.items(), strict=True):
        if axes is not stack[0]:
            axes.sharey(stack[0])
        for index, (name, group) in enumerate(groups.items()):
            low, middle, high = np.quantile(course[:, group], (0.25, 0.5, 0.75), axis=1)
            style = theme.line(index)
            axes.plot(times, middle, linewidth=2, label=name, **style)
            axes.fill_between(times, low, high, color=style["color"], alpha=0.2, linewidth=0)
        axes.margins(x=0.01)
        label(axes, theme, title=rule)
    label(stack[-1], theme, x="seconds")
    legend_above(stack[0], theme)
    return figure


def raster(run: RunData) -> Panel | None:
    """Returns the panel of input and output spikes, if the run kept them.

    Example:
        >>> from pathlib import Path
        >>> raster(RunData(Path("run"), {}, [], {}))
    """
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
        draw=lambda theme: draw_raster(
            steps * STEP, source, groups, np.flatnonzero(output) * STEP, theme
        ),
    )


def membrane(run: RunData) -> Panel | None:
    """Returns the panel of the membrane potential, if the run kept it.

    Example:
        >>> from pathlib import Path
        >>> membrane(RunData(Path("run"), {}, [], {}))
    """
    found = kept(run, membrane="T", theta="T", output="T")
    if found is None:
        return None
    potential, theta, output = found
    spikes = output.astype(bool)
    times = np.arange(len(potential)) * STEP
    span, count = f"{len(times) * STEP:.2g}{NBSP}s", number(int(spikes.sum()))
    return Panel(
        name="membrane",
        title="Membrane and threshold",
        caption=f"The neuron in the same {span}. Its membrane sums up input and leaks; where it "
        "exceeds the threshold, the neuron spikes and the membrane is reset. Each output spike "
        f"raises the threshold a little, and silence lowers it. Output spikes: {count}.",
        alt=f"Line plot of a membrane potential below a threshold that it exceeds {count} times.",
        draw=lambda theme: draw_membrane(times, potential, theta, spikes, theme),
    )


def weights(run: RunData) -> Panel | None:
    """Returns the panel of learning weights, if the run kept them.

    Example:
        >>> from pathlib import Path
        >>> weights(RunData(Path("run"), {}, [], {}))
    """
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
        title="Weights in the course of learning",
        caption="Lines are medians of a group of inputs, bands their middle halves. Medians at the "
        f"end: {ends}.",
        alt=f"Line plots of weights against time, one per rule. Medians at the end: {ends}.",
        draw=lambda theme: draw_weights(found[0], courses, groups, theme),
    )
