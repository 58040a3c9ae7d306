"""A run folder becomes a page, a folder of runs becomes a gallery."""

from plastorch.report.page import write_gallery, write_report

__all__ = ["write_gallery", "write_report"]
