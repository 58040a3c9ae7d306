"""Figures of streams of transforming digits: frames, answers, and accuracy."""

from collections.abc import Mapping

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Strip
from plastorch.report.format import number
from plastorch.report.load import Array, RunData, by_network, kept
from plastorch.report.panel import Panel
from plastorch.report.panels import receptive_fields, with_curves

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
_DRAWN = (
    f"pictures|({'|'.join(TRANSFORMS)}|static)-(mlp|cnn|rnn|gru|lstm|stpn)"
    f"|(settings|smoothing|tests)-({'|'.join(TRANSFORMS)})"
)
"""Phases whose records have no order of their own, or that need no figure."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first."""
    makers = (receptive_fields, accuracy_since_onset, accuracy_occluded, stream, output_spikes)
    found = [make(run) for make in makers]
    return with_curves(run, found, _DRAWN)


def stream(run: RunData) -> Panel | None:
    """Returns the panel of a stream of digits, if the run kept one."""
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
    strips = _strips(pictures, answers, labels)
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
        caption=f"Some frames of a stream of unannounced digits{what}.{named}{wrong}",
        alt=f"Strips of {frames} small pictures of digits that transform, with answers below.",
        draw=lambda theme: charts.strips(strips, columns=COLUMNS, theme=theme),
    )


def _strips(
    pictures: Mapping[str, Array], answers: Mapping[str, Array], labels: Array | None
) -> list[Strip]:
    """Returns strips of eight frames with networks' answers below each; wrong ones are bold."""
    frames = len(next(iter(pictures.values())))
    told = dict(answers) if labels is None else {"shown": labels, **answers}
    wrong = {} if labels is None else {name: each != labels for name, each in told.items()}
    return [
        Strip(
            images={name: images[now, None] for name, images in pictures.items()},
            words={name: [str(value) for value in each[now]] for name, each in told.items()},
            marked={name: each[now].tolist() for name, each in wrong.items()},
        )
        for now in (slice(first, first + COLUMNS) for first in range(0, frames, COLUMNS))
    ]


def output_spikes(run: RunData) -> Panel | None:
    """Returns the panel of the output spikes in that stream, if the run kept them."""
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
        f"written; they got these names after learning. {spikes} spikes.",
        alt=f"Raster plot of {spikes} spikes of {many} neurons, grouped by digit.",
        draw=lambda theme: charts.raster(times, neurons, groups, theme=theme),
    )


def accuracy_since_onset(run: RunData) -> Panel | None:
    """Returns the panel of accuracy after a digit's onset, if the run kept it."""
    found = {
        transform: by_network(run, f"curve_{transform}", "T", NETWORKS) for transform in TRANSFORMS
    }
    parts = {
        transform: {name: np.stack([np.arange(len(y)), 100 * y]) for name, y in curves.items()}
        for transform, curves in found.items()
        if curves
    }
    if not parts:
        return None
    return Panel(
        name="accuracy-since-onset",
        title="From one digit to the next",
        caption="Share of correct answers against the frames since a digit replaced another. "
        "Nothing tells the networks when that happens, and nothing is reset. ST-STDP is the "
        "circuit with short-term plasticity, static the same without; both learned from digits at "
        "rest, without labels. The others learned by backpropagation from labeled streams of the "
        "same kind; CNN, mean: a moving average of the CNN's answers to single frames.",
        alt=f"Line plots of accuracy against frames since a digit came, for {', '.join(parts)}.",
        draw=lambda theme: charts.lines(
            parts, x="frames since a new digit", y_unit="%", y_range=(-3, 103), theme=theme
        ),
    )


def accuracy_occluded(run: RunData) -> Panel | None:
    """Returns the panel of accuracy by what is covered, if the run kept that."""
    parts = {}
    for transform in TRANSFORMS:
        curves = by_network(run, f"curve_{transform}", "T", NETWORKS)
        covered = kept(run, **{f"covered_{transform}": "T"})
        if covered and covered[0].any():
            fits = {name: y for name, y in curves.items() if y.shape == covered[0].shape}
            parts[transform] = {name: _by_value(covered[0], 100 * y) for name, y in fits.items()}
    parts = {transform: curves for transform, curves in parts.items() if curves}
    if not parts:
        return None
    return Panel(
        name="accuracy-occluded",
        title="How much may be covered",
        caption="Share of correct answers against the share of the field that is covered by a bar, "
        "which moves in and out. Frames with the same share are pooled.",
        alt=f"Line plots of accuracy against the share that is covered, for {', '.join(parts)}.",
        draw=lambda theme: charts.lines(
            parts,
            x="share of the field that is covered",
            y_unit="%",
            y_range=(-3, 103),
            theme=theme,
        ),
    )


def _by_value(where: Array, values: Array) -> Array:
    """Returns means of values by their x, to a thousandth [2, X]."""
    places, which = np.unique(where.round(3), return_inverse=True)
    return np.stack([places, np.bincount(which, values) / np.bincount(which)])


def _every(values: Array, frames: int) -> Array | None:
    """Returns values of evenly chosen frames out of all frames; None if they are not classes."""
    if values.dtype.kind not in "iu" or len(values) % frames:
        return None
    return values[:: len(values) // frames]


def _scaled(images: Array) -> Array:
    """Scales each image from 0 to its largest value."""
    most = images.max(axis=(1, 2), keepdims=True)
    return np.clip(images / np.where(most > 0, most, 1), 0, 1)
