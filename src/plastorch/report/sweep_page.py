"""Page of a sweep: its table, its figure, and links to its runs."""

from collections.abc import Sequence
from statistics import fmean
from urllib.parse import quote

from plastorch.engine.sweep_plan import Sweep, Trial
from plastorch.report import html
from plastorch.report.format import date, duration, headline, measure, plain
from plastorch.report.panel import Panel
from plastorch.report.sweep_figure import (
    MOST_SERIES,
    along_which,
    draw_grid,
    name_of,
    series_of,
    words_of,
)
from plastorch.report.sweep_table import MEASURED, Line, result_of, table


def grid_panel(lines: Sequence[Line]) -> Panel | None:
    """Returns the figure of a sweep, if anything was measured.

    Example:
        >>> grid_panel([Line({}, None, [], [], 1, 0, [], [])])
    """
    lines = [line for line in lines if line.figures]
    if not lines:
        return None
    along, metric = along_which(lines), name_of(lines)
    title = f"{metric} against {plain(along)}" if along else metric
    best = max(lines, key=lambda line: fmean(line.figures))
    highest = f"The highest mean, {best.measured}, has {words_of(best.values)}. " if along else ""
    left_out = len(series_of(lines, along)) - MOST_SERIES
    return Panel(
        name="sweep",
        title=title[:1].upper() + title[1:],
        caption=f"{MEASURED.capitalize()} over seeds; small points are single runs. {highest}"
        + (f"The first {MOST_SERIES} lines only." if left_out > 0 and along else ""),
        alt=f"Plot of {title}. {highest}",
        draw=lambda theme: draw_grid(lines, theme),
    )


def grid_body(sweep: Sweep, lines: Sequence[Line], drawn: str) -> str:
    """Returns the HTML of the page's main part.

    Args:
        sweep: plan of the sweep.
        lines: measured values.
        drawn: HTML of the figure.
    """
    walls = [seconds for line in lines for seconds in line.wall_s]
    pairs = [
        ("Settings", str(len(sweep.settings))),
        ("Seeds", ", ".join(str(seed) for seed in dict.fromkeys(t.seed for t in sweep.trials))),
        ("CPUs per run", str(sweep.cpus)),
        ("Time per run", duration(fmean(walls)) if walls else "–"),
        ("Time of all runs", duration(sum(walls)) if walls else "–"),
        ("Started", date(sweep.path.resolve().name)),
    ]
    done = len(sweep.trials) - len(sweep.waiting())
    notes = dict.fromkeys(note for line in lines for note in line.notices)
    sections = [
        f'<header><div class="eyebrow">{_marks(sweep, done)}</div>'
        f"<h1>{html.text(sweep.experiment)}</h1>"
        f'<p class="lead">A sweep over {html.text(_swept(sweep))}.</p></header>',
        html.without_figures(),
        *(html.banner("Not the full data.", note) for note in notes),
        _unfinished(sweep) if done < len(sweep.trials) else "",
        '<section class="hero card" aria-label="In short"><div class="score">'
        f"<strong>{done}</strong><span>of {len(sweep.trials)} runs are done</span></div>"
        f"{html.facts(pairs)}</section>",
        f'<h2>Settings</h2><p class="muted verdict">{MEASURED.capitalize()} over seeds.</p>'
        + html.plain_table(table(lines)),
        f"<h2>Figure</h2>{drawn}" if drawn else "",
        "<h2>Runs</h2>" + _runs(sweep),
    ]
    return "\n".join(section for section in sections if section)


def in_short(sweep: Sweep) -> str:
    """Returns the swept settings and the progress in one line."""
    done = len(sweep.trials) - len(sweep.waiting())
    return f"{_swept(sweep)}; {done} of {len(sweep.trials)} runs done"


def _swept(sweep: Sweep) -> str:
    several = [plain(name) for name, values in sweep.fields.items() if len(values) > 1]
    seeds = len({trial.seed for trial in sweep.trials})
    return ", ".join([*several, f"{seeds} seed{'s' * (seeds != 1)}"])


def _marks(sweep: Sweep, done: int) -> str:
    marks = [html.mark("good", "complete")] if done == len(sweep.trials) else []
    if done < len(sweep.trials):
        marks.append(html.mark("warn", "not finished"))
    if any(setting.get("quick") for setting in sweep.settings):
        marks.append(html.mark("warn", "smoke runs"))
    return "".join(marks)


def _unfinished(sweep: Sweep) -> str:
    return html.banner(
        "This sweep has not finished.",
        "It is still running, was interrupted, or runs have failed. To go on where it stopped:",
        f"plastorch sweep {sweep.experiment} --resume {sweep.path}",
    )


def _runs(sweep: Sweep) -> str:
    """Returns a table of all runs; finished ones link to their page."""
    rows = "\n".join(_row(sweep, trial) for trial in sweep.trials)
    return f'<details class="card"><summary>All runs</summary><table>{rows}</table></details>'


def _row(sweep: Sweep, trial: Trial) -> str:
    values = {**sweep.values(trial), "seed": trial.seed}
    result = result_of(sweep, trial)
    if result is None:
        found = html.text(sweep.failed.get(trial.run, "not done"))
    else:
        head = headline(result["metrics"])
        figure = f"{plain(head[0])} {measure(*head)}" if head else "done"
        url = html.text(quote(f"../../{trial.run}/report.html"))
        found = f'<a href="{url}">{html.text(figure)}</a>'
    return f'<tr><th scope="row">{html.text(words_of(values))}</th><td>{found}</td></tr>'
