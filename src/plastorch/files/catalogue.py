"""Tables of records in Parquet and CSV files, read and written in chunks."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from plastorch.data.images.formats import read_bytes
from plastorch.engine.errors import InputError
from plastorch.engine.output import check_output, put_in_place
from plastorch.files.as_frame import as_frame, refusals
from plastorch.files.formulas import guarded, unguarded

ROWS = 1 << 19
"""Number of records in memory at a time."""
MOST_CELLS = 1 << 29
"""Largest number of values of a table in memory; a small file can hold more than any memory."""
_CSV = (".csv", ".csv.gz")


def read_catalogue(path: str | Path) -> pl.DataFrame:
    """Reads all records of a file.

    Args:
        path: CSV file with a header (``.csv`` or ``.csv.gz``), else a Parquet file. In CSV, an
            empty value is missing, and a column's type fits all its values. One apostrophe before
            text that a spreadsheet would take for a formula is removed.

    Raises:
        InputError: the file is missing, damaged or empty.

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
        with refusals(f"records: {path} is not Parquet"):
            query = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            cells = query.select(pl.len()).collect().item() * len(query.collect_schema())
        if cells > MOST_CELLS:
            raise InputError(f"{path} holds {cells:,} values; expected at most {MOST_CELLS:,}")
        return as_frame(path)
    source = read_bytes(path) if path.suffix == ".gz" else path
    with refusals(f"{path} is no CSV file of records"):
        frame = pl.read_csv(source, infer_schema_length=None, glob=False)
        return as_frame(unguarded(frame))


def frames(path: str | Path, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """Yields the records of a file in chunks; of Parquet, only one chunk is read at a time.

    Args:
        path: file, as for :func:`read_catalogue`.
        rows: number of records per chunk.

    Raises:
        InputError: the file is missing, damaged or empty.
    """
    path = Path(path)
    if not is_parquet(path):
        yield from read_catalogue(path).iter_slices(rows)
        return
    with refusals(f"{path} is not Parquet"):
        rows = min(rows, max(1, MOST_CELLS // max(1, len(_scan(path).collect_schema()))))
    for begin in range(0, max(count_rows(path), 1), rows):
        yield read_rows(path, begin, rows)


def is_parquet(path: Path) -> bool:
    """Returns whether a file is read as Parquet."""
    return path.is_file() and not path.name.endswith(_CSV)


def count_rows(path: Path) -> int:
    """Returns the number of records of a Parquet file.

    Raises:
        InputError: the file is not Parquet.
    """
    with refusals(f"{path} is not Parquet"):
        rows: int = _scan(path).select(pl.len()).collect().item()
    return rows


def read_rows(path: Path, begin: int, rows: int) -> pl.DataFrame:
    """Reads a range of records of a Parquet file.

    Args:
        path: Parquet file.
        begin: index of the first record.
        rows: number of records; fewer are returned where the file ends.

    Raises:
        InputError: the file is damaged, or the range has no records.
    """
    with refusals(f"{path} is damaged"):
        part = _scan(path).slice(begin, rows).collect()
    return as_frame(part)


def write_frames(parts: Iterable[pl.DataFrame], out: str | Path, raw: bool = False) -> int:
    """Writes frames one after the other into a file, which is replaced only at the very end.

    Args:
        parts: frames with the same columns.
        out: ``.parquet`` or ``.csv`` file.
        raw: whether to write text to ``.csv`` unchanged; otherwise an apostrophe goes before text
            that a spreadsheet would take for a formula, and :func:`read_catalogue` removes it.

    Returns:
        Number of rows written.

    Raises:
        InputError: the name has another ending, or the file can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     parts = iter([pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [3]})])
        ...     write_frames(parts, Path(folder, "a.csv"))
        3
    """
    out = check_out(out)
    with beside(out) as folder:
        return write_parts(parts, out, folder, raw=raw)


@contextlib.contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Makes a temporary folder for parts, next to the file that is being written.

    Raises:
        InputError: the folder can't be made.
    """
    with contextlib.ExitStack() as stack:
        with refusals(f"can't write {out}"):
            folder = tempfile.TemporaryDirectory(prefix=".parts-", dir=out.parent)
            stack.enter_context(folder)
        yield Path(folder.name)


def write_parts(
    parts: Iterable[pl.DataFrame],
    out: Path,
    folder: Path,
    *,
    raw: bool = False,
    row_group_size: int | None = None,
) -> int:
    """Writes frames into a folder of :func:`beside`, and then into one file.

    Args:
        parts: frames with the same columns.
        out: ``.parquet`` or ``.csv`` file.
        folder: folder for the parts.
        raw: whether to write text unchanged, as for :func:`write_frames`.
        row_group_size: number of rows per row group of Parquet.

    Returns:
        Number of rows written.

    Raises:
        InputError: a file can't be written.
    """
    rows = 0
    written: list[Path] = []
    for part in parts:
        written.append(folder / f"{len(written)}.parquet")
        with refusals(f"can't write {out}"):
            part.write_parquet(written[-1], compression="lz4")
        rows += part.height
    join_parts(written, out, raw=raw, row_group_size=row_group_size)
    return rows


def join_parts(
    parts: Sequence[Path], out: Path, *, raw: bool = False, row_group_size: int | None = None
) -> None:
    """Joins parts into one table, which replaces a file only at the very end.

    Args:
        parts: files in order, in one folder.
        out: ``.parquet`` or ``.csv`` file.
        raw: whether to write text unchanged, as for :func:`write_frames`.
        row_group_size: number of rows per row group of Parquet.

    Raises:
        InputError: the table can't be written.
    """
    with refusals(f"can't write {out}"):
        whole = parts[0].with_name(f"whole{out.suffix}")
        query = pl.scan_parquet(list(parts), glob=False, hive_partitioning=False)
        if out.suffix == ".csv":
            (query if raw else guarded(query)).sink_csv(whole)
        else:
            query.sink_parquet(whole, row_group_size=row_group_size)
    put_in_place(whole, out)


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def check_out(
    out: str | Path, *inputs: Path, endings: Sequence[str] = (".parquet", ".csv")
) -> Path:
    """Raises InputError if a table can't be written under that name.

    Args:
        out: file of the table.
        inputs: files that are read and must not be overwritten.
        endings: allowed endings of the name; they select the format.
    """
    out = Path(out)
    check_output(out, *inputs)
    if out.suffix not in endings:
        known = " or ".join(endings)
        raise InputError(f"out is {str(out)!r}; expected a name that ends in {known}")
    return out
