"""Evaluation of a classifier of records: a held-out part, simple baselines, a confusion matrix."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plastorch.files.column_values import numbers, texts
from plastorch.files.key import Key
from plastorch.files.neuron_allocation import LEVELS

ITERATIONS = 100
"""Largest number of iterations of logistic regression."""
MOST = 50_000
"""Largest number of records that the baselines learn from."""

Codes = NDArray[np.int64]


def held_out(codes: Codes, seed: int, parts: int = 5) -> NDArray[np.bool_]:
    """Chooses one part of each class at random; none of a class with fewer records than parts.

    Args:
        codes: classes [B].
        seed: random seed.
        parts: number of parts, of which one is held out.

    Example:
        >>> held_out(np.array([0, 0, 0, 0, 0, 1]), seed=0).sum()
        np.int64(1)
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    starts = np.searchsorted(codes[order], codes[order])
    held = np.zeros(len(codes), bool)
    held[order] = (np.arange(len(codes)) - starts) % parts == parts - 1
    return held


def confusion(right: Codes, found: Codes, classes: int) -> NDArray[np.int64]:
    """Counts the records of each class (rows) predicted as each class (columns) [C, C].

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        array([[1, 1],
               [0, 1]])
    """
    return np.bincount(right * classes + found, minlength=classes**2).reshape(classes, classes)


def baselines(
    keys: Sequence[Key], train: pl.DataFrame, codes: Codes, test: pl.DataFrame
) -> Iterator[tuple[str, Codes]]:
    """Trains simple baselines one after the other, and yields their names and predictions.

    Logistic regression takes categories one-hot and numbers with mean 0 and variance 1, where
    missing ones are the mean. Naive Bayes takes numbers as categories of equal frequency. Both take
    the whole text of a set or path as a category.

    Args:
        keys: keys of the records.
        train: training records; of more than 50,000, a sample is used.
        codes: classes of the training records [B].
        test: test records.
    """
    yield "largest class", np.full(test.height, np.bincount(codes).argmax())
    if train.height > MOST:
        some = np.random.default_rng(0).permutation(train.height)[:MOST]
        train, codes = train[np.sort(some)], codes[some[np.argsort(some)]]
    one, two = _features(keys, train, test, scaled=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield (
            "logistic regression",
            LogisticRegression(max_iter=ITERATIONS).fit(one, codes).predict(two),
        )
    one, two = _features(keys, train, test, scaled=False)
    yield "naive Bayes", MultinomialNB().fit(one, codes).predict(two)


def _features(
    keys: Sequence[Key], train: pl.DataFrame, test: pl.DataFrame, scaled: bool
) -> tuple[Any, Any]:
    blocks = []
    for key in keys:
        columns = train[key.name], test[key.name]
        if key.kind not in ("number", "cycle"):
            blocks.append(_one_hot(*map(texts, columns)))
        elif scaled:
            blocks.append(_scaled(*map(numbers, columns)))
        else:
            blocks.append(_one_hot(*_levels(*map(numbers, columns))))
    return tuple(sparse.hstack(parts, format="csr") for parts in zip(*blocks, strict=True))


def _one_hot(train: pl.Series, test: pl.Series) -> tuple[Any, Any]:
    """Encodes values; missing is a value like others, one unseen in training is 0 everywhere."""
    known = train.unique().drop_nulls()
    codes = [_places(column, known)[:, np.newaxis] for column in (train, test)]
    encoder = OneHotEncoder(handle_unknown="ignore").fit(codes[0])
    return encoder.transform(codes[0]), encoder.transform(codes[1])


def _places(column: pl.Series, known: pl.Series) -> NDArray[np.int64]:
    """Returns the index of values among known ones: -1 if missing, their number if unknown."""
    places = column.replace_strict(
        known, pl.arange(len(known), eager=True), default=len(known), return_dtype=pl.Int64
    )
    return np.where(column.is_null().to_numpy(), -1, places.fill_null(-1).to_numpy())


def _scaled(train: NDArray[np.float64], test: NDArray[np.float64]) -> tuple[Any, Any]:
    columns = [np.where(np.isfinite(c), c, np.nan)[:, np.newaxis] for c in (train, test)]
    if np.isnan(columns[0]).all():
        columns = [np.zeros_like(column) for column in columns]
    scaler = StandardScaler().fit(columns[0])
    return tuple(sparse.csr_matrix(np.nan_to_num(scaler.transform(c))) for c in columns)


def _levels(train: NDArray[np.float64], test: NDArray[np.float64]) -> tuple[pl.Series, pl.Series]:
    known = train[np.isfinite(train)]
    edges = np.unique(np.quantile(known, np.arange(1, LEVELS) / LEVELS)) if len(known) else known
    levels = [
        pl.Series(np.where(np.isnan(c), -1, np.searchsorted(edges, c, side="right")))
        for c in (train, test)
    ]
    return levels[0], levels[1]
