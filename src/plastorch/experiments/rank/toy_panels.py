"""Figures of rank coding on the toy tasks, beside observers that know how the tasks are made."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from plastorch.experiments.rank.timing_panels import Clock, answers, timed
from plastorch.report import charts
from plastorch.report.load import Array, RunData, columns, series
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

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


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run of rank-toy has data for."""
    found = [make(run, task) for make in (_observed, _training, _times) for task in TASKS]
    return with_curves(run, [*found, _noise(run), _lag(run)], "|".join(NAMES))


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
    grays = zip(limits, ("ink", "muted"), strict=False)
    lines = {
        name: replace(timed(limits[name], STEPS, dots=False), color=gray, width=1.2)
        for name, gray in grays
    } | {name: timed(curve, STEPS, dots=name != FIXED) for name, curve in curves.items()}
    rules = (
        " The best rules also weigh what waiting can still bring; a constant threshold is not "
        "optimal, and networks may be above its line."
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
        draw=lambda theme: charts.lines(
            {"": lines},
            x="mean time of the answer, steps",
            height=3.4,
            y_unit="%",
            y_range=(LEAST[task], None),
            theme=theme,
        ),
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
        draw=lambda theme: charts.lines(
            answers(counts, STEPS),
            x="time of the crossing, steps",
            y_unit="%",
            y_range=(0, None),
            theme=theme,
        ),
    )


def _training(run: RunData, task: str) -> Panel | None:
    fields = ["mean_step", "computed_steps"]
    rows = {
        name: series(run.rows, name, "batch", fields) for name in NAMES if name.startswith(task)
    }
    courses = {NAMES[name]: found for name, found in rows.items() if found}
    if not courses:
        return None
    parts = {
        title: {
            name: columns(found, "batch", field) + np.array([[0], [first]])
            for name, found in courses.items()
        }
        for title, field, first in (
            ("steps to the answer", "mean_step", 1),
            ("computed steps", "computed_steps", 0),
        )
    }
    ends = "; ".join(
        f"{name}: {steps[-1]:.1f}" for name, (_, steps) in parts["steps to the answer"].items()
    )
    return Panel(
        name=f"{task}-training",
        title=f"{TASKS[task]} Earlier and earlier",
        caption="Mean time of the first crossing on training sequences, which are always new; and "
        "steps that were computed for each. Networks that are trained at the first crossing skip "
        f"what comes after it. Steps to the answer at the end: {ends}.",
        alt=f"Two line plots: steps to the answer, and computed steps; at the end {ends}.",
        draw=lambda theme: charts.lines(parts, x="updates", y_range=(0, None), theme=theme),
    )


def _noise(run: RunData) -> Panel | None:
    quarters = _of(run, "signal", "noise") | _of(run, "signal", "noise", OBSERVERS)
    if len(quarters) < 2:
        return None
    count = len(next(iter(quarters.values())))
    low, high = 0.05, 0.25
    levels = low + (high - low) * (np.arange(count) + 0.5) / count
    first = next(iter(quarters))
    curves = {
        name: [levels, *STEPS(found[:, [1, 0, 2] if name == first else [1]]).T]
        for name, found in quarters.items()
    }
    parts = {"steps to the answer": curves}
    return Panel(
        name="signal-noise",
        title="Noisier signals are answered later",
        caption="Median time of the answer at the first crossing, for signals sorted by the "
        f"standard deviation of their noise; the band is the middle half of “{first}”.",
        alt=f"Line plot of the time of the answer against noise: {', '.join(quarters)}.",
        draw=lambda theme: charts.lines(parts, x="σ of the noise", y_range=(0, 41), theme=theme),
    )


def _lag(run: RunData) -> Panel | None:
    counts = {name: found for name, found in _of(run, "runs", "lag").items() if found.sum()}
    if not counts:
        return None
    shares = {
        name: np.stack([np.arange(len(found)), 100 * found / found.sum()])
        for name, found in counts.items()
    }
    means = "; ".join(
        f"{name}: {np.average(np.arange(len(found)), weights=found):.2f} steps"
        for name, found in counts.items()
    )
    return Panel(
        name="runs-lag",
        title="How soon a run is recognized",
        caption="Steps from the fifth equal bit to the answer, for answers that are correct and "
        f"not early by luck. On average, {means}.",
        alt=f"Line plot of the share of answers by their lag; on average, {means}.",
        draw=lambda theme: charts.lines(
            {"": shares}, x="steps after the run's last bit", y_unit="%", theme=theme
        ),
    )
