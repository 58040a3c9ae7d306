"""Figures of the experiments with spiking networks, of those that a run has the arrays for."""

from plastorch.experiments.fstdp.activity_panels import membrane, raster, weights
from plastorch.experiments.fstdp.condition_panels import condition, cost
from plastorch.experiments.fstdp.map_panels import stations
from plastorch.experiments.ststdp.panels import (
    TRANSFORMS,
    accuracy_occluded,
    accuracy_since_onset,
    output_spikes,
    stream,
)
from plastorch.report.load import RunData
from plastorch.report.panel import Panel

PHASES = (
    *("streams", "boundary", "grid", "memristive", "agreement", "example", "cost"),
    *("stations", "map", "stand-in", "names", "controls", "pictures"),
)
"""Of these experiments, but for what learns; their records are in no order of their own."""
PARTS = ("settings", "smoothing", "tests")
"""What the name of a phase for one transform starts with."""
MODELS = ("mlp", "cnn", "rnn", "gru", "lstm", "stpn")


def spiking_panels(run: RunData) -> list[Panel]:
    """The figures of a run of spiking networks that it has data for, most telling first.

    Example:
        >>> from pathlib import Path
        >>> spiking_panels(RunData(Path("run"), {}, [], {}))
        []
    """
    makers = (
        *(accuracy_since_onset, accuracy_occluded, stream, output_spikes),
        *(stations, raster, weights, membrane, condition, cost),
    )
    found = [make(run) for make in makers]
    return [panel for panel in found if panel]


def is_spiking_phase(phase: str) -> bool:
    """Whether a phase of the log needs no plain curves: its records are no course of anything.

    Example:
        >>> is_spiking_phase("tests-scale"), is_spiking_phase("learning")
        (True, False)
    """
    first, _, rest = phase.partition("-")
    training = first in (*TRANSFORMS, "static") and rest in MODELS
    return phase in PHASES or training or (first in PARTS and rest in TRANSFORMS)
