"""Shared parts of scikit-learn estimators: seeds, labels, errors that name the argument."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from plastorch.engine.errors import InputError
from plastorch.engine.missing_values import is_missing


def seed_of(random_state: Any) -> int:
    """Returns a seed: the number itself, or one drawn from a RandomState or numpy's global one."""
    if isinstance(random_state, int | np.integer) and 0 <= random_state < 2**63:
        return int(random_state)
    try:
        random = check_random_state(random_state)
    except (TypeError, ValueError):
        raise InputError(
            f"random_state is {random_state!r}; expected a whole number from 0 to 2**63 - 1, a "
            "RandomState or None"
        ) from None
    return int(random.randint(2**31 - 1))


@contextlib.contextmanager
def as_input_error(argument: str) -> Iterator[None]:
    """Turns errors of numpy and scikit-learn about an argument into InputError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InputError(f"{argument} can't be used: {error}") from None


def as_labels(y: ArrayLike | None, count: int, of: str) -> NDArray[Any]:
    """Returns a class for each of ``count`` samples [N], which messages call ``of``.

    Raises InputError if any is missing or a fraction, or there are more or fewer.
    """
    if y is None:
        raise InputError("requires y to be passed, but the target y is None; expected classes [N]")
    with as_input_error("y"):
        labels: NDArray[Any] = column_or_1d(y, warn=True)
    if len(labels) != count:
        raise InputError(f"y has {len(labels)} classes; expected {count}, one for each {of}")
    with as_input_error("y"):
        # In a list of text, numpy would make text of NaN.
        given = np.asarray(y, object).ravel() if isinstance(y, (list, tuple)) else labels
        missing = sum(map(_is_no_class, given)) if given.dtype.kind in "fOmM" else 0
    if missing:
        raise InputError(f"y is missing {missing} times; expected a class for each {of}")
    with as_input_error("y"):
        check_classification_targets(labels)
    return labels


def classes_of(labels: ArrayLike, argument: str) -> NDArray[Any]:
    """Returns the sorted distinct classes; raises InputError unless there are two or more."""
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
            f"y holds {unknown.tolist()[0]!r}; expected only the {len(classes)} known classes"
        )
    return codes


def _is_no_class(label: Any) -> bool:
    return is_missing(label) or label in (np.inf, -np.inf)
