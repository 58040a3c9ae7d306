"""Page of a file classifier, or of the labels that it assigned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plastorch.report import html
from plastorch.report.format import NBSP, number

MOST_CLASSES = 100
"""Maximum number of classes that are shown; some tables have more."""


class LabeledFile(NamedTuple):
    """A file, or the number of a record, and its label."""

    name: str
    label: str
    confidence: float
    """Confidence from 0 to 1."""
    keys: str
    """Keys that determined the label."""


@dataclass(frozen=True)
class Labels:
    """Contents of the page."""

    title: str
    lead: str
    """Subject of the page, in a sentence."""
    counted: str
    """Name of what is counted: files with a label, records."""
    named: str
    """Heading of confident and doubtful items: File, Record."""
    counts: Mapping[str, int]
    """Counts by class, the largest first."""
    facts: Sequence[tuple[str, str]]
    confident: Sequence[LabeledFile] = ()
    """Files or records with the highest confidence, in decreasing order."""
    doubtful: Sequence[LabeledFile] = ()
    """Files or records with the lowest confidence, in increasing order."""
    tables: Mapping[str, Mapping[str, object]] | None = None
    """Names and values by title."""


def labels_page(labels: Labels) -> str:
    """Returns a self-contained HTML page; all text that comes from files is escaped.

    Args:
        labels: contents of the page.

    Returns:
        The document.

    Example:
        >>> page = labels_page(Labels("<b>", "Labels.", "files", "File", {"code": 3}, []))
        >>> "&lt;b&gt;" in page and "<b>" not in page
        True
    """
    total = sum(labels.counts.values())
    score = f"<strong>{html.text(number(total))}</strong><span>{html.text(labels.counted)}</span>"
    sections = [
        f"<header><h1>{html.text(labels.title)}</h1>"
        f'<p class="lead">{html.text(labels.lead)}</p></header>',
        f'<section class="hero card" aria-label="In short"><div class="score">{score}</div>'
        f"{html.facts(labels.facts)}</section>",
        f"<h2>Classes</h2>{_more(len(labels.counts))}{_bars(labels.counts)}",
        _files("Most doubtful", labels.named, labels.doubtful),
        _files("Most confident", labels.named, labels.confident),
        "".join(html.folded(name, values) for name, values in (labels.tables or {}).items()),
    ]
    return html.document(labels.title, "\n".join(section for section in sections if section))


def _more(classes: int) -> str:
    if classes <= MOST_CLASSES:
        return ""
    return f'<p class="muted verdict">The {MOST_CLASSES} largest of {number(classes)}.</p>'


def _bars(counts: Mapping[str, int]) -> str:
    """Returns a bar per class, as long as its count."""
    longest = max(counts.values(), default=0) or 1
    rows = "".join(
        f"<div><dt>{_name(name)}</dt>"
        f'<dd class="bar"><i style="width:{100 * count / longest:.1f}%"></i></dd>'
        f"<dd>{html.text(number(count))}</dd></div>"
        for name, count in list(counts.items())[:MOST_CLASSES]
    )
    return f'<dl class="times card">{rows}</dl>'


def _files(title: str, named: str, files: Sequence[LabeledFile]) -> str:
    """Returns a table; on a phone each row becomes a card."""
    if not files:
        return ""
    heads = (html.text(named), "Class", "Confidence", "Driven by")
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in heads)
    rows = "\n".join(map(_row, files))
    return (
        f'<h2>{html.text(title)}</h2><div class="card"><table class="claims" role="table">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">\n{rows}\n</tbody></table></div>'
    )


def _row(file: LabeledFile) -> str:
    return (
        '<tr role="row">'
        f'<td role="cell" class="statement">{_name(file.name)}</td>'
        f'<td role="cell" data-label="Class">{_name(file.label)}</td>'
        f'<td role="cell" class="figure" data-label="Confidence">'
        f"{100 * file.confidence:.1f}{NBSP}%</td>"
        f'<td role="cell" data-label="Driven by">{_name(file.keys or "–")}</td></tr>'
    )


def _name(name: str) -> str:
    """Returns a name with invisible and direction-changing characters spelled out."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return f"<bdi>{html.text(''.join(shown))}</bdi>"
