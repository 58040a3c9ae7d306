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
    total = number(sum(labels.counts.values()))
    longest = max(labels.counts.values(), default=0) or 1
    bars = [
        (_name(name), count / longest, number(count))
        for name, count in list(labels.counts.items())[:MOST_CLASSES]
    ]
    sections = [
        f"<header><h1>{html.text(labels.title)}</h1>"
        f'<p class="lead">{html.text(labels.lead)}</p></header>',
        html.hero(total, labels.counted, labels.facts, title="In short"),
        f"<h2>Classes</h2>{_more(len(labels.counts))}{html.bars(bars)}",
        _files("Most doubtful", labels.named, labels.doubtful),
        _files("Most confident", labels.named, labels.confident),
        "".join(html.folded(name, values) for name, values in (labels.tables or {}).items()),
    ]
    return html.document(labels.title, "\n".join(section for section in sections if section))


def _more(classes: int) -> str:
    if classes <= MOST_CLASSES:
        return ""
    return f'<p class="muted verdict">The {MOST_CLASSES} largest of {number(classes)}.</p>'


def _files(title: str, named: str, files: Sequence[LabeledFile]) -> str:
    """Returns a table of files with their classes."""
    columns = {named: "statement", "Class": "", "Confidence": "figure", "Driven by": ""}
    rows = [
        (
            _name(file.name),
            _name(file.label),
            f"{100 * file.confidence:.1f}{NBSP}%",
            _name(file.keys or "–"),
        )
        for file in files
    ]
    return f"<h2>{html.text(title)}</h2>{html.table(columns, rows)}" if rows else ""


def _name(name: str) -> str:
    """Returns a name with invisible and direction-changing characters spelled out."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return f"<bdi>{html.text(''.join(shown))}</bdi>"
