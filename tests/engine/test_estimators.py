"""What estimators accept."""

import numpy as np
import pytest

from plastorch.engine.errors import InputError
from plastorch.engine.estimators import as_input_error, seed_of


def test_seeds_of_random_states() -> None:
    assert seed_of(7) == 7
    assert seed_of(np.random.RandomState(0)) == seed_of(np.random.RandomState(0))
    with pytest.raises(InputError, match="random_state is 'seven'; expected a whole number"):
        seed_of("seven")


def test_errors_of_numpy_are_bad_input() -> None:
    with pytest.raises(InputError, match="X can't be used: "), as_input_error("X"):
        np.asarray([[1, 2], [3]])
