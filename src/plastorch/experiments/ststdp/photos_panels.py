"""Figure of ststdp-photos: accuracy of each reader while a bar comes and goes."""

import numpy as np

from plastorch.experiments.ststdp.photos import BAR, MOVING
from plastorch.report import charts
from plastorch.report.format import percent
from plastorch.report.load import RunData, by_network
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

MODELS = {
    "short-term": "short-term plasticity",
    "forgetful": "the same without it",
    "static": "readout",
    "smoothed": "its moving average",
    "gru": "GRU, trained on films",
}
"""Names of the models."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for."""
    return with_curves(run, [accuracy_since_onset(run)], "films|settings|tests")


def accuracy_since_onset(run: RunData) -> Panel | None:
    """Returns the panel of accuracy after a photo's onset, if the run kept it."""
    found = by_network(run, f"curve_{BAR}", "T", MODELS)
    if not found:
        return None
    curves = {name: np.stack([np.arange(len(y)), 100 * y]) for name, y in found.items()}
    covered = 100 * np.asarray(MOVING.covered())
    curves["share of the photo that is covered"] = np.stack([np.arange(len(covered)), covered])
    told = ", ".join(f"{name} {percent(float(y.mean()))}" for name, y in found.items())
    return Panel(
        name="accuracy-since-onset",
        title="While a bar hides the photo",
        caption="Share of correct answers against the frames since a photo replaced another. A "
        f"textured bar moves in and out. Over all frames: {told}.",
        alt=f"Line plots of accuracy against frames since a photo came. Over all frames: {told}.",
        draw=lambda theme: charts.lines(
            {"": curves}, x="frames since a new photo", y_unit="%", y_range=(-3, 103), theme=theme
        ),
    )
