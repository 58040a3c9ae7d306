"""Figures of ststdp-features: accuracy of each model, by transform and from digit to digit."""

import numpy as np

from plastorch.experiments.ststdp.features import TRANSFORMS
from plastorch.report import charts
from plastorch.report.load import RunData, by_network
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

MODELS = {
    "features_short_term": "ST-STDP on features",
    "features_static": "static on features",
    "pixels_short_term": "ST-STDP on pixels",
    "pixels_static": "static on pixels",
    "features_cnn": "CNN on features",
    "pixels_cnn": "CNN on pixels",
    "features_lstm": "LSTM on features",
    "pixels_lstm": "LSTM on pixels",
}
"""Names of the models that are drawn."""
_DRAWN = (
    "unsupervised|habituation|(learning|names)-.*"
    f"|(settings|finals|smoothing|tests)-({'|'.join(TRANSFORMS)})"
)
"""Phases whose records have no order of their own, or that need no figure."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first."""
    return with_curves(run, [accuracy(run), accuracy_since_onset(run)], _DRAWN)


def accuracy(run: RunData) -> Panel | None:
    """Returns the panel of accuracy by transform, if the run has such figures."""
    metrics = run.result["metrics"]
    found = {
        transform: {
            name: 100 * float(metrics[key])
            for model, name in MODELS.items()
            if (key := f"{transform}_{model}_accuracy") in metrics
        }
        for transform in TRANSFORMS
    }
    found = {transform: each for transform, each in found.items() if each}
    if not found:
        return None
    return Panel(
        name="accuracy-by-transform",
        title="Which model tolerates which transform",
        caption="Share of frames that are recognized in films of digits that transform. ST-STDP, "
        "static weights and features learned from digits at rest, without labels; networks that "
        "learn by backpropagation, if drawn, from labeled films of the same transform.",
        alt=f"Right answers of each model, for {', '.join(found)}.",
        draw=lambda theme: charts.points(
            {"": found}, x="frames that are recognized", x_unit="%", theme=theme
        ),
    )


def accuracy_since_onset(run: RunData) -> Panel | None:
    """Returns the panel of accuracy after a digit's onset, if the run kept it."""
    names = {model.replace("_", "-"): name for model, name in MODELS.items()}
    curves = {t: by_network(run, f"curve_{t}", "T", names) for t in TRANSFORMS}
    parts = {
        transform: {name: np.stack([np.arange(len(y)), 100 * y]) for name, y in each.items()}
        for transform, each in curves.items()
        if each
    }
    if not parts:
        return None
    return Panel(
        name="accuracy-since-onset",
        title="From one digit to the next",
        caption="Share of correct answers against the frames since a digit replaced another.",
        alt=f"Line plots of accuracy against frames since a digit came, for {', '.join(parts)}.",
        draw=lambda theme: charts.lines(
            parts, x="frames since a new digit", y_unit="%", y_range=(-3, 103), theme=theme
        ),
    )
