"""Columns that identify records: values that differ in each record say nothing about others."""

import polars as pl

FEWEST = 50
"""Smallest number of records in which a column can be recognized as identifying them."""
_NAME = r"(^|[_\W])(?i:id|uuid|guid)$|[a-z]I[Dd]$"


def identifiers(frame: pl.DataFrame) -> list[str]:
    """Returns the columns whose values are all present and different, and that name a record.

    Text does unless half of it are paths or an element of a set is shared ("|"); whole numbers do
    if they are consecutive, in any order, or the column is called id, or something_id.
    """
    if frame.height < FEWEST:
        return []
    return [column.name for column in frame if _identifies(column)]


def _identifies(column: pl.Series) -> bool:
    text, whole = column.dtype == pl.String, column.dtype.is_integer()
    if not (text or whole) or column.null_count() or column.n_unique() < len(column):
        return False
    if text:
        paths = column.str.contains("/", literal=True).sum()
        return 2 * paths < len(column) and not column.str.contains("|", literal=True).any()
    low, high = int(column.min()), int(column.max())  # type: ignore[arg-type]
    named = bool(pl.Series([column.name]).str.contains(_NAME)[0])
    return named or high - low == len(column) - 1
