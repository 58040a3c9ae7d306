"""Named rows with a mark per name: values side by side, with their intervals and single points."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from plastorch.report.charts.marks import Dots, Line, Mark
from plastorch.report.charts.plot import Plot, chart
from plastorch.report.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osD^vPX*p<"


class Spread(NamedTuple):
    """A mean, and the spread of values around it."""

    mean: float
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    values: Sequence[float] = ()
    """Single values, such as those of seeds."""


Rows = Mapping[str, Mapping[str, float | Spread]]
"""Values by row and name."""


def points(
    parts: Mapping[str, Rows],
    *,
    x: str = "",
    x_unit: str = "",
    at_x: Sequence[float] = (),
    line: float = 0.34,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws values by title, row and name: a row per thing that is measured, a mark per name.

    A title may be empty; ``x`` is the label and ``x_unit`` the unit of the axis, ``at_x`` are
    places of reference lines, and ``line`` is the height of a row in inches.
    """
    last = len(parts) - 1
    plots = (
        Plot(
            marks=_marks(rows),
            title=title,
            x=x if place == last else "",
            height=line * len(rows) + 0.25,
            x_unit=x_unit,
            y_range=(-0.6, len(rows) - 0.4),
            y_ticks=dict(enumerate(rows)),
            at_x=at_x,
            down=True,
        )
        for place, (title, rows) in enumerate(parts.items())
    )
    return chart(*plots, share="", theme=theme)


def _marks(rows: Rows) -> list[Mark]:
    """Returns the marks of each name, and dots of single values below them."""
    marks: list[Mark] = []
    names = dict.fromkeys(name for row in rows.values() for name in row)
    for name, marker in zip(names, cycle(_MARKERS), strict=False):
        found = [(n, row[name]) for n, row in enumerate(rows.values()) if name in row]
        places = [n for n, _ in found]
        spreads = [of if isinstance(of, Spread) else Spread(of) for _, of in found]
        means, left, right = np.array([spread[:3] for spread in spreads], dtype=float).T
        bars = {} if np.isnan(left).all() else {"left": left, "right": right}
        marks.append(Line(x=means, y=places, name=name, marker=marker, joined=False, **bars))
        values = [(x, n + 0.24) for n, of in zip(places, spreads, strict=True) for x in of.values]
        if values:
            dots = np.array(values)
            marks.append(Dots(x=dots[:, 0], y=dots[:, 1], name=name, size=14, alpha=0.6))
    return marks
