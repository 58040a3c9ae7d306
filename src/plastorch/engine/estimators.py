"""Shared parts of scikit-learn estimators: seeds, and errors that name the argument."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from plastorch.engine.errors import InputError


def seed_of(random_state: Any) -> int:
    """Returns a seed: the number itself, or one drawn from what else scikit-learn accepts."""
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
