"""Figures of when timing is learned rather than rates, in theory and simulation; and the cost."""

from dataclasses import replace

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Line, Matrix, Plot
from plastorch.report.format import NBSP
from plastorch.report.load import Array, RunData, kept
from plastorch.report.panel import Panel

LINES_AT = 4.0
"""Ratio of rates at which lines are drawn; the nearest one if it is missing."""
_STRENGTH = "fatigue of slow inputs, U r τ"


def condition(run: RunData) -> Panel | None:
    """Returns the panel of the analytic condition, if the run kept its grid."""
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
    at = int(np.abs(ratios - LINES_AT).argmin())
    lines = Plot(
        marks=_lines(correlations, strengths, auc[at], margin[at]),
        title=f"fast inputs {ratios[at]:g} times as fast",
        x=_STRENGTH,
        height=2.3,
        log="x",
        y_range=(-0.03, 1.03),
        at_y=[0.5],
    )
    grids = [
        _grid(correlations, title=f"{ratio:g} times as fast", auc=of, margin=bound)
        for ratio, of, bound in zip(ratios, auc, margin, strict=True)
    ]
    ticks = {float(n): f"{x:g}" for n, x in enumerate(strengths)}
    grids[-1] = replace(grids[-1], x=_STRENGTH, x_ticks=ticks)
    right = (auc > 0.5) == (margin > 0)
    agreement = f"{int(right.sum())} of {right.size}"
    return Panel(
        name="condition",
        title="When timing beats rate",
        caption="Slow inputs are correlated, with correlation c; fast ones are not. Shown is the "
        "probability that the weight of a correlated input is above that of a fast one (AUC), "
        "against how much slow inputs fatigue. Diamonds on the lines, and the line through the "
        f"heat maps, mark where the analytic condition is first met. It is right in {agreement} "
        "settings: AUC above ½ where it is met, below where not.",
        alt="Line plot of AUC against the strength of fatigue, one line per correlation, and a "
        f"heat map for each ratio of rates; the analytic condition is right about {agreement}.",
        draw=lambda theme: charts.chart(lines, *grids, share="", theme=theme),
    )


def cost(run: RunData) -> Panel | None:
    """Returns the panel of the cost of a simulated second, if the run measured it."""
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
        caption="Processor time of the event-driven layer for a simulated second, including "
        "learning and encoding. Gray is proportional growth; where lines are less steep, fixed "
        f"costs are still a large part.{told}",
        alt="Two line plots on logarithmic scales: processor time against the number of synapses, "
        f"and against the number of input spikes, beside lines of slope 1.{told}",
        draw=lambda theme: charts.chart(
            _cost_plot(synapses, synapse_seconds, "synapses"),
            _cost_plot(spikes, spike_seconds, "input spikes per second"),
            share="",
            theme=theme,
        ),
    )


def _cost_plot(x: Array, seconds: Array, name: str) -> Plot:
    """Returns a plot of measured times, beside a line of slope 1 through the largest."""
    measured = Line(x=x, y=seconds, name="measured")
    ours = seconds[-1] * x / x[-1]
    proportion = Line(x=x, y=ours, name="in proportion", color="muted", width=1.2, marker="")
    return Plot(marks=[measured, proportion], x=name, height=2.0, log="xy", y_unit="s")


def _grid(correlations: Array, *, title: str, auc: Array, margin: Array) -> Plot:
    """Returns a plot of AUC as shades, with a line along the condition."""
    return Plot(
        marks=[Matrix(values=auc, low=0, high=1, border=margin, scale="AUC")],
        title=title,
        height=0.22 * len(correlations),
        x_ticks={},
        y_ticks={n: f"c = {c:g}" for n, c in enumerate(correlations)},
    )


def _lines(correlations: Array, strengths: Array, auc: Array, margin: Array) -> list[Line]:
    """Returns a line per correlation, and a diamond where the condition begins to be met."""
    marks = [
        Line(x=strengths, y=auc[index], name=f"c = {c:g}", marker="")
        for index, c in enumerate(correlations)
    ]
    for curve, of in zip(auc, margin, strict=True):
        place = _onset(strengths, of)
        if place is not None:
            height = np.interp(np.log(place), np.log(strengths), curve)
            marks.append(Line(x=[place], y=[height], color="ink", marker="D", joined=False))
    return marks


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
