"""Figures of how learning settles, and how it depends on temperature and initial radius."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.report.figures import examples_axis, plot
from plastorch.report.format import number, percent
from plastorch.report.load import Row, RunData, is_number
from plastorch.report.panel import Panel
from plastorch.report.theme import LIGHT, SMALL, Theme, label, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from plastorch.hebbian.analysis.convergence import Convergence

RULES = {"softkrotov": "anti-Hebbian losers", "soft": "plain softmax", "hard": "hard"}
AXES = {"temperature": "temperature T = 1/t", "radius": "initial radius R"}
_FIELDS = ("seed", "test_accuracy", "r1_share")


def draw_convergence(courses: "Mapping[int, Convergence]", theme: Theme = LIGHT) -> "Figure":
    """Draws share of neurons at r = 1, distance of the mean neuron, and learning rate by layer.

    Args:
        courses: layers counted from 0, as
            :func:`plastorch.hebbian.analysis.convergence.convergence` gives them.
        theme: colors.

    Returns:
        A figure with three axes and a line per layer in each.

    Example:
        >>> from plastorch.hebbian.analysis.convergence import Convergence
        >>> course = Convergence(*np.array([[10.0, 20.0], [0.1, 0.5], [4.0, 2.0], [0.1, 0.05]]))
        >>> draw_convergence({0: course}).axes[0].lines[0].get_ydata().tolist()
        [10.0, 50.0]
    """
    figure = new_figure(5.3, theme)
    share, distance, rate = new_axes(figure, theme, rows=3)
    for index, (layer, course) in enumerate(courses.items()):
        name = f"layer {layer + 1}"
        plot(share, course.examples, 100 * course.r1_share, theme, index, name)
        plot(distance, course.examples, course.distance, theme, index)
        plot(rate, course.examples, course.rate, theme, index)
    _share_axis(share)
    share.yaxis.set_major_formatter("{x:g} %")
    for axes in (distance, rate):
        _log_axis(axes)
    label(share, theme, title="neurons with r = 1 (R1)")
    label(distance, theme, title="mean distance |r − 1|")
    label(rate, theme, title="mean learning rate")
    examples_axis(rate, np.concatenate([course.examples for course in courses.values()]), theme)
    share.legend(loc="best", frameon=False, fontsize=SMALL, labelcolor=theme.ink)
    return figure


def draw_sweep(rows: Sequence[Row], setting: str, theme: Theme = LIGHT) -> "Figure":
    """Draws accuracy and share of R1 neurons against a setting on a log axis, a line per rule.

    Args:
        rows: records of a sweep, with the setting, "competition", "seed", "test_accuracy" and
            "r1_share"; a line is the mean over seeds, a band their range.
        setting: "temperature" or "radius".
        theme: colors.

    Returns:
        A figure with two axes.

    Raises:
        InputError: there are no rows, or values that a log axis can't have.

    Example:
        >>> row = {"competition": "soft", "seed": 0, "test_accuracy": 0.5, "r1_share": 0.25}
        >>> rows = [row | {"radius": 1.0}, row | {"radius": 2.0}]
        >>> [axes.lines[0].get_ydata().tolist() for axes in draw_sweep(rows, "radius").axes]
        [[50.0, 50.0], [25.0, 25.0]]
    """
    if not rows or min(row[setting] for row in rows) <= 0:
        raise InputError(f"rows: expected points with a positive {setting}, found {len(rows)} rows")
    figure = new_figure(4.4, theme)
    stack = new_axes(figure, theme, rows=2)
    rules = list(dict.fromkeys(row["competition"] for row in rows))
    for index, rule in enumerate(rules):
        mine = [row for row in rows if row["competition"] == rule]
        for axes, field in zip(stack, ("test_accuracy", "r1_share"), strict=True):
            values, low, mean, high = _over_seeds(mine, setting, field)
            plot(axes, values, mean, theme, index, RULES.get(rule, str(rule)))
            color = theme.line(index)["color"]
            axes.fill_between(values, low, high, color=color, alpha=0.2, linewidth=0)
    for axes, title in zip(stack, ("test accuracy", "neurons with r = 1 (R1)"), strict=True):
        axes.set_xscale("log")
        axes.yaxis.set_major_formatter("{x:g} %")
        label(axes, theme, title=title)
    _share_axis(stack[1])
    label(stack[1], theme, x=AXES[setting])
    stack[0].legend(loc="best", frameon=False, fontsize=SMALL, labelcolor=theme.ink)
    return figure


def convergence(run: RunData) -> Panel | None:
    """Returns the panel of how unsupervised learning settles, if the run logged it.

    Example:
        >>> from pathlib import Path
        >>> convergence(RunData(Path("run"), {}, [], {}))
    """
    rows = [row for row in run.rows if row.get("phase") == "unsupervised"]
    if not rows:
        return None
    from plastorch.hebbian.analysis.convergence import (  # importing torch takes two seconds
        FIELDS,
        convergence,
    )

    known = [row for row in rows if all(is_number(row.get(name)) for name in ("layer", *FIELDS))]
    if not known or any(row["neurons"] <= 0 for row in known):
        return None
    courses = convergence(known)
    last = {row["layer"]: row for row in known}
    ends = "; ".join(
        f"layer {layer + 1}: {number(last[layer]['r1_neurons'])} of "
        f"{number(last[layer]['neurons'])}"
        for layer in courses
    )
    return Panel(
        name="convergence",
        title="How learning settles",
        caption="A neuron has settled when its weight vector has length r = 1 (R1): its learning "
        f"rate falls with |r − 1|. Settled at the end, {ends}.",
        alt="Line plots per layer of the share of settled neurons, their mean distance from r = 1, "
        f"and the mean learning rate. Settled at the end, {ends}.",
        draw=lambda theme: draw_convergence(courses, theme),
    )


def sweep(run: RunData, setting: str) -> Panel | None:
    """Returns the panel of a sweep of "temperature" or "radius", if the run did one.

    Example:
        >>> from pathlib import Path
        >>> sweep(RunData(Path("run"), {}, [], {}), "radius")
    """
    points = {
        (row["competition"], row[setting], row["seed"]): row
        for row in run.rows
        if row.get("phase") == f"{setting}-sweep"
        and all(is_number(row.get(name)) for name in (setting, *_FIELDS))
        and isinstance(row.get("competition"), str)
        and row[setting] > 0
    }
    if not points:
        return None
    rows = list(points.values())
    best = max(rows, key=lambda row: float(row["test_accuracy"]))
    most = (
        f"The best of {number(len(rows))} networks, {percent(best['test_accuracy'])}, has "
        f"{setting} {best[setting]:.3g} and {RULES.get(best['competition'], best['competition'])}"
    )
    meaning = {
        "temperature": "A low temperature makes the competition hard, a high one even.",
        "radius": "Initial weight vectors have length R; neurons learn on the way from R to 1.",
    }
    return Panel(
        name=f"{setting}-sweep",
        title=f"How accuracy depends on the {setting}",
        caption=f"{meaning[setting]} Each point is a network trained on part of the images, with a "
        f"quick readout: compare the points with each other only. {most}.",
        alt=f"Line plots of accuracy and of the share of R1 neurons against {setting}. {most}.",
        draw=lambda theme: draw_sweep(rows, setting, theme),
    )


def _over_seeds(rows: Sequence[Row], setting: str, field: str) -> tuple[NDArray[np.float64], ...]:
    """Returns values of a setting, and the lowest, mean and highest per cent of a field at each."""
    values = sorted({row[setting] for row in rows})
    found = [[100 * row[field] for row in rows if row[setting] == value] for value in values]
    low, mean, high = ([kind(each) for each in found] for kind in (np.min, np.mean, np.max))
    return np.array(values), np.array(low), np.array(mean), np.array(high)


def _share_axis(axes: "Axes") -> None:
    """Scales an axis from 0 to the largest value, so that small shares keep their shape."""
    top = max(10.0, axes.dataLim.y1)
    axes.set_ylim(-0.05 * top, 1.05 * top)


def _log_axis(axes: "Axes") -> None:
    """Sets a log scale with plain numbers, if all values are positive."""
    from matplotlib.ticker import LogLocator, NullFormatter

    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    if not np.isfinite(values).all() or values.min() <= 0:
        axes.set_ylim(bottom=0)
        return
    axes.set_yscale("log")
    narrow = values.max() < 100 * values.min()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
