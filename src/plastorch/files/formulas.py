"""Apostrophes before text in CSV that a spreadsheet would take for a formula.

Spreadsheets run text that begins with ``=``, ``+``, ``-`` or ``@``, or with a tab or a new line
before those, and file names can begin with anything. An apostrophe prevents that; text that already
has one gets another, so that reading restores what was written.
"""

import polars as pl

_FORMULA = r"^'*[=+\-@\t\r\n]"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_GUARDED = r"^'('*[=+\-@\t\r\n])"


def guarded(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Puts an apostrophe before text that looks like a formula and is not a plain number."""
    texts = [name for name, dtype in frame.collect_schema().items() if dtype == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(_FORMULA) & ~pl.col(name).str.contains(_NUMBER))
        .then("'" + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )


def unguarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Removes the apostrophes of :func:`guarded`."""
    return frame.with_columns(pl.col(pl.String).str.replace(_GUARDED, "${1}"))
