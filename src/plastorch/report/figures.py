"""Figures of a report: functions from data to matplotlib figures, without pyplot."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.report.load import Row
from plastorch.report.theme import (
    LIGHT,
    SMALL,
    WIDTH,
    Theme,
    label,
    legend,
    new_axes,
    new_figure,
)
from plastorch.report.tiles import arrange, bare_image, stretched, tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Layers = Mapping[int, Sequence[Row]]
"""Rows of metrics by layer index, each sorted by "examples"."""

MAX_TILES = 120
MAX_LABELED = 10
_FEW_POINTS = 12
_FEW_TILES = 24


def learning_curve(rows: Sequence[Row], theme: Theme = LIGHT) -> "Figure":
    """Draws train and test accuracy, in per cent, against the epoch.

    Args:
        rows: metrics with "epoch", "train_accuracy" and "test_accuracy" (fractions).
        theme: colors.

    Returns:
        A figure with one axes and two lines, test first.

    Example:
        >>> rows = [{"epoch": 1, "train_accuracy": 0.5, "test_accuracy": 0.25}]
        >>> learning_curve(rows).axes[0].lines[0].get_ydata().tolist()
        [25.0]
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(3.3, theme)
    (axes,) = new_axes(figure, theme)
    epochs = column(rows, "epoch")
    for index, name in enumerate(("test", "train")):
        percent = 100 * column(rows, f"{name}_accuracy")
        plot(axes, epochs, percent, theme, index, name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:g} %")
    label(axes, theme, x="epoch of the readout")
    legend(axes, theme)
    return figure


def weight_norms(layers: Layers, theme: Theme = LIGHT) -> "Figure":
    """Draws mean radius (weight norm) ± sd against examples seen, one panel per layer, with r = 1.

    Args:
        layers: metrics with "examples", "radius_mean" and "radius_std", by layer.
        theme: colors.

    Returns:
        A figure with one axes per layer: first line the mean, second line r = 1.

    Example:
        >>> rows = [{"examples": 10, "radius_mean": 2.0, "radius_std": 0.5}]
        >>> weight_norms({0: rows}).axes[0].lines[0].get_ydata().tolist()
        [2.0]
    """
    figure = new_figure(0.7 + 1.55 * len(layers), theme)
    stack = new_axes(figure, theme, rows=len(layers))
    for axes, (layer, rows) in zip(stack, layers.items(), strict=True):
        examples = column(rows, "examples")
        mean, spread = column(rows, "radius_mean"), column(rows, "radius_std")
        plot(axes, examples, mean, theme, 0)
        axes.fill_between(
            examples, mean - spread, mean + spread, color=theme.series[0], alpha=0.2, linewidth=0
        )
        axes.axhline(1, color=theme.ink, linestyle=(0, (4, 3)), linewidth=1.1)
        axes.set_ylim(bottom=0)
        label(axes, theme, title=f"layer {layer + 1}: radius r")
    examples_axis(stack[-1], _examples(layers), theme)
    return figure


def winner_probability(layers: Layers, theme: Theme = LIGHT) -> "Figure":
    """Draws the mean probability of the winning neuron, one line per layer.

    Args:
        layers: metrics with "examples" and "winner_probability", by layer.
        theme: colors.

    Returns:
        A figure with one axes and one line per layer.

    Example:
        >>> rows = [{"examples": 10, "winner_probability": 0.5}]
        >>> winner_probability({0: rows}).axes[0].lines[0].get_ydata().tolist()
        [0.5]
    """
    values = {layer: column(rows, "winner_probability") for layer, rows in layers.items()}
    figure = _layer_lines(layers, values, theme)
    figure.axes[0].set_ylim(-0.03, 1.03)
    return figure


def field_curves(
    rows: Sequence[Row], x: str, fields: Sequence[str], theme: Theme = LIGHT
) -> "Figure":
    """Draws numeric fields of a log against `x`, one panel per field.

    Args:
        rows: metrics that have `x` and all `fields`.
        x: field of the horizontal axis.
        fields: fields to draw, one panel each.
        theme: colors.

    Returns:
        A figure with one axes per field.

    Example:
        >>> field_curves([{"step": 1, "reward": 3.0}], "step", ["reward"]).axes[0].get_xlabel()
        'step'
    """
    figure = new_figure(0.7 + 1.55 * len(fields), theme)
    stack = new_axes(figure, theme, rows=len(fields))
    for axes, name in zip(stack, fields, strict=True):
        plot(axes, column(rows, x), column(rows, name), theme, 0)
        label(axes, theme, title=name.replace("_", " "))
    label(stack[-1], theme, x=x)
    return figure


def receptive_fields(filters: NDArray[Any], theme: Theme = LIGHT) -> "Figure":
    """Draws first-layer weights as a grid of tiles, each filter scaled to its own range.

    Args:
        filters: weights [K, C, kh, kw] with C = 1 or 3.
        theme: colors.

    Returns:
        A figure with one image.

    Raises:
        InputError: the number of channels or dimensions is different.

    Example:
        >>> len(receptive_fields(np.ones((4, 3, 5, 5))).axes[0].images)
        1
    """
    return bare_image(mosaic(filters), WIDTH, theme)


def mosaic(filters: NDArray[Any], limit: int = MAX_TILES) -> NDArray[np.float64]:
    """Returns the tiles of `receptive_fields` as one RGBA image, in the order of the filters.

    If there are more than `limit` filters, an even sample is shown.

    Args:
        filters: weights [K, C, kh, kw] with C = 1 or 3.
        limit: maximum number of tiles.

    Returns:
        Image [H, W, 4] in [0, 1]; gaps are transparent.

    Raises:
        InputError: the number of channels or dimensions is different.

    Example:
        >>> mosaic(np.ones((2, 1, 28, 28))).shape
        (28, 58, 4)
    """
    if filters.ndim != 4 or filters.shape[1] not in (1, 3) or not len(filters):
        raise InputError(f"filters: expected [K, 1 or 3, kh, kw], found {filters.shape}")
    picks = np.linspace(0, len(filters) - 1, min(len(filters), limit)).round().astype(int)
    tiles = [tile(stretched(kernel)) for kernel in filters[picks]]
    return arrange(tiles, columns=min(len(tiles), math.ceil(math.sqrt(1.5 * len(tiles)))))


def confusion(matrix: NDArray[Any], classes: Sequence[str], theme: Theme = LIGHT) -> "Figure":
    """Draws a confusion matrix: shade is the share of the true class, numbers are counts.

    Args:
        matrix: counts [classes, classes]; rows are the true classes.
        classes: names; with more than `MAX_LABELED` of them neither names nor counts are drawn.
        theme: colors.

    Returns:
        A figure whose first axes has one image, in per cent of each row.

    Raises:
        InputError: the matrix is not square or the names do not match it.

    Example:
        >>> figure = confusion(np.array([[3, 1], [0, 4]]), ["cat", "dog"])
        >>> figure.axes[0].images[0].get_array().tolist()
        [[75.0, 25.0], [0.0, 100.0]]
    """
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    if matrix.shape != (len(classes), len(classes)):
        raise InputError(f"confusion: {len(classes)} classes, found a matrix {matrix.shape}")
    totals = matrix.sum(axis=1, keepdims=True)
    percent = 100 * matrix / np.maximum(totals, 1)
    figure = new_figure(4.9, theme)
    (axes,) = new_axes(figure, theme)
    shades = LinearSegmentedColormap.from_list("shade", theme.shade)
    norm = PowerNorm(0.5, vmin=0, vmax=100)  # a linear shade hides all but the diagonal
    picture = axes.imshow(percent, cmap=shades, norm=norm)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    label(axes, theme, x="answer")
    axes.set_ylabel("true class", color=theme.muted, fontsize=SMALL)
    bar = figure.colorbar(picture, ax=axes, location="top", aspect=40, ticks=[0, 5, 20, 50, 100])
    bar.outline.set_visible(False)
    bar.ax.xaxis.set_major_formatter("{x:g} %")
    bar.ax.tick_params(colors=theme.muted, labelsize=SMALL, length=0)
    if len(classes) <= MAX_LABELED:
        _name_cells(axes, matrix, percent, classes, theme)
    return figure


def thumbnail(
    filters: NDArray[Any] | None, accuracy: Sequence[float], theme: Theme = LIGHT
) -> "Figure":
    """Draws a small image for the gallery: the filters, or else the accuracy as a bare line.

    Args:
        filters: weights [K, C, kh, kw] with C = 1 or 3, or None.
        accuracy: test accuracy per epoch, used when there are no filters.
        theme: colors.

    Returns:
        A figure 1.6 inches wide with a transparent background.

    Example:
        >>> thumbnail(None, [0.1, 0.5]).axes[0].lines[0].get_ydata().tolist()
        [0.1, 0.5]
    """
    if filters is not None:
        figure = bare_image(mosaic(filters, limit=_FEW_TILES), 1.6, theme)
    else:
        figure = new_figure(1.07, theme)
        figure.set_size_inches(1.6, 1.07)
        axes = figure.subplots()
        axes.plot(range(1, len(accuracy) + 1), accuracy, color="#4c86d9", linewidth=2.5)
        axes.set_axis_off()
    figure.patch.set_alpha(0)
    return figure


def column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """Returns one field of the rows as an array.

    Example:
        >>> column([{"epoch": 1}, {"epoch": 2}], "epoch").tolist()
        [1.0, 2.0]
    """
    return np.array([row[name] for row in rows], dtype=np.float64)


def plot(
    axes: "Axes",
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    theme: Theme,
    index: int,
    name: str = "",
) -> None:
    """Draws line number `index`, with markers if it has few points.

    Example:
        >>> axes = new_axes(new_figure(3.0, LIGHT), LIGHT)[0]
        >>> plot(axes, np.array([1.0, 2.0]), np.array([3.0, 4.0]), LIGHT, 0)
        >>> axes.lines[0].get_marker()
        'o'
    """
    marker = "o" if len(x) <= _FEW_POINTS else ""
    axes.plot(x, y, linewidth=2, marker=marker, markersize=4, label=name, **theme.line(index))


def _layer_lines(
    layers: Layers, values: Mapping[int, NDArray[np.float64]], theme: Theme
) -> "Figure":
    figure = new_figure(2.75 + 0.25 * math.ceil(len(layers) / 3), theme)
    (axes,) = new_axes(figure, theme)
    for index, (layer, rows) in enumerate(layers.items()):
        name = f"layer {layer + 1}"
        plot(axes, column(rows, "examples"), values[layer], theme, index, name)
    examples_axis(axes, _examples(layers), theme)
    legend(axes, theme)
    return figure


def _examples(layers: Layers) -> NDArray[np.float64]:
    return np.concatenate([column(rows, "examples") for rows in layers.values()])


def examples_axis(axes: "Axes", examples: NDArray[np.float64], theme: Theme) -> None:
    """Sets a log scale if the examples span a decade: most of the learning is in the first steps.

    Example:
        >>> axes = new_axes(new_figure(3.0, LIGHT), LIGHT)[0]
        >>> examples_axis(axes, np.array([10.0, 1000.0]), LIGHT)
        >>> axes.get_xscale()
        'log'
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    span = examples.max() / max(examples.min(), 1e-9)
    if 10 <= span < 1e9:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 300 else (1,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    label(axes, theme, x="training examples seen")


def _name_cells(
    axes: "Axes",
    matrix: NDArray[Any],
    percent: NDArray[np.float64],
    classes: Sequence[str],
    theme: Theme,
) -> None:
    names = [short(name) for name in classes]
    places = range(len(names))
    if max(map(len, names)) > 3:
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set(parse_math=False, color=theme.ink)
    size = 9.5 if matrix.max() < 1000 else 8
    for row, col in zip(*np.nonzero(matrix), strict=True):
        color = theme.paper if percent[row, col] > 30 else theme.ink
        axes.text(
            col, row, str(matrix[row, col]), ha="center", va="center", color=color, fontsize=size
        )


def short(name: str) -> str:
    """Shortens a class name to at most twelve characters.

    Example:
        >>> short("long-tailed macaque")
        'long-tailed…'
    """
    name = " ".join(name.split())
    return name if len(name) <= 12 else name[:11] + "…"
