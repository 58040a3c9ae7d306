"""Speed of file classification against scikit-learn's one-hot logistic regression, and of scans."""

import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plastorch.bench.timing import Row, interleaved, program_mb, row
from plastorch.data.tables import corpus
from plastorch.data.tables.records import load_table
from plastorch.experiments.files import scan_bench
from plastorch.files.classifier import FileClassifier

PEER = "scikit-learn: OneHotEncoder and StandardScaler, LogisticRegression.predict"
COST = "3 min, 4 GB"
"""Rough time and peak memory of all rows, on one core."""
LEARNED, PREDICTED = 20_000, 1_000_000
MISSING = ""
STREAM = """
import sys
from plastorch.files.classifier import FileClassifier
FileClassifier.load(sys.argv[1]).predict(sys.argv[2])
"""
"""Program that predicts from a Parquet file."""


class TableSize(NamedTuple):
    """Sizes of a row."""

    table: str
    learned: int = LEARNED
    predicted: int = PREDICTED
    epochs: int = 3
    rounds: int = 3


SIZES = (TableSize("debian_files"), TableSize("adult"), TableSize(corpus.NAME, rounds=9))


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the records, and the rows of the group as they are measured."""
    data: dict[str, object] = {
        "name": "labeled metadata; 1,000,000 records are drawn from a table with replacement, or "
        "made up one by one",
        "not_installed": scan_bench.absent(),
    }
    for size in SIZES:
        if size.table != corpus.NAME:
            load_table(size.table)  # raises before any work if it is missing
    # The other rows would hide how little memory a watch takes.
    return data, chain(scan_bench.measure(scan_bench.TreeSize()), measure(SIZES))


def measure(sizes: tuple[TableSize, ...]) -> Iterator[Row]:
    """Measures row by row the classification of many records from a frame in memory.

    ``different`` is the share of records that don't repeat an earlier one, ``streamed_mb`` the peak
    memory of a process that predicts from a Parquet file. ``two_threads_ratio`` is of seconds of a
    clock, where both sides may use two threads.
    """
    for size in sizes:
        known, labels, asked = records(size)
        model = FileClassifier(hidden=128, epochs=size.epochs).fit(known, labels)
        peer = pipeline(known).fit(_told(known), labels)
        sides = (
            lambda: model.predict(asked),  # noqa: B023, called before the next round
            lambda: peer.predict(_told(asked)),  # noqa: B023
        )
        ours_s, peer_s = interleaved(*sides, size.rounds)
        ours_two_s, peer_two_s = interleaved(*sides, size.rounds, threads=2)
        yield row(
            f"predict-{size.table}",
            ours_s,
            PEER,
            peer_s,
            records=asked.height,
            keys=asked.width,
            classes=len(model.classes_),
            two_threads_ratio=round(peer_two_s / ours_two_s, 3),
            different=round(asked.n_unique() / asked.height, 3),
            streamed_mb=streamed_mb(model, asked),
        )


def records(size: TableSize) -> tuple[pl.DataFrame, NDArray[np.str_], pl.DataFrame]:
    """Returns records and classes to learn from, and records to predict."""
    if size.table == corpus.NAME:
        table = corpus.make_corpus(size.learned + size.predicted)
        frame, labels = table.frame, table.labels
        return frame[: size.learned], labels[: size.learned], frame[size.learned :]
    table = load_table(size.table)
    random, count = np.random.default_rng(0), len(table.labels)
    known, asked = (
        random.permutation(count)[: size.learned],
        random.integers(count, size=size.predicted),
    )
    return table.frame[known], table.labels[known], table.frame[asked]


def pipeline(frame: pl.DataFrame) -> Pipeline:
    """Returns the peer for records with these columns."""
    numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    texts = [name for name in frame.columns if name not in numbers]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", dtype=np.float32), texts),
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=50, tol=1e-2))


def _told(frame: pl.DataFrame) -> pl.DataFrame:
    """Converts records to the peer's format."""
    texts = pl.selectors.string().fill_null(MISSING)
    return frame.with_columns(texts, pl.selectors.numeric().cast(pl.Float32))


def streamed_mb(model: FileClassifier, asked: pl.DataFrame) -> int:
    """Returns the peak memory of a process that predicts the records from a Parquet file."""
    with tempfile.TemporaryDirectory() as folder:
        saved, catalog = Path(folder, "model"), Path(folder, "records.parquet")
        model.save(saved)
        asked.write_parquet(catalog)
        return program_mb(STREAM, str(saved), str(catalog), doing="predicting from a file")
