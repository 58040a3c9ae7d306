"""Page of a file classifier, or of the labels that it assigned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plastorch.report.html import render

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
    return render("labels.html", labels=labels, most=MOST_CLASSES)
