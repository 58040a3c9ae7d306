"""Evaluation of a classifier of records: a held-out part and simple baselines."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import CategoricalNB

from plastorch.files.features import Codes, categories, one_hot
from plastorch.files.key import Key

ITERATIONS = 100
"""Largest number of iterations of logistic regression."""
MOST = 50_000
"""Largest number of records that the baselines learn from."""


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


def baselines(
    keys: Sequence[Key], train: pl.DataFrame, codes: Codes, test: pl.DataFrame
) -> Iterator[tuple[str, Codes]]:
    """Trains simple baselines one after the other, and yields their names and predictions.

    Logistic regression takes the features of :func:`plastorch.files.features.one_hot`, naive Bayes
    the categories of :func:`plastorch.files.features.categories`.

    Args:
        keys: keys of the records.
        train: training records; of more than 50,000, a sample is used.
        codes: classes of the training records [B].
        test: test records.
    """
    yield "largest class", np.full(test.height, np.bincount(codes).argmax())
    if train.height > MOST:
        some = np.sort(np.random.default_rng(0).permutation(train.height)[:MOST])
        train, codes = train[some], codes[some]
    one, two = one_hot(keys, train, test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner = LogisticRegression(max_iter=ITERATIONS).fit(one, codes)
    yield "logistic regression", learner.predict(two)
    known, asked = categories(keys, train, test)
    yield "naive Bayes", naive_bayes(known, codes, asked).predict(asked)


def naive_bayes(known: Codes, labels: Codes, asked: Codes) -> CategoricalNB:
    """Fits naive Bayes to categories.

    Args:
        known: categories of training records [B, M].
        labels: classes of the training records [B].
        asked: categories of other records, which may have some that no training record has.
    """
    sizes = np.maximum(known.max(0), asked.max(0)) + 1
    return CategoricalNB(min_categories=sizes).fit(known, labels)
