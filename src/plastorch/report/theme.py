"""Style of the figures: colors for light and dark pages, bare axes, PNG bytes.

Sizes are chosen for a phone: a figure is 4.8 inches (346 points) wide, so on a page 350 pixels
wide one point is about one pixel and 11-point text stays readable.
"""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

WIDTH = 4.8
DPI = 220
TEXT, SMALL = 12.0, 10.5
NO_FIGURES = 'matplotlib is missing; to draw figures: pip install "plastorch[figures]"'
MARKERS = "os^Dvp*XP<"
HUES = (
    "#3f7fdb", "#e07b1f", "#2e9e8b", "#a06be0", "#b0902a",
    "#d9559a", "#6a9e2e", "#d94f45", "#7d8792", "#3aa6c9",
)  # fmt: skip
"""Middle tones that suit light and dark pages."""
DASHES = ("-", "--", "-.", ":", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Theme:
    """Colors of a figure as hex strings; `paper` equals the page's card color."""

    paper: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]
    shade: tuple[str, str]

    def line(self, index: int) -> dict[str, Any]:
        """Returns color and dash of line number `index`, which differ without color too."""
        return {
            "color": self.series[index % len(self.series)],
            "linestyle": DASHES[(index + index // len(self.series)) % len(DASHES)],
        }

    def color(self, name: str, index: int) -> str:
        """Returns the color "ink", "muted" or "grid", a hex string itself, or the next if empty."""
        if not name:
            return self.series[index % len(self.series)]
        return {"ink": self.ink, "muted": self.muted, "grid": self.grid}.get(name, name)

    def shades(self, first: str = "") -> "Colormap":
        """Returns a color map from the first shade, or another color, to the last one."""
        from matplotlib.colors import LinearSegmentedColormap

        colors = (first or self.shade[0], self.shade[1])
        return LinearSegmentedColormap.from_list("shade", colors)

    def bare_scale(self, bar: "Colorbar") -> None:
        """Takes frame and ticks from the scale of shades."""
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=self.muted, labelsize=SMALL, length=0)


LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f24",
    muted="#59616b",
    grid="#e4e6e8",
    series=("#1f5fbf", "#bf5209", "#0b7a6b", "#7a3cc2", "#8a6d00", "#a8326e"),
    shade=("#f4f6f9", "#123f86"),
)
DARK = Theme(
    paper="#1b1f26",
    ink="#e8eaed",
    muted="#a7afba",
    grid="#343a44",
    series=("#7fb3ff", "#ffb070", "#5fd6c1", "#c9abff", "#e6c84f", "#ff9ac4"),
    shade=("#232833", "#9cc5ff"),
)


def can_draw() -> bool:
    """Whether matplotlib is installed; pages have no figures without it."""
    return find_spec("matplotlib") is not None


def new_figure(height: float, theme: Theme) -> "Figure":
    """Returns an empty figure `height` inches high, made without pyplot and its global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), facecolor=theme.paper, layout="constrained")


def new_axes(
    figure: "Figure",
    theme: Theme,
    *,
    heights: Sequence[float] = (1.0,),
    share: Literal["", "x", "xy"] = "x",
) -> "list[Axes]":
    """Returns axes in one column in the theme's colors, top first, with heights in proportion."""
    grid = figure.subplots(
        len(heights), 1, sharex="x" in share, sharey="y" in share, squeeze=False,
        height_ratios=heights,
    )  # fmt: skip
    stack: list[Axes] = list(grid[:, 0])
    for axes in stack:
        axes.set_facecolor(theme.paper)
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(theme.muted)
        axes.tick_params(colors=theme.muted, labelsize=SMALL, length=0, which="both")
    return stack


def label(axes: "Axes", theme: Theme, x: str = "", title: str = "") -> None:
    """Labels the x axis, and the y axis by a left-aligned title (a rotated label reads badly)."""
    if x:
        axes.set_xlabel(x, color=theme.muted, fontsize=SMALL, parse_math=False)
    if title:
        wrap = "$" not in title  # to wrap, matplotlib parses math all the same
        axes.set_title(
            title, loc="left", color=theme.ink, fontsize=TEXT, parse_math=False, wrap=wrap
        )


def legend_rows(labels: Sequence[str]) -> int:
    """Returns the number of rows that a legend above a figure has."""
    return math.ceil(len(labels) / _legend_columns(labels))


def _legend_columns(labels: Sequence[str]) -> int:
    """Returns the number of columns in which labels fit the width of a figure: three at most."""
    points = 43 + 5.8 * max((len(text) for text in labels), default=0)
    return max(1, min(3, int(330 // points)))


def legend_above(stack: "Sequence[Axes]", theme: Theme) -> None:
    """Puts one legend for all axes above them, where it hides no line; each name is there once."""
    from matplotlib.collections import PathCollection

    named: dict[str, Any] = {}
    for axes in stack:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    figure = stack[0].get_figure(root=True)
    assert figure is not None
    box = figure.legend(
        handles=list(named.values()),
        labels=list(named),
        loc="outside upper left",
        ncols=_legend_columns(list(named)),
        frameon=False,
        fontsize=SMALL,
        labelcolor=theme.ink,
        handlelength=2.2,
        columnspacing=1.2,
    )
    for text in box.get_texts():
        text.set_parse_math(False)
    for mark in box.legend_handles:
        if isinstance(mark, PathCollection):
            mark.set_sizes([40])


def to_png(figure: "Figure", dpi: int = DPI) -> bytes:
    """Returns the figure as PNG bytes, without software or date in them."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in a script the font lacks is drawn as boxes; the page has it as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
