"""Which figures a run has the data for, and what they say in plain words."""

from collections.abc import Callable, Sequence

import numpy as np

from plastorch.experiments.files.panels import files_panels, is_files_phase
from plastorch.experiments.fstdp.panels import is_spiking_phase, spiking_panels
from plastorch.experiments.rank.timing_panels import timing_panels
from plastorch.experiments.rank.toy_panels import is_rank_toy_phase, rank_toy_panels
from plastorch.experiments.softhebb.bayes_panels import bayes_panels, is_bayes_phase
from plastorch.experiments.softhebb.neuron_panels import embedding, fields, patches
from plastorch.experiments.softhebb.sensitivity_panels import convergence, sweep
from plastorch.experiments.stec.panels import is_stec_phase, stec_panels
from plastorch.experiments.stpn.agent_panels import agent_panels
from plastorch.experiments.stpn.panels import is_stpn_phase, stpn_panels
from plastorch.report import figures
from plastorch.report.format import NBSP, number, percent, plain
from plastorch.report.load import Row, RunData, is_number, series
from plastorch.report.panel import Panel as Panel

_COUNTERS = ("epoch", "step", "examples")
_MAX_FIELDS = 6


def panels(run: RunData) -> list[Panel]:
    """The figures this run has data for, most telling first.

    Args:
        run: a loaded run folder.

    Returns:
        Panels, possibly none.

    Example:
        >>> from pathlib import Path
        >>> panels(RunData(Path("run"), {}, [], {}))
        []
    """
    known = [
        _learning_curve(run),
        _receptive_fields(run),
        fields(run),
        patches(run),
        _confusion(run),
        embedding(run),
        _weight_norms(run),
        convergence(run),
        _winner_probability(run),
        sweep(run, "temperature"),
        sweep(run, "radius"),
    ]
    own = bayes_panels(run) + stpn_panels(run) + spiking_panels(run) + files_panels(run)
    own += agent_panels(run) + timing_panels(run) + rank_toy_panels(run) + stec_panels(run)
    return [panel for panel in known if panel] + own + _other_phases(run)


def accuracy_course(run: RunData) -> list[float]:
    """Test accuracy per epoch of the readout.

    Example:
        >>> from pathlib import Path
        >>> accuracy_course(RunData(Path("run"), {}, [], {}))
        []
    """
    return [row["test_accuracy"] for row in _readout(run)]


def has_filters(run: RunData) -> bool:
    """Whether the run kept first-layer filters that can be shown as pictures.

    Example:
        >>> from pathlib import Path
        >>> has_filters(RunData(Path("run"), {}, [], {}))
        False
    """
    filters = run.arrays.get("filters")
    return filters is not None and filters.size > 0 and filters.shape[1] in (1, 3)


def _readout(run: RunData) -> list[Row]:
    return series(run.rows, "readout", "epoch", ["train_accuracy", "test_accuracy"])


def _layers(run: RunData, *fields: str) -> dict[int, list[Row]]:
    rows = [row for row in run.rows if is_number(row.get("layer"))]
    split = {
        layer: series([r for r in rows if r["layer"] == layer], "unsupervised", "examples", fields)
        for layer in sorted({row["layer"] for row in rows})
    }
    return {int(layer): found for layer, found in split.items() if found}


def _learning_curve(run: RunData) -> Panel | None:
    rows = _readout(run)
    if not rows:
        return None
    test, train = (percent(rows[-1][f"{name}_accuracy"]) for name in ("test", "train"))
    return Panel(
        name="learning-curve",
        title="Learning curve",
        caption="Share of right answers after each pass over the labelled data. At the end "
        f"{test} of the test examples are right, against {train} of the training examples.",
        alt=f"Line plot of accuracy against epoch; test accuracy ends at {test}, training "
        f"accuracy at {train}.",
        draw=lambda theme: figures.learning_curve(rows, theme),
    )


def _receptive_fields(run: RunData) -> Panel | None:
    if not has_filters(run):
        return None
    filters = run.arrays["filters"]
    count, _, height, width = filters.shape
    sample = f" An even sample of {figures.MAX_TILES} is shown." * (count > figures.MAX_TILES)
    return Panel(
        name="receptive-fields",
        title="Receptive fields",
        caption=f"What the {number(count)} neurons of the first layer look for. Each tile is one "
        f"neuron's {height} × {width} weights, stretched from the smallest to the largest; those "
        f"with the clearest pattern come first.{sample}",
        alt=f"Grid of small pictures, the {height} by {width} weights of the first-layer neurons.",
        draw=lambda theme: figures.receptive_fields(filters, theme),
    )


def _confusion(run: RunData) -> Panel | None:
    matrix = run.arrays.get("confusion")
    if matrix is None or not len(matrix):
        return None
    classes = [str(name) for name in run.result["data"].get("classes") or []]
    if len(classes) != len(matrix):
        classes = [str(index) for index in range(len(matrix))]
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    row, col = np.unravel_index(wrong.argmax(), wrong.shape)
    worst = "No example was taken for another class."
    if wrong.max() > 0:
        worst = (
            f"The most frequent mistake: {classes[row]} taken for {classes[col]}, "
            f"{number(int(wrong.max()))} of {number(int(matrix[row].sum()))} times."
        )
    cells = " Numbers are counts." if len(matrix) <= figures.MAX_LABELLED else ""
    return Panel(
        name="confusion",
        title="What is taken for what",
        caption="Each row is a true class, each column an answer on the test examples; the "
        "stronger its shade, the larger its share of the row. A perfect result fills only the "
        f"diagonal.{cells} {worst}",
        alt=f"Confusion matrix of {len(matrix)} classes. {worst}",
        draw=lambda theme: figures.confusion(matrix, classes, theme),
    )


def _weight_norms(run: RunData) -> Panel | None:
    layers = _layers(run, "radius_mean", "radius_std")
    if not layers:
        return None
    ends = _ends(
        layers, lambda row: f"{row['radius_mean']:.2f}{NBSP}±{NBSP}{row['radius_std']:.2f}"
    )
    return Panel(
        name="weight-norms",
        title="Length of the weight vectors",
        caption="Mean radius (length) of each layer's weight vectors against training examples "
        "seen; the band is one standard deviation either way. The dashed line is r = 1, where a "
        f"neuron stops growing or shrinking. At the end, {ends}.",
        alt=f"Line plots of the mean weight radius per layer; at the end {ends}.",
        draw=lambda theme: figures.weight_norms(layers, theme),
    )


def _winner_probability(run: RunData) -> Panel | None:
    layers = _layers(run, "winner_probability")
    if not layers:
        return None
    ends = _ends(layers, lambda row: f"{row['winner_probability']:.2f}")
    return Panel(
        name="winner-probability",
        title="How decided the competition is",
        caption="Mean probability that the softmax gives to the winning neuron: 1 would be a hard "
        "winner-takes-all, values near 0 a competition that nobody wins. "
        f"At the end, {ends}.",
        alt=f"Line plot of the winner's mean probability per layer; at the end {ends}.",
        draw=lambda theme: figures.winner_probability(layers, theme),
    )


def _ends(layers: dict[int, list[Row]], text: Callable[[Row], str]) -> str:
    return "; ".join(f"layer {layer + 1}: {text(rows[-1])}" for layer, rows in layers.items())


def _other_phases(run: RunData) -> list[Panel]:
    """Plain curves for phases without a figure of their own; a phase with layers has none."""
    drawn = {"readout"} if _readout(run) else set()
    names = dict.fromkeys(row["phase"] for row in run.rows if isinstance(row.get("phase"), str))
    own = (
        is_bayes_phase,
        is_stpn_phase,
        is_spiking_phase,
        is_files_phase,
        is_rank_toy_phase,
        is_stec_phase,
    )
    drawn |= {phase for phase in names if any(mine(phase) for mine in own)}
    found = [_curves(run, phase) for phase in names if phase not in drawn]
    panels = [panel for panel in found if panel]
    return [
        Panel(f"curves-{index}", p.title, p.caption, p.alt, p.draw)
        for index, p in enumerate(panels, start=1)
    ]


def _curves(run: RunData, phase: str) -> Panel | None:
    mine = [row for row in run.rows if row.get("phase") == phase]
    x = next((name for name in _COUNTERS if all(is_number(r.get(name)) for r in mine)), None)
    if x is None or any("layer" in row for row in mine):
        return None
    fields = _moving_fields(series(mine, phase, x, []))
    rows = series(mine, phase, x, fields)
    if not fields:
        return None
    names = ", ".join(plain(name) for name in fields)
    return Panel(
        name="curves",
        title=f"Course of “{phase}”",
        caption=f"As logged: {names}, each against {x}.",
        alt=f"Line plots of {names} against {x}.",
        draw=lambda theme: figures.field_curves(rows, x, fields, theme),
    )


def _moving_fields(rows: Sequence[Row]) -> list[str]:
    names = [
        name
        for name in rows[0]
        if name not in _COUNTERS and all(is_number(row.get(name)) for row in rows)
    ]
    return [name for name in names if len({row[name] for row in rows}) > 1][:_MAX_FIELDS]
