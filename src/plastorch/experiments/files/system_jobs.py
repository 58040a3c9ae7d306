"""The tables of files-system, made from the scan of a folder, and the models for them."""

from collections.abc import Callable

import numpy as np
import polars as pl

from plastorch.data.tables.records import Table
from plastorch.engine.distributed import from_first
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.files.baselines import logistic, majority, measured
from plastorch.experiments.files.config import FOLDS, FilesSystemConfig
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.spiking import Supervised, Way, learn
from plastorch.files.catalog import read_catalog, write_frames
from plastorch.files.metadata import KEYS
from plastorch.files.scan import scan

OTHER = "other"
"""Class of files whose own kind or package is rare."""
FOLDERS = ("dir1", "dir2", "dir3", "dir4")


def kind_table(frame: pl.DataFrame, name: str, least: int) -> Table:
    """Returns files, without extension, and their kind by the first bytes; scripts are one kind,
    and kinds of fewer than ``least`` files are "other"."""
    frame = frame.filter(pl.col("magic").is_not_null())
    kinds = frame["magic"].str.split(":").list.first()
    return _table(frame, kinds, name, least, ("extension", "magic"))


def package_table(frame: pl.DataFrame, name: str, least: int) -> Table:
    """Returns files and their package: the folder right in site-packages, or else in the root.

    The folders' names are dropped, and so is the parent's where it contains the package's name.
    Packages of fewer than ``least`` files are "other".
    """
    path = pl.col("path")
    inside = path.str.extract(r"(?:^|/)(?:site|dist)-packages/([^/]+)/")
    if not frame.select(inside.is_not_null().any()).item():
        inside = path.str.extract(r"^([^/]+)/")
    frame = frame.with_columns(package=inside).filter(pl.col("package").is_not_null())
    parent = pl.col("parent").str.to_lowercase()
    leaks = parent.str.contains(pl.col("package").str.to_lowercase(), literal=True)
    frame = frame.with_columns(parent=pl.when(~leaks).then(pl.col("parent")))
    return _table(frame, frame["package"], name, least, ("extension", "magic", *FOLDERS))


def _table(
    frame: pl.DataFrame, labels: pl.Series, name: str, least: int, without: tuple[str, ...]
) -> Table:
    counts = pl.DataFrame({"label": labels}).with_columns(count=pl.len().over("label"))
    texts = counts.select(pl.when(pl.col("count") >= least).then("label").otherwise(pl.lit(OTHER)))
    return Table(
        name=name,
        frame=frame.select(key for key in KEYS if key not in without),
        labels=np.array(texts.to_series().to_list(), np.str_),
        source="scan",
        sha256="",
    )


def tables_of(frame: pl.DataFrame, name: str, least: int) -> list[Table]:
    """Returns the tables of a folder's kinds and packages, except those with a single class."""
    tables = (
        kind_table(frame, f"{name}-kind", least),
        package_table(frame, f"{name}-package", least),
    )
    return [table for table in tables if len(np.unique(table.labels)) > 1]


def catalog(config: FilesSystemConfig, context: Context, name: str, root: str) -> pl.DataFrame:
    """Scans a folder, or reads the scan from before the run was resumed."""
    path = context.run.path / f"{name}.parquet"

    def read() -> pl.DataFrame:
        if not path.is_file():
            context.tell(f"scanning {root}")
            found = scan(root, magic=True)
            frame = pl.concat(list(found))
            some = np.random.default_rng(context.seed).permutation(frame.height)[: config.files]
            write_frames([frame[np.sort(some)]], path)
            context.tell(str(found.summary))
        return read_catalog(path)

    return from_first(read)


def jobs(config: FilesSystemConfig, seed: int, table: Table) -> list[Callable[[], list[Record]]]:
    """Returns the network and the models compared with it, tested on a held-out fifth of files."""
    fold = Fold(table, 0, folds=FOLDS, neurons=config.neurons, references=1, seed=seed)

    def network() -> list[Record]:
        epochs = config.epochs(fold.train.height)
        ways = (Way(config.dropout, partial=False),)
        return [learn(fold, Supervised(hidden=config.hidden, epochs=epochs, ways=ways)).record]

    return [
        network,
        lambda: measured("logistic", fold, logistic),
        lambda: measured("majority", fold, majority),
    ]
