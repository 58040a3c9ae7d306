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
    *("naive-bayes", "neighbours", "most-alike", "prototypes", "raster"),
    *("k-means", "k-modes", "k-medoids"),
)
FOLDS = 5
"""Of which one is tested."""
KEYS = 20
"""Of a file that are learned from at most; each has an input neuron at least."""


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


@dataclass(frozen=True)
class FilesSystemConfig(Settings):
    """Settings of files-system.

    Args:
        roots: folders that are scanned, each a data set of its own; none for those of this Python
            and, where it is there, /usr/share.
        files: of each root at most; of more, some are chosen at random.
        least: files of a kind or package; of fewer, they count as "other".
        neurons: of the input.
        hidden: neurons of the supervised network.
        presentations: of training records to it, but 40 to each at most.
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
        """The folders to be scanned, and what they are called."""
        if not self.roots:
            share = {"share": "/usr/share"} if Path("/usr/share").is_dir() else {}
            return {"python": sys.prefix} | share
        names = [Path(root).name or "root" for root in self.roots]
        twice = len(set(names)) < len(names)
        numbered = [f"{name}-{n}" if twice else name for n, name in enumerate(names)]
        return dict(zip(numbered, self.roots, strict=True))

    def epochs(self, records: int) -> int:
        """Of the network, with so many training records."""
        return min(40, max(1, round(self.presentations / records)))
