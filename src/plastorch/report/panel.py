"""One figure of a report page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from plastorch.report.load import RunData
from plastorch.report.theme import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One figure of a page: file stem, heading, caption, alternative text, and drawing function."""

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Theme], "Figure"]


class Drawn(NamedTuple):
    """A panel as drawn on light pages and on dark ones: PNG files in base 64."""

    panel: Panel
    light: str
    dark: str


PanelsOf = Callable[[RunData], list[Panel]]
"""Function from the data of a run to its figures, most telling first."""
