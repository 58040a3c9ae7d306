"""Lines by name, and points of the plane by class."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from plastorch.engine.errors import InputError
from plastorch.report.charts.marks import Dots, Line
from plastorch.report.charts.plot import Plot, chart
from plastorch.report.format import short
from plastorch.report.theme import HUES, LIGHT, MARKERS, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LABELED = 10
"""Maximum number of classes that are named."""
Curves = Mapping[str, "Line | ArrayLike"]
"""Lines by name: a :class:`Line`, or an array [2, N] of x and y, or [4, N] with a band."""


def lines(
    parts: Mapping[str, Curves],
    *,
    x: str = "",
    share: Literal["", "x", "xy"] = "x",
    theme: Theme = LIGHT,
    **options: Any,
) -> "Figure":
    """Draws lines by name, in one plot for each part, by title; a title may be empty.

    Lines of one name look alike; ``x`` is the label, and ``share`` the axes that all parts have in
    common; ``options`` are other fields of each :class:`~plastorch.report.charts.Plot`.
    """
    options = {"height": 2.6 if len(parts) == 1 else 1.4} | options
    last = len(parts) - 1
    return chart(
        *(
            Plot(
                marks=[_line(name, curve) for name, curve in curves.items()],
                title=title,
                x=x * (place == last),
                **options,
            )
            for place, (title, curves) in enumerate(parts.items())
        ),
        share=share,
        theme=theme,
    )


def _line(name: str, curve: "Line | ArrayLike") -> Line:
    if isinstance(curve, Line):
        return replace(curve, name=name)
    x, y, *band = np.asarray(curve, dtype=float)
    low, high = band or (None, None)
    return Line(x=x, y=y, low=low, high=high, name=name)


def plane(
    points: ArrayLike, labels: ArrayLike, classes: Sequence[str], *, theme: Theme = LIGHT
) -> "Figure":
    """Draws points [N, 2] of the plane by class [N], distinguished by color and marker.

    With more than ``MAX_LABELED`` classes there are colors only, no names.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    known = len(labels) and 0 <= labels.min() <= labels.max() < len(classes)
    if points.shape != (len(labels), 2) or not known:
        raise InputError(
            f"plane: expected points [N, 2] with labels of {len(classes)} classes, found "
            f"{points.shape} and {labels.shape}"
        )
    named = len(classes) <= MAX_LABELED
    dots = [
        Dots(
            x=points[labels == index, 0],
            y=points[labels == index, 1],
            name=short(name) if named else "",
            color=HUES[index % len(HUES)],
            size=min(40.0, max(12.0, 9000 / len(points))),
            marker=MARKERS[index % len(MARKERS)],
            alpha=0.85,
        )
        for index, name in enumerate(classes)
    ]
    return chart(Plot(marks=dots, height=3.9, x_ticks={}, y_ticks={}), theme=theme)
