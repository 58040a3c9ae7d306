"""Measured values of a sweep: a line per setting, a row per run, as tables of text."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from plastorch.engine.sweep_plan import Sweep, Trial, shown
from plastorch.report.format import duration, headline, mean_and_sd, plain
from plastorch.report.load import load_result

MEASURED = "mean ± sd"


@dataclass(frozen=True)
class SweepRow:
    """Measured values of the runs of one setting; unfinished ones don't count.

    Args:
        values: values of the grid's fields.
        metric: headline metric of the experiment, or None if nothing was measured.
        figures: values of the metric, one per seed.
        seeds: seeds of the finished runs.
        planned: number of planned runs.
        failed: number of failed runs.
        wall_s: seconds per run.
        notices: remarks of runs on their data.
    """

    values: dict[str, Any]
    metric: str | None
    figures: Sequence[float]
    seeds: Sequence[int]
    planned: int
    failed: int
    wall_s: Sequence[float]
    notices: Sequence[str]

    @property
    def measured(self) -> str:
        """Mean ± sd over seeds; accuracies in per cent.

        Example:
            >>> SweepRow({}, "test_accuracy", [0.5, 0.75], [0, 1], 2, 0, [1.0, 2.0], []).measured
            '62.50 ± 17.68\\xa0%'
        """
        return mean_and_sd(self.metric or "", self.figures)


def result_of(sweep: Sweep, trial: Trial) -> dict[str, Any] | None:
    """Returns the checked result of a finished run; None for any other.

    Raises:
        InputError: the run's ``result.json`` is damaged.
    """
    run = sweep.folder(trial)
    return None if run.finished() is None else {"wall_s": 0.0, **load_result(run.path)}


def lines_of(sweep: Sweep) -> list[SweepRow]:
    """Returns a line per setting, in the order of the grid."""
    lines = []
    for setting in range(len(sweep.settings)):
        trials = [trial for trial in sweep.trials if trial.setting == setting]
        done = [(t, r) for t in trials if (r := result_of(sweep, t)) is not None]
        heads = [(t.seed, head) for t, r in done if (head := headline(r["metrics"]))]
        finished = {trial.run for trial, _ in done}
        lines.append(
            SweepRow(
                values={name: sweep.settings[setting][name] for name in sweep.fields},
                metric=heads[0][1][0] if heads else None,
                figures=[figure for _, (_, figure) in heads],
                seeds=[seed for seed, _ in heads],
                planned=len(trials),
                failed=sum(t.run in sweep.failed and t.run not in finished for t in trials),
                wall_s=[result["wall_s"] for _, result in done],
                notices=[note for _, result in done if (note := result["data"].get("notice"))],
            )
        )
    return lines


def table(lines: Sequence[SweepRow]) -> list[list[str]]:
    """Returns the results table in words, with its heading first.

    Example:
        >>> line = SweepRow({"depth": 2}, "reward", [3.0], [0], 2, 1, [5.0], [])
        >>> for row in table([line]):
        ...     print(row)
        ['depth', 'reward', 'seeds', 'wall time']
        ['2', '3', '1 of 2, 1 failed', '5.00\\xa0s']
    """
    metrics = dict.fromkeys(line.metric for line in lines if line.metric)
    name = plain(next(iter(metrics))) if len(metrics) == 1 else "measured"
    rows = [[*map(plain, lines[0].values), name, "seeds", "wall time"]]
    for line in lines:
        what = f"{line.measured} {plain(line.metric)}" if len(metrics) > 1 and line.metric else ""
        count = len(line.figures)
        seeds = str(count) if count == line.planned else f"{count} of {line.planned}"
        if line.failed:
            seeds += f", {line.failed} failed"
        wall = duration(fmean(line.wall_s)) if line.wall_s else "–"
        rows.append([*map(shown, line.values.values()), what or line.measured, seeds, wall])
    return rows


def settings_csv(lines: Sequence[SweepRow]) -> str:
    """Returns the same as CSV: the grid's fields, metric, mean, sd, seeds, seconds per run."""
    names = list(lines[0].values)
    heading = [*names, "metric", "mean", "sd", "seeds", "planned", "failed", "wall_s"]
    rows = [
        [
            *map(shown, line.values.values()),
            line.metric,
            fmean(line.figures) if line.figures else None,
            stdev(line.figures) if len(line.figures) > 1 else None,
            len(line.figures),
            line.planned,
            line.failed,
            round(fmean(line.wall_s), 2) if line.wall_s else None,
        ]
        for line in lines
    ]
    return _csv([heading, *rows])


def runs_csv(sweep: Sweep) -> str:
    """Returns a row per run: fields, seed, state, folder, why it failed, and all its metrics."""
    found = [(trial, result_of(sweep, trial)) for trial in sweep.trials]
    metrics = list(dict.fromkeys(name for _, r in found if r for name in r["metrics"]))
    rows: list[list[Any]] = [
        [*sweep.fields, "seed", "state", "run", "why", "wall_s", *metrics],
    ]
    for trial, result in found:
        why = sweep.failed.get(trial.run) if result is None else None
        state = "done" if result else "failed" if why else "not done"
        measured = [result["metrics"].get(name) if result else None for name in metrics]
        wall = result["wall_s"] if result else None
        values = map(shown, sweep.values(trial).values())
        rows.append([*values, trial.seed, state, trial.run, why, wall, *measured])
    return _csv(rows)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
