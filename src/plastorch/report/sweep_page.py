"""Page of a sweep: its table, its figure, and links to its runs."""

from collections.abc import Sequence
from statistics import fmean

from plastorch.engine.sweep_plan import Sweep, Trial
from plastorch.report.format import date, duration, headline, measure, plain
from plastorch.report.html import render
from plastorch.report.panel import Drawn, Panel
from plastorch.report.sweep_figure import (
    MOST_SERIES,
    along_which,
    draw_grid,
    name_of,
    series_of,
    words_of,
)
from plastorch.report.sweep_table import MEASURED, SweepRow, result_of, table


def grid_panel(lines: Sequence[SweepRow]) -> Panel | None:
    """Returns the figure of a sweep, if anything was measured.

    Example:
        >>> grid_panel([SweepRow({}, None, [], [], 1, 0, [], [])])
    """
    lines = [line for line in lines if line.figures]
    if not lines:
        return None
    along, metric = along_which(lines), name_of(lines)
    title = f"{metric} against {plain(along)}" if along else metric
    best = max(lines, key=lambda line: fmean(line.figures))
    highest = f"The highest mean, {best.measured}, is at {words_of(best.values)}. " if along else ""
    left_out = len(series_of(lines, along)) - MOST_SERIES
    return Panel(
        name="sweep",
        title=title[:1].upper() + title[1:],
        caption=f"{MEASURED.capitalize()} over seeds; small points are single runs. {highest}"
        + (f"The first {MOST_SERIES} lines only." if left_out > 0 and along else ""),
        alt=f"Plot of {title}. {highest}",
        draw=lambda theme: draw_grid(lines, theme),
    )


def grid_page(sweep: Sweep, lines: Sequence[SweepRow], drawn: Drawn | None, back: bool) -> str:
    """Returns the page.

    Args:
        sweep: plan of the sweep.
        lines: measured values.
        drawn: the figure, if there is one.
        back: whether there is a gallery to link.
    """
    walls = [seconds for line in lines for seconds in line.wall_s]
    headings, *rows = table(lines)
    return render(
        "sweep.html",
        back=back,
        sweep=sweep,
        swept=_swept(sweep),
        done=_done(sweep),
        quick=any(setting.get("quick") for setting in sweep.settings),
        notices=dict.fromkeys(note for line in lines for note in line.notices),
        facts=[
            ("Settings", len(sweep.settings)),
            ("Seeds", ", ".join(map(str, dict.fromkeys(t.seed for t in sweep.trials)))),
            ("CPUs per run", sweep.cpus),
            ("Time per run", duration(fmean(walls) if walls else None)),
            ("Time of all runs", duration(sum(walls) if walls else None)),
            ("Started", date(sweep.path.resolve().name)),
        ],
        measured=MEASURED,
        headings=[(heading, "") for heading in headings],
        rows=rows,
        drawn=drawn,
        runs=[_run(sweep, trial) for trial in sweep.trials],
    )


def in_short(sweep: Sweep) -> str:
    """Returns the swept settings and the progress in one line."""
    return f"{_swept(sweep)}; {_done(sweep)} of {len(sweep.trials)} runs done"


def _done(sweep: Sweep) -> int:
    return len(sweep.trials) - len(sweep.waiting())


def _swept(sweep: Sweep) -> str:
    several = [plain(name) for name, values in sweep.fields.items() if len(values) > 1]
    seeds = len({trial.seed for trial in sweep.trials})
    return ", ".join([*several, f"{seeds} seed{'s' * (seeds != 1)}"])


def _run(sweep: Sweep, trial: Trial) -> tuple[str, str, str]:
    """Returns the settings of a run, what it measured, and its page if it has finished."""
    settings = words_of({**sweep.values(trial), "seed": trial.seed})
    result = result_of(sweep, trial)
    if result is None:
        return settings, sweep.failed.get(trial.run, "not done"), ""
    head = headline(result["metrics"])
    found = f"{plain(head[0])} {measure(*head)}" if head else "done"
    return settings, found, f"{trial.run}/report.html"
