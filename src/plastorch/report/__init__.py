"""A run folder becomes a page, a folder of runs becomes a gallery."""

from plastorch.report.page import write_gallery, write_report, write_sweep

__all__ = ["write_gallery", "write_report", "write_sweep"]
