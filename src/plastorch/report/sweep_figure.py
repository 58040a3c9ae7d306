"""Figure of a sweep: measured values against a setting, over seeds."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from plastorch.engine.errors import InputError
from plastorch.engine.sweep_plan import shown
from plastorch.report import charts
from plastorch.report.charts import Dots, Mark, Plot, Spread
from plastorch.report.format import plain
from plastorch.report.load import is_number
from plastorch.report.sweep_table import SweepRow
from plastorch.report.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SERIES = 6
"""Maximum number of lines that can be told apart."""
MOST_TICKS = 6
"""Maximum number of values that are written on the axis themselves."""


def draw_grid(lines: Sequence[SweepRow], theme: Theme = LIGHT) -> "Figure":
    """Draws mean over seeds ± sd, and each seed, against the setting that has most values.

    Numbers are on an axis, a line per combination of the other settings (six at most); other
    values are rows.

    Args:
        lines: lines of a sweep; those without a figure are left out.
        theme: colors.

    Raises:
        InputError: nothing was measured.

    Example:
        >>> lines = [SweepRow({"depth": d}, "reward", [d, d + 2.0], [0, 1], 2, 0, [1.0], [])
        ...          for d in (1, 2)]
        >>> draw_grid(lines).axes[0].lines[0].get_ydata().tolist()
        [2.0, 3.0]
    """
    lines = [line for line in lines if line.figures]
    if not lines:
        raise InputError("lines: expected one with a figure or more, found none")
    along = along_which(lines)
    share = all("accuracy" in (line.metric or "") for line in lines)
    scale, unit = (100, "%") if share else (1, "")
    if along is None or not all(is_number(line.values[along]) for line in lines):
        rows = _rows(lines, along, scale)
        return charts.points({"": rows}, x=name_of(lines), x_unit=unit, theme=theme)
    series = series_of(lines, along)
    drawn = list(series.items())[:MOST_SERIES] if len(series) > 1 else [("", lines)]
    values = sorted({float(line.values[along]) for line in lines})
    plot = Plot(
        marks=[mark for name, of in drawn for mark in _marks(name, of, along, scale)],
        title=name_of(lines) if len(series) == 1 else "",
        x=plain(along),
        height=2.7,
        log="x" if values[-1] >= 20 * values[0] else "",
        y_unit=unit,
        x_ticks={x: f"{x:g}" for x in values} if len(values) <= MOST_TICKS else None,
    )
    return charts.chart(plot, theme=theme)


def name_of(lines: Sequence[SweepRow]) -> str:
    """Returns the metric in words, if all have the same."""
    names = {line.metric for line in lines if line.metric}
    return plain(names.pop()) if len(names) == 1 else "first figure of each run"


def along_which(lines: Sequence[SweepRow]) -> str | None:
    """Returns the field of the axis: the numeric one with most values, else the first to vary."""
    values = {name: {shown(line.values[name]) for line in lines} for name in lines[0].values}
    vary = [name for name, found in values.items() if len(found) > 1]
    numbers = [name for name in vary if all(is_number(line.values[name]) for line in lines)]
    return max(numbers, key=lambda name: len(values[name])) if numbers else next(iter(vary), None)


def series_of(lines: Sequence[SweepRow], along: str | None) -> dict[str, list[SweepRow]]:
    """Groups lines that differ in one field only, by the values of the others."""
    series: dict[str, list[SweepRow]] = {}
    for line in lines:
        others = {name: value for name, value in line.values.items() if name != along}
        series.setdefault(words_of(others), []).append(line)
    return series


def words_of(values: dict[str, Any]) -> str:
    """Returns settings in words.

    Example:
        >>> words_of({"batch_size": 3, "models": ["rnn", "lstm"]})
        'batch size 3, models rnn lstm'
    """
    return ", ".join(f"{plain(name)} {shown(value)}" for name, value in values.items())


def _marks(name: str, members: Sequence[SweepRow], along: str, scale: float) -> list[Mark]:
    """Returns mean over seeds ± sd against a setting, and a dot per seed."""
    members = sorted(members, key=lambda line: float(line.values[along]))
    places = [float(line.values[along]) for line in members]
    means, low, high = np.array([_over_seeds(line, scale)[:3] for line in members]).T
    seeds = np.array([(x, y) for x, of in zip(places, members, strict=True) for y in of.figures])
    return [
        charts.Line(x=places, y=means, low=low, high=high, name=name),
        Dots(
            x=seeds[:, 0],
            y=scale * seeds[:, 1],
            name=name,
            color="" if name else "muted",
            alpha=0.5,
        ),
    ]


def _rows(
    lines: Sequence[SweepRow], along: str | None, scale: float
) -> dict[str, dict[str, Spread]]:
    """Returns mean ± sd and single seeds of each line, by its settings."""
    ordered = [line for members in series_of(lines, along).values() for line in members]
    rows: dict[str, dict[str, Spread]] = {}
    for line in ordered:
        name = _clipped(words_of(line.values) or "all runs")
        row = name if name not in rows else f"{name} {len(rows)}"
        rows[row] = {"mean ± sd": _over_seeds(line, scale)}
    return rows


def _over_seeds(line: SweepRow, scale: float) -> Spread:
    """Returns mean and single values of the seeds, and mean ± sd; sd 0 for one seed."""
    values = [scale * figure for figure in line.figures]
    spread = stdev(values) if len(values) > 1 else 0.0
    return Spread(fmean(values), fmean(values) - spread, fmean(values) + spread, values)


def _clipped(name: str) -> str:
    """Shortens a name to leave room for the figure."""
    return name if len(name) <= 32 else f"{name[:31]}…"
