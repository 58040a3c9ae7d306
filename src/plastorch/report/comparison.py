"""Page that compares runs: what was measured, and their curves in common figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from plastorch.report import charts
from plastorch.report.format import duration, headline, measure, plain
from plastorch.report.html import render
from plastorch.report.load import RunData, columns, series
from plastorch.report.panel import Drawn, Panel
from plastorch.report.panels import counter_of, moving_fields

MOST_RUNS = 6
"""Maximum number of lines that can be told apart."""


def names_of(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a name for each run: its experiment, settings and seed, where they differ.

    Args:
        results: contents of each run's result.json.

    Returns:
        A different name for each; equal runs are numbered.

    Example:
        >>> base = {"experiment": "e", "config": {"seed": 0, "depth": 3}}
        >>> names_of([base, {"experiment": "e", "config": {"seed": 1, "depth": 3}}, base])
        ['seed 0 (1)', 'seed 1', 'seed 0 (2)']
    """
    settings = [{"experiment": each["experiment"], **each["config"]} for each in results]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    texts = [{key: _text(setting.get(key)) for key in keys} for setting in settings]
    apart = [key for key in keys if len({text[key] for text in texts}) > 1]
    names = [", ".join(_named(key, text[key]) for key in apart) or "run" for text in texts]
    return [
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def comparison_panels(runs: Mapping[str, RunData]) -> list[Panel]:
    """Returns the curves that two runs or more have logged, a panel for each phase.

    Args:
        runs: runs by name.
    """
    phases = dict.fromkeys(
        row["phase"]
        for run in runs.values()
        for row in run.rows
        if isinstance(row.get("phase"), str)
    )
    panels = [_panel(runs, phase, number) for number, phase in enumerate(phases, start=1)]
    return [panel for panel in panels if panel]


def comparison_page(
    runs: Mapping[str, RunData], pages: Sequence[PurePath], drawn: Sequence[Drawn]
) -> str:
    """Returns the page.

    Args:
        runs: runs by name.
        pages: page of each run, relative to this one.
        drawn: figures.
    """
    heads = {name: headline(run.result["metrics"]) for name, run in runs.items()}
    metrics = list(dict.fromkeys(head[0] for head in heads.values() if head))
    rows = [
        {
            "name": name,
            "page": page,
            "figures": [measure(metric, run.result["metrics"].get(metric)) for metric in metrics],
            "wall": duration(run.result.get("wall_s")),
            "result": run.result,
        }
        for (name, run), page in zip(runs.items(), pages, strict=True)
    ]
    headings = [plain(metric) for metric in metrics]
    experiments = list(dict.fromkeys(run.result["experiment"] for run in runs.values()))
    return render(
        "comparison.html",
        experiments=experiments,
        headings=headings,
        columns=[
            ("Run", "statement"),
            *((heading, "figure measured") for heading in headings),
            ("Time", "figure"),
            ("Status", "outcome"),
        ],
        rows=rows,
        drawn=drawn,
    )


def _panel(runs: Mapping[str, RunData], phase: str, number: int) -> Panel | None:
    """Returns the curves of a phase; a field that one run alone has logged is left out."""
    mine = {
        name: [row for row in run.rows if row.get("phase") == phase] for name, run in runs.items()
    }
    mine = {
        name: rows for name, rows in mine.items() if rows and not any("layer" in r for r in rows)
    }
    x = counter_of([row for rows in mine.values() for row in rows])
    if x is None or len(mine) < 2:
        return None
    moving = {name: moving_fields(series(rows, phase, x, [])) for name, rows in mine.items()}
    fields = dict.fromkeys(field for each in moving.values() for field in each)
    parts = {
        plain(field): {
            name: columns(series(rows, phase, x, [field]), x, field)
            for name, rows in mine.items()
            if field in moving[name]
        }
        for field in fields
    }
    parts = {title: curves for title, curves in parts.items() if len(curves) > 1}
    if not parts:
        return None
    listed = ", ".join(parts)
    return Panel(
        name=f"comparison-{number}",
        title=f"Course of “{phase}”",
        caption=f"As logged: {listed}, each against {x}.",
        alt=f"Line plots of {listed} against {x}, a line for each of {len(mine)} runs.",
        draw=lambda theme: charts.lines(parts, x=x, theme=theme),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _named(key: str, text: str) -> str:
    return text if key == "experiment" else f"{plain(key)} {text}"
