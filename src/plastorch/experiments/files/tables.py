"""Tables of labelled metadata: spiking networks on spike patterns against classical learners.

Paper: Stanojevic, Cherubini, Moraitis, Sebastian, *File classification based on spiking neural
networks*, ISCAS 2020. Its data sets are not named; tables are Debian's files and packages, four
classics, and a made-up corpus.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from plastorch.data.tables import corpus
from plastorch.data.tables.records import TABLES, Table, load_table
from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record, result
from plastorch.experiments.context import Session
from plastorch.experiments.files.tables_claims import claims
from plastorch.experiments.files.tables_metrics import metrics
from plastorch.experiments.preset_defaults import (
    Count,
    Fraction,
    Range,
    Repeats,
    Settings,
    Share,
    Size,
)

PAPER = "Stanojevic et al. 2020, File Classification, ISCAS, arXiv 2004.03953"
ALL_TABLES = (*TABLES, corpus.NAME)
MODELS = (
    *("snn", "stdp", "majority", "logistic", "linear-svm", "rbf-svm", "rbf-nystroem", "boosting"),
    *("naive-bayes", "neighbours", "most-alike", "prototypes", "raster"),
    *("k-means", "k-modes", "k-medoids"),
)
SHOWN = "debian_files"
"""Table of which the report draws pictures, if it is among those of a run."""
QUICK_RECORDS = 600
"""Of each table in a smoke run."""

Job = Callable[[], list[Record]]


@dataclass(frozen=True)
class FilesTablesConfig(Settings):
    """Settings of files-tables.

    Args:
        tables: of labelled records.
        models: that learn from them.
        folds: in each of which another part of a table is tested.
        neurons_per_key: input neurons; keys that tell more of the classes get more of them.
        least_neurons: of a table.
        hidden_per_class: hidden neurons of the supervised network, of which there are at least
            ``least_hidden`` and at most ``most_hidden``.
        least_hidden: see there.
        most_hidden: see there.
        presentations: of training records to it; an epoch is all of them, and there are at least
            ``least_epochs`` and at most ``most_epochs``.
        least_epochs: see there.
        most_epochs: see there.
        dropouts: shares of input spikes that are left out in training, of which that one is taken
            which is best on training records that were not learned from. With the largest it is
            also tried whether it helps that three of four presentations lack keys.
        weight_noise: in the last third of the epochs, as a share of a layer's largest weight.
        pairs: of phase-change devices per weight.
        instances: times that the weights are written into devices.
        tested: test records at most, where a network is tested many times.
        references: training records with which others are compared one by one.
        hashes: other ones than that which the network has learned with.
    """

    tables: tuple[str, ...] = ALL_TABLES
    models: tuple[str, ...] = MODELS
    folds: Annotated[int, Range(2, 100)] = 5
    neurons_per_key: Size = 20
    least_neurons: Size = 400
    hidden_per_class: Size = 30
    least_hidden: Size = 128
    most_hidden: Size = 512
    presentations: Count = 1_600_000
    least_epochs: Count = 15
    most_epochs: Count = 100
    dropouts: tuple[Fraction, ...] = (0.0, 0.2)
    weight_noise: Share = 0.04
    pairs: Size = 1
    instances: Repeats = 25
    tested: Count = 2000
    references: Count = 2000
    hashes: Repeats = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("tables", ALL_TABLES), ("models", MODELS)):
            check_names(name, getattr(self, name), known)
        if not self.dropouts:
            raise InputError("dropouts are none; expected some")
        for name in ("epochs", "hidden"):
            least, most = getattr(self, f"least_{name}"), getattr(self, f"most_{name}")
            if least > most:
                raise InputError(f"least_{name} is {least}; expected at most {most}")
        self.check_network(max(self.least_neurons, self.neurons_per_key), self.least_hidden, 0)

    def check_network(self, neurons: int, hidden: int, records: int) -> None:
        """Raises InputError if patterns, a network, or its devices, don't fit."""
        names = ("neurons_per_key", "least_neurons", "least_hidden", "most_hidden", "pairs")
        sizes = {name: getattr(self, name) for name in names}
        weights = neurons * hidden
        check_memory(max(16, 24 * self.pairs) * weights + neurons * records, **sizes)

    def check_table(self, table: Table) -> None:
        """Raises InputError if what learns from a table doesn't fit."""
        records = len(table.labels)
        self.check_network(self.neurons(table), self.hidden(len(np.unique(table.labels))), records)
        check_memory(4 * min(self.references, records) ** 2, references=self.references)

    def neurons(self, table: Table) -> int:
        """N, of a table."""
        return max(self.least_neurons, self.neurons_per_key * table.frame.width)

    def hidden(self, classes: int) -> int:
        """H, with so many classes."""
        return min(max(self.hidden_per_class * classes, self.least_hidden), self.most_hidden)

    def epochs(self, records: int) -> int:
        """Of the supervised network, with so many training records."""
        epochs = round(self.presentations / records)
        return min(max(epochs, self.least_epochs), self.most_epochs)


def measure(config: FilesTablesConfig, session: Session) -> dict[str, Any]:
    """Runs all models on all tables; writes arrays and result into the run folder.

    Args:
        config: what to run.
        session: where, on what, with which seed.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: if a table or a checkpoint to resume is missing or unusable.
        Interrupted: if the user stopped it; the run folder can be resumed.
    """
    try:
        from plastorch.experiments.files.tables_jobs import Folds, jobs, pictures
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise InputError('polars is missing; expected: pip install "plastorch[files]"') from None
    ordinary = config == FilesTablesConfig() and not session.quick
    if session.quick:
        config = _quick(config)
        session.tell(f"smoke run of {', '.join(config.tables)}, {QUICK_RECORDS} records each")
    tables = {name: _load(name, session) for name in config.tables}
    for table in tables.values():
        config.check_table(table)
    loop = Loop(session.run, nn.Module())
    started = _result(config, session, tables)
    session.run.write_result(started)
    folds, shown = Folds(tables, config, session.seed), _shown(config)
    for name in config.tables:
        loop.run(Jobs(f"tables-{name}", jobs(config, name, folds, shown)))
    arrays: dict[str, Tensor] = {}
    loop.recompute(Jobs("pictures", [partial(pictures, folds, shown, arrays)], shared=False))
    session.run.write_arrays(arrays)
    found = metrics(session.run.records())
    return session.finish(started, loop, found, claims(found, config.tables, ordinary))


def _shown(config: FilesTablesConfig) -> str:
    return SHOWN if SHOWN in config.tables else config.tables[0]


def _load(name: str, session: Session) -> Table:
    """A table, or some of its records in a smoke run."""
    if name == corpus.NAME:
        table = corpus.make_corpus(seed=session.seed)
    else:
        table = load_table(name, session.data)
    if not session.quick:
        return table
    some = np.random.default_rng(session.seed).permutation(len(table.labels))[:QUICK_RECORDS]
    return replace(table, frame=table.frame[some], labels=table.labels[some], split=None)


def _quick(config: FilesTablesConfig) -> FilesTablesConfig:
    """The same with the last and the smallest table, few records and a fold of two."""
    few = [name for name in ("mushroom", corpus.NAME) if name in config.tables]
    return replace(
        config,
        tables=tuple(few or config.tables[:1]),
        folds=2,
        least_neurons=min(100, config.least_neurons),
        neurons_per_key=min(5, config.neurons_per_key),
        least_hidden=min(32, config.least_hidden),
        most_hidden=min(32, config.most_hidden),
        least_epochs=1,
        most_epochs=2,
        instances=2,
        tested=60,
        references=60,
        hashes=2,
    )


def _result(
    config: FilesTablesConfig, session: Session, tables: Mapping[str, Table]
) -> dict[str, Any]:
    records = sum(len(table.labels) for table in tables.values())
    sums = "".join(table.sha256 for table in tables.values())
    sources = {table.source for table in tables.values()}
    data = {
        "name": "labelled metadata",
        "n_train": records * (config.folds - 1) // config.folds,
        "n_test": records,
        "source": "; ".join(sorted(sources)) + "; every record is tested in one fold",
        "sha256": hashlib.sha256(sums.encode()).hexdigest(),
        "tables": [f"{name}: {len(table.labels)}" for name, table in tables.items()],
        "notice": "",
    }
    lists = {k: list(v) for k, v in asdict(config).items() if isinstance(v, tuple)}
    settings = {**asdict(config), **lists, "seed": session.seed, "quick": session.quick}
    return result("files-tables", PAPER, settings, data, torch.device("cpu"))
