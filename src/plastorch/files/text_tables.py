"""Records in text files: CSV with any of three separators, and JSON lines."""

import io
import json
import re
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from plastorch.engine.errors import InputError
from plastorch.files.as_frame import as_frame
from plastorch.files.formulas import unguarded

SEPARATORS = (",", ";", "\t")
"""Separators of CSV; of equally frequent ones the first counts."""
_TOLD = re.compile(rb"(?:\xef\xbb\xbf)?sep=([,;\t|])\r?\n")
_QUOTED = re.compile('"[^"]*"')
_LED_BY_ZERO = r"^[+-]?0[0-9]"
_WHOLE = r"^[+-]?[0-9]+$"
_DECIMAL_COMMA = r"^[+-]?[0-9]+(,[0-9]+)?$"


def from_csv(source: Path | bytes) -> pl.DataFrame:
    """Returns the records of CSV in UTF-8, whose header tells the separator.

    The separator is the one most frequent in the header outside quotes; one that occurs another
    number of times in the next line counts less. A line such as ``sep=;`` before the header, as
    Excel accepts, sets it. If it is ";", columns of numbers may have decimal commas. A column in
    which a number has a leading zero, such as 0644, is text, and so is one of whole numbers beyond
    128 bits. The apostrophes of :func:`plastorch.files.formulas.guarded` are removed.

    Raises InputError if two columns have the same name, or the text is not UTF-8.
    """
    with _opened(source) as file:
        start = file.read(1 << 16)
    told = _TOLD.match(start)
    separator = told[1].decode() if told else _separator(start)
    read = partial(
        pl.read_csv, source, separator=separator, skip_lines=1 if told else 0, glob=False
    )
    try:
        names = read(has_header=False, n_rows=1, infer_schema=False).row(0)
        texts = {column.name: pl.String for column in read(infer_schema=False) if _is_text(column)}
    except pl.exceptions.ComputeError as error:
        if "utf-8" in str(error):
            raise InputError("its text is not UTF-8; expected UTF-8") from None
        raise
    twice = [name for name in names if name is not None and names.count(name) > 1]
    if twice:
        raise InputError(f"two columns are named {twice[0]!r}; expected different names")
    frame = read(infer_schema_length=None, schema_overrides=texts)
    if separator == ";":
        others = (column for column in frame if column.name not in texts)
        frame = frame.with_columns(
            _numbers(column) for column in others if column.dtype == pl.String
        )
    frame = frame.rename(lambda name: name.replace('""', '"'))  # polars leaves them doubled
    return as_frame(unguarded(frame))


def from_json_lines(source: Path | bytes) -> pl.DataFrame:
    """Returns the records of JSON lines: an object each; a key that an object lacks is missing."""
    with _opened(source) as file:
        rows = [_object(line, place) for place, line in enumerate(file, 1) if line.strip()]
    return as_frame(rows)


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _object(line: bytes, place: int) -> dict[str, Any]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or "not UTF-8, or nested too deep"
        raise InputError(f"line {place} is not JSON: {reason}") from None
    if not isinstance(row, dict):
        raise InputError(f"line {place} is {type(row).__name__}; expected an object")
    return row


def _separator(start: bytes) -> str:
    text = _QUOTED.sub("", start.decode("utf-8-sig", "replace"))
    header, *others = text.splitlines()[:2] or [""]

    def fitness(separator: str) -> tuple[bool, int]:
        columns = header.count(separator)
        return columns > 0 and all(line.count(separator) == columns for line in others), columns

    return max(SEPARATORS, key=fitness)


def _is_text(column: pl.Series) -> bool:
    """Returns whether numbers would lose what their text says."""
    if column.str.contains(_LED_BY_ZERO).any():
        return True
    whole = column.drop_nulls()
    return bool(
        whole.str.contains(_WHOLE).all() and whole.cast(pl.Int128, strict=False).has_nulls()
    )


def _numbers(column: pl.Series) -> pl.Series:
    """Returns a column of numbers with decimal commas as numbers, and any other as it is."""
    present = column.drop_nulls()
    if present.is_empty() or not present.str.contains(_DECIMAL_COMMA).all():
        return column
    return column.str.replace(",", ".", literal=True).cast(pl.Float64)
