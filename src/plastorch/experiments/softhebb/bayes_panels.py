"""Figures of the shallow experiments: speed, cross-entropy, robustness, images between classes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.report.figures import short
from plastorch.report.load import Row, RunData, series
from plastorch.report.panel import Panel
from plastorch.report.panels import plain_curves, receptive_fields
from plastorch.report.theme import LIGHT, SMALL, WIDTH, Theme, label, legend, new_axes, new_figure
from plastorch.report.tiles import arrange, tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"soft": "SoftHebb", "hard": "hard WTA", "backprop": "backprop"}
ATTACKS = {
    "noise": "Gaussian noise, standard deviation",
    "linf": "L∞ attack, largest change of a pixel",
    "l2": "L2 attack, length of the change",
    "transfer-linf": "L∞ attack made on another network",
    "transfer-l2": "L2 attack made on another network",
}
STRIP_COLUMNS = 8

Curves = Mapping[str, NDArray[Any]]
"""Strengths and accuracies [2, S], by network."""


def draw_courses(
    courses: Mapping[str, Sequence[Row]], field: str, theme: Theme = LIGHT
) -> "Figure":
    """Draws a field of the log against mini-batches seen, one line per network, log scale.

    Args:
        courses: rows with "step" and the field, by network.
        field: "test_accuracy" (drawn in per cent) or "cross_entropy".
        theme: colors.

    Returns:
        A figure with one axes.

    Example:
        >>> rows = [{"step": 1, "test_accuracy": 0.5}, {"step": 10, "test_accuracy": 0.75}]
        >>> draw_courses({"soft": rows}, "test_accuracy").axes[0].lines[0].get_ydata().tolist()
        [50.0, 75.0]
    """
    figure = new_figure(3.3, theme)
    (axes,) = new_axes(figure, theme)
    percent = field == "test_accuracy"
    for index, (network, rows) in enumerate(courses.items()):
        steps = [row["step"] for row in rows]
        values = [(100 if percent else 1) * row[field] for row in rows]
        axes.plot(
            steps, values, linewidth=2, label=NAMES.get(network, network), **theme.line(index)
        )
    axes.set_xscale("log")
    if percent:
        axes.yaxis.set_major_formatter("{x:g} %")
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter("{x:g} nats")
    label(axes, theme, x="mini-batches seen")
    legend(axes, theme)
    return figure


def draw_robustness(attacks: Mapping[str, Curves], theme: Theme = LIGHT) -> "Figure":
    """Draws accuracy against the strength of noise and attacks: a panel each, a line per network.

    Args:
        attacks: strengths and accuracies (fractions) [2, S], by attack and network.
        theme: colors.

    Returns:
        A figure with one axes per attack.

    Example:
        >>> curve = np.array([[0.0, 1.0], [0.9, 0.4]])
        >>> draw_robustness({"l2": {"soft": curve}}).axes[0].lines[0].get_ydata().tolist()
        [90.0, 40.0]
    """
    figure = new_figure(0.6 + 1.9 * len(attacks), theme)
    stack = new_axes(figure, theme, rows=len(attacks), share_x=False)
    for axes, (attack, curves) in zip(stack, attacks.items(), strict=True):
        for index, (network, (strengths, accuracies)) in enumerate(curves.items()):
            name = NAMES.get(network, network)
            line = theme.line(index)
            axes.plot(strengths, 100 * accuracies, linewidth=2, label=name, **line)
        axes.set_ylim(-3, 103)
        axes.yaxis.set_major_formatter("{x:g} %")
        label(axes, theme, x=ATTACKS.get(attack, attack))
    legend(stack[0], theme)
    return figure


def draw_between(
    start: NDArray[Any],
    images: NDArray[Any],
    probability: NDArray[Any],
    classes: Sequence[tuple[str, str]],
    theme: Theme = LIGHT,
) -> "Figure":
    """Draws images under attacks of growing strength: a row per image, the clean one first.

    Args:
        start: clean images [N, C, h, w] in [0, 1].
        images: attacked images [S, N, C, h, w].
        probability: probabilities of the source and the target class [2, S, N].
        classes: names of source and target [N].
        theme: colors.

    Returns:
        A figure with one axes per image, titled by its classes.

    Raises:
        InputError: shapes do not fit each other.

    Example:
        >>> start, images = np.zeros((2, 1, 4, 4)), np.zeros((9, 2, 1, 4, 4))
        >>> figure = draw_between(start, images, np.zeros((2, 9, 2)), [("a", "b"), ("b", "c")])
        >>> len(figure.axes)
        2
    """
    if not _fit(start, images, probability) or len(classes) != len(start):
        raise InputError(
            f"images between classes: {start.shape}, {images.shape}, {probability.shape} and "
            f"{len(classes)} classes found; expected [N, C, h, w], [S, N, C, h, w], [2, S, N] and N"
        )
    picks = np.linspace(0, len(images) - 1, min(STRIP_COLUMNS - 1, len(images))).round().astype(int)
    rows = [
        arrange([tile(start[n]), *(tile(images[s, n]) for s in picks)], columns=STRIP_COLUMNS)
        for n in range(len(start))
    ]
    height, title, foot = WIDTH * rows[0].shape[0] / rows[0].shape[1], 0.26, 0.36
    total = len(rows) * (height + title + foot)
    figure = new_figure(total, theme)
    figure.set_layout_engine("none")
    for n, picture in enumerate(rows):
        bottom = 1 - ((n + 1) * (height + title) + n * foot) / total
        axes = figure.add_axes((0.0, bottom, 1.0, height / total))
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        axes.set(xticks=[], yticks=[], facecolor=theme.grid)
        axes.spines[:].set_visible(False)
        label(axes, theme, title=f"{short(classes[n][0])} → {short(classes[n][1])}")
        width = picture.shape[1] / STRIP_COLUMNS
        for place, s in enumerate(picks, start=1):
            text = "\n".join(f"{100 * p:.0f} %" for p in probability[:, s, n])
            axes.text(
                (place + 0.5) * width,
                picture.shape[0] * 1.03,
                text,
                ha="center",
                va="top",
                color=theme.muted,
                fontsize=SMALL,
            )
    return figure


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a softhebb-bayes run has data for.

    Example:
        >>> from pathlib import Path
        >>> panels(RunData(Path("run"), {}, [], {}))
        []
    """
    found = [_speed(run), _cross_entropy(run), _robustness(run), _between(run, "soft")]
    found += [_between(run, "backprop"), receptive_fields(run)]
    return [panel for panel in found if panel] + plain_curves(run, _is_drawn)


def _is_drawn(phase: str) -> bool:
    """Whether a phase has its own figures here, or none, and needs no plain curves."""
    alone = ("judge", "theory", "readouts", "robustness", "interpolation")
    when, _, kind = phase.partition("-")
    return phase in alone or (when in ("once", "again", "long") and kind in NAMES)


def _courses(run: RunData, when: str, field: str) -> dict[str, Sequence[Row]]:
    found = {kind: series(run.rows, f"{when}-{kind}", "step", [field]) for kind in NAMES}
    positive = {kind: [row for row in rows if row["step"] > 0] for kind, rows in found.items()}
    return {kind: rows for kind, rows in positive.items() if rows}


def _speed(run: RunData) -> Panel | None:
    courses = _courses(run, "once", "test_accuracy")
    if not courses:
        return None
    ends = "; ".join(
        f"{NAMES[k]} {100 * rows[-1]['test_accuracy']:.1f} %" for k, rows in courses.items()
    )
    return Panel(
        name="speed-of-learning",
        title="One pass over the images",
        caption="Test accuracy against mini-batches seen, while hidden layer and readout learn on "
        f"the same ones, each image once. At the end: {ends}.",
        alt=f"Line plot of test accuracy against mini-batches; at the end {ends}.",
        draw=lambda theme: draw_courses(courses, "test_accuracy", theme),
    )


def _cross_entropy(run: RunData) -> Panel | None:
    courses = _courses(run, "again", "cross_entropy")
    if not courses:
        return None
    ends = "; ".join(
        f"{NAMES[k]} from {rows[0]['cross_entropy']:.2f} to {rows[-1]['cross_entropy']:.2f}"
        for k, rows in courses.items()
    )
    return Panel(
        name="cross-entropy",
        title="A loss that the rule never sees",
        caption="Each network's readout was trained once and kept; its hidden layer then started "
        "anew. SoftHebb sees no labels here, yet the supervised loss on test images falls: "
        f"{ends}.",
        alt=f"Line plot of cross-entropy against mini-batches: {ends}.",
        draw=lambda theme: draw_courses(courses, "cross_entropy", theme),
    )


def _robustness(run: RunData) -> Panel | None:
    attacks: dict[str, dict[str, NDArray[Any]]] = {}
    for attack in ATTACKS:
        names = {network: f"accuracy_{attack}_{network}" for network in NAMES}
        curves = {n: run.arrays[name] for n, name in names.items() if name in run.arrays}
        found = {n: curve for n, curve in curves.items() if curve.ndim == 2 and len(curve) == 2}
        if found:
            attacks[attack] = found
    if not attacks:
        return None
    return Panel(
        name="robustness",
        title="Noise and attacks",
        caption="Test accuracy against the strength of what is added to the images, for the "
        "networks that learned for long. Attacks follow gradients, the networks' own and those of "
        "softened copies (a saturated softmax hides gradients), or those of an independent "
        "convolutional network.",
        alt="Line plots of accuracy against strength, a panel for noise and one for each attack.",
        draw=lambda theme: draw_robustness(attacks, theme),
    )


def _between(run: RunData, kind: str) -> Panel | None:
    names = ("start", "classes", kind, f"{kind}_p")
    arrays = [run.arrays.get(f"interpolated_{name}") for name in names]
    if any(array is None for array in arrays):
        return None
    start, pairs, images, probability = (array for array in arrays if array is not None)
    known = [str(name) for name in run.result["data"].get("classes") or []]
    named = pairs.dtype.kind in "iu" and bool(np.isin(pairs, range(len(known))).all())
    if not _fit(start, images, probability) or pairs.shape != (2, len(start)) or not named:
        return None
    classes = [(known[a], known[b]) for a, b in pairs.T.tolist()]
    return Panel(
        name=f"between-{kind}",
        title=f"From one class to another: attacks on {NAMES[kind]}",
        caption="Each row starts with a test image; attacks of growing strength push it towards "
        "another class. Under each picture: the probabilities that the network gives to the first "
        "class and, below, to the second.",
        alt=f"Rows of images, each turned into another class by attacks on {NAMES[kind]}.",
        draw=lambda theme: draw_between(start, images, probability, classes, theme),
    )


def _fit(start: NDArray[Any], images: NDArray[Any], probability: NDArray[Any]) -> bool:
    """Whether arrays have the form that :func:`draw_between` takes, and are not empty."""
    fits = images.shape[1:] == start.shape and probability.shape == (2, *images.shape[:2])
    return fits and start.ndim == 4 and start.shape[1] in (1, 3) and images.size > 0
