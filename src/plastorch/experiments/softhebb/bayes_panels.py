"""Figures of the shallow experiments: speed, cross-entropy, robustness, images between classes."""

from collections.abc import Sequence

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Strip
from plastorch.report.format import short
from plastorch.report.load import Array, Row, RunData, columns, series
from plastorch.report.panel import Panel
from plastorch.report.panels import receptive_fields, with_curves

NAMES = {
    "soft": "SoftHebb",
    "hard": "hard WTA",
    "backprop": "backprop",
    "backprop-unit": "backprop, inputs of unit length",
    "sampled": "training images as weights",
}
ATTACKS = {
    "noise": "Gaussian noise, standard deviation",
    "linf": "L∞ attack, largest change of a pixel",
    "l2": "L2 attack, length of the change",
    "transfer-linf": "L∞ attack made on another network",
    "transfer-l2": "L2 attack made on another network",
}
_DRAWN = f"judge|theory|readouts|robustness|interpolation|(once|again|long)-({'|'.join(NAMES)})"
"""Phases that have figures of their own, or need none."""
_COLUMNS = 8


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a softhebb-bayes run has data for."""
    found = [_speed(run), _cross_entropy(run), _robustness(run), _between(run, "soft")]
    found += [_between(run, "backprop"), receptive_fields(run)]
    return with_curves(run, found, _DRAWN)


def _courses(run: RunData, when: str, field: str) -> dict[str, list[Row]]:
    """Returns rows of a phase with a field, by network."""
    found = {kind: series(run.rows, f"{when}-{kind}", "step", [field]) for kind in NAMES}
    positive = {kind: [row for row in rows if row["step"] > 0] for kind, rows in found.items()}
    return {kind: rows for kind, rows in positive.items() if rows}


def _speed(run: RunData) -> Panel | None:
    courses = _courses(run, "once", "test_accuracy")
    if not courses:
        return None
    curves = {
        NAMES[kind]: columns(rows, "step", "test_accuracy") * [[1], [100]]
        for kind, rows in courses.items()
    }
    ends = "; ".join(f"{name} {right[-1]:.1f} %" for name, (_, right) in curves.items())
    return Panel(
        name="speed-of-learning",
        title="One pass over the images",
        caption="Test accuracy against mini-batches seen, while hidden layer and readout learn on "
        f"the same ones, each image once. At the end: {ends}.",
        alt=f"Line plot of test accuracy against mini-batches; at the end {ends}.",
        draw=lambda theme: charts.lines(
            {"": curves}, x="mini-batches seen", log="x", y_unit="%", theme=theme
        ),
    )


def _cross_entropy(run: RunData) -> Panel | None:
    courses = _courses(run, "again", "cross_entropy")
    if not courses:
        return None
    curves = {NAMES[kind]: columns(rows, "step", "cross_entropy") for kind, rows in courses.items()}
    ends = "; ".join(
        f"{name} from {loss[0]:.2f} to {loss[-1]:.2f}" for name, (_, loss) in curves.items()
    )
    return Panel(
        name="cross-entropy",
        title="A loss that the rule never sees",
        caption="Each network's readout was trained once and frozen; its hidden layer then learned "
        "again from its initial weights. SoftHebb sees no labels here, yet the supervised loss on "
        f"test images falls: {ends}.",
        alt=f"Line plot of cross-entropy against mini-batches: {ends}.",
        draw=lambda theme: charts.lines(
            {"": curves},
            x="mini-batches seen",
            log="x",
            y_unit="nats",
            y_range=(0, None),
            theme=theme,
        ),
    )


def _robustness(run: RunData) -> Panel | None:
    parts: dict[str, dict[str, Array]] = {}
    for attack, title in ATTACKS.items():
        curves = {name: run.arrays.get(f"accuracy_{attack}_{kind}") for kind, name in NAMES.items()}
        found = {
            name: curve * [[1], [100]]
            for name, curve in curves.items()
            if curve is not None and curve.ndim == 2 and len(curve) == 2
        }
        if found:
            parts[title] = found
    if not parts:
        return None
    return Panel(
        name="robustness",
        title="Noise and attacks",
        caption="Test accuracy against the strength of noise or attack, for the networks that "
        "were trained longest. Attacks follow gradients, the networks' own and those of "
        "softened copies (a saturated softmax hides gradients), or those of an independent "
        "convolutional network.",
        alt="Line plots of accuracy against strength, a panel for noise and one for each attack.",
        draw=lambda theme: charts.lines(
            parts, share="", y_unit="%", y_range=(-3, 103), theme=theme
        ),
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
    rows = _strips(start, images, probability, classes)
    return Panel(
        name=f"between-{kind}",
        title=f"From one class to another: attacks on {NAMES[kind]}",
        caption="Each row starts with a test image; attacks of growing strength push it toward "
        "another class. Under each picture: the probabilities that the network gives to the first "
        "class and, below that, to the second.",
        alt=f"Rows of images, each turned into another class by attacks on {NAMES[kind]}.",
        draw=lambda theme: charts.strips(rows, columns=_COLUMNS, theme=theme),
    )


def _strips(
    start: Array, images: Array, probability: Array, classes: Sequence[tuple[str, str]]
) -> list[Strip]:
    """Returns a strip per image: the clean image, then attacked ones, with probabilities below."""
    picks = np.linspace(0, len(images) - 1, min(_COLUMNS - 1, len(images))).round().astype(int)
    strips = []
    for n, pair in enumerate(classes):
        names = [short(name) for name in pair]
        words = {
            name: ["", *(f"{100 * p:.0f} %" for p in of[picks, n])]
            for name, of in zip(names, probability, strict=True)
        }
        row = np.concatenate([start[n][None], images[picks, n]])
        strips.append(Strip(images={"": row}, words=words, title=" → ".join(names)))
    return strips


def _fit(start: Array, images: Array, probability: Array) -> bool:
    """Whether arrays have the form that :func:`_strips` takes, and are not empty."""
    fits = images.shape[1:] == start.shape and probability.shape == (2, *images.shape[:2])
    return fits and start.ndim == 4 and start.shape[1] in (1, 3) and images.size > 0
