"""Synthetic corpus of files in six classes, each with typical owners, folders, sizes and hours."""

import hashlib

import numpy as np

from plastorch.data.tables.records import Table
from plastorch.engine.errors import check_positive, require

NAME = "corpus"
CLASSES = 6
STRUCTURE_SEED = 7
"""Seed of the classes' distributions, which are the same in every corpus."""
VALUES = {"extension": (8, 0.6), "owner": (40, 0.3), "directory": (200, 0.1)}
"""Number of values of each category, and Dirichlet concentration of a class, low for few values."""
NOISE = 0.15
"""Share of category values taken from another record of any class."""


def make_corpus(records: int = 12_000, seed: int = 0) -> Table:
    """Generates a corpus of six classes: three categories and three numbers per record.

    Extension, owner and directory are drawn from Dirichlet-distributed probabilities of the class.
    The logarithm of the size is normal, the hour normal on the circle, the age in days
    Gamma-distributed. Classes are the same for every seed.
    """
    check_positive(records=records)
    require("polars", "files")
    import polars as pl

    habits, random = np.random.default_rng(STRUCTURE_SEED), np.random.default_rng(seed)
    tables = {name: habits.dirichlet(np.full(n, a), CLASSES) for name, (n, a) in VALUES.items()}
    log_size, hour = habits.normal(10, 2, CLASSES), habits.uniform(0, 24, CLASSES)
    age = habits.uniform(20, 200, CLASSES)
    labels = random.integers(0, CLASSES, records)
    columns: dict[str, pl.Series] = {}
    for name, table in tables.items():
        below = table.cumsum(axis=1)[labels] < random.random((records, 1))
        value = below.sum(axis=1).clip(max=table.shape[1] - 1)
        other = value[random.integers(0, records, records)]
        value = np.where(random.random(records) < NOISE, other, value)
        columns[name] = pl.Series([f"{name}-{number}" for number in value])
    columns["log_size"] = pl.Series(random.normal(log_size[labels], 1.5))
    columns["hour"] = pl.Series(random.normal(hour[labels], 3) % 24)
    columns["age"] = pl.Series(random.gamma(2, age[labels]))
    frame, names = pl.DataFrame(columns), np.array([f"class-{label}" for label in labels])
    return Table(
        name=NAME,
        frame=frame,
        labels=names,
        source="generated",
        sha256=hashlib.sha256(
            frame.with_columns(label=pl.Series(names.tolist())).write_csv().encode()
        ).hexdigest(),
    )
