"""Tables of labeled metadata: spiking networks on spike patterns against classical models.

Paper: Stanojevic, Cherubini, Moraitis, Sebastian, *File classification based on spiking neural
networks*, ISCAS 2020. It doesn't name its data sets; tables here are Debian's files and packages,
four classics, and a synthetic corpus.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plastorch.data.tables import corpus
from plastorch.data.tables.records import Table, load_table
from plastorch.engine.errors import require
from plastorch.engine.loop import Jobs, Loop
from plastorch.experiments.context import Context
from plastorch.experiments.files.config import FilesTablesConfig
from plastorch.experiments.files.tables_claims import claims, of_confidence
from plastorch.experiments.files.tables_metrics import metrics

SHOWN = "debian_files"
"""Table that the report illustrates, if the run has it."""
QUICK_RECORDS = 600
"""Number of records per table in a smoke run."""


def measure(config: FilesTablesConfig, context: Context) -> dict[str, Any]:
    """Runs all models on all tables; writes arrays and ``result.json``, which it returns."""
    require("polars", "files")
    from plastorch.experiments.files.tables_jobs import Folds, jobs, pictures

    ordinary = config == FilesTablesConfig() and not context.quick
    if context.quick:
        config = _quick(config)
        context.tell(f"smoke run of {', '.join(config.tables)}, {QUICK_RECORDS} records each")
    tables = {name: _load(name, context) for name in config.tables}
    for table in tables.values():
        config.check_table(table)
    loop = Loop(context.run, nn.Module())
    on_cpu = replace(context, device=torch.device("cpu"))
    started = on_cpu.start(config, _data(config, tables))
    shown = SHOWN if SHOWN in config.tables else config.tables[0]
    folds = Folds(tables, config, context.seed)
    for name in config.tables:
        loop.run(Jobs(f"tables-{name}", jobs(config, name, folds, shown)))
    arrays: dict[str, Tensor] = {}
    loop.recompute(Jobs("pictures", [partial(pictures, folds, shown, arrays)], shared=False))
    context.run.write_arrays(arrays)
    found = metrics(context.run.records())
    made = claims(found, config.tables, ordinary)
    made += of_confidence(found, config.tables, not context.quick)
    return context.finish(started, loop, found, made)


def _load(name: str, context: Context) -> Table:
    if name == corpus.NAME:
        table = corpus.make_corpus(seed=context.seed)
    else:
        table = load_table(name, context.data)
    if not context.quick:
        return table
    some = np.random.default_rng(context.seed).permutation(len(table.labels))[:QUICK_RECORDS]
    return replace(table, frame=table.frame[some], labels=table.labels[some])


def _quick(config: FilesTablesConfig) -> FilesTablesConfig:
    """Reduces settings to the last and the smallest table, few records and one of two folds."""
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


def _data(config: FilesTablesConfig, tables: Mapping[str, Table]) -> dict[str, Any]:
    records = sum(len(table.labels) for table in tables.values())
    sums = "".join(table.sha256 for table in tables.values())
    sources = sorted({table.source for table in tables.values()})
    return {
        "name": "labeled metadata",
        "n_train": records * (config.folds - 1) // config.folds,
        "n_test": records,
        "source": "; ".join(sources) + "; every record is tested in one fold",
        "sha256": hashlib.sha256(sums.encode()).hexdigest(),
        "tables": [f"{name}: {len(table.labels)}" for name, table in tables.items()],
        "notice": "",
    }
