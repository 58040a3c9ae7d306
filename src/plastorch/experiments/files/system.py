"""Files of this machine: their kind and their package, from metadata without the extension.

Paper: Stanojevic, Cherubini, Moraitis, Sebastian, *File classification based on spiking neural
networks*, ISCAS 2020. Its files are not available; this uses the machine's own Python and system
trees.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from plastorch.data.tables.records import Table
from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, require
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record
from plastorch.experiments.claims import above, asserted
from plastorch.experiments.context import Context
from plastorch.experiments.files.config import FOLDS, FilesSystemConfig

if TYPE_CHECKING:
    import polars as pl

QUICK_FILES = 600


def measure(config: FilesSystemConfig, context: Context) -> dict[str, Any]:
    """Scans, learns and tests; writes catalog and ``result.json``, which it returns.

    The scan is kept, so that a resumed run goes on with the same files. A root with files of one
    kind and package only raises InputError.
    """
    require("polars", "files")
    from plastorch.experiments.files.system_jobs import catalog, jobs, tables_of

    if context.quick:
        config = replace(
            config, files=QUICK_FILES, least=10, neurons=100, hidden=32, presentations=1000
        )
        context.tell(f"smoke run of {QUICK_FILES} files of each root")
    roots = config.named_roots()
    frames = {name: catalog(config, context, name, root) for name, root in roots.items()}
    tables = [table for name in frames for table in tables_of(frames[name], name, config.least)]
    if not tables:
        raise InputError(
            f"roots are {', '.join(roots.values())}; expected files of two kinds or packages, "
            f"{config.least} of each"
        )
    for table in tables:
        needed = config.neurons * (16 * config.hidden + len(table.labels))
        check_memory(needed, neurons=config.neurons, hidden=config.hidden)
    on_cpu = replace(context, device=torch.device("cpu"))
    started = on_cpu.start(config, _data(frames, tables))
    loop = Loop(context.run, nn.Module())
    for table in tables:
        loop.run(Jobs(f"system-{table.name}", jobs(config, context.seed, table)))
    found = _metrics(context.run.records())
    claims = [claim for table in tables for claim in _claims(found, table)]
    return context.finish(started, loop, found, asserted(claims, not context.quick))


def _metrics(records: list[Record]) -> dict[str, float]:
    figures = ("accuracy", "macro_f1", "fit_seconds", "microseconds", "parameters", "operations")
    found: dict[str, float] = {}
    for record in records:
        name = f"{record['table']}_{record['model']}".replace("-", "_")
        found |= {f"{name}_{figure}": float(record[figure]) for figure in figures}
    ours = [float(record["accuracy"]) for record in records if record["model"] == "snn"]
    return {"test_accuracy": sum(ours) / len(ours)} | found


def _claims(found: dict[str, float], table: Table) -> list[Claim]:
    what = f"{table.name.replace('-', ' ')}, {len(np.unique(table.labels))} classes"
    name = table.name.replace("-", "_")
    ours, other, most = (
        found[f"{name}_{model}_accuracy"] for model in ("snn", "logistic", "majority")
    )
    near = (
        f"{what}: accuracy of the supervised network is within a point of that of logistic "
        "regression"
    )
    half_way = f"{what}: it is half way from the most frequent class to all right or more"
    return [
        above(f"{table.name}-logistic", near, ours, other - 0.01),
        above(f"{table.name}-majority", half_way, ours, (1 + most) / 2),
    ]


def _data(frames: "Mapping[str, pl.DataFrame]", tables: list[Table]) -> dict[str, Any]:
    scanned = [f"{name} ({frame.height:,} files)" for name, frame in frames.items()]
    content = b"".join(frame.write_csv().encode() for frame in frames.values())
    return {
        "name": "files of this machine",
        "n_train": sum(len(table.labels) * (FOLDS - 1) // FOLDS for table in tables),
        "n_test": sum(len(table.labels) // FOLDS for table in tables),
        "source": "scan of " + ", ".join(scanned),
        "sha256": hashlib.sha256(content).hexdigest(),
        "tables": [
            f"{table.name}: {len(table.labels)} files of {len(np.unique(table.labels))} classes"
            for table in tables
        ],
    }
