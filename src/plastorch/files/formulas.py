"""Text that a spreadsheet would take for a formula, with an apostrophe before it in CSV.

Spreadsheets run what begins with ``=``, ``+``, ``-`` or ``@``, or with a tab or a new line before
those, and names of files can begin with anything. An apostrophe makes it text; text that has one
already gets another, so that what is read is what was written.
"""

import polars as pl

_FORMULA = r"^'*[=+\-@\t\r\n]"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_GUARDED = r"^'('*[=+\-@\t\r\n])"


def guarded(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Puts an apostrophe before text that is like a formula, and no plain number.

    Example:
        >>> frame = pl.LazyFrame({"path": ["=1+1", "-1e-3", "'@a", "a=b", None]})
        >>> guarded(frame).collect()["path"].to_list()
        ["'=1+1", '-1e-3', "''@a", 'a=b', None]
    """
    texts = [name for name, dtype in frame.collect_schema().items() if dtype == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(_FORMULA) & ~pl.col(name).str.contains(_NUMBER))
        .then("'" + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )


def unguarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Takes away the apostrophes of :func:`guarded`.

    Example:
        >>> unguarded(pl.DataFrame({"path": ["'=1+1", "-1e-3", "''@a", "'a'"]}))["path"].to_list()
        ['=1+1', '-1e-3', "'@a", "'a'"]
    """
    return frame.with_columns(pl.col(pl.String).str.replace(_GUARDED, "${1}"))
