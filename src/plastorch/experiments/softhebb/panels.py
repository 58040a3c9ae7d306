"""Figures of a deep SoftHebb run."""

from collections.abc import Callable

from plastorch.experiments.softhebb.neuron_panels import embedding, fields, patches
from plastorch.experiments.softhebb.sensitivity_panels import convergence, sweep
from plastorch.report import charts
from plastorch.report.format import NBSP
from plastorch.report.load import Row, RunData, columns, is_number, series
from plastorch.report.panel import Panel
from plastorch.report.panels import confusion, learning_curve, receptive_fields, with_curves


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first."""
    accuracy = learning_curve(run)
    found = [
        accuracy,
        receptive_fields(run),
        fields(run),
        patches(run),
        confusion(run),
        embedding(run),
        _weight_norms(run),
        convergence(run),
        _winner_probability(run),
        sweep(run, "temperature"),
        sweep(run, "radius"),
    ]
    return with_curves(run, found, drawn="readout" if accuracy else "")


def _layers(run: RunData, *fields: str) -> dict[str, list[Row]]:
    """Returns rows of layers that have these fields, by the layer's name."""
    rows = [row for row in run.rows if is_number(row.get("layer"))]
    split = {
        layer: series([r for r in rows if r["layer"] == layer], "unsupervised", "examples", fields)
        for layer in sorted({row["layer"] for row in rows})
    }
    return {f"layer {layer + 1}": found for layer, found in split.items() if found}


def _weight_norms(run: RunData) -> Panel | None:
    layers = _layers(run, "radius_mean", "radius_std")
    if not layers:
        return None
    parts = {}
    for name, rows in layers.items():
        examples, mean, spread = columns(rows, "examples", "radius_mean", "radius_std")
        band = [mean - spread, mean + spread]
        parts[f"{name}: radius r"] = {"": [examples, mean, *band]}
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
        draw=lambda theme: charts.lines(
            parts, x="training examples seen", log="x", y_range=(0, None), at_y=[1], theme=theme
        ),
    )


def _winner_probability(run: RunData) -> Panel | None:
    layers = _layers(run, "winner_probability")
    if not layers:
        return None
    curves = {
        name: columns(rows, "examples", "winner_probability") for name, rows in layers.items()
    }
    ends = _ends(layers, lambda row: f"{row['winner_probability']:.2f}")
    return Panel(
        name="winner-probability",
        title="How decided the competition is",
        caption="Mean probability that the softmax gives to the winning neuron: 1 would be a hard "
        "winner-take-all, values near 0 a competition without a winner. "
        f"At the end, {ends}.",
        alt=f"Line plot of the winner's mean probability per layer; at the end {ends}.",
        draw=lambda theme: charts.lines(
            {"": curves}, x="training examples seen", log="x", y_range=(-0.03, 1.03), theme=theme
        ),
    )


def _ends(layers: dict[str, list[Row]], text: Callable[[Row], str]) -> str:
    return "; ".join(f"{name}: {text(rows[-1])}" for name, rows in layers.items())
