"""Settings of files-tables and files-system."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from plastorch.data.tables import corpus
from plastorch.data.tables.records import TABLES, Table
from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_names
from plastorch.experiments.preset_defaults import (
    Count,
    CountOrZero,
    Fraction,
    Range,
    Repeats,
    Settings,
    Share,
    Size,
)

ALL_TABLES = (*TABLES, corpus.NAME)
MODELS = (
    *("snn", "stdp", "majority", "logistic", "linear-svm", "rbf-svm", "rbf-nystroem", "boosting"),
    *("naive-bayes", "neighbors", "most-alike", "prototypes", "raster"),
    *("k-means", "k-modes", "k-medoids"),
)
ALL_MODELS = (*MODELS, "estimator")
"""Models that can be chosen; the estimator runs only if named."""
FOLDS = 5
"""Number of folds, one of which is tested."""
TRIAL_RECORDS = 10_000
"""Maximum number of training records for choosing settings; a fifth of them is held out."""
ANSWER_BYTES = 1 << 16
"""Memory that a batch of patterns needs per output neuron, at most."""
KEYS = 20
"""Maximum number of a file's keys that are learned from; each has at least one input neuron."""


@dataclass(frozen=True)
class FilesTablesConfig(Settings):
    """Settings of files-tables.

    Args:
        tables: tables of labeled records.
        models: models that learn from them; ``estimator``, which runs only if named, is
            ``FileClassifier`` with its defaults, whose confidence is measured too.
        estimator_dropout: share of input spikes that ``FileClassifier`` leaves out in training.
        estimator_members: its number of networks side by side; by default, its own choice.
        folds: number of folds; each tests a different part of a table.
        neurons_per_key: input neurons per key on average; keys that tell more about the classes get
            more.
        least_neurons: minimum number of input neurons for a table.
        key_pairs: maximum number of pairs of keys that get patterns of their own, each with
            ``neurons_per_key``: those that tell most about the classes beyond their single keys.
            There are none unless they clearly tell more than all keys do separately.
        hidden_per_class: hidden neurons of the supervised network per class, between
            ``least_hidden`` and ``most_hidden`` in all.
        least_hidden: minimum number of hidden neurons.
        most_hidden: maximum number of hidden neurons.
        population: output neurons of the supervised network per class.
        presentations: number of presentations of training records to the supervised network; an
            epoch has each record once, and there are ``least_epochs`` to ``most_epochs``.
        least_epochs: minimum number of epochs.
        most_epochs: maximum number of epochs.
        dropouts: shares of input spikes that are left out in training; the one that is best on
            held-out training records is used. With the largest share, training in which three of
            four presentations lack keys is also tried.
        weight_noise: noise in the last third of the epochs, as a share of a layer's largest weight.
        pairs: pairs of phase-change devices per weight.
        instances: number of times that the weights are written into devices.
        tested: maximum number of test records in parts that test a network many times.
        references: number of training records with which others are compared one by one.
        hashes: number of other hashes, besides the one that the network has learned with.
    """

    tables: tuple[str, ...] = ALL_TABLES
    models: tuple[str, ...] = MODELS
    estimator_dropout: Fraction = 0.2
    estimator_members: Size | None = None
    folds: Annotated[int, Range(2, 100)] = 5
    neurons_per_key: Size = 20
    least_neurons: Size = 400
    key_pairs: CountOrZero = 0
    hidden_per_class: Size = 30
    least_hidden: Size = 128
    most_hidden: Size = 512
    population: Size = 1
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
        for name, known in (("tables", ALL_TABLES), ("models", ALL_MODELS)):
            check_names(name, getattr(self, name), known)
        if not self.dropouts:
            raise InputError("dropouts are empty; expected one or more")
        for name in ("epochs", "hidden"):
            least, most = getattr(self, f"least_{name}"), getattr(self, f"most_{name}")
            if least > most:
                raise InputError(f"least_{name} is {least}; expected at most {most}")
        neurons = max(self.least_neurons, self.neurons_per_key)
        self.check_network(neurons, self.least_hidden, classes=1, records=0)

    def check_network(self, neurons: int, hidden: int, classes: int, records: int) -> None:
        """Raises InputError if patterns, a network, its answers or devices don't fit in memory."""
        names = (
            *("neurons_per_key", "least_neurons", "least_hidden", "most_hidden"),
            *("population", "pairs"),
        )
        sizes = {name: getattr(self, name) for name in names}
        outputs = classes * self.population
        synapses = max(16, 24 * self.pairs) * hidden * (neurons + outputs)
        check_memory(synapses + neurons * records + ANSWER_BYTES * outputs, **sizes)

    def check_table(self, table: Table) -> None:
        """Raises InputError if a model that learns from the table doesn't fit in memory."""
        records = len(table.labels)
        neurons = self.neurons(table) + self.neurons_per_key * self.key_pairs
        classes = len(np.unique(table.labels))
        self.check_network(neurons, self.hidden(classes), classes, records)
        check_memory(4 * min(self.references, records) ** 2, references=self.references)

    def neurons(self, table: Table) -> int:
        """Returns N, the number of input neurons for a table."""
        return max(self.least_neurons, self.neurons_per_key * table.frame.width)

    def hidden(self, classes: int) -> int:
        """Returns H, the number of hidden neurons for this many classes."""
        return min(max(self.hidden_per_class * classes, self.least_hidden), self.most_hidden)

    def epochs(self, records: int) -> int:
        """Returns the number of epochs of the supervised network for this many training records."""
        epochs = round(self.presentations / records)
        return min(max(epochs, self.least_epochs), self.most_epochs)


@dataclass(frozen=True)
class FilesSystemConfig(Settings):
    """Settings of files-system.

    Args:
        roots: folders to scan, each a data set of its own; if none are given, the folders of this
            Python and, where it exists, /usr/share.
        files: maximum number of files per root; if there are more, some are chosen at random.
        least: minimum number of files of a kind or package; below it, they count as "other".
        neurons: number of input neurons.
        hidden: hidden neurons of the supervised network.
        presentations: presentations of training records to the network, at most 40 of each record.
        dropout: share of input spikes that are left out in training.
    """

    roots: tuple[str, ...] = ()
    files: Count = 40_000
    least: Count = 50
    neurons: Annotated[int, Range(KEYS, 10**6)] = 400
    hidden: Size = 256
    presentations: Count = 800_000
    dropout: Fraction = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_memory(16 * self.neurons * self.hidden, neurons=self.neurons, hidden=self.hidden)

    def named_roots(self) -> dict[str, str]:
        """Returns the names and paths of the folders to scan."""
        if not self.roots:
            share = {"share": "/usr/share"} if Path("/usr/share").is_dir() else {}
            return {"python": sys.prefix} | share
        names = [Path(root).name or "root" for root in self.roots]
        twice = len(set(names)) < len(names)
        numbered = [f"{name}-{n}" if twice else name for n, name in enumerate(names)]
        return dict(zip(numbered, self.roots, strict=True))

    def epochs(self, records: int) -> int:
        """Returns the network's number of epochs for this many training records."""
        return min(40, max(1, round(self.presentations / records)))
