"""Figures of when networks answer and how well: images in time, spoken words."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Line, Matrix, Plot
from plastorch.report.format import percent
from plastorch.report.load import Array, RunData, columns, series
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

NAMES = {
    "rank": "rank-coded, best of all",
    "chosen": "rank-coded",
    "last": "last step",
    "all": "all steps",
    "hybrid": "answers held",
    "cost": "expected price",
    "convolutional": "convolutions",
    "lstm-rank": "LSTM, rank-coded",
    "lstm-beta5": "the same, β = 0.05",
    "lstm-beta10": "the same, β = 0.1",
    "lstm-last": "LSTM, last step",
    "lstm-all": "LSTM, all steps",
    "lstm-hybrid": "LSTM, answers held",
    "lstm-cost": "LSTM, expected price",
    "lstm-varied-rank": "LSTM, rank-coded, varied images",
    "lstm-varied-last": "LSTM, last step, varied images",
    "lstm-varied-all": "LSTM, all steps, varied images",
    "lstm-varied-hybrid": "LSTM, answers held, varied images",
    "lstm-varied-cost": "LSTM, expected price, varied images",
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


def timed(curve: Array, clock: Clock, *, dots: bool = True) -> Line:
    """Returns the line of accuracy, in per cent, against the mean time of the answer.

    The curve has mean step from 0 and accuracy of each threshold [K, 2 or more].
    """
    mean = curve[curve[:, 0].argsort()]
    return Line(x=clock(mean[:, 0]), y=100 * mean[:, 1], marker="o" if dots else "")


def answers(counts: Mapping[str, Array], clock: Clock) -> dict[str, dict[str, Array]]:
    """Returns bands of right answers, and of wrong ones on top of them, in per cent by time.

    Counts are numbers of right and of wrong answers at each step, then of those without a crossing
    [2, T + 1], by name.
    """
    parts = {}
    for name, found in counts.items():
        right, wrong = 100 * found / max(1, found.sum())
        times, none = clock(np.arange(len(right) - 1)), np.zeros(len(right) - 1)
        low, high = right[:-1], (right + wrong)[:-1]
        parts[f"{name}, {right[-1] + wrong[-1]:.0f} % without crossing"] = {
            "right": np.stack([times, low, none, low]),
            "wrong": np.stack([times, high, low, high]),
        }
    return parts


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run of rank-mnist or rank-speech has data for."""
    data = run.result.get("data", {})
    first, each = data.get("frame_ms") or (1, 1)
    clock = Clock(first, each, "ms" if "frame_ms" in data else "steps")
    makers = (_word, _trade_off, _times, _fixed, _grid)
    found = [*(make(run, clock) for make in makers), _work(run)]
    return with_curves(run, found)


def _of(run: RunData, kind: str) -> dict[str, Array]:
    """Returns arrays of a kind, by the network's name in figures."""
    found = {title: run.arrays.get(f"{name}.{kind}") for name, title in NAMES.items()}
    return {title: array for title, array in found.items() if array is not None and len(array)}


def _trade_off(run: RunData, clock: Clock) -> Panel | None:
    curves = _of(run, "curve")
    if not curves:
        return None
    ends = "; ".join(
        f"{name}: {percent(curve[:, 1].max())} at best" for name, curve in curves.items()
    )
    together = (
        f"“{NAMES['rank']}” joins the best readings, by validation, of many networks with "
        f"different settings; “{NAMES['chosen']}” is the one that is compared with the others. "
        if NAMES["rank"] in curves
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
        draw=lambda theme: charts.lines(
            {"": {name: timed(curve, clock) for name, curve in curves.items()}},
            x=f"mean time of the answer, {clock.unit}",
            y_unit="%",
            theme=theme,
        ),
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
        draw=lambda theme: charts.lines(
            answers(counts, clock),
            x=f"time of the crossing, {clock.unit}",
            y_unit="%",
            y_range=(0, None),
            theme=theme,
        ),
    )


def _fixed(run: RunData, clock: Clock) -> Panel | None:
    found = _of(run, "fixed")
    if not found:
        return None
    curves = {
        name: np.stack([clock(np.arange(len(right))), 100 * right]) for name, right in found.items()
    }
    return Panel(
        name="fixed-time",
        title="All read at the same time",
        caption="Share of correct answers if there is no threshold, and all answers are read at "
        "the same time.",
        alt="Line plot of accuracy against the time of reading, a line per network.",
        draw=lambda theme: charts.lines(
            {"": curves}, x=f"time of reading, {clock.unit}", y_unit="%", theme=theme
        ),
    )


def _grid(run: RunData, clock: Clock) -> Panel | None:
    grid = run.arrays.get("grid")
    if grid is None or not len(grid):
        return None
    curves = {}
    for weight in np.unique(grid[:, 1]):
        theta, _, steps, right = grid[grid[:, 1] == weight][:, :4].T
        order = theta.argsort()
        curves[f"β = {weight:g}"] = Line(
            x=clock(steps[order]),
            y=100 * right[order],
            marker="o",
            labels=[f"{each:g}" for each in theta[order]],
        )
    return Panel(
        name="threshold-entropy",
        title="Threshold and entropy in training",
        caption="Each point is a network trained with a threshold θ, the number beside it, and a "
        "weight β of the reward for entropy; it answers at its own threshold.",
        alt="Accuracy against mean time of the answer of networks trained with different θ and β.",
        draw=lambda theme: charts.lines(
            {"": curves}, x=f"mean time of the answer, {clock.unit}", y_unit="%", theme=theme
        ),
    )


def _word(run: RunData, clock: Clock) -> Panel | None:
    parts = [run.arrays.get(f"word.{kind}") for kind in ("bands", "probabilities", "answer")]
    bands, probabilities, answer = parts
    if bands is None or probabilities is None or answer is None:
        return None
    words = [str(word) for word in run.result["data"]["classes"]]
    step, said = int(answer[0]), words[int(answer[1])]
    times, moment = clock(np.arange(len(bands))), float(clock(step))
    likeliest = probabilities.max(axis=0).argsort()[::-1][:5]
    chances = [
        Line(x=times, y=100 * probabilities[:, word], name=words[word], marker="")
        for word in likeliest
    ]
    plots = (
        Plot(
            marks=[Matrix(values=bands.T, x=times)],
            title="loudness of each band, low ones below",
            y_ticks={},
            at_x=[moment],
        ),
        Plot(
            marks=chances,
            title="probability",
            x=f"{clock.unit} from the recording's beginning",
            y_unit="%",
            at_x=[moment],
        ),
    )
    when = f"{moment:.0f} {clock.unit}"
    return Panel(
        name="word",
        title="A word as it is heard",
        caption=f"Top: how loud each band of the recording is; bottom: the network's "
        f"probabilities of the likeliest words. Its answer, “{said}”, came after {when}, at the "
        "dashed line; later steps need not be computed.",
        alt=f"Spectrogram and probabilities over time; the answer {said} after {when}.",
        draw=lambda theme: charts.chart(*plots, theme=theme),
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
    curves = {
        NAMES.get(name, name): columns(rows, "batch", "computed_steps")
        for name, rows in list(falls.items())[:MOST_LINES]
    }
    return Panel(
        name="computed-steps",
        title="Less and less to compute",
        caption="Steps that are computed for a sequence in training, in the forward pass and again "
        "in the backward pass. Steps after the answer are skipped, so the earlier answers come, "
        "the less time an epoch takes.",
        alt=f"Line plot of computed steps in training, {len(curves)} networks.",
        draw=lambda theme: charts.lines({"": curves}, x="batch", y_range=(0, None), theme=theme),
    )
