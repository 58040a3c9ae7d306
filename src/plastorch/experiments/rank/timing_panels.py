"""Figures of when networks answer and how well: images in time, spoken words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plastorch.report.format import percent
from plastorch.report.load import Row, RunData, series
from plastorch.report.panel import Panel
from plastorch.report.panels import plain_curves
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
    from matplotlib.figure import Figure

Array = NDArray[Any]
NAMES = {
    "rank": "rank-coded, best of all",
    "chosen": "rank-coded",
    "last": "last step",
    "all": "all steps",
    "convolutional": "convolutions",
    "lstm-rank": "LSTM, rank-coded",
    "lstm-beta5": "the same, β = 0.05",
    "lstm-beta10": "the same, β = 0.1",
    "lstm-last": "LSTM, last step",
    "lstm-all": "LSTM, all steps",
}
"""Names of networks in figures, by training; best first."""


MOST_LINES = 6


class Clock(NamedTuple):
    """Conversion of a step's number to a time."""

    first: float
    """Time at which step 0 is known."""
    each: float
    """Time from step to step."""
    unit: str

    def __call__(self, steps: Array | float) -> Array:
        """Returns times of steps from 0, whole or not."""
        found: Array = self.first + self.each * np.asarray(steps, dtype=float)
        return found


def draw_trade_off(curves: Mapping[str, Array], clock: Clock, theme: Theme = LIGHT) -> "Figure":
    """Draws accuracy against mean answer time, a line per network and a point per threshold.

    Args:
        curves: mean step from 0 and accuracy of each threshold [K, 2 or more], by name.
        clock: conversion of steps to times.
        theme: colors.

    Returns:
        A figure with one axes.

    Example:
        >>> curve = np.array([[1.0, 0.5], [3.0, 0.9]])
        >>> axes = draw_trade_off({"last": curve}, Clock(25, 10, "ms")).axes[0]
        >>> axes.lines[0].get_xydata().tolist()
        [[35.0, 50.0], [55.0, 90.0]]
    """
    figure = new_figure(3.6 + 0.2 * len(curves) / 3, theme)
    (axes,) = new_axes(figure, theme)
    for index, (name, curve) in enumerate(curves.items()):
        mean = curve[curve[:, 0].argsort()]
        axes.plot(
            clock(mean[:, 0]),
            100 * mean[:, 1],
            linewidth=2,
            marker="o",
            markersize=4,
            label=NAMES.get(name, name),
            **theme.line(index),
        )
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x=f"mean time of the answer, {clock.unit}")
    legend(axes, theme)
    return figure


def draw_fixed(curves: Mapping[str, Array], clock: Clock, theme: Theme = LIGHT) -> "Figure":
    """Draws accuracy if all answers are read at the same time, a line per network.

    Args:
        curves: accuracy at each step [T], by name.
        clock: conversion of steps to times.
        theme: colors.

    Example:
        >>> draw_fixed({"last": np.array([0.1, 0.9])}, Clock(1, 1, "steps")).axes[0].get_xlabel()
        'time of reading, steps'
    """
    figure = new_figure(3.4 + 0.2 * len(curves) / 3, theme)
    (axes,) = new_axes(figure, theme)
    for index, (name, accuracy) in enumerate(curves.items()):
        times = clock(np.arange(len(accuracy)))
        axes.plot(
            times, 100 * accuracy, linewidth=2, label=NAMES.get(name, name), **theme.line(index)
        )
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x=f"time of reading, {clock.unit}")
    legend(axes, theme)
    return figure


def draw_times(counts: Mapping[str, Array], clock: Clock, theme: Theme = LIGHT) -> "Figure":
    """Draws when answers come: one axes per network, right answers below wrong ones.

    Args:
        counts: numbers of right and of wrong answers at each step, and of those without a
            crossing at the end [2, T + 1], by name.
        clock: conversion of steps to times.
        theme: colors.

    Example:
        >>> figure = draw_times({"last": np.ones((2, 5), int)}, Clock(1, 1, "steps"))
        >>> figure.axes[0].get_title(loc="left")
        'last step, 20 % without crossing'
    """
    figure = new_figure(0.9 + 1.4 * len(counts), theme)
    stack = new_axes(figure, theme, rows=len(counts))
    for axes, (name, (right, wrong)) in zip(stack, counts.items(), strict=True):
        total = max(1, int(right.sum() + wrong.sum()))
        times = clock(np.arange(len(right) - 1))
        share = 100 * np.stack([right, wrong])[:, :-1] / total
        axes.bar(times, share[0], clock.each, color=theme.series[0], label="right")
        axes.bar(times, share[1], clock.each, share[0], color=theme.series[1], label="wrong")
        axes.set_ylim(bottom=0, top=None if share.any() else 1)
        uncrossed = 100 * (right[-1] + wrong[-1]) / total
        axes.yaxis.set_major_formatter("{x:g} %")
        label(axes, theme, title=f"{NAMES.get(name, name)}, {uncrossed:.0f} % without crossing")
    label(stack[-1], theme, x=f"time of the crossing, {clock.unit}")
    stack[-1].legend(frameon=False, fontsize=SMALL, labelcolor=theme.ink)
    return figure


def draw_work(courses: Mapping[str, Sequence[Row]], theme: Theme = LIGHT) -> "Figure":
    """Draws steps computed per sequence in the course of training, a line per network.

    Args:
        courses: rows with "batch" and "computed_steps", by name.
        theme: colors.

    Example:
        >>> figure = draw_work({"last": [{"batch": 9, "computed_steps": 20.0}]})
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [20.0]
    """
    figure = new_figure(3.2 + 0.2 * len(courses) / 3, theme)
    (axes,) = new_axes(figure, theme)
    for index, (name, rows) in enumerate(courses.items()):
        where, steps = ([row[key] for row in rows] for key in ("batch", "computed_steps"))
        axes.plot(where, steps, linewidth=2, label=NAMES.get(name, name), **theme.line(index))
    axes.set_ylim(bottom=0)
    label(axes, theme, x="batch")
    legend(axes, theme)
    return figure


def draw_grid(grid: Array, clock: Clock, theme: Theme = LIGHT) -> "Figure":
    """Draws networks trained with different θ and β, each at its own θ: a line per β.

    Args:
        grid: θ, β, mean step and accuracy of each network [G, 4].
        clock: conversion of steps to times.
        theme: colors.

    Example:
        >>> grid = np.array([[0.9, 0.1, 3, 0.8]])
        >>> draw_grid(grid, Clock(1, 1, "steps")).axes[0].texts[0].get_text()
        '0.9'
    """
    figure = new_figure(3.6, theme)
    (axes,) = new_axes(figure, theme)
    for index, weight in enumerate(np.unique(grid[:, 1])):
        mine = grid[grid[:, 1] == weight]
        mine = mine[mine[:, 0].argsort()]
        times, right = clock(mine[:, 2]), 100 * mine[:, 3]
        style = theme.line(index)
        axes.plot(times, right, "o", linewidth=1.5, label=f"β = {weight:g}", **style)
        for theta, x, y in zip(mine[:, 0], times, right, strict=True):
            axes.annotate(
                f"{theta:g}",
                (x, y),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=SMALL - 2,
                color=style["color"],
            )
    axes.margins(x=0.08)
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x=f"mean time of the answer, {clock.unit}")
    legend(axes, theme)
    return figure


def draw_word(
    bands: Array,
    probabilities: Array,
    words: list[str],
    moment: float,
    clock: Clock,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws a recording's spectrogram, and below it the probabilities of words, up to the answer.

    Args:
        bands: energies of the bands, in standard units [T, bands].
        probabilities: probabilities at each frame [T, words].
        words: names of the words.
        moment: frame of the answer.
        clock: conversion of frames to times.
        theme: colors.

    Example:
        >>> chances = np.array([[0.6, 0.4], [0.1, 0.9]])
        >>> figure = draw_word(np.zeros((2, 8)), chances, ["no", "yes"], 1, Clock(25, 10, "ms"))
        >>> [line.get_label() for line in figure.axes[1].lines[:2]]
        ['yes', 'no']
    """
    from matplotlib.colors import LinearSegmentedColormap

    figure = new_figure(4.2, theme)
    above, below = new_axes(figure, theme, rows=2)
    times = clock(np.arange(len(bands)))
    colors = LinearSegmentedColormap.from_list("shade", theme.shade)
    above.grid(visible=False)
    above.pcolormesh(times, np.arange(bands.shape[1]), bands.T, cmap=colors, shading="nearest")
    above.set_yticks([])
    label(above, theme, title="loudness of each band, low ones below")
    best = probabilities.max(axis=0).argsort()[::-1][:5]
    for index, word in enumerate(best):
        chance = 100 * probabilities[:, word]
        below.plot(times, chance, linewidth=2, label=words[word], **theme.line(index))
    for axes in (above, below):
        axes.axvline(float(clock(moment)), color=theme.ink, linewidth=1.5, linestyle=":")
    below.yaxis.set_major_formatter("{x:g} %")
    label(below, theme, x=f"{clock.unit} from the recording's beginning", title="probability")
    legend_above(below, theme)
    return figure


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run of rank-mnist or rank-speech has data for.

    Example:
        >>> from pathlib import Path
        >>> panels(RunData(Path("run"), {}, [], {}))
        []
    """
    data = run.result.get("data", {})
    first, each = data.get("frame_ms") or (1, 1)
    clock = Clock(first, each, "ms" if "frame_ms" in data else "steps")
    makers = (_word, _trade_off, _times, _fixed, _grid)
    found = [*(make(run, clock) for make in makers), _work(run)]
    return [panel for panel in found if panel] + plain_curves(run)


def _of(run: RunData, kind: str) -> dict[str, Array]:
    """Returns arrays of a kind, by network."""
    found = {name: run.arrays.get(f"{name}.{kind}") for name in NAMES}
    return {name: array for name, array in found.items() if array is not None and len(array)}


def _trade_off(run: RunData, clock: Clock) -> Panel | None:
    curves = _of(run, "curve")
    if not curves:
        return None
    ends = "; ".join(
        f"{NAMES[name]}: {percent(curve[:, 1].max())} at best" for name, curve in curves.items()
    )
    together = (
        f"“{NAMES['rank']}” joins the best readings, by validation, of many networks with settings "
        f"of their own; “{NAMES['chosen']}” is the one of them that is compared with the others. "
        if "rank" in curves
        else ""
    )
    return Panel(
        name="accuracy-time",
        title="Accuracy against time",
        caption="Each point is a threshold: the higher it is, the later answers come, and the more "
        "of them are right. Networks differ in what they were trained for: the answer at the first "
        "crossing of the threshold, that at the last step, or those at all steps. "
        f"{together}{ends}.",
        alt=f"Line plot of accuracy against mean time of the answer, a line per network; {ends}.",
        draw=lambda theme: draw_trade_off(curves, clock, theme),
    )


def _times(run: RunData, clock: Clock) -> Panel | None:
    counts = _of(run, "steps")
    if not counts:
        return None
    return Panel(
        name="decision-times",
        title="When answers come",
        caption="Share of the test's answers at each time at which the threshold is crossed first. "
        "Those that never cross it count with the last step, and are not drawn.",
        alt=f"Histograms of decision times of {len(counts)} networks.",
        draw=lambda theme: draw_times(counts, clock, theme),
    )


def _fixed(run: RunData, clock: Clock) -> Panel | None:
    curves = _of(run, "fixed")
    if not curves:
        return None
    return Panel(
        name="fixed-time",
        title="All read at the same time",
        caption="Share of right answers if nobody waits for a threshold, and all answers are read "
        "at the same time.",
        alt="Line plot of accuracy against the time of reading, a line per network.",
        draw=lambda theme: draw_fixed(curves, clock, theme),
    )


def _grid(run: RunData, clock: Clock) -> Panel | None:
    grid = run.arrays.get("grid")
    if grid is None or not len(grid):
        return None
    return Panel(
        name="threshold-entropy",
        title="Threshold and entropy in training",
        caption="Each point is a network trained with a threshold θ, the number beside it, and a "
        "weight β of the reward for entropy; it answers at its own threshold.",
        alt="Accuracy against mean time of the answer of networks trained with different θ and β.",
        draw=lambda theme: draw_grid(grid, clock, theme),
    )


def _word(run: RunData, clock: Clock) -> Panel | None:
    parts = [run.arrays.get(f"word.{kind}") for kind in ("bands", "probabilities", "answer")]
    bands, probabilities, answer = parts
    if bands is None or probabilities is None or answer is None:
        return None
    words = [str(word) for word in run.result["data"]["classes"]]
    step, said = int(answer[0]), words[int(answer[1])]
    when = f"{float(clock(step)):.0f} {clock.unit}"
    return Panel(
        name="word",
        title="A word as it is heard",
        caption=f"Above, how loud each band of the recording is; below, the network's "
        f"probabilities of the likeliest words. Its answer, “{said}”, came after {when}, at the "
        "dotted line; what comes later it need not compute.",
        alt=f"Spectrogram and probabilities over time; the answer {said} after {when}.",
        draw=lambda theme: draw_word(bands, probabilities, words, step, clock, theme),
    )


def _work(run: RunData) -> Panel | None:
    phases = dict.fromkeys(str(row["phase"]) for row in run.rows if "computed_steps" in row)
    courses = {name: series(run.rows, name, "batch", ["computed_steps"]) for name in phases}
    falls = {
        name: rows
        for name, rows in courses.items()
        if rows and min(row["computed_steps"] for row in rows) < rows[0]["computed_steps"]
    }
    if not falls:
        return None
    drawn = dict(list(falls.items())[:MOST_LINES])
    return Panel(
        name="computed-steps",
        title="Less and less to compute",
        caption="Steps that are computed for a sequence in training, forwards and as many "
        "backwards. What comes after the answer is skipped, so that an epoch takes less time the "
        "earlier answers come.",
        alt=f"Line plot of computed steps in training, {len(drawn)} networks.",
        draw=lambda theme: draw_work(drawn, theme),
    )
