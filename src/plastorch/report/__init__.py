"""A run folder becomes a page, a folder of runs becomes a gallery."""

from plastorch.report.page import write_gallery, write_report, write_sweep
from plastorch.report.theme import NO_FIGURES, can_draw

__all__ = ["NO_FIGURES", "can_draw", "write_gallery", "write_report", "write_sweep"]
