"""Records of files, or of anything else with metadata, in any common form as one polars frame."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from numbers import Number
from pathlib import Path
from typing import Any

import polars as pl

from plastorch.engine.errors import InputError
from plastorch.engine.missing_values import is_missing

_POLARS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_FORMS = "dicts, a polars, pandas or Arrow frame, or the path of a Parquet file"

_LARGEST = 2**127
"""Whole numbers from this one on, and below its negative, are beyond polars' types."""


def as_frame(records: Any) -> pl.DataFrame:
    """Returns one row per record and one column per key; null is a missing value.

    Records are dicts, a polars, pandas or Arrow frame (without its index), or the path of a Parquet
    file. Numbers in text stay text. A key whose values are of several types, such as 7 and "seven",
    becomes text: "7" and "seven"; true becomes "true", and a list its elements joined by "|". Whole
    numbers, fractions and truth values together become numbers; whole numbers beyond 128 bits count
    as text. NaN and pandas' NaT and NA are missing, "" is not. Bytes of text that are not valid
    Unicode, as in some file names, are written out: ``\\udcff``.

    Raises InputError if there is no record or no key, two keys have the same name, one is "*" or a
    pattern such as "^.*$", or values are bytes, dicts, nested lists or Python objects.
    """
    frame = _read(records)
    if frame.width == 0 or frame.height == 0:
        raise InputError(
            f"records are {frame.height} with {frame.width} keys; expected at least one of each"
        )
    for name, dtype in frame.schema.items():
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise InputError(f"key {name!r} is a pattern of names in polars; expected another name")
        if not _is_value(dtype):
            raise InputError(
                f"key {name!r} holds {dtype}; expected text, numbers, truth values, times or lists "
                "of them"
            )
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    holes = [name for name in floats if frame[name].is_nan().any()]
    return frame.with_columns(pl.col(holes).fill_nan(None)) if holes else frame


def _read(records: Any) -> pl.DataFrame:
    if isinstance(records, pl.DataFrame):
        return records
    if isinstance(records, pl.LazyFrame):
        return records.collect()
    if isinstance(records, (str, Path)):
        return _read_parquet(Path(records))
    if type(records).__module__.split(".")[0] == "pandas" and hasattr(records, "columns"):
        return _from_pandas(records)
    if hasattr(records, "__arrow_c_stream__"):
        with refusals("records are not a frame"):
            frame = pl.DataFrame(records)
        return frame
    if isinstance(records, Iterable) and not isinstance(records, (Mapping, bytes)):
        return _from_dicts(list(records))
    raise InputError(f"records are {type(records).__name__}; expected {_FORMS}")


def _read_parquet(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(f"records: {path} is not a file; expected {_FORMS}")
    with refusals(f"records: {path} is not Parquet"):
        frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    return frame


def _from_pandas(frame: Any) -> pl.DataFrame:
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"keys {', '.join(twice)} appear twice; expected one column per key")
    try:
        return pl.from_pandas(frame)
    except ImportError:
        raise InputError("pyarrow is missing; expected: pip install pyarrow") from None
    except (ValueError, TypeError, OverflowError, NotImplementedError):
        # From pyarrow: a column of several types, or of one that it doesn't know.
        objects = frame.astype(object).where(frame.notna(), None)
        columns = (map(_known, objects.iloc[:, j]) for j in range(len(names)))
        return pl.DataFrame([_column(n, list(c)) for n, c in zip(names, columns, strict=True)])


def _from_dicts(rows: list[Any]) -> pl.DataFrame:
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError(f"records[{place}] is {type(row).__name__}; expected a dict")
    if not rows:
        return pl.DataFrame()
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"key {name!r} is {type(name).__name__}; expected text")
    rows = [{name: _known(value) for name, value in row.items()} for row in rows]
    try:
        return pl.from_dicts(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    """Returns values of one type as they are, and of several types as text."""
    types = {type(value) for value in values if value is not None}
    if str in types or (len(types) > 1 and not all(issubclass(t, Number) for t in types)):
        return pl.Series(name, [None if v is None else _text(v) for v in values], pl.String)
    with refusals(f"key {name!r}"):
        column = pl.Series(name, values, strict=False)
    return column


def _known(value: Any) -> Any:
    """Returns None for a missing value, and text for a whole number beyond polars' types."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else str(value)
    if isinstance(value, (list, tuple)):
        return list(map(_known, value))
    return None if is_missing(value) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "|".join(_text(part) for part in value if part is not None)
    return str(value).encode("utf-8", "backslashreplace").decode()


def _is_value(dtype: pl.DataType) -> bool:
    if isinstance(dtype, (pl.List, pl.Array)):
        inner = dtype.inner
        return not isinstance(inner, (pl.List, pl.Array)) and _is_value(inner)  # type: ignore[arg-type]
    simple = (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null)
    return dtype.is_numeric() or dtype.is_temporal() or isinstance(dtype, simple)


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turns errors of polars and of the system into InputErrors that begin with ``what``."""
    try:
        yield
    except (*_POLARS, OSError, TypeError, ValueError, OverflowError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{what}: {getattr(error, 'strerror', None) or first}") from None
