"""Page of a run: what was measured, what it claims, its figures, and the fine print."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plastorch.report import html
from plastorch.report.format import date, duration, headline, measure, number, plain, verdict
from plastorch.report.load import RunData


def run_body(run: RunData, drawn: list[str]) -> str:
    """Returns the HTML of the page's main part.

    Args:
        run: data of the run.
        drawn: HTML of the figures, most telling first.
    """
    result, name = run.result, run.path.resolve().name
    sections = [
        _header(result),
        _banners(run.path, result),
        _hero(name, result),
        _claims(result),
        _figures(drawn),
        _times(result["metrics"]),
        _fine_print(result),
        f"<footer>Drawn from the files of the run {html.text(name)}.</footer>",
    ]
    return "\n".join(section for section in sections if section)


def _header(result: Mapping[str, Any]) -> str:
    marks = html.status_marks(result)
    if result["complete"]:
        marks = html.mark("good", "complete") + marks
    return (
        f'<header><div class="eyebrow">{marks}</div>'
        f"<h1>{html.text(result['experiment'])}</h1>"
        f'<p class="lead">{html.text(result.get("paper") or "")}</p></header>'
    )


def _banners(path: Path, result: Mapping[str, Any]) -> str:
    notes = [html.without_figures()]
    if result["data"].get("notice"):
        notes.append(html.banner("Not the full data.", result["data"]["notice"]))
    if result["quick"]:
        notes.append(
            html.banner(
                "Smoke run, never a source of figures.",
                "It was made with --quick, to see that everything works.",
            )
        )
    if not result["complete"]:
        command = ["plastorch", "run", result["experiment"], "--resume", str(path)]
        notes.append(
            html.banner(
                "This run has not finished.",
                "It is still running or was interrupted. To go on where it stopped:",
                shlex.join(command),
            )
        )
    return "".join(notes)


def _hero(folder: str, result: Mapping[str, Any]) -> str:
    data, metrics = result["data"], result["metrics"]
    best = headline(metrics)
    value = measure(*best) if best else "–"
    name = plain(best[0]) if best else "no result yet"
    where = f" on {data['name']}" if data.get("name") and best else ""
    sizes = [
        f"{number(data[key])} {words}"
        for key, words in (("n_train", "training"), ("n_test", "test"))
        if data.get(key) is not None
    ]
    memory = metrics.get("peak_memory_gb")
    pairs = [
        ("Seed", str(result.get("seed", "–"))),
        ("Wall time", duration(result.get("wall_s") or None)),
        ("Device", str(result.get("device") or "–")),
        ("Peak memory", "–" if memory is None else f"{memory:.2f} GB"),
        ("Examples", ", ".join(sizes) or "–"),
        ("Started", date(folder)),
    ]
    return html.hero(value, name + where, pairs, title="Result")


def _claims(result: Mapping[str, Any]) -> str:
    claims = result["claims"]
    if not claims:
        return ""
    return (
        f'<h2>Claims</h2><p class="muted verdict">{verdict(claims).capitalize()}.</p>'
        f"{html.claims_table(claims)}"
    )


def _figures(drawn: list[str]) -> str:
    """Returns two columns, the first half on the left; on a phone one follows the other."""
    if not drawn:
        return ""
    half = (len(drawn) + 1) // 2
    columns = "".join(
        f'<div class="stack">{"".join(column)}</div>' for column in (drawn[:half], drawn[half:])
    )
    return f'<h2>Figures</h2><div class="figures">{columns}</div>'


def _times(metrics: Mapping[str, float]) -> str:
    """Returns bars that show the shares of the phases in the total time."""
    phases = {n: s for n, s in metrics.items() if n.endswith("_s") and n != "wall_s"}
    total = sum(phases.values()) or 1.0
    rows = (
        (html.text(plain(name.removesuffix("_s"))), seconds / total, duration(seconds))
        for name, seconds in phases.items()
    )
    return f"<h2>Where the time went</h2>{html.bars(rows)}" if phases else ""


def _fine_print(result: Mapping[str, Any]) -> str:
    tables = {
        "All measured numbers": result["metrics"],
        "Configuration": result["config"],
        "Data": {name: value for name, value in result["data"].items() if value is not None},
        "Versions": result.get("versions") or {},
    }
    body = "".join(html.folded(title, values) for title, values in tables.items())
    return f"<h2>Fine print</h2>{body}"
