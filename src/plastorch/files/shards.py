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
from plastorch.files import catalog
from plastorch.files.catalog import beside, check_out, count_rows, join_parts, read_rows
from plastorch.files.column_values import texts
from plastorch.files.metadata import IDENTITY

if TYPE_CHECKING:
    from plastorch.files.trained import TrainedClassifier

Shard = dict[str, Any]
"""Range of records: ``begin``, index of the first one; ``rows``, their number; ``why``, error."""


def labeled(
    model: "TrainedClassifier",
    part: pl.DataFrame,
    begin: int = 0,
    *,
    by_class: bool = False,
    min_confidence: float = 0.0,
) -> pl.DataFrame:
    """Predicts records: ``class``, missing below ``min_confidence``, ``confidence``, ``keys``; with
    ``by_class`` also a probability for each class, ``p_CLASS``.

    A file of a catalog keeps its ``path``; any other record keeps all columns, after ``row``, which
    counts from ``begin``, unless it has a ``path``. A column with the name of a prediction becomes
    ``given_NAME``; a list becomes text, joined by "|", and a duration microseconds.
    """
    told = model.describe(part, min_confidence).rename({"label": "class"})
    if by_class:
        chances = model.predict_proba(part)
        names = (f"p_{name}" for name in model.classes_.tolist())
        told = told.with_columns(map(pl.Series, names, chances.T))
    if set(IDENTITY) <= set(part.columns):
        return told.select(part["path"], pl.all())
    if "path" not in part.columns:
        told = told.with_row_index("row", begin)
    given = {name: name for name in part.columns}
    for name in given:
        while given[name] in told.columns or list(given.values()).count(given[name]) > 1:
            given[name] = f"given_{given[name]}"
    first = [name for name in ("path", "row") if name in (*told.columns, *part.columns)][:1]
    odd = [column for column in part if isinstance(column.dtype, (pl.List, pl.Array, pl.Duration))]
    part = part.with_columns(map(texts, odd)).rename(given)
    whole = pl.concat([part, told], how="horizontal")
    return whole.select(*first, pl.exclude(first))


class Answerer:
    """Predicts shards of records into the folder ``aside``, with a model that it loads once; the
    options are those of :func:`labeled`."""

    def __init__(self, model: str, records: str, aside: str, **options: Any) -> None:
        self._path, self.records, self.aside = Path(model), Path(records), Path(aside)
        self._options = options

    @cached_property
    def model(self) -> "TrainedClassifier":
        """Model, loaded on first use."""
        from plastorch.files.tagger import load_model

        return load_model(self._path)

    def __call__(self, shard: Shard) -> Shard:
        """Writes the predictions of a shard; ``why`` is the error, if there was one."""
        begin, rows = int(shard["begin"]), int(shard["rows"])
        try:
            part = read_rows(self.records, begin, rows)
            found = labeled(self.model, part, begin, **self._options)
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
    *,
    raw: bool = False,
    by_class: bool = False,
    min_confidence: float = 0.0,
) -> int:
    """Writes predictions for all records; inside :func:`plastorch.engine.cluster.cluster`.

    The table has the same rows as one process would write. Model, records and the table's folder
    must be on a path that all machines share.

    Args:
        model: file that ``FileClassifier.save`` wrote.
        records: Parquet file of the records.
        out: ``.parquet``, ``.csv`` or ``.jsonl`` file; it is replaced only at the very end.
        tell: callback, given the number of records done.
        raw: whether to write text unchanged; see :func:`~plastorch.files.catalog.write_frames`.
        by_class: whether to write a probability for each class.
        min_confidence: confidence below which a record gets no class.

    Returns:
        Number of rows written.

    Raises:
        InputError: a file is unusable, or a machine can't read or write it.
    """
    out = check_out(out).resolve()
    total, rows = count_rows(records), catalog.ROWS
    shards = [{"begin": begin, "rows": min(rows, total - begin)} for begin in range(0, total, rows)]
    if not shards:
        read_rows(records, 0, rows)  # raises the error for no records
    with beside(out) as aside:
        files = (str(model.resolve()), str(records.resolve()), str(aside))
        options = {"by_class": by_class, "min_confidence": min_confidence}
        done = 0
        with quiet():
            for answered in _answered(shards, files, options):
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


def _answered(
    shards: list[Shard], files: tuple[str, str, str], options: dict[str, Any]
) -> Iterable[Shard]:
    """Yields shards as they are done, in any order."""
    import ray
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    most = max(1, min(len(shards), int(ray.cluster_resources().get("CPU", 1))))
    data = ray.data.from_items(shards, override_num_blocks=len(shards))
    mapped = data.map(
        Answerer,
        fn_constructor_args=files,
        fn_constructor_kwargs=options,
        concurrency=(1, most),
        num_cpus=1,
    )
    found: Iterable[Shard] = mapped.iter_rows()
    return found
