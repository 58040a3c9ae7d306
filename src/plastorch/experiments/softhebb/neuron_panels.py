"""Images of what neurons respond to: receptive fields, top patches, features in the plane."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.report.figures import MAX_LABELED, short
from plastorch.report.format import number
from plastorch.report.load import RunData
from plastorch.report.panel import Panel
from plastorch.report.theme import (
    HUES,
    LIGHT,
    MARKERS,
    WIDTH,
    Theme,
    label,
    legend,
    new_axes,
    new_figure,
)
from plastorch.report.tiles import Picture, arrange, tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FIELD_COLUMNS = 8


def draw_fields(layers: Mapping[int, NDArray[Any]], theme: Theme = LIGHT) -> "Figure":
    """Draws receptive fields of some neurons of each layer, layers one below the other.

    Args:
        layers: images [n, C, side, side] in [0, 1] with C = 1 or 3, by layer, counted from 1.
        theme: colors.

    Returns:
        A figure with an image per layer.

    Raises:
        InputError: the number of channels or dimensions is different.

    Example:
        >>> len(draw_fields({1: np.ones((9, 3, 5, 5)), 2: np.ones((9, 3, 12, 12))}).axes)
        2
    """
    pictures = {}
    for layer, images in layers.items():
        _check_pictures("receptive fields", images, dimensions=4)
        tiles = [tile(image) for image in np.nan_to_num(images.astype(np.float64), nan=0.5)]
        name = f"layer {layer}: {images.shape[2]} × {images.shape[3]} pixels"
        pictures[name] = arrange(tiles, columns=min(_FIELD_COLUMNS, len(tiles)))
    return _stack(pictures, theme)


def draw_patches(layers: Mapping[int, NDArray[Any]], theme: Theme = LIGHT) -> "Figure":
    """Draws the patches to which some neurons of each layer respond most, a neuron per row.

    Args:
        layers: uint8 [n, count, C, side, side] with C = 1 or 3, by layer, counted from 1.
        theme: colors.

    Returns:
        A figure with an image per layer.

    Raises:
        InputError: the number of channels or dimensions is different.

    Example:
        >>> len(draw_patches({2: np.zeros((4, 10, 3, 12, 12), np.uint8)}).axes[0].images)
        1
    """
    pictures = {}
    for layer, patches in layers.items():
        _check_pictures("top patches", patches, dimensions=5)
        tiles = [tile(patch / 255) for patch in patches.reshape(-1, *patches.shape[2:])]
        name = f"layer {layer}: {patches.shape[3]} × {patches.shape[4]} pixels"
        pictures[name] = arrange(tiles, columns=patches.shape[1])
    return _stack(pictures, theme)


def draw_embedding(
    points: NDArray[Any], labels: NDArray[Any], classes: Sequence[str], theme: Theme = LIGHT
) -> "Figure":
    """Draws points of the plane by class, distinguished by color and marker.

    Args:
        points: points [N, 2].
        labels: class of each point [N].
        classes: names; with more than `MAX_LABELED` of them there are colors only, no names.
        theme: colors.

    Returns:
        A figure with one axes and a collection per class.

    Raises:
        InputError: points, labels and classes do not fit each other.

    Example:
        >>> figure = draw_embedding(np.eye(2), np.array([0, 1]), ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['cat', 'dog']
    """
    known = len(labels) and 0 <= labels.min() <= labels.max() < len(classes)
    if points.shape != (len(labels), 2) or not known:
        raise InputError(
            f"embedding: expected points [N, 2] with labels of {len(classes)} classes, found "
            f"{points.shape} and {labels.shape}"
        )
    named = len(classes) <= MAX_LABELED
    figure = new_figure(4.4 + 0.25 * math.ceil(len(classes) / 3) * named, theme)
    (axes,) = new_axes(figure, theme)
    size = min(40.0, max(12.0, 9000 / len(points)))
    for index, name in enumerate(classes):
        here = points[labels == index]
        marker, color = MARKERS[index % len(MARKERS)], HUES[index % len(HUES)]
        axes.scatter(
            here[:, 0],
            here[:, 1],
            size,
            color,
            marker=marker,
            alpha=0.85,
            linewidths=0,
            label=short(name),
        )
    axes.set(xticks=[], yticks=[])
    axes.spines["bottom"].set_visible(False)
    if named:
        _name_classes(axes, theme)
    return figure


def _name_classes(axes: "Axes", theme: Theme) -> None:
    legend(axes, theme)
    box = axes.get_legend()
    assert box is not None
    for text in box.get_texts():
        text.set_parse_math(False)
    for handle in box.legend_handles:
        handle.set(sizes=[40])  # type: ignore[union-attr]


def fields(run: RunData) -> Panel | None:
    """Returns the panel of receptive fields, if the run kept any that can be shown.

    Example:
        >>> from pathlib import Path
        >>> fields(RunData(Path("run"), {}, [], {}))
    """
    layers = _by_layer(run, "receptive_fields", dimensions=4)
    if not layers:
        return None
    sides = _listed([f"{images.shape[-1]}" for images in layers.values()])
    return Panel(
        name="layer-fields",
        title="What drives neurons of each layer",
        caption="The picture that each neuron asks for, found by gradient ascent from gray in "
        "smooth steps; what stays gray does not matter to it. Shown are the neurons of a layer "
        f"with the most structured kernels, these first. A picture is {sides} pixels wide, "
        "all that a neuron of the layer sees.",
        alt=f"Grids of small pictures, the receptive fields of neurons of {_layers(layers)}.",
        draw=lambda theme: draw_fields(layers, theme),
    )


def patches(run: RunData) -> Panel | None:
    """Returns the panel of top patches, if the run kept any that can be shown.

    Example:
        >>> from pathlib import Path
        >>> patches(RunData(Path("run"), {}, [], {}))
    """
    layers = _by_layer(run, "top_patches", dimensions=5)
    if not layers:
        return None
    count = max(found.shape[1] for found in layers.values())
    return Panel(
        name="top-patches",
        title="Where neurons respond most",
        caption=f"Each row is one neuron with a structured kernel, and the {number(count)} "
        "patches of test images that drive it most, the strongest first and each from another "
        "image. Where a patch reaches beyond its image, the image is mirrored, as for the network.",
        alt=f"Rows of image patches, the strongest for neurons of {_layers(layers)}.",
        draw=lambda theme: draw_patches(layers, theme),
    )


def embedding(run: RunData) -> Panel | None:
    """Returns the panel of the features in the plane, if the run kept them.

    Example:
        >>> from pathlib import Path
        >>> embedding(RunData(Path("run"), {}, [], {}))
    """
    points, labels = run.arrays.get("embedding"), run.arrays.get("embedding_labels")
    classes = [str(name) for name in run.result.get("data", {}).get("classes") or []]
    if points is None or labels is None or labels.ndim != 1 or points.shape != (len(labels), 2):
        return None
    if not len(labels) or not 0 <= labels.min() <= labels.max() < len(classes):
        return None
    legend = "" if len(classes) <= MAX_LABELED else f" Each of {len(classes)} classes has a hue."
    return Panel(
        name="embedding",
        title="Test images as the network sees them",
        caption=f"The features of {number(len(labels))} test images, brought to the plane by "
        "principal components and t-SNE, which keeps neighbors together; distances between far "
        f"groups mean little. Colors are the true classes, which the picture was made without."
        f"{legend}",
        alt=f"Scatter plot of {number(len(labels))} test images, colored by class.",
        draw=lambda theme: draw_embedding(points, labels, classes, theme),
    )


def _by_layer(run: RunData, name: str, dimensions: int) -> dict[int, NDArray[Any]]:
    """Returns arrays NAME_layerN that can be shown as images, by N."""
    found = {}
    for layer in range(1, 1 + len(run.arrays)):
        array = run.arrays.get(f"{name}_layer{layer}")
        if array is not None and array.ndim == dimensions and array.shape[-3] in (1, 3):
            found[layer] = array
    return {layer: array for layer, array in found.items() if array.size}


def _check_pictures(what: str, array: NDArray[Any], dimensions: int) -> None:
    if array.ndim != dimensions or array.shape[-3] not in (1, 3) or not array.size:
        raise InputError(
            f"{what}: expected {dimensions} dimensions with 1 or 3 channels, found {array.shape}"
        )


def _stack(pictures: Mapping[str, Picture], theme: Theme) -> "Figure":
    """Draws titled images one below the other, each as wide as the figure."""
    heights = [WIDTH * picture.shape[0] / picture.shape[1] for picture in pictures.values()]
    title = 0.3
    figure = new_figure(sum(heights) + title * len(heights), theme)
    figure.set_layout_engine("none")
    top, total = 0.0, sum(heights) + title * len(heights)
    for (name, picture), height in zip(pictures.items(), heights, strict=True):
        bottom = 1 - (top + title + height) / total
        axes = figure.add_axes((0.0, bottom, 1.0, height / total))
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        axes.set(
            xticks=[], yticks=[], facecolor=theme.grid
        )  # black or white tiles keep their edges
        axes.spines[:].set_visible(False)
        label(axes, theme, title=name)
        top += title + height
    return figure


def _layers(layers: Mapping[int, object]) -> str:
    return f"layer{'s' if len(layers) > 1 else ''} {_listed([str(layer) for layer in layers])}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
