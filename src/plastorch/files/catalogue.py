"""Tables of records in files: Parquet and CSV, read and written some records at a time."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from plastorch.engine.errors import InputError
from plastorch.files.records import as_frame

ROWS = 1 << 19
"""Records that are in memory at a time."""
_CSV = (".csv", ".csv.gz")


def read_catalogue(path: str | Path) -> pl.DataFrame:
    """All records of a file.

    Args:
        path: of a CSV file with a header (``.csv`` or ``.csv.gz``), where an empty value is missing
            and a column's type is that of all its values, else of a Parquet file.

    Raises:
        InputError: if it is missing, damaged or empty.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.csv")
        ...     _ = path.write_text("owner,size\\nada,7\\n,large\\n")
        ...     read_catalogue(path).rows()
        [('ada', '7'), (None, 'large')]
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; expected Parquet, .csv or .csv.gz")
    if not path.name.endswith(_CSV):
        return as_frame(path)
    try:
        return as_frame(pl.read_csv(path, infer_schema_length=None, glob=False))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise InputError(f"{path} is no CSV file of records: {_reason(error)}") from None


def frames(path: str | Path, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """The records of a file, some at a time; of Parquet no more than these are read at a time.

    Args:
        path: as for :func:`read_catalogue`.
        rows: at a time.

    Raises:
        InputError: if it is missing, damaged or empty.
    """
    path = Path(path)
    if path.name.endswith(_CSV) or not path.is_file():
        yield from read_catalogue(path).iter_slices(rows)
        return
    with _refusals(f"{path} is not Parquet"):
        query = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        total = query.select(pl.len()).collect().item()
    for begin in range(0, max(total, 1), rows):
        with _refusals(f"{path} is damaged"):
            part = query.slice(begin, rows).collect()
        yield as_frame(part)


def write_frames(parts: Iterable[pl.DataFrame], out: str | Path) -> int:
    """Writes frames one after the other into a file, which is replaced at the very end.

    Args:
        parts: with the same columns.
        out: ``.parquet`` or ``.csv``.

    Returns:
        How many rows that were.

    Raises:
        InputError: if the name ends in something else, or it can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     parts = iter([pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [3]})])
        ...     write_frames(parts, Path(folder, "a.csv"))
        3
    """
    out = check_out(out)
    rows = 0
    with contextlib.ExitStack() as stack:
        with _refusals(f"can't write {out}"):
            aside = tempfile.TemporaryDirectory(prefix=".labels-", dir=out.parent)
            folder = Path(stack.enter_context(aside))
        written: list[Path] = []
        for part in parts:
            with _refusals(f"can't write {out}"):
                written.append(folder / f"{len(written)}.parquet")
                part.write_parquet(written[-1], compression="lz4")
            rows += part.height
        with _refusals(f"can't write {out}"):
            whole = folder / f"whole{out.suffix}"
            query = pl.scan_parquet(written, glob=False, hive_partitioning=False)
            query.sink_csv(whole) if out.suffix == ".csv" else query.sink_parquet(whole)
            with open(whole, "rb") as file:
                os.fsync(file.fileno())
            os.replace(whole, out)
    return rows


def check_out(out: str | Path) -> Path:
    """Raises InputError if a table can't be written under that name."""
    out = Path(out)
    if out.suffix not in (".parquet", ".csv"):
        raise InputError(f"out is {str(out)!r}; expected a name that ends in .parquet or .csv")
    if not out.parent.is_dir():
        raise InputError(f"out is {str(out)!r}; there is no folder {str(out.parent)!r}")
    if out.is_dir():
        raise InputError(f"out is {str(out)!r}, a folder; expected a file")
    return out


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise InputError(f"{what}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (
        getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
    )
