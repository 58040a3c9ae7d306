"""Figures of when timing is learned rather than rates, in theory and simulation; and the cost."""

from typing import TYPE_CHECKING

import numpy as np

from plastorch.report.format import NBSP
from plastorch.report.load import Array, RunData, kept
from plastorch.report.panel import Panel
from plastorch.report.theme import (
    LIGHT,
    SMALL,
    Theme,
    label,
    legend,
    legend_above,
    new_axes,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES_AT = 4.0
"""Ratio of rates at which lines are drawn; the nearest one if it is missing."""
_STRENGTH = "fatigue of slow inputs, U r τ"


def draw_condition(
    ratios: Array,
    correlations: Array,
    strengths: Array,
    auc: Array,
    margin: Array,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws where slow correlated inputs are found among fast ones, simulated and by theory.

    Args:
        ratios: ratios of fast to slow rates [R].
        correlations: correlations c [C].
        strengths: strengths of fatigue, U r τ [X], ascending.
        auc: area under the ROC curve, simulated [R, C, X].
        margin: margin of the analytic condition, above 0 where timing is learned [R, C, X].
        theme: colors.

    Returns:
        A figure: an axes with a line per correlation at one ratio and a diamond where the condition
        is met, then an image per ratio with a line along the condition; its last axes is a scale.

    Example:
        >>> grid = np.array([[[0.0, 1.0]]])
        >>> figure = draw_condition(np.array([4]), np.array([0.5]), np.array([0.1, 1]), grid, grid)
        >>> figure.axes[1].get_title(loc="left")
        '4 times as fast'
    """
    from matplotlib.colors import LinearSegmentedColormap

    cell = 0.22 * len(correlations)
    figure = new_figure(4.3 + (0.4 + cell) * len(ratios), theme)
    stack = new_axes(figure, theme, rows=1 + len(ratios), share_x=False)
    grid = stack[0].get_subplotspec().get_gridspec()  # type: ignore[union-attr]
    grid.set_height_ratios([2.6, *[cell] * len(ratios)])
    at = int(np.abs(ratios - LINES_AT).argmin())
    _lines(stack[0], correlations, strengths, auc[at], margin[at], theme)
    label(stack[0], theme, title=f"fast inputs {ratios[at]:g} times as fast")
    legend_above(stack[0], theme)
    shades = LinearSegmentedColormap.from_list("shade", theme.shade)
    for axes, ratio, picture, sign in zip(stack[1:], ratios, auc, margin > 0, strict=True):
        shown = axes.imshow(picture, cmap=shades, vmin=0, vmax=1, aspect="auto", origin="lower")
        _along(axes, sign, theme)
        axes.set_yticks(range(len(correlations)), [f"c = {c:g}" for c in correlations])
        axes.set_xticks([])
        axes.grid(False)
        label(axes, theme, title=f"{ratio:g} times as fast")
    stack[-1].set_xticks(range(len(strengths)), [f"{x:g}" for x in strengths])
    label(stack[-1], theme, x=_STRENGTH)
    bar = figure.colorbar(shown, ax=stack, location="bottom", aspect=40, pad=0.01)
    bar.outline.set_visible(False)
    bar.set_label("AUC", color=theme.muted, fontsize=SMALL)
    bar.ax.tick_params(colors=theme.muted, labelsize=SMALL, length=0)
    return figure


def draw_cost(
    synapses: Array,
    synapse_seconds: Array,
    spikes: Array,
    spike_seconds: Array,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws time per simulated second against synapses and against input spikes, on log scales.

    Args:
        synapses: numbers of synapses [A].
        synapse_seconds: CPU seconds per simulated second [A].
        spikes: input spikes per simulated second [B].
        spike_seconds: CPU seconds per simulated second [B].
        theme: colors.

    Returns:
        A figure with two axes; each has a line of the measured times and one of slope 1.

    Example:
        >>> x, y = np.array([1.0, 2.0]), np.array([3.0, 6.0])
        >>> draw_cost(x, y, x, y).axes[1].lines[1].get_ydata().tolist()
        [3.0, 6.0]
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    figure = new_figure(5.6, theme)
    parts = (
        (synapses, synapse_seconds, "synapses"),
        (spikes, spike_seconds, "input spikes per second"),
    )
    for axes, (x, y, name) in zip(
        new_axes(figure, theme, rows=2, share_x=False), parts, strict=True
    ):
        axes.plot(x, y, "o", linewidth=2, label="measured", **theme.line(0))
        axes.plot(x, y[-1] * x / x[-1], color=theme.muted, linewidth=1.2, label="in proportion")
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_major_formatter(EngFormatter(unit="s"))
        label(axes, theme, x=name)
    legend(figure.axes[0], theme)
    return figure


def condition(run: RunData) -> Panel | None:
    """Returns the panel of the analytic condition, if the run kept its grid.

    Example:
        >>> from pathlib import Path
        >>> condition(RunData(Path("run"), {}, [], {}))
    """
    found = kept(
        run,
        boundary_ratios="R",
        boundary_correlations="C",
        boundary_strengths="X",
        boundary_auc_fast="RCX",
        boundary_margin="RCX",
    )
    if found is None or float(found[2].min()) <= 0:
        return None
    ratios, correlations, strengths, auc, margin = found
    right = (auc > 0.5) == (margin > 0)
    agreement = f"{int(right.sum())} of {right.size}"
    return Panel(
        name="condition",
        title="When timing beats rate",
        caption="Slow inputs are correlated, c, fast ones are not. Shown is the chance that the "
        "weight of a correlated input is above that of a fast one (AUC), against how much slow "
        "inputs fatigue. Diamonds in the lines, and the line through the pictures, are where the "
        f"analytic condition begins to be met. It is right about {agreement} settings: AUC above "
        "½ where it is met, below where not.",
        alt="Line plot of AUC against the strength of fatigue, one line per correlation, and a "
        f"heat map for each ratio of rates; the analytic condition is right about {agreement}.",
        draw=lambda theme: draw_condition(ratios, correlations, strengths, auc, margin, theme),
    )


def cost(run: RunData) -> Panel | None:
    """Returns the panel of the cost of a simulated second, if the run measured it.

    Example:
        >>> from pathlib import Path
        >>> cost(RunData(Path("run"), {}, [], {}))
    """
    found = kept(
        run, cost_synapses="A", cost_synapse_seconds="A", cost_spikes="B", cost_spike_seconds="B"
    )
    if found is None or min(float(array.min()) for array in found) <= 0:
        return None
    synapses, synapse_seconds, spikes, spike_seconds = found
    steep, fit = kept(run, cost_slopes="S"), kept(run, cost_misfits="S")
    told = ""
    if steep and len(steep[0]) == 2:
        told = " The slopes of straight fits are {:.2f} and {:.2f}.".format(*steep[0])
    if fit:
        told += (
            f" A fixed part and one in proportion fit to within {100 * fit[0].max():.0f}{NBSP}%."
        )
    return Panel(
        name="cost",
        title="Cost of a simulated second",
        caption="Processor time of the event-driven layer for a simulated second, learning and "
        "encoding included. Gray is growth in proportion; what is less steep still has costs in "
        f"it that are there in any case.{told}",
        alt="Two line plots on logarithmic scales: processor time against the number of synapses, "
        f"and against the number of input spikes, beside lines of slope 1.{told}",
        draw=lambda theme: draw_cost(synapses, synapse_seconds, spikes, spike_seconds, theme),
    )


def _lines(
    axes: "Axes", correlations: Array, strengths: Array, auc: Array, margin: Array, theme: Theme
) -> None:
    for index, c in enumerate(correlations):
        style = theme.line(index)
        axes.plot(strengths, auc[index], linewidth=2, label=f"c = {c:g}", **style)
        place = _onset(strengths, margin[index])
        if place is not None:
            height = np.interp(np.log(place), np.log(strengths), auc[index])
            axes.plot(place, height, "D", color=style["color"], markeredgecolor=theme.ink)
    axes.axhline(0.5, color=theme.muted, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.03, 1.03)
    label(axes, theme, x=_STRENGTH)


def _onset(strengths: Array, margin: Array) -> float | None:
    """Returns where a margin first gets positive, on a log scale; None if it never does."""
    above = np.flatnonzero(margin > 0)
    if not len(above) or above[0] == 0:
        return None
    last = int(above[0])
    before, after = margin[last - 1], margin[last]
    share = -before / (after - before)
    first, second = np.log(strengths[last - 1 : last + 1])
    return float(np.exp(first + share * (second - first)))


def _along(axes: "Axes", inside: Array, theme: Theme) -> None:
    """Draws a line around the cells of an image that are inside."""
    from matplotlib.collections import LineCollection

    rows, columns = inside.shape
    upright = np.argwhere(inside[:, 1:] != inside[:, :-1])
    level = np.argwhere(inside[1:] != inside[:-1])
    edges = [[(c + 0.5, r - 0.5), (c + 0.5, r + 0.5)] for r, c in upright]
    edges += [[(c - 0.5, r + 0.5), (c + 0.5, r + 0.5)] for r, c in level]
    axes.add_collection(LineCollection(edges, colors=theme.series[1], linewidths=2.5))
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))
