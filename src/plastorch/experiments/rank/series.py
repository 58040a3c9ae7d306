"""Early classification of real time series: five objectives of training against strong rivals.

The measure is AvgCost = α · error + (1 - α) · t / T, with the mean share t / T of steps read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Annotated, Any, get_args

import numpy as np
import torch
from torch import nn

from plastorch.data.series import SETS, SeriesSet, load_series
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings, Size
from plastorch.experiments.rank.series_claims import claims, figures
from plastorch.experiments.rank.series_rivals import (
    Answers,
    Prefixes,
    by_induction,
    by_threshold,
    minirocket,
    teaser,
)
from plastorch.rank.estimator import RankClassifier
from plastorch.rank.objectives import Objective
from plastorch.rank.thresholds import costs

ALPHAS = (0.3, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
"""Prices of a wrong answer at which all are read; claims are about 0.8."""
TEASER_SETS = ("ItalyPowerDemand", "GunPoint")
"""Sets on which TEASER runs: it takes no ragged series, and hours for long ones; not if quick."""
QUICK = 24
"""Number of series in each part of a smoke run."""
Job = Callable[[], list[Record]]


@dataclass(frozen=True)
class RankSeriesConfig(Settings):
    """Settings of rank-series; networks and rivals see the same series.

    Args:
        sets: data sets.
        objectives: objectives of training, a network for each.
        hidden_size: number of features of each convolution.
        folds: number of networks that answer together, each with a different part held out.
        epochs: largest number of passes over the series.
        patience: number of passes without a smaller loss on held-out series after which training
            ends.
        learning_rate: learning rate.
        training_threshold: threshold θ at which answers count in training.
        rivals: whether the methods compared with also run.
    """

    sets: tuple[str, ...] = SETS
    objectives: tuple[Objective, ...] = get_args(Objective)
    hidden_size: Size = 32
    folds: Count = 5
    epochs: Count = 150
    patience: Count = 30
    learning_rate: Rate = 2e-3
    training_threshold: Annotated[float, Range(0, 1, above=True, below=True)] = 0.95
    rivals: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("sets", self.sets, SETS)
        check_names("objectives", self.objectives, get_args(Objective))


def measure(config: RankSeriesConfig, context: Context) -> dict[str, Any]:
    """Trains networks and rivals on all sets; returns ``result.json``."""
    if context.quick:
        config = replace(
            config, sets=config.sets[:2], objectives=("all", "hybrid"), epochs=5, folds=2
        )
    data = [load_series(name) for name in config.sets]
    data = [each.few(QUICK) for each in data] if context.quick else data
    started = context.start(config, _description(data))
    loop = Loop(context.run, nn.ModuleDict())
    for each in data:
        loop.run(Jobs(each.name, _Measuring(each, config, context).jobs()))
    records = context.run.records()
    ordinary = config == RankSeriesConfig() and not context.quick
    return context.finish(started, loop, figures(records), claims(records, ordinary))


class _Measuring:
    """Measurements on a set; each gives a record per price."""

    def __init__(self, data: SeriesSet, config: RankSeriesConfig, context: Context) -> None:
        self.data, self.config, self.context = data, config, context

    def jobs(self) -> list[Job]:
        """Returns functions that measure one network or rival each."""
        jobs: list[Job] = [partial(self._network, name) for name in self.config.objectives]
        if self.config.rivals:
            jobs += [self._threshold, self._induction]
            slow = self.data.name in TEASER_SETS and not self.context.quick
            jobs += [self._teaser] if slow else []
        return jobs

    def _network(self, objective: Objective) -> list[Record]:
        config, data = self.config, self.data
        model = RankClassifier(
            hidden_size=config.hidden_size,
            objective=objective,
            training_threshold=config.training_threshold,
            folds=config.folds,
            epochs=config.epochs,
            patience=config.patience,
            learning_rate=config.learning_rate,
            n_jobs=torch.get_num_threads(),
            device=str(self.context.device),
            random_state=self.context.seed,
        )
        model.fit(list(data.train), data.train_labels)
        lengths = np.array([row.shape[1] for row in data.test])
        found = []
        for alpha in ALPHAS:
            early = model.set_price(alpha).predict_early(list(data.test))
            answers = Answers(early.label == data.test_labels, early.time, lengths)
            record = _record(objective, answers, alpha)
            found.append(record | {"validation_cost": model.validation_cost_})
        return found

    @cached_property
    def _prefixes(self) -> tuple[Prefixes, Prefixes]:
        return minirocket(self.data, self.context.seed)

    def _threshold(self) -> list[Record]:
        read = self._prefixes
        return [_record("threshold", by_threshold(*read, alpha), alpha) for alpha in ALPHAS]

    def _induction(self) -> list[Record]:
        read = self._prefixes
        return [_record("induction", by_induction(*read, alpha), alpha) for alpha in ALPHAS]

    def _teaser(self) -> list[Record]:
        answers = teaser(self.data, self.context.seed)
        return [_record("teaser", answers, alpha) for alpha in ALPHAS]


def _record(method: str, answers: Answers, alpha: float) -> Record:
    """Returns cost, accuracy, earliness (mean t / T), and harmonic mean with 1 - earliness."""
    accuracy = float(answers.right.mean())
    earliness = float((answers.time / answers.lengths).mean())
    both = accuracy + 1 - earliness
    return {
        "method": method,
        "alpha": alpha,
        "cost": float(costs(*answers, alpha).mean()),
        "accuracy": accuracy,
        "earliness": earliness,
        "harmonic_mean": 2 * accuracy * (1 - earliness) / both if both else 0.0,
    }


def _description(data: Sequence[SeriesSet]) -> dict[str, Any]:
    """Returns what result.json says of the data."""
    return {
        "name": ", ".join(each.name for each in data),
        "n_train": sum(len(each.train) for each in data),
        "n_test": sum(len(each.test) for each in data),
        "source": "files inside the packages aeon and mnist1d, official splits",
        "sha256": "; ".join(each.sha256() for each in data),
    }
