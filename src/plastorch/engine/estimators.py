"""What scikit-learn estimators share: their seed, and errors that name the argument."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from plastorch.engine.errors import InputError


def seed_of(random_state: Any) -> int:
    """A whole number is the seed itself; anything else that scikit-learn takes gives a drawn one.

    Raises:
        InputError: if scikit-learn doesn't take it.

    Example:
        >>> seed_of(7)
        7
    """
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
    """What numpy and scikit-learn refuse is bad input.

    Raises:
        InputError: in place of their errors.

    Example:
        >>> with as_input_error("X"):
        ...     np.asarray([[1, 2], [3]])
        Traceback (most recent call last):
        plastorch.engine.errors.InputError: X can't be used: ...
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InputError(f"{argument} can't be used: {error}") from None
