"""Figures of the experiments with fatiguing STDP."""

from plastorch.experiments.fstdp.activity_panels import membrane, raster, weights
from plastorch.experiments.fstdp.condition_panels import condition, cost
from plastorch.experiments.fstdp.map_panels import stations
from plastorch.report.load import RunData
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

_DRAWN = (
    "streams|boundary|grid|memristive|agreement|example|cost|stations|map|stand-in|names|controls"
)
"""Phases whose records have no order of their own."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first."""
    makers = (stations, raster, weights, membrane, condition, cost)
    return with_curves(run, [make(run) for make in makers], _DRAWN)
