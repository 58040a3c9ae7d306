"""Figures of rank coding on the toy tasks, beside observers that know how the tasks are made."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.experiments.rank.timing_panels import Clock, draw_times
from plastorch.report.load import Row, RunData, series
from plastorch.report.panel import Panel
from plastorch.report.panels import plain_curves
from plastorch.report.theme import LIGHT, Theme, label, legend_above, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
STEPS = Clock(1, 1, "steps")
"""Clock that counts the steps seen."""
TASKS = {
    "signal": "Is a noisy signal positive?",
    "runs": "Are there five equal bits in a row?",
}
NAMES = {
    "signal-rank": "first crossing",
    "signal-beta10": "β = 0.1",
    "signal-beta30": "β = 0.3",
    "signal-beta40": "β = 0.4",
    "signal-all": "all steps",
    "signal-last": "last step",
    "runs-rank": "first crossing",
    "runs-stpn": "STPN",
    "runs-all": "all steps",
    "runs-last": "last step",
}
"""Names of the networks, by training; a phase of one of these names is that network's training."""
TIMED = {
    name: NAMES[name]
    for name in (
        "signal-rank",
        "signal-beta30",
        "signal-last",
        "runs-rank",
        "runs-stpn",
        "runs-last",
    )
}
"""Networks whose answer times are drawn."""
OBSERVERS = {
    "signal-observer": "ideal threshold",
    "signal-best": "ideal rules",
    "runs-observer": "ideal threshold",
}
FIXED = "fixed time"
"""Name of the last-step network, read at a fixed time; its crossings are another curve."""
LEAST = {"signal": 75.0, "runs": 45.0}
"""Lowest accuracy in the drawing of the trade-off, per cent."""


def draw_observed(
    curves: Mapping[str, Array], limits: Mapping[str, Array], least: float, theme: Theme = LIGHT
) -> "Figure":
    """Draws accuracy against mean time: networks, a point per threshold; limits of observers.

    Args:
        curves: mean step from 0 and accuracy of networks [K, 2 or more].
        limits: the same of observers.
        least: accuracy at the bottom, per cent.
        theme: colors.

    Example:
        >>> curve = np.array([[1.0, 0.8], [3.0, 0.9]])
        >>> figure = draw_observed({"last step": curve}, {"ideal": curve + 0.05}, 70)
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['ideal', 'last step']
    """
    figure = new_figure(4.0 + 0.2 * (len(curves) + len(limits)) / 2, theme)
    (axes,) = new_axes(figure, theme)
    grays = (theme.ink, theme.muted)
    for (name, curve), gray, dash in zip(limits.items(), grays, ("-", "--"), strict=False):
        times, right = STEPS(curve[:, 0]), 100 * curve[:, 1]
        axes.plot(times, right, color=gray, linestyle=dash, linewidth=1.2, label=name)
    for index, (name, curve) in enumerate(curves.items()):
        times, right = STEPS(curve[:, 0]), 100 * curve[:, 1]
        marker = "" if name == FIXED else "o"
        style = theme.line(index)
        axes.plot(times, right, linewidth=1.8, marker=marker, markersize=3.5, label=name, **style)
    axes.set_ylim(bottom=least)
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x="mean time of the answer, steps")
    legend_above(axes, theme)
    return figure


def draw_noise(quarters: Mapping[str, Array], levels: Array, theme: Theme = LIGHT) -> "Figure":
    """Draws when signals of each noise level are answered: medians, and quartiles of the first.

    Args:
        quarters: quartiles of the step, from 0 [levels, 3], by name.
        levels: standard deviations of the noise.
        theme: colors.

    Example:
        >>> axes = draw_noise({"a": np.array([[1, 2, 4]])}, np.array([0.1])).axes[0]
        >>> axes.lines[0].get_ydata().tolist()
        [3.0]
    """
    figure = new_figure(3.6 + 0.1 * len(quarters), theme)
    (axes,) = new_axes(figure, theme)
    for index, (name, found) in enumerate(quarters.items()):
        low, middle, high = STEPS(found).T
        axes.plot(levels, middle, linewidth=2, label=name, **theme.line(index))
        if index == 0:
            axes.fill_between(levels, low, high, color=theme.series[0], alpha=0.2, linewidth=0)
    axes.set_ylim(0, 41)
    label(axes, theme, x="σ of the noise", title="steps to the answer")
    legend_above(axes, theme)
    return figure


def draw_lag(counts: Mapping[str, Array], theme: Theme = LIGHT) -> "Figure":
    """Draws how long after a run it is reported: shares of the right answers, a line per network.

    Args:
        counts: answers by their lag, from 0 [L], by name.
        theme: colors.

    Example:
        >>> axes = draw_lag({"a": np.array([3, 1])}).axes[0]
        >>> axes.lines[0].get_ydata().tolist()
        [75.0, 25.0]
    """
    figure = new_figure(3.2 + 0.1 * len(counts), theme)
    (axes,) = new_axes(figure, theme)
    for index, (name, found) in enumerate(counts.items()):
        share = 100 * found / max(1, found.sum())
        axes.plot(np.arange(len(found)), share, linewidth=2, label=name, **theme.line(index))
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x="steps after the run's last bit")
    legend_above(axes, theme)
    return figure


def draw_training(courses: Mapping[str, Sequence[Row]], theme: Theme = LIGHT) -> "Figure":
    """Draws when answers come in the course of training, and the steps computed for them.

    Args:
        courses: rows with "batch", "mean_step" from 0 and "computed_steps", by name.
        theme: colors.

    Example:
        >>> row = {"batch": 9, "mean_step": 10.0, "computed_steps": 14.0}
        >>> [axes.lines[0].get_ydata().tolist() for axes in draw_training({"a": [row]}).axes]
        [[11.0], [14.0]]
    """
    figure = new_figure(4.8 + 0.1 * len(courses), theme)
    above, below = new_axes(figure, theme, rows=2)
    for index, (name, rows) in enumerate(courses.items()):
        batches, steps, computed = (
            np.array([row[key] for row in rows]) for key in ("batch", "mean_step", "computed_steps")
        )
        style = theme.line(index) | {"marker": "o" if len(rows) == 1 else ""}
        above.plot(batches, STEPS(steps), linewidth=2, label=name, **style)
        below.plot(batches, computed, linewidth=2, **style)
    above.set_ylim(bottom=0)
    below.set_ylim(bottom=0)
    label(above, theme, title="steps to the answer")
    label(below, theme, x="updates", title="computed steps")
    legend_above(above, theme)
    return figure


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run of rank-toy has data for.

    Example:
        >>> from pathlib import Path
        >>> panels(RunData(Path("run"), {}, [], {}))
        []
    """
    found = [make(run, task) for make in (_observed, _training, _times) for task in TASKS]
    own = [panel for panel in (*found, _noise(run), _lag(run)) if panel]
    return own + plain_curves(run, _is_drawn)


def _is_drawn(phase: str) -> bool:
    """Whether a phase has its own figures here, or none, and needs no plain curves."""
    return phase in NAMES


def _of(run: RunData, task: str, kind: str, names: Mapping[str, str] = NAMES) -> dict[str, Array]:
    """Returns arrays of a kind, by what a network of the task is trained for."""
    found = {name: run.arrays.get(f"{name}.{kind}") for name in names if name.startswith(task)}
    return {names[name]: array for name, array in found.items() if array is not None}


def _observed(run: RunData, task: str) -> Panel | None:
    curves = _of(run, task, "curve")
    fixed = run.arrays.get(f"{task}-last.fixed")
    if fixed is not None:
        curves[FIXED] = np.stack([np.arange(len(fixed)), fixed], axis=1)
    limits = _of(run, task, "curve", OBSERVERS)
    if not curves or not limits:
        return None
    rules = (
        " The best rules also weigh what waiting can still bring; a threshold that is always the "
        "same is not the best one can do, and networks may be above its line."
    )
    return Panel(
        name=f"{task}-accuracy-time",
        title=f"{TASKS[task]} Accuracy against time",
        caption="Each point is a threshold; networks differ in what they were trained for: the "
        "answer at the first crossing, with a weight β of entropy, at the last step or at all. "
        "“Fixed time” is the network of the last step, all answers read at the same time. "
        f"An ideal observer knows how the sequences are made.{rules * (task == 'signal')}",
        alt=f"Line plot of accuracy against the mean time of the answer; {', '.join(curves)}; and "
        f"observers: {', '.join(limits)}.",
        draw=lambda theme: draw_observed(curves, limits, LEAST[task], theme),
    )


def _times(run: RunData, task: str) -> Panel | None:
    counts = _of(run, task, "steps", TIMED) | _of(run, task, "steps", OBSERVERS)
    if len(counts) < 2:
        return None
    return Panel(
        name=f"{task}-times",
        title=f"{TASKS[task]} When answers come",
        caption="Share of the test's answers at each step at which the threshold is crossed "
        "first, right ones below, wrong ones on top of them. Answers of those that never cross it "
        "count with the last step, and are not drawn.",
        alt=f"Histograms of decision times, right and wrong: {', '.join(counts)}.",
        draw=lambda theme: draw_times(counts, STEPS, theme),
    )


def _training(run: RunData, task: str) -> Panel | None:
    fields = ["mean_step", "computed_steps"]
    rows = {
        name: series(run.rows, name, "batch", fields) for name in NAMES if name.startswith(task)
    }
    courses = {NAMES[name]: found for name, found in rows.items() if found}
    if not courses:
        return None
    ends = "; ".join(f"{name}: {found[-1]['mean_step'] + 1:.1f}" for name, found in courses.items())
    return Panel(
        name=f"{task}-training",
        title=f"{TASKS[task]} Earlier and earlier",
        caption="Mean time of the first crossing on training sequences, which are always new; and "
        "steps that were computed for each. Networks that are trained at the first crossing skip "
        f"what comes after it. Steps to the answer at the end: {ends}.",
        alt=f"Two line plots: steps to the answer, and computed steps; at the end {ends}.",
        draw=lambda theme: draw_training(courses, theme),
    )


def _noise(run: RunData) -> Panel | None:
    quarters = _of(run, "signal", "noise") | _of(run, "signal", "noise", OBSERVERS)
    if len(quarters) < 2:
        return None
    count = len(next(iter(quarters.values())))
    low, high = 0.05, 0.25
    levels = low + (high - low) * (np.arange(count) + 0.5) / count
    first = next(iter(quarters))
    return Panel(
        name="signal-noise",
        title="Noisier signals are answered later",
        caption="Median time of the answer at the first crossing, for signals sorted by the "
        f"standard deviation of their noise; the band is the middle half of “{first}”.",
        alt=f"Line plot of the time of the answer against noise: {', '.join(quarters)}.",
        draw=lambda theme: draw_noise(quarters, levels, theme),
    )


def _lag(run: RunData) -> Panel | None:
    counts = {name: found for name, found in _of(run, "runs", "lag").items() if found.sum()}
    if not counts:
        return None
    means = "; ".join(
        f"{name}: {np.average(np.arange(len(found)), weights=found):.2f} steps"
        for name, found in counts.items()
    )
    return Panel(
        name="runs-lag",
        title="How soon a run is told",
        caption="Steps from the fifth equal bit to the answer, where it is right and not by luck, "
        f"earlier. On average, {means}.",
        alt=f"Line plot of the share of answers by their lag; on average, {means}.",
        draw=lambda theme: draw_lag(counts, theme),
    )
