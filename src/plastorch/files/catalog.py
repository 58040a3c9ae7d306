"""Tables of records in Parquet, CSV and JSON lines, read and written in chunks."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from plastorch.data.images.formats import read_bytes
from plastorch.engine.errors import InputError
from plastorch.engine.output import check_output, put_in_place
from plastorch.files.as_frame import as_frame, refusals
from plastorch.files.formulas import guarded
from plastorch.files.text_tables import from_csv, from_json_lines

ROWS = 1 << 19
"""Number of records in memory at a time."""
MOST_CELLS = 1 << 29
"""Largest number of values of a table in memory; a small file can hold more than any memory."""
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
JSON_LINES = (".jsonl", ".jsonl.gz")
TEXT = CSV + JSON_LINES
"""Ends of the names of tables that are text; all others are Parquet."""
WRITTEN = (".parquet", ".csv", ".jsonl")
"""Ends of the names of tables that are written."""


def read_catalog(path: str | Path) -> pl.DataFrame:
    """Reads all records of a file: Parquet, CSV with a header, or JSON lines, by its name.

    In CSV (``.csv``, ``.tsv``) in UTF-8, names and values are separated by commas, semicolons or
    tabs; an empty value is missing, a column's type fits all its values, and one apostrophe before
    text that a spreadsheet would take for a formula is removed. JSON lines (``.jsonl``) have an
    object per line. Both may be compressed (``.gz``).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; expected Parquet, .csv, .tsv or .jsonl")
    if not _ends_in(path, TEXT):
        with _parquet(path):
            query = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            cells = query.select(pl.len()).collect().item() * len(query.collect_schema())
        if cells > MOST_CELLS:
            raise InputError(f"{path} holds {cells:,} values; expected at most {MOST_CELLS:,}")
        return as_frame(path)
    is_csv = _ends_in(path, CSV)
    source = read_bytes(path) if path.suffix.lower() == ".gz" else path
    with refusals(f"{path} is not {'a CSV file' if is_csv else 'JSON lines'} of records"):
        return (from_csv if is_csv else from_json_lines)(source)


def frames(path: str | Path, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """Yields a file's records in chunks of ``rows``; reads only one chunk of Parquet at a time."""
    path = Path(path)
    if not is_parquet(path):
        yield from read_catalog(path).iter_slices(rows)
        return
    with _parquet(path):
        rows = min(rows, max(1, MOST_CELLS // max(1, len(_scan(path).collect_schema()))))
    for begin in range(0, max(count_rows(path), 1), rows):
        yield read_rows(path, begin, rows)


def is_parquet(path: Path) -> bool:
    """Returns whether a file is read as Parquet."""
    return path.is_file() and not _ends_in(path, TEXT)


def count_rows(path: Path) -> int:
    """Returns the number of records of a Parquet file."""
    with _parquet(path):
        rows: int = _scan(path).select(pl.len()).collect().item()
    return rows


def read_rows(path: Path, begin: int, rows: int) -> pl.DataFrame:
    """Reads up to ``rows`` records of a Parquet file; raises InputError if there are none."""
    with refusals(f"{path} is damaged"):
        part = _scan(path).slice(begin, rows).collect()
    return as_frame(part)


def write_frames(parts: Iterable[pl.DataFrame], out: str | Path, raw: bool = False) -> int:
    """Writes frames with the same columns into a file; returns the number of rows.

    The file is replaced only at the very end. Unless ``raw``, an apostrophe goes before text in CSV
    that a spreadsheet would take for a formula; :func:`read_catalog` removes it.
    """
    out = check_out(out)
    with beside(out) as folder:
        return write_parts(parts, out, folder, raw=raw)


@contextlib.contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Makes a temporary folder for parts, next to the file that is being written."""
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
    """Writes frames into a folder of :func:`beside`, then into one file; returns the row count."""
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
    """Joins parts of one folder into a table, which replaces a file only at the very end."""
    with refusals(f"can't write {out}"):
        whole = parts[0].with_name(f"whole{out.suffix}")
        query = pl.scan_parquet(list(parts), glob=False, hive_partitioning=False)
        if out.suffix == ".csv":
            (query if raw else guarded(query)).sink_csv(whole)
        elif out.suffix == ".jsonl":
            query.sink_ndjson(whole)
        else:
            query.sink_parquet(whole, row_group_size=row_group_size)
    put_in_place(whole, out)


def _ends_in(path: Path, ends: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(ends)


def _parquet(path: Path) -> contextlib.AbstractContextManager[None]:
    named = _ends_in(path, (".parquet",))
    return refusals(
        f"{path} is not Parquet" + "; expected Parquet, .csv, .tsv or .jsonl" * (not named)
    )


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def check_out(out: str | Path, *inputs: Path) -> Path:
    """Returns a table's path; raises InputError for other endings and for files that are read."""
    out = Path(out)
    check_output(out, *inputs)
    if out.suffix not in WRITTEN:
        known = f"{', '.join(WRITTEN[:-1])} or {WRITTEN[-1]}"
        raise InputError(f"out is {str(out)!r}; expected a name that ends in {known}")
    return out
