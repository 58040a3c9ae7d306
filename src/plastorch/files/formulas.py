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
    """Puts an apostrophe before text and names of columns that look like a formula and are not a
    plain number."""
    schema = frame.collect_schema()
    kinds = (pl.String, pl.Categorical, pl.Enum)
    texts = [name for name, dtype in schema.items() if isinstance(dtype, kinds)]
    names = pl.Series(schema.names(), dtype=pl.String)
    safe = names.to_frame().select(_guarded(pl.first())).to_series()
    return frame.with_columns(_guarded(pl.col(name).cast(pl.String)) for name in texts).rename(
        dict(zip(names, safe, strict=True))
    )


def unguarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Removes the apostrophes of :func:`guarded`."""
    names = pl.Series(frame.columns, dtype=pl.String).str.replace(_GUARDED, "${1}")
    frame = frame.with_columns(pl.col(pl.String).str.replace(_GUARDED, "${1}"))
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _guarded(text: pl.Expr) -> pl.Expr:
    formula = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    return pl.when(formula).then("'" + text).otherwise(text).name.keep()
