"""Answers to the records of a Parquet file, a shard of them at a time, by processes of Ray Data.

Each shard is a range of records, and its answers are a file of their own, which a process writes as
a whole or not at all. A shard whose process dies is answered again, into the same file; so each
record has exactly one answer.
"""

import logging
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from plastorch.engine.cluster import quiet
from plastorch.engine.errors import InputError
from plastorch.files import catalogue
from plastorch.files.catalogue import (
    beside,
    check_out,
    count_rows,
    join_parts,
    read_rows,
    write_part,
)

if TYPE_CHECKING:
    from plastorch.files.classifier import FileClassifier

Shard = dict[str, Any]
"""``begin``, the number of its first record, ``rows``, how many it has, and what went wrong."""


def labelled(model: "FileClassifier", part: pl.DataFrame, begin: int = 0) -> pl.DataFrame:
    """What a model says of records, beside their paths, or their numbers if they have none.

    Args:
        model: that has learned.
        part: records.
        begin: number of the first one.

    Returns:
        Columns ``path`` or ``row``, ``class``, ``confidence`` and ``keys``, a row per record.
    """
    told = model.describe(part).rename({"label": "class"})
    if "path" in part.columns:
        return told.select(part["path"], "class", "confidence", "keys")
    return told.with_row_index("row", begin)


class Answerer:
    """Answers shards in one process, with a model that it loads once.

    Args:
        model: a file that ``FileClassifier.save`` wrote.
        records: a Parquet file.
        aside: folder of the answers.
    """

    def __init__(self, model: str, records: str, aside: str) -> None:
        self._path, self.records, self.aside = Path(model), Path(records), Path(aside)

    @cached_property
    def model(self) -> "FileClassifier":
        """The model."""
        from plastorch.files.classifier import FileClassifier

        return FileClassifier.load(self._path)

    def __call__(self, shard: Shard) -> Shard:
        """Answers a shard; ``why`` says what was wrong, if anything was."""
        begin, rows = int(shard["begin"]), int(shard["rows"])
        try:
            part = read_rows(self.records, begin, rows)
            write_part(labelled(self.model, part, begin), shard_file(self.aside, begin))
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
    """Writes what a model says of each record; inside :func:`plastorch.engine.cluster.cluster`.

    The table is that of one process, to the row. Model, records and the folder of the table have to
    be on a path that all machines share.

    Args:
        model: a file that ``FileClassifier.save`` wrote.
        records: a Parquet file.
        out: ``.parquet`` or ``.csv``; it is replaced at the very end.
        tell: is called with the number of records that are answered.
        raw: as for :func:`~plastorch.files.catalogue.write_frames`.

    Returns:
        How many rows that were.

    Raises:
        InputError: if a file is unusable, or can't be read or written by a machine.
    """
    out = check_out(out).resolve()
    total, rows = count_rows(records), catalogue.ROWS
    shards = [{"begin": begin, "rows": min(rows, total - begin)} for begin in range(0, total, rows)]
    if not shards:
        read_rows(records, 0, rows)  # says that there are none
    with beside(out) as aside:
        files = (str(model.resolve()), str(records.resolve()), str(aside))
        done = 0
        with quiet():
            for answered in _answered(shards, files):
                if answered["why"]:
                    raise InputError(answered["why"])
                done += answered["rows"]
                tell(done)
        join_parts([_checked(aside, shard) for shard in shards], out, raw)
    return total


def _checked(aside: Path, shard: Shard) -> Path:
    """The file of a shard's answers, if they are all there."""
    file = shard_file(aside, shard["begin"])
    if not file.is_file() or count_rows(file) != shard["rows"]:
        raise InputError(
            f"answers to records from {shard['begin']} on are not in {aside}; expected a path that "
            "all machines share"
        )
    return file


def shard_file(aside: Path, begin: int) -> Path:
    """The file of a shard's answers."""
    return aside / f"{begin}.parquet"


def _answered(shards: list[Shard], files: tuple[str, str, str]) -> Iterable[Shard]:
    """Shards as they are answered, in any order."""
    import ray
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    most = max(1, min(len(shards), int(ray.cluster_resources().get("CPU", 1))))
    data = ray.data.from_items(shards, override_num_blocks=len(shards))
    mapped = data.map(Answerer, fn_constructor_args=files, concurrency=(1, most), num_cpus=1)
    found: Iterable[Shard] = mapped.iter_rows()
    return found
