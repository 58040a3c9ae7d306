"""A key's values in the one form that similarity and encoding share: texts, numbers, cells."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.files.as_frame import as_frame
from plastorch.files.key import FARTHEST, Key


def keyed(records: Any, keys: Sequence[Key]) -> pl.DataFrame:
    """Selects the columns of the keys, in order; a key that no record has is missing in all. Raises
    InputError if the records have none of the keys."""
    frame = as_frame(records)
    if not any(key.name in frame.columns for key in keys):
        raise InputError(
            f"records have the keys {_listed(frame.columns)}; expected some of "
            f"{_listed([key.name for key in keys])}"
        )
    absent = pl.lit(None, pl.String)
    return frame.select(
        pl.col(key.name) if key.name in frame.columns else absent.alias(key.name) for key in keys
    )


def lacking(columns: Collection[str], keys: Sequence[Key]) -> list[str]:
    """Returns the names of the keys that are not among the columns."""
    return [key.name for key in keys if key.name not in columns]


def texts(column: pl.Series) -> pl.Series:
    """Returns values as text, the same for all types: 7, 7.0 and "7" are "7". Lists are joined by
    "|", and fractions are written as polars does."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        parts = column.list.eval(_as_text(pl.element(), column.dtype.inner))
        return parts.list.join("|", ignore_nulls=True)
    return column.to_frame().select(_as_text(pl.first(), column.dtype)).to_series()


def numbers(column: pl.Series) -> NDArray[np.float64]:
    """Returns values as numbers, NaN where missing or other text; times are seconds since 1970 or
    since midnight. Lists raise InputError."""
    dtype = column.dtype
    if isinstance(dtype, (pl.List, pl.Array)):
        raise InputError(f"key {column.name!r} holds lists; expected numbers")
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    elif isinstance(dtype, (pl.Date, pl.Datetime)):
        column = column.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / 1e6
    elif isinstance(dtype, pl.Duration):
        column = column.dt.total_microseconds().cast(pl.Float64) / 1e6
    elif isinstance(dtype, pl.Time):
        column = column.cast(pl.Int64).cast(pl.Float64) / 1e9
    return column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()


def cells(column: pl.Series, key: Key) -> NDArray[np.float64]:
    """Returns numbers in units of the width within which two of them are alike, NaN where missing:
    distances from the center, or from the start of a cycle, 0 to ``key.cells``."""
    values = numbers(column)
    if key.kind == "cycle":
        with np.errstate(invalid="ignore"):  # infinite values have no place on a circle
            inside = (values >= 0) & (values < key.period)  # most are, and a remainder takes long
            place = np.mod(values, key.period, out=values.copy(), where=~inside) / key.width
        return np.where(place >= key.cells, 0.0, place)  # rounded up from just below 0
    if key.log:
        values = np.log1p(np.maximum(values, 0))
    return np.clip((values - key.center) / (key.scale * key.width), -FARTHEST, FARTHEST)


def prefixes(text: pl.Series, depth: int) -> pl.Series:
    """Returns the first ``depth`` components of paths, without "/" at either end or doubled "/"."""
    return components(text).list.head(depth).list.join("/")


def components(text: pl.Series) -> pl.Series:
    """Splits paths into lists of components."""
    return _parts(text, "/")


def members(text: pl.Series) -> pl.Series:
    """Splits sets into lists of distinct elements; empty ones are ignored."""
    return _parts(text, "|").list.unique()


def utf8(text: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Returns the bytes of all texts, one after the other; the start of each text and the end of
    the last [B + 1]; a mask of present texts [B]."""
    data = np.frombuffer(text.str.join("", ignore_nulls=True)[0].encode(), np.uint8)
    offsets = np.zeros(len(text) + 1, np.int64)
    np.cumsum(text.str.len_bytes().fill_null(0).to_numpy(), out=offsets[1:])
    return data, offsets, text.is_not_null().to_numpy()


def _as_text(value: pl.Expr, dtype: Any) -> pl.Expr:
    if isinstance(dtype, pl.Duration):
        value = value.dt.total_microseconds()
    if not (dtype.is_float() or isinstance(dtype, pl.Decimal)):
        return value.cast(pl.String)
    value = value.cast(pl.Float64).fill_nan(None)
    whole = (value == value.floor()) & (value.abs() < 2.0**53)
    as_text = pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String))
    return as_text.otherwise(value.cast(pl.String))


def _parts(text: pl.Series, separator: str) -> pl.Series:
    return text.str.split(separator).list.eval(pl.element().filter(pl.element() != ""))


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
