"""Report pages of runs, and galleries of folders of runs."""

from plastorch.report.load import RunData
from plastorch.report.page import write_comparison, write_gallery, write_report, write_sweep
from plastorch.report.panel import Panel
from plastorch.report.theme import NO_FIGURES, can_draw

__all__ = [
    "NO_FIGURES",
    "Panel",
    "RunData",
    "can_draw",
    "write_comparison",
    "write_gallery",
    "write_report",
    "write_sweep",
]
