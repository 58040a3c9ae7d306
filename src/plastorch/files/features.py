"""Features of records for classical learners: marks of categories, scaled numbers, levels."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from plastorch.files.column_values import cells, numbers, texts
from plastorch.files.key import Key
from plastorch.files.neuron_allocation import levels

MISSING = "\0missing"
"""Category of a missing value, where missing values count like others."""

Codes = NDArray[np.int64]


def one_hot(
    keys: Sequence[Key], train: pl.DataFrame, test: pl.DataFrame
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Converts records to features for linear models, float32 [B, F], fitted to training records.

    A category is 1 in a column of its own, a missing one too; so are all elements of a set and all
    beginnings of a path. Numbers (or their logarithms, if the key says so) have mean 0 and variance
    1; cycles become a cosine and a sine. Missing numbers are 0, and a column says so. Values that
    no training record has are 0 everywhere.
    """
    blocks = [_block(key, train[key.name], test[key.name]) for key in keys]
    both = [sparse.hstack(parts, format="csr") for parts in zip(*blocks, strict=True)]
    for part in both:
        part.sort_indices()  # learners add in this order
    return sparse.csr_matrix(both[0]), sparse.csr_matrix(both[1])


def categories(keys: Sequence[Key], train: pl.DataFrame, test: pl.DataFrame) -> tuple[Codes, Codes]:
    """Converts records to codes of categories [B, M], from 1 on in the order of texts and numbers;
    0 is a text that no training record has. Numbers are divided into 16 levels."""
    columns = [_codes(key, train[key.name], test[key.name]) for key in keys]
    train_codes, test_codes = (np.stack(part, 1) for part in zip(*columns, strict=True))
    return train_codes, test_codes


def _block(key: Key, train: pl.Series, test: pl.Series) -> tuple[Any, Any]:
    if key.kind in ("number", "cycle"):
        one, two = _numbers(key, train), _numbers(key, test)
        scaler = StandardScaler().fit(np.zeros_like(one) if np.isnan(one).all() else one)
        return _scaled(one, scaler), _scaled(two, scaler)
    marks = CountVectorizer(analyzer=partial(_marks, key=key), binary=True, dtype=np.float32)
    (known, rows), (new, others) = _different(train), _different(test)
    return marks.fit_transform(known)[rows], marks.transform(new)[others]


def _codes(key: Key, train: pl.Series, test: pl.Series) -> tuple[Codes, Codes]:
    if key.kind in ("number", "cycle"):
        known = cells(train, key)
        return 1 + levels(known, known), 1 + levels(cells(test, key), known)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.int64)
    (one, rows), (two, others) = _different(train), _different(test)
    known, new = (part.fill_null(MISSING).to_numpy()[:, None] for part in (one, two))
    return 1 + encoder.fit_transform(known)[rows, 0], 1 + encoder.transform(new)[others, 0]


def _different(column: pl.Series) -> tuple[pl.Series, Codes]:
    """Returns the different texts of a column, which may be long, and which one each record has."""
    text = texts(column)
    codes = text.cast(pl.Categorical).to_physical().fill_null(2**32 - 1)
    _, firsts, rows = np.unique(codes.to_numpy(), return_index=True, return_inverse=True)
    return text.gather(firsts), rows


def _numbers(key: Key, column: pl.Series) -> NDArray[np.float64]:
    """Returns a number, or cosine and sine of a cycle; NaN if missing or infinite [B, 1 or 2]."""
    if key.kind == "cycle":
        angle = 2 * np.pi / key.cells * cells(column, key)
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    value = numbers(column)
    value = np.where(np.isfinite(value), value, np.nan)[:, None]
    return np.log1p(np.maximum(value, 0)) if key.log else value


def _scaled(value: NDArray[np.float64], scaler: StandardScaler) -> sparse.csr_matrix:
    missing = np.isnan(value[:, :1])
    return sparse.csr_matrix(
        np.hstack([np.nan_to_num(scaler.transform(value)), missing]).astype(np.float32)
    )


def _marks(text: str | None, key: Key) -> list[str]:
    """Returns what has a column of its own."""
    if text is None:
        return [MISSING]
    if key.kind == "set":
        return [element for element in text.split("|") if element] or [""]
    if key.kind == "path":
        parts = [part for part in text.split("/") if part]
        return ["/".join(parts[:depth]) for depth in range(1, key.depth + 1)]
    return [text]
