"""Page of the records that a classifier is least certain of, where they can be labeled."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup

from plastorch.report.file_labels import MOST_CLASSES
from plastorch.report.html import render


class Doubtful(NamedTuple):
    """A file or record that is shown, and its line of the CSV file."""

    name: str
    label: str
    confidence: float
    """Confidence from 0 to 1."""
    keys: str
    """Keys that determined the label."""
    line: str
    """Values in CSV, without the label."""


@dataclass(frozen=True)
class LabelNext:
    """Contents of the page."""

    title: str
    named: str
    """Heading of the records: File, Row."""
    counts: Mapping[str, int]
    """Counts by class, the largest first."""
    certainty: Mapping[str, int]
    """Counts by range of confidence."""
    facts: Sequence[tuple[str, str]]
    doubtful: Sequence[Doubtful]
    """Records with the lowest confidence, in increasing order."""
    classes: Mapping[str, str]
    """Classes to choose from, the most frequent first, as they are in CSV."""
    header: str
    """Header of the CSV file, with the name of the label."""


def label_next_page(contents: LabelNext) -> str:
    """Returns a self-contained HTML page with one script, which writes labels into a CSV file.

    Args:
        contents: contents of the page; all text that comes from records is escaped.

    Returns:
        The document.

    Example:
        >>> doubtful = [Doubtful("<b>", "code", 0.5, "size", "7")]
        >>> page = label_next_page(
        ...     LabelNext("A", "File", {"code": 1}, {"50-60 %": 1}, [], doubtful, {"code": "code"},
        ...               "size,label"))
        >>> "&lt;b&gt;" in page and "<b>" not in page
        True
    """
    script = (files("plastorch.report") / "templates" / "label_next.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    cells = list(contents.classes.values())[:MOST_CLASSES]
    data = {
        "header": contents.header,
        "lines": [row.line for row in contents.doubtful],
        "classes": cells,
    }
    return render(
        "label_next.html",
        page=contents,
        most=MOST_CLASSES,
        data=data,
        script=Markup(script),
        digest=digest,
    )
