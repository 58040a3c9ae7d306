"""Pictures: grids of tiles, and strips of them with words below."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.report.charts.tiles import Picture, arrange, stretched, tile
from plastorch.report.theme import LIGHT, SMALL, WIDTH, Theme, label, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_TILES = 120
_TITLE, _LINE, _GAP, _LETTER = 0.3, 0.19, 0.12, 0.085
"""Sizes in inches: of a title, a line of words, the gap between strips, and a letter."""


def filters(weights: NDArray[Any], *, most: int = MAX_TILES) -> NDArray[np.float64]:
    """Returns images [K or ``most``, C, kh, kw] in [0, 1] of weights [K, C, kh, kw], C = 1 or 3.

    Each is scaled to its own range; many weights are evenly sampled.
    """
    picks = np.linspace(0, len(weights) - 1, min(len(weights), most)).round().astype(int)
    return np.stack([stretched(kernel) for kernel in weights[picks]] or [np.zeros(0)])


def images(
    parts: Mapping[str, NDArray[Any]],
    *,
    columns: int | None = None,
    width: float = WIDTH,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws images [N, C, h, w] in [0, 1], C = 1 or 3, as a grid of tiles for each part.

    Parts are by title, which may be empty; ``columns`` None makes grids of about 3 : 2; ``width``
    is in inches.
    """
    pictures: list[tuple[str, Picture]] = []
    for title, found in parts.items():
        if found.ndim != 4 or found.shape[1] not in (1, 3) or not found.size:
            raise InputError(f"images: expected [N, 1 or 3, h, w], found {found.shape}")
        across = columns or math.ceil(math.sqrt(1.5 * len(found)))
        tiles = [tile(image) for image in np.nan_to_num(found, nan=0.5)]
        pictures.append((title, arrange(tiles, columns=min(across, len(tiles)))))
    heights = [width * picture.shape[0] / picture.shape[1] for _, picture in pictures]
    tops = [_TITLE * bool(title) for title, _ in pictures]
    figure, stack = _filled(width, tops=tops, heights=heights, theme=theme)
    for axes, (title, picture) in zip(stack, pictures, strict=True):
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        axes.set_facecolor(theme.grid)  # black or white tiles keep their edges
        label(axes, theme, title=title)
    return figure


@dataclass(frozen=True, kw_only=True, eq=False)
class Strip:
    """A strip of images, with words below each of them.

    Args:
        images: rows of images [N, C, h, w] in [0, 1], by the name at the left; it may be empty.
        words: rows of words [N], by the name at the left.
        marked: which words stand out, bool [N], by the row's name.
    """

    images: Mapping[str, NDArray[Any]]
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    marked: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    title: str = ""


def strips(parts: Sequence[Strip], *, columns: int = 8, theme: Theme = LIGHT) -> "Figure":
    """Draws strips of images, one below the other; ``columns`` images fill the width."""
    for strip in parts:
        counts = {len(row) for row in (*strip.images.values(), *strip.words.values())}
        if len(counts) > 1:
            raise InputError(f"strips: expected as many words as images, found {sorted(counts)}")
    longest = max(len(name) for strip in parts for name in (*strip.images, *strip.words))
    left = _GAP + _LETTER * longest if longest else 0.0
    side = (WIDTH - left) / columns
    heights = [len(strip.images) * side + len(strip.words) * _LINE for strip in parts]
    tops = [_TITLE if strip.title else _GAP for strip in parts]
    figure, stack = _filled(WIDTH, tops=tops, heights=heights, theme=theme)
    for axes, strip, height in zip(stack, parts, heights, strict=True):
        _draw_strip(axes, strip, columns=columns, left=left, theme=theme)
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        label(axes, theme, title=strip.title)
    return figure


def _draw_strip(axes: "Axes", strip: Strip, *, columns: int, left: float, theme: Theme) -> None:
    """Draws rows of images, then rows of words; heights grow downward, in inches."""
    side = (WIDTH - left) / columns
    small: dict[str, Any] = {"va": "center", "fontsize": SMALL, "parse_math": False}
    for row, (name, found) in enumerate(strip.images.items()):
        picture = arrange([tile(image) for image in found], columns)
        box = (left, WIDTH, (row + 0.96) * side, row * side)
        axes.imshow(picture, interpolation="nearest", aspect="auto", extent=box)
        if name:
            axes.text(0.05, (row + 0.5) * side, name, color=theme.muted, **small)
    for row, (name, words) in enumerate(strip.words.items()):
        y = len(strip.images) * side + (row + 0.5) * _LINE
        if name:
            axes.text(0.05, y, name, color=theme.muted, **small)
        marked = strip.marked.get(name, [False] * len(words))
        for column, (word, stands_out) in enumerate(zip(words, marked, strict=True)):
            color = theme.series[1] if stands_out else theme.ink
            weight = "bold" if stands_out else "normal"
            x = left + (column + 0.5) * side
            axes.text(x, y, word, ha="center", weight=weight, color=color, **small)


def _filled(
    width: float, *, tops: Sequence[float], heights: Sequence[float], theme: Theme
) -> "tuple[Figure, list[Axes]]":
    """Returns a figure whose axes fill its width, each with room above it."""
    total = sum(tops) + sum(heights)
    figure = new_figure(total, theme)
    figure.set_size_inches(width, total)
    figure.set_layout_engine("none")
    stack, top = [], total
    for above, height in zip(tops, heights, strict=True):
        top -= above + height
        axes = figure.add_axes((0.0, top / total, 1.0, height / total), xticks=[], yticks=[])
        axes.set_facecolor("none")
        axes.spines[:].set_visible(False)
        stack.append(axes)
    return figure, stack
