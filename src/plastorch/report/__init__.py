"""A run folder becomes a page, a folder of runs becomes a gallery."""

from plastorch.report.canvas import NO_FIGURES, can_draw
from plastorch.report.page import write_gallery, write_report, write_sweep

__all__ = ["NO_FIGURES", "can_draw", "write_gallery", "write_report", "write_sweep"]
