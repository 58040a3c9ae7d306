"""Predictions for the records of a Parquet file, in shards, by Ray Data processes.

Each shard is a range of records. Its predictions are a file of their own, which a process writes as
a whole or not at all. A shard whose process dies is done again, into the same file, so each record
has exactly one prediction.
"""

import io
import logging
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from plastorch.engine.cluster import quiet
from plastorch.engine.errors import InputError
from plastorch.engine.output import write_atomically
from plastorch.files import catalogue
from plastorch.files.catalogue import beside, check_out, count_rows, join_parts, read_rows

if TYPE_CHECKING:
    from plastorch.files.classifier import FileClassifier

Shard = dict[str, Any]
"""Range of records: ``begin``, index of the first one; ``rows``, their number; ``why``, error."""


def labeled(model: "FileClassifier", part: pl.DataFrame, begin: int = 0) -> pl.DataFrame:
    """Predicts records, beside their paths or, without these, row numbers from ``begin`` on."""
    told = model.describe(part).rename({"label": "class"})
    if "path" in part.columns:
        return told.select(part["path"], "class", "confidence", "keys")
    return told.with_row_index("row", begin)


class Answerer:
    """Predicts shards of records into the folder ``aside``, with a model that it loads once."""

    def __init__(self, model: str, records: str, aside: str) -> None:
        self._path, self.records, self.aside = Path(model), Path(records), Path(aside)

    @cached_property
    def model(self) -> "FileClassifier":
        """Model, loaded on first use."""
        from plastorch.files.classifier import FileClassifier

        return FileClassifier.load(self._path)

    def __call__(self, shard: Shard) -> Shard:
        """Writes the predictions of a shard; ``why`` is the error, if there was one."""
        begin, rows = int(shard["begin"]), int(shard["rows"])
        try:
            found = labeled(self.model, read_rows(self.records, begin, rows), begin)
            content = io.BytesIO()
            found.write_parquet(content, compression="lz4")
            write_atomically(shard_file(self.aside, begin), content.getvalue())
        except InputError as error:  # Ray would wrap it beyond recognition
            return {"begin": begin, "rows": rows, "why": str(error)}
        return {"begin": begin, "rows": rows, "why": ""}


def predict_shards(
    model: Path,
    records: Path,
    out: Path,
    tell: Callable[[int], None] = lambda rows: None,
    raw: bool = False,
) -> int:
    """Writes predictions for all records; inside :func:`plastorch.engine.cluster.cluster`.

    The table has the same rows as one process would write. Model, records and the table's folder
    must be on a path that all machines share.

    Args:
        model: file that ``FileClassifier.save`` wrote.
        records: Parquet file of the records.
        out: ``.parquet`` or ``.csv`` file; it is replaced only at the very end.
        tell: callback, given the number of records done.
        raw: whether to write text unchanged; see :func:`~plastorch.files.catalogue.write_frames`.

    Returns:
        Number of rows written.

    Raises:
        InputError: a file is unusable, or a machine can't read or write it.
    """
    out = check_out(out).resolve()
    total, rows = count_rows(records), catalogue.ROWS
    shards = [{"begin": begin, "rows": min(rows, total - begin)} for begin in range(0, total, rows)]
    if not shards:
        read_rows(records, 0, rows)  # raises the error for no records
    with beside(out) as aside:
        files = (str(model.resolve()), str(records.resolve()), str(aside))
        done = 0
        with quiet():
            for answered in _answered(shards, files):
                if answered["why"]:
                    raise InputError(answered["why"])
                done += answered["rows"]
                tell(done)
        join_parts([_checked(aside, shard) for shard in shards], out, raw=raw)
    return total


def _checked(aside: Path, shard: Shard) -> Path:
    file = shard_file(aside, shard["begin"])
    if not file.is_file() or count_rows(file) != shard["rows"]:
        raise InputError(
            f"answers to records from {shard['begin']} on are not in {aside}; expected a path that "
            "all machines share"
        )
    return file


def shard_file(aside: Path, begin: int) -> Path:
    """Returns the path of the file with a shard's predictions."""
    return aside / f"{begin}.parquet"


def _answered(shards: list[Shard], files: tuple[str, str, str]) -> Iterable[Shard]:
    """Yields shards as they are done, in any order."""
    import ray
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    most = max(1, min(len(shards), int(ray.cluster_resources().get("CPU", 1))))
    data = ray.data.from_items(shards, override_num_blocks=len(shards))
    mapped = data.map(Answerer, fn_constructor_args=files, concurrency=(1, most), num_cpus=1)
    found: Iterable[Shard] = mapped.iter_rows()
    return found
