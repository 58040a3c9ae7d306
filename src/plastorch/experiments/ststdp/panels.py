"""Figures of streams of transforming digits: frames, answers, and accuracy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from plastorch.engine.errors import InputError
from plastorch.report.format import number
from plastorch.report.load import Array, RunData, by_network, kept
from plastorch.report.panel import Panel
from plastorch.report.panels import plain_curves, receptive_fields
from plastorch.report.raster import draw_raster
from plastorch.report.theme import (
    LIGHT,
    SMALL,
    WIDTH,
    Theme,
    label,
    legend_above,
    new_axes,
    new_figure,
)
from plastorch.report.tiles import arrange, tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS = {
    "short-term": "ST-STDP",
    "static": "static",
    "mlp": "MLP",
    "cnn": "CNN",
    "smoothed-cnn": "CNN, mean",
    "rnn": "RNN",
    "gru": "GRU",
    "lstm": "LSTM",
    "stpn": "STPN",
}
"""Names of the models that are compared; others are left out."""
TRANSFORMS = ("occlusion", "rotation", "translation", "scale", "contrast", "mixed")
PICTURES = {"course_frames": "frame", "course_expected": "expected", "course_rest": "at rest"}
COLUMNS = 8
_LEFT, _LINE, _GAP = 1.05, 0.19, 0.12
"""Sizes in inches: of names at the left, of a line of answers, and between two strips."""

Curves = Mapping[str, Array]
"""Curves [2, X] by network: x values, and accuracy there."""


PHASES = ("pictures",)
PARTS = ("settings", "smoothing", "tests")
"""First words of a transform's phases whose records have no order of their own."""
MODELS = ("mlp", "cnn", "rnn", "gru", "lstm", "stpn")


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first.

    Example:
        >>> from pathlib import Path
        >>> panels(RunData(Path("run"), {}, [], {}))
        []
    """
    makers = (receptive_fields, accuracy_since_onset, accuracy_occluded, stream, output_spikes)
    found = [make(run) for make in makers]
    return [panel for panel in found if panel] + plain_curves(run, _is_drawn)


def _is_drawn(phase: str) -> bool:
    """Whether a phase has its own figures here, or none, and needs no plain curves."""
    first, _, rest = phase.partition("-")
    training = first in (*TRANSFORMS, "static") and rest in MODELS
    return phase in PHASES or training or (first in PARTS and rest in TRANSFORMS)


def draw_streams(
    pictures: Mapping[str, Array],
    answers: Mapping[str, Array],
    labels: Array | None = None,
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws strips of frames with the networks' answers below each of them.

    Args:
        pictures: rows of a strip by name, such as the frames and what is expected, in [0, 1]
            [F, H, W] each.
        answers: a class for each frame, int [F], by network.
        labels: true classes, int [F]; wrong answers are bold. None if not known.
        theme: colors.

    Returns:
        A figure with one axes per strip of eight frames.

    Raises:
        InputError: there are not as many of everything.

    Example:
        >>> figure = draw_streams({"frame": np.ones((9, 4, 4))}, {"CNN": np.arange(9)})
        >>> len(figure.axes), [text.get_text() for text in figure.axes[1].texts]
        (2, ['frame', 'CNN', '8'])
    """
    frames = len(next(iter(pictures.values())))
    rows = dict(answers) if labels is None else {"shown": labels, **answers}
    if any(len(values) != frames for values in (*pictures.values(), *rows.values())):
        raise InputError(f"stream: expected pictures and answers for each of {frames} frames")
    side = (WIDTH - _LEFT) / COLUMNS
    height = len(pictures) * side + len(rows) * _LINE
    strips = range(0, frames, COLUMNS)
    total = len(strips) * (height + _GAP)
    figure = new_figure(total, theme)
    figure.set_layout_engine("none")
    for place, first in enumerate(strips):
        bottom = 1 - (place + 1) * (height + _GAP) / total
        axes = figure.add_axes(
            (0.0, bottom, 1.0, height / total), xlim=(0, WIDTH), facecolor="none"
        )
        axes.set(ylim=(height, 0), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        now = slice(first, first + COLUMNS)
        for row, (name, images) in enumerate(pictures.items()):
            strip = arrange([tile(image[None]) for image in images[now]], COLUMNS)
            box = (_LEFT, WIDTH, (row + 0.96) * side, row * side)
            axes.imshow(strip, interpolation="nearest", aspect="auto", extent=box)
            axes.text(
                0.05, (row + 0.5) * side, name, va="center", color=theme.muted, fontsize=SMALL
            )
        for row, (name, values) in enumerate(rows.items()):
            y = len(pictures) * side + (row + 0.5) * _LINE
            axes.text(0.05, y, name, va="center", color=theme.muted, fontsize=SMALL)
            for column, value in enumerate(values[now]):
                wrong = labels is not None and value != labels[first + column]
                axes.text(
                    *(_LEFT + (column + 0.5) * side, y),
                    str(value),
                    ha="center",
                    va="center",
                    fontsize=SMALL,
                    weight="bold" if wrong else "normal",
                    color=theme.series[1] if wrong else theme.ink,
                )
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    return figure


def draw_accuracy_over(parts: Mapping[str, Curves], x: str, theme: Theme = LIGHT) -> "Figure":
    """Draws accuracy against x: one axes per part, one line per network.

    Args:
        parts: x values and accuracies [2, X], by title (such as a transform) and network.
        x: label of the x axis.
        theme: colors.

    Returns:
        A figure with one axes per part.

    Example:
        >>> parts = {"occlusion": {"CNN": np.array([[0.0, 1.0], [0.9, 0.4]])}}
        >>> draw_accuracy_over(parts, "frames").axes[0].lines[0].get_ydata().tolist()
        [90.0, 40.0]
    """
    names = list(dict.fromkeys(name for curves in parts.values() for name in curves))
    figure = new_figure(1.0 + 0.2 * len(names) / 3 + 2.1 * len(parts), theme)
    stack = new_axes(figure, theme, rows=len(parts))
    for axes, (title, curves) in zip(stack, parts.items(), strict=True):
        for name, (where, accuracy) in curves.items():
            style = theme.line(names.index(name))
            axes.plot(where, 100 * accuracy, linewidth=2, label=name, **style)
        axes.set_ylim(-3, 103)
        axes.margins(x=0.01)
        axes.yaxis.set_major_formatter("{x:g} %")
        label(axes, theme, title=title)
    label(stack[-1], theme, x=x)
    legend_above(stack[0], theme)
    return figure


def stream(run: RunData) -> Panel | None:
    """Returns the panel of a stream of digits, if the run kept one.

    Example:
        >>> from pathlib import Path
        >>> stream(RunData(Path("run"), {}, [], {}))
    """
    found = {name: kept(run, **{"course_frames": "FHW", name: "FHW"}) for name in PICTURES}
    pictures = {PICTURES[name]: _scaled(arrays[-1]) for name, arrays in found.items() if arrays}
    if "frame" not in pictures:
        return None
    frames = len(pictures["frame"])
    answers = by_network(run, "course_answers", "T", NETWORKS)
    shares = kept(run, course_shares="TC")
    if shares:
        answers = {NETWORKS["short-term"]: shares[0].argmax(axis=1)} | answers
    chosen = {name: _every(each, frames) for name, each in answers.items()}
    answers = {name: each for name, each in chosen.items() if each is not None}
    told = kept(run, course_labels="T")
    labels = _every(told[0], frames) if told else None
    rows = {
        "expected": "below each what the winning neuron expected, with its short-term weights",
        "at rest": "then its long-term weights alone",
    }
    what = "".join(f", {words}" for name, words in rows.items() if name in pictures)
    wrong = " Wrong answers are bold." if labels is not None and answers else ""
    named = f" Then the answers of {', '.join(answers)}." if answers else ""
    return Panel(
        name="stream",
        title="A stream, and what networks make of it",
        caption=f"Some frames of a stream of digits that nobody announces{what}.{named}{wrong}",
        alt=f"Strips of {frames} small pictures of digits that transform, with answers below.",
        draw=lambda theme: draw_streams(pictures, answers, labels, theme),
    )


def output_spikes(run: RunData) -> Panel | None:
    """Returns the panel of the output spikes in that stream, if the run kept them.

    Example:
        >>> from pathlib import Path
        >>> output_spikes(RunData(Path("run"), {}, [], {}))
    """
    found = kept(run, raster_times="E", raster_neurons="E", names="K")
    if found is None or any(array.dtype.kind not in "iu" for array in found[1:]):
        return None
    times, neurons, names = found
    if neurons.min() < 0 or neurons.max() >= len(names):
        return None
    active = np.isin(np.arange(len(names)), neurons)
    groups = {str(name): active & (names == name) for name in np.unique(names[active])}
    spikes, many = number(len(times)), number(int(active.sum()))
    return Panel(
        name="output-spikes",
        title="Output spikes in that stream",
        caption=f"The {many} neurons of {number(len(names))} that spike at all: a row per neuron, "
        "a dot per spike. They are grouped by the digit they stand for, in whichever way it is "
        f"written; they got these names after they had learned. {spikes} spikes.",
        alt=f"Raster plot of {spikes} spikes of {many} neurons, grouped by digit.",
        draw=lambda theme: draw_raster(times, neurons, groups, theme=theme),
    )


def accuracy_since_onset(run: RunData) -> Panel | None:
    """Returns the panel of accuracy after a digit's onset, if the run kept it.

    Example:
        >>> from pathlib import Path
        >>> accuracy_since_onset(RunData(Path("run"), {}, [], {}))
    """
    found = {
        transform: by_network(run, f"curve_{transform}", "T", NETWORKS) for transform in TRANSFORMS
    }
    parts = {
        transform: {name: np.stack([np.arange(len(y)), y]) for name, y in curves.items()}
        for transform, curves in found.items()
        if curves
    }
    if not parts:
        return None
    return Panel(
        name="accuracy-since-onset",
        title="From one digit to the next",
        caption="Share of right answers, by the frames since a digit took the place of another. "
        "Nothing tells the networks when that is, and nothing is reset. ST-STDP is the circuit "
        "with short-term plasticity, static the same without; both learned from digits at rest, "
        "without labels. The others learned by backpropagation from labeled streams of the same "
        "kind; CNN, mean: a moving average of what the CNN says of single frames.",
        alt=f"Line plots of accuracy against frames since a digit came, for {', '.join(parts)}.",
        draw=lambda theme: draw_accuracy_over(parts, "frames since a new digit", theme),
    )


def accuracy_occluded(run: RunData) -> Panel | None:
    """Returns the panel of accuracy by what is covered, if the run kept that.

    Example:
        >>> from pathlib import Path
        >>> accuracy_occluded(RunData(Path("run"), {}, [], {}))
    """
    parts = {}
    for transform in TRANSFORMS:
        curves = by_network(run, f"curve_{transform}", "T", NETWORKS)
        covered = kept(run, **{f"covered_{transform}": "T"})
        if covered and covered[0].any():
            fits = {name: y for name, y in curves.items() if y.shape == covered[0].shape}
            parts[transform] = {name: _by_value(covered[0], y) for name, y in fits.items()}
    parts = {transform: curves for transform, curves in parts.items() if curves}
    if not parts:
        return None
    return Panel(
        name="accuracy-occluded",
        title="How much may be covered",
        caption="Share of right answers, by the share of the field that lies under a bar, which "
        "comes in and goes again. Frames with the same share are taken together.",
        alt=f"Line plots of accuracy against the share that is covered, for {', '.join(parts)}.",
        draw=lambda theme: draw_accuracy_over(parts, "share of the field that is covered", theme),
    )


def _by_value(where: Array, values: Array) -> Array:
    """Returns means of values by their x, to a thousandth [2, X]."""
    places, which = np.unique(where.round(3), return_inverse=True)
    return np.stack([places, np.bincount(which, values) / np.bincount(which)])


def _every(values: Array, frames: int) -> Array | None:
    """Returns values of evenly chosen frames out of all frames; None if they are no classes."""
    if values.dtype.kind not in "iu" or len(values) % frames:
        return None
    return values[:: len(values) // frames]


def _scaled(images: Array) -> Array:
    """Scales each image from 0 to its largest value."""
    most = images.max(axis=(1, 2), keepdims=True)
    return np.clip(images / np.where(most > 0, most, 1), 0, 1)
