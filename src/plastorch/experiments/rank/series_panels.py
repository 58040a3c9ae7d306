"""Figures of early classification of series: ranks, costs, and accuracy over earliness."""

from itertools import combinations

import numpy as np

from plastorch.experiments.rank.series_claims import ALPHA, Table, difference, ranks, table
from plastorch.report import charts
from plastorch.report.load import Row, RunData
from plastorch.report.panel import Panel

NAMES = {
    "first": "first crossing",
    "last": "last step",
    "all": "all steps",
    "hybrid": "answer held",
    "cost": "expected price",
    "threshold": "MiniRocket, threshold",
    "induction": "MiniRocket, induction",
    "teaser": "TEASER",
}
"""Names of methods: networks by objective, then rivals."""
SIGNIFICANT = 0.05
"""Level of Wilcoxon's tests, corrected by Holm."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run of rank-series has data for."""
    rows = [row for row in run.rows if "method" in row]
    if not rows:
        return []
    return [_ranks(rows), _costs(rows), _curves(rows)]


def alike(rows: list[Row]) -> list[tuple[str, str]]:
    """Returns the pairs of methods that Wilcoxon's test with Holm's correction can't tell apart."""
    pairs = list(combinations(ranks(rows), 2))
    values = {(one, other): difference(rows, one, other) for one, other in pairs}
    same: list[tuple[str, str]] = []
    for place, pair in enumerate(sorted(values, key=lambda pair: values[pair])):
        if same or values[pair] > SIGNIFICANT / (len(pairs) - place):
            same.append(pair)
    return same


def groups(rows: list[Row]) -> list[tuple[str, str]]:
    """Returns first and last method of each run of ranks in which all pairs are alike."""
    order, same = list(ranks(rows)), set(alike(rows))
    spans = [
        (start, stop)
        for start, stop in combinations(range(len(order)), 2)
        if all(pair in same for pair in combinations(order[start : stop + 1], 2))
    ]
    widest = [
        span
        for span in spans
        if not any(a <= span[0] and span[1] <= b and (a, b) != span for a, b in spans)
    ]
    return [(order[start], order[stop]) for start, stop in widest]


def _ranks(rows: list[Row]) -> Panel:
    order, bars = ranks(rows), groups(rows)
    names = {float(place): NAMES[method] for place, method in enumerate(order)}
    marks: list[charts.Mark] = [
        charts.Line(
            x=[order[first], order[last]], y=[place, place], color="muted", width=4.0, marker=""
        )
        for place, (first, last) in zip(np.linspace(-0.9, -0.5, len(bars)), bars, strict=True)
    ]
    marks.append(charts.Dots(x=list(order.values()), y=list(names), color="ink", size=40.0))
    text = "; ".join(f"{NAMES[method]}: {rank:.2f}" for method, rank in order.items())
    sets = len(table(rows, "cost").sets)
    return Panel(
        name="ranks",
        title="Mean rank over the sets",
        caption=f"Mean rank by AvgCost at α = {ALPHA} over {sets} sets; 1 is best. Gray bars join "
        "methods that Wilcoxon's signed-rank test, corrected by Holm, can't tell apart: with few "
        f"sets, that says little. {text}.",
        alt=f"Dots of mean ranks: {text}; {len(bars)} bars join methods that are alike.",
        draw=lambda theme: charts.chart(
            charts.Plot(
                marks=marks,
                x="mean rank",
                height=0.34 * len(order) + 0.5,
                y_range=(-1.2, len(order) - 0.4),
                y_ticks=names,
                down=True,
            ),
            theme=theme,
        ),
    )


def _costs(rows: list[Row]) -> Panel:
    found = table(rows, "cost")
    parts = {"": {name: _named(found, place) for place, name in enumerate(found.sets)}}
    return Panel(
        name="costs",
        title="What answers cost on each set",
        caption=f"AvgCost = α · error + (1 - α) · t / T on the test series, α = {ALPHA}; lower is "
        "better. Thresholds were chosen on series that were held out from training.",
        alt=f"Dots of the AvgCost of {len(found.methods)} methods on {', '.join(found.sets)}.",
        draw=lambda theme: charts.points(parts, x="AvgCost", line=0.5, theme=theme),
    )


def _named(found: Table, place: int) -> dict[str, float | charts.Spread]:
    values = found.values[place].tolist()
    return {NAMES[method]: value for method, value in zip(found.methods, values, strict=True)}


def _curves(rows: list[Row]) -> Panel:
    parts: dict[str, dict[str, charts.Line]] = {}
    for name in dict.fromkeys(str(row["phase"]) for row in rows):
        parts[name] = {}
        for method in dict.fromkeys(str(row["method"]) for row in rows if row["phase"] == name):
            own = [row for row in rows if row["phase"] == name and row["method"] == method]
            points = sorted({(float(row["earliness"]), float(row["accuracy"])) for row in own})
            x, y = 100 * np.array(points).T
            parts[name][NAMES[method]] = charts.Line(x=x, y=y)
    return Panel(
        name="accuracy-earliness",
        title="Accuracy over earliness",
        caption="Each point is a price α, from 0.3 to 0.98, for which thresholds were chosen on "
        "held-out series; up and left is better. TEASER has no price.",
        alt=f"Line plots of accuracy over the share of steps read, for {', '.join(parts)}.",
        draw=lambda theme: charts.lines(
            parts, x="mean share of steps read", x_unit="%", y_unit="%", share="", theme=theme
        ),
    )
