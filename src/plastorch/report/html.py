"""Pieces of HTML. Every string that comes from a run is escaped here, and only here."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from plastorch.report.format import measure
from plastorch.report.theme import NO_FIGURES, can_draw

_UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that HTML or UTF-8 don't allow, and those that reverse the text after them."""
_ICONS = {
    "good": "M2.5 8.5 6.5 12.5 13.5 4",
    "bad": "M3.5 3.5 12.5 12.5M12.5 3.5 3.5 12.5",
    "open": "M3 8H13",
    "warn": "M8 2V9.5M8 13.5V13.6",
}


def text(value: object) -> str:
    """Escapes any value as HTML text or attribute value; control characters are spelled out."""
    shown = _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), str(value))
    return escape(shown, quote=True)


def document(title: str, body: str) -> str:
    """Returns a whole page: everything inline, and a policy that forbids it any request.

    Args:
        title: plain text.
        body: HTML of the main part.

    Returns:
        The HTML document.
    """
    style = files("plastorch.report").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file: data:">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def mark(kind: str, words: str) -> str:
    """Returns a rounded label with an icon: kind is "good", "bad", "open" or "warn"."""
    icon = f'<svg viewBox="0 0 16 16" aria-hidden="true"><path d="{_ICONS[kind]}"/></svg>'
    return f'<span class="mark {kind}">{icon}{text(words)}</span>'


def status_marks(result: Mapping[str, Any]) -> str:
    """Returns labels for reasons not to count a run: not finished, smoke run, reduced data."""
    marks = []
    if not result["complete"]:
        marks.append(mark("warn", "not finished"))
    if result["quick"]:
        marks.append(mark("warn", "smoke run"))
    if result["data"].get("notice"):
        marks.append(mark("warn", "reduced data"))
    return "".join(marks)


def banner(title: str, words: str, command: str = "") -> str:
    """Returns a prominent note across the page."""
    code = f"<code>{text(command)}</code>" if command else ""
    return (
        f'<div class="banner" role="note"><strong>{text(title)}</strong> {text(words)}{code}</div>'
    )


def without_figures() -> str:
    """Explains why a page has no figures; empty if they can be drawn."""
    return "" if can_draw() else banner("No figures.", NO_FIGURES)


def claims_table(claims: Sequence[Mapping[str, Any]]) -> str:
    """Returns claims with target, measured figure and outcome.

    Args:
        claims: claims as in result.json.
    """
    outcomes = {
        True: mark("good", "holds"),
        False: mark("bad", "does not hold"),
        None: mark("open", "not asserted"),
    }
    columns = {
        "Claim": "statement",
        "Target": "figure",
        "Measured": "figure measured",
        "Target from": "origin",
        "Outcome": "outcome",
    }
    rows = []
    for claim in claims:
        name = f"{claim['id']} {claim['statement']}"
        statement = f"{text(claim['statement'])}<br><code>{text(claim['id'])}</code>"
        figures = (text(measure(name, claim[field])) for field in ("target", "measured"))
        rows.append((statement, *figures, text(claim["origin"]), outcomes[claim["holds"]]))
    return table(columns, rows)


def plain_table(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of text, the first one as heading."""
    heading, *rest = rows
    return table(dict.fromkeys(heading, ""), [map(text, row) for row in rest])


def table(columns: Mapping[str, str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a table of cells' HTML, with a class by heading; on a phone each row is a card.

    The roles keep it a table where the style lays it out as cards, whose cells have their headings.
    """
    head = "".join(
        f'<th role="columnheader" scope="col" class="{"figure" * ("figure" in kind)}">'
        f"{text(name)}</th>"
        for name, kind in columns.items()
    )
    labels = {
        name: "" if kind in ("statement", "outcome") else f' data-label="{text(name)}"'
        for name, kind in columns.items()
    }
    body = "\n".join(
        '<tr role="row">'
        + "".join(
            f'<td role="cell" class="{kind}"{labels[name]}>{cell}</td>'
            for (name, kind), cell in zip(columns.items(), row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="card"><table class="claims" role="table">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">\n{body}\n</tbody></table></div>'
    )


def picture(title: str, caption: str, alt: str, light: bytes, dark: bytes) -> str:
    """Returns a figure with heading and caption, one PNG for light pages and one for dark."""
    day, night = (
        f"data:image/png;base64,{base64.b64encode(png).decode()}" for png in (light, dark)
    )
    return (
        f'<figure class="card"><h3>{text(title)}</h3><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{night}">'
        f'<img src="{day}" alt="{text(alt)}"></picture>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns a definition list of short facts."""
    items = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs
    )
    return f'<dl class="facts">{items}</dl>'


def folded(title: str, values: Mapping[str, Any]) -> str:
    """Returns a folded table of names and values; empty if there are none."""
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th><td>{text(_value(name, value))}</td></tr>'
        for name, value in values.items()
    )
    if not rows:
        return ""
    return f'<details class="card"><summary>{text(title)}</summary><table>{rows}</table></details>'


def bars(rows: Iterable[tuple[str, float, str]]) -> str:
    """Returns bars: HTML of a name, length of the bar as a share, and figure for each."""
    items = "".join(
        f'<div><dt>{name}</dt><dd class="bar"><i style="width:{100 * share:.1f}%"></i></dd>'
        f"<dd>{text(figure)}</dd></div>"
        for name, share, figure in rows
    )
    return f'<dl class="times card">{items}</dl>'


def hero(value: str, words: str, pairs: Iterable[tuple[str, str]], *, title: str) -> str:
    """Returns the most telling figure in large letters, beside names and values of facts."""
    return (
        f'<section class="hero card" aria-label="{text(title)}"><div class="score">'
        f"<strong>{text(value)}</strong><span>{text(words)}</span></div>{facts(pairs)}</section>"
    )


def _value(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(name, item) for item in value)
    return measure(name, value) if isinstance(value, float) else str(value)
