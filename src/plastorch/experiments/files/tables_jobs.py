"""The jobs of files-tables: each model in each fold of each table."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from plastorch.data.tables.records import Table
from plastorch.engine.run import Record
from plastorch.experiments.files.baselines import BASELINES, measured, row
from plastorch.experiments.files.clusters import CLUSTERINGS, clustered
from plastorch.experiments.files.config import FilesTablesConfig
from plastorch.experiments.files.estimator import estimator
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.raster import RASTER
from plastorch.experiments.files.spiking import Supervised, Way, supervised
from plastorch.experiments.files.streams import FoldStream
from plastorch.experiments.files.winners import unsupervised
from plastorch.files.encode import coincidence
from plastorch.files.similarity import similarity

FIRST_FOLD = ("raster",)
"""Models that are tested in the first fold only, because they are slow."""
PAIRS = 10_000
"""Number of pairs of records whose similarity is compared with their patterns' coincidence."""


class Folds:
    """Folds of all tables; those of the current table are kept, with all their representations."""

    def __init__(self, tables: Mapping[str, Table], config: FilesTablesConfig, seed: int) -> None:
        self.tables, self.config, self.seed = tables, config, seed
        self._current: dict[tuple[str, int], Fold] = {}

    def __call__(self, name: str, number: int) -> Fold:
        if (name, number) not in self._current:
            table, config = self.tables[name], self.config
            self._current = {of: fold for of, fold in self._current.items() if of[0] == name}
            self._current[name, number] = Fold(
                table,
                number,
                folds=config.folds,
                neurons=config.neurons(table),
                references=config.references,
                seed=self.seed,
            )
        return self._current[name, number]


def jobs(
    config: FilesTablesConfig, name: str, folds: Folds, shown: str
) -> list[Callable[[], list[Record]]]:
    """Returns a table's jobs: each model in each fold, after a comparison of patterns with records.
    A model's folds follow each other, so that workers side by side have jobs of equal length."""

    def job(number: int, model: str) -> list[Record]:
        fold = folds(name, number)
        if model == "inputs":
            return [_inputs(fold)]
        if model == "snn":
            settings = Supervised(
                hidden=config.hidden(len(fold.classes)),
                epochs=config.epochs(fold.train.height),
                ways=(*(Way(d, False) for d in config.dropouts), Way(max(config.dropouts), True)),
                weight_noise=config.weight_noise,
                pairs=config.pairs,
                instances=config.instances,
                tested=config.tested,
                hashes=config.hashes,
                population=config.population,
                key_pairs=config.key_pairs,
                neurons_per_pair=config.neurons_per_key,
            )
            return supervised(fold, settings, name == shown)
        if model == "estimator":
            return estimator(fold, config.estimator_dropout, config.estimator_members)
        if model == "stdp":
            return unsupervised(fold)
        if model in CLUSTERINGS:
            return clustered(model, fold, CLUSTERINGS[model])
        return measured(model, fold, (BASELINES | RASTER)[model])

    return [
        partial(job, number, model)
        for model in ("inputs", *config.models)
        for number in range(config.folds)
        if number == 0 or model not in FIRST_FOLD
    ]


def _inputs(fold: Fold) -> Record:
    alike, same = _pairs(fold)
    return {
        **row("inputs", fold),
        "correlation": float(np.corrcoef(alike, same)[0, 1]),
        "rank_correlation": float(spearmanr(alike, same).statistic),
        "records": fold.train.height + fold.test.height,
        "classes": len(fold.classes),
        "keys": len(fold.keys),
        "neurons": fold.neurons,
        "features": fold.features[0].shape[1],
    }


def _pairs(fold: Fold) -> tuple[Any, Any]:
    """Returns similarities of random pairs of test records, and coincidences of their patterns."""
    pairs = torch.randint(
        0, fold.test.height, (2, PAIRS), generator=fold.random(FoldStream.PAIRS)
    ).numpy()
    left, right = pairs[:, pairs[0] != pairs[1]]
    bins = fold.test_bins.numpy()
    alike = similarity(fold.keys, fold.test[left], fold.test[right])
    return alike, coincidence(bins[left], bins[right])


def pictures(folds: Folds, shown: str, arrays: dict[str, Tensor]) -> list[Record]:
    """Makes pairs of records, and patterns of a record, of one like it and of one unlike it."""
    fold = folds(shown, 0)
    alike, same = _pairs(fold)
    arrays["pair_similarity"] = torch.from_numpy(alike[:2000])
    arrays["pair_coincidence"] = torch.from_numpy(same[:2000])
    first = np.zeros(fold.test.height, np.int64)
    others = similarity(fold.keys, fold.test[first], fold.test)
    chosen = [int(np.abs(others - wanted).argmin()) for wanted in (1.0, 0.8, np.median(others))]
    arrays["example_bins"] = fold.test_bins[chosen].long()
    arrays["example_similarity"] = torch.from_numpy(others[chosen])
    arrays["example_ends"] = torch.tensor([key.neurons for key in fold.keys]).cumsum(0)
    return []
