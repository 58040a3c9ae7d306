"""Checks of what scikit-learn users pass to the classifier: records, classes, a seed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import as_input_error
from plastorch.files.as_frame import as_frame
from plastorch.files.catalog import read_catalog

NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no class or tag may hold: numpy strips NUL, and a model file holds only valid Unicode."""


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


def as_labels(y: ArrayLike | None, count: int) -> NDArray[Any]:
    """Returns one class per record [N]; raises InputError if any is missing, a fraction or text
    with NUL or a lone surrogate."""
    if y is None:
        raise InputError("requires y to be passed, but the target y is None; expected classes [N]")
    with as_input_error("y"):
        labels: NDArray[Any] = column_or_1d(y, warn=True)
    if len(labels) != count:
        raise InputError(f"y has {len(labels)} classes; expected {count}, one for each record")
    with as_input_error("y"):
        missing = sum(map(_is_missing, labels)) if labels.dtype.kind in "fO" else 0
    if missing:
        raise InputError(f"y is missing in {missing} records; expected a class for each")
    with as_input_error("y"):
        check_classification_targets(labels)
    _check_texts(y, "y")
    return labels


def classes_of(labels: ArrayLike, argument: str) -> NDArray[Any]:
    """Returns the sorted distinct classes; raises InputError unless there are two or more, none
    with NUL or a lone surrogate."""
    _check_texts(labels, argument)
    with as_input_error(argument):
        classes = np.unique(np.asarray(labels))
    if len(classes) < 2:
        found = ", ".join(map(repr, classes.tolist())) or "none"
        raise InputError(
            f"{argument} holds {len(classes)} class ({found}); expected two or more classes"
        )
    return classes


def codes_of(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Returns each label's index among the sorted classes [N]; other labels raise InputError."""
    with as_input_error("y"):
        unknown = np.setdiff1d(labels, classes)
        codes = np.searchsorted(classes, labels)
    if len(unknown):
        raise InputError(
            f"y holds {unknown.tolist()[0]!r}; expected only the {len(classes)} classes before"
        )
    return codes


def _check_texts(labels: ArrayLike, argument: str) -> None:
    for text in {label for label in np.asarray(labels, object).flat if isinstance(label, str)}:
        if NO_TEXT.search(text):
            raise InputError(f"{argument} holds {text!r}; expected valid Unicode without NUL")


def _is_array(X: Any) -> bool:
    if isinstance(X, (list, tuple)):
        return bool(X) and not isinstance(X[0], Mapping)
    is_frame = hasattr(X, "columns") or hasattr(X, "__arrow_c_stream__")
    return not is_frame and (hasattr(X, "__array__") or hasattr(X, "tocsr"))


def _is_numbered(X: Any) -> bool:
    """Returns whether X is a pandas frame whose columns are just 0, 1, …."""
    is_pandas = type(X).__module__.split(".")[0] == "pandas"
    return is_pandas and list(X.columns) == list(range(X.shape[1]))


def _is_missing(label: Any) -> bool:
    return label is None or label != label or label in (np.inf, -np.inf)
