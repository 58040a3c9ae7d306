"""Charts: from data to matplotlib figures in the theme of a page, without pyplot."""

from plastorch.report.charts.images import MAX_TILES, Strip, filters, images, strips
from plastorch.report.charts.lines import MAX_LABELED, lines, plane
from plastorch.report.charts.marks import Dots, Line, Mark, Matrix
from plastorch.report.charts.matrix import confusion
from plastorch.report.charts.plot import Plot, chart
from plastorch.report.charts.points import Spread, points
from plastorch.report.charts.raster import raster, unit_of_time

__all__ = [
    "MAX_LABELED",
    "MAX_TILES",
    "Dots",
    "Line",
    "Mark",
    "Matrix",
    "Plot",
    "Spread",
    "Strip",
    "chart",
    "confusion",
    "filters",
    "images",
    "lines",
    "plane",
    "points",
    "raster",
    "strips",
    "unit_of_time",
]
