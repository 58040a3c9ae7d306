"""Figures of the patterns into which records are encoded."""

from dataclasses import replace

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Dots, Line, Plot
from plastorch.report.load import Array, RunData, kept
from plastorch.report.panel import Panel

BINS = 20
"""Number of time bins of the patterns."""
_SILENT = 255
"""Time of an input that does not fire."""


def coincidences(run: RunData) -> Panel | None:
    """Returns the panel of coincidence against similarity, if the run kept pairs."""
    found = kept(run, pair_similarity="P", pair_coincidence="P")
    if found is None:
        return None
    alike, coincide = found
    places = np.linspace(0, 1, 3)
    expected = 100 * (places + (1 - places) / BINS)
    plot = Plot(
        marks=[
            Dots(x=alike, y=100 * coincide, size=6, alpha=0.5),
            Line(x=places, y=expected, name="expected", color="ink", width=1.5, marker=""),
        ],
        title="inputs that fire together",
        x="similarity of two records",
        height=2.6,
        y_unit="%",
    )
    r = float(np.corrcoef(alike, coincide)[0, 1])
    return Panel(
        name="coincidences",
        title="Similar records fire together",
        caption=f"Each dot is a pair of records: how similar they are, and how many input neurons "
        f"fire in the same of {BINS} time bins for both. The line is what is expected: other "
        f"values meet by chance. Correlation {r:.4f}.",
        alt=f"Scatter plot of coincidence against similarity of {len(alike)} pairs, r = {r:.4f}.",
        draw=lambda theme: charts.chart(plot, theme=theme),
    )


def patterns(run: RunData) -> Panel | None:
    """Returns the panel of three patterns, if the run kept them."""
    found = kept(run, example_bins="PN", example_similarity="P", example_ends="M")
    if found is None:
        return None
    bins, alike, ends = found
    names = ["a record", *(f"another one, similarity {value:.2f}" for value in alike[1:])]
    plots = [
        _pattern(name, pattern, bins[0], ends) for name, pattern in zip(names, bins, strict=True)
    ]
    plots[-1] = replace(plots[-1], x="milliseconds")
    return Panel(
        name="patterns",
        title="What the network sees",
        caption="A row per input neuron, a dot at the millisecond in which it fires; each fires "
        "once, or not at all if its key is missing. Lines separate the keys. The more similar the "
        "second and third records are to the first, the more of their dots coincide with its dots.",
        alt=f"Raster plots of {len(bins)} patterns of {bins.shape[1]} spikes.",
        draw=lambda theme: charts.chart(*plots, theme=theme),
    )


def _pattern(name: str, bins: Array, first: Array, ends: Array) -> Plot:
    """Returns a plot of a pattern's spikes, those that the first one shares, and its others."""
    inputs, fires = np.arange(len(bins)), bins != _SILENT
    shared = fires & (bins == first)
    own = fires & ~shared
    last = bins[fires].max(initial=0)
    across = np.tile([-0.5, last + 0.5, np.nan], len(ends) - 1)
    return Plot(
        marks=[
            Line(x=across, y=ends[:-1].repeat(3) - 0.5, color="grid", width=0.8, marker=""),
            Dots(x=bins[shared], y=inputs[shared], size=5, name="as in the first"),
            Dots(x=bins[own], y=inputs[own], size=5, name="at another time"),
        ],
        title=name,
        y_ticks={},
        down=True,
    )
