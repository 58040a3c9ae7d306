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


def baselines(
    keys: Sequence[Key], train: pl.DataFrame, codes: Codes, test: pl.DataFrame
) -> Iterator[tuple[str, Codes]]:
    """Trains simple baselines one after the other, and yields their names and predictions [B]."""
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


def tag_baselines(
    keys: Sequence[Key], train: pl.DataFrame, present: NDArray[np.bool_], test: pl.DataFrame
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yields names of simple baselines and whether they give each tag [B, T]; a logistic regression
    gives a tag that is more probable than not."""
    sets, counts = np.unique(present, axis=0, return_counts=True)
    yield "most frequent set", np.tile(sets[counts.argmax()], (test.height, 1))
    if train.height > MOST:
        some = np.sort(np.random.default_rng(0).permutation(train.height)[:MOST])
        train, present = train[some], present[some]
    one, two = one_hot(keys, train, test)
    found = np.tile(present.all(0), (test.height, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for tag in np.flatnonzero(present.any(0) & ~present.all(0)):
            learner = LogisticRegression(max_iter=ITERATIONS).fit(one, present[:, tag])
            found[:, tag] = learner.predict(two)
    yield "logistic regression", found


def naive_bayes(known: Codes, labels: Codes, asked: Codes) -> CategoricalNB:
    """Fits naive Bayes to categories [B, M]; ``asked`` may have others than ``known``."""
    sizes = np.maximum(known.max(0), asked.max(0)) + 1
    return CategoricalNB(min_categories=sizes).fit(known, labels)
