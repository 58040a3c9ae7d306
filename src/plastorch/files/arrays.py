"""Checks of arguments that scikit-learn users pass to the classifier: records, classes, a seed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import as_input_error, as_labels
from plastorch.files.as_frame import as_frame
from plastorch.files.catalog import read_catalog

NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters not allowed in classes and tags: numpy strips NUL, and model files hold only valid
Unicode."""


def as_records(estimator: BaseEstimator, X: Any, reset: bool) -> pl.DataFrame:
    """Returns records (a frame, dicts, the path of a CSV file, rows of numbers) as a frame.

    Unnamed columns of an array or pandas frame are x0, x1, …. With ``reset``, for the first records
    that the estimator learns from, it gets ``n_features_in_``; later arrays must have that width.
    """
    if not _is_array(X):
        frame = read_catalog(X) if isinstance(X, (str, Path)) else as_frame(X)
        if _is_numbered(X):
            frame = frame.rename(lambda name: f"x{name}")
        if reset:
            estimator.n_features_in_ = frame.width
        return frame
    with as_input_error("X"):
        numbers = validate_data(
            estimator, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan"
        )
    columns = {f"x{j}": column for j, column in enumerate(np.asarray(numbers).T)}
    return as_frame(pl.DataFrame(columns))


def labels_of(y: ArrayLike | None, count: int) -> NDArray[Any]:
    """Returns one class per record [N] that a model file can hold; see :func:`check_texts`."""
    labels = as_labels(y, count, "record")
    check_texts(y, "y")  # not the labels: numpy drops NUL at the end of text
    return labels


def check_texts(labels: ArrayLike | None, argument: str) -> None:
    """Raises InputError if a class is text that is empty or has NUL or a lone surrogate."""
    for text in {label for label in np.asarray(labels, object).flat if isinstance(label, str)}:
        if not text or NO_TEXT.search(text):
            raise InputError(f"{argument} holds {text!r}; expected text, valid Unicode without NUL")


def _is_array(X: Any) -> bool:
    if isinstance(X, (list, tuple)):
        return bool(X) and not isinstance(X[0], Mapping)
    is_frame = hasattr(X, "columns") or hasattr(X, "__arrow_c_stream__")
    return not is_frame and (hasattr(X, "__array__") or hasattr(X, "tocsr"))


def _is_numbered(X: Any) -> bool:
    """Returns whether X is a pandas frame whose columns are just 0, 1, …."""
    is_pandas = type(X).__module__.split(".")[0] == "pandas"
    return is_pandas and list(X.columns) == list(range(X.shape[1]))
