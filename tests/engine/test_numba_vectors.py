"""Vectors of eight numbers do what NumPy does with eight numbers."""

from typing import Any

import numpy as np
import pytest
from numba import njit

from plastorch.engine.numba_vectors import (
    LANES,
    above,
    above_bits,
    full,
    greater,
    load,
    plus,
    store,
    times,
)

compiled: Any = njit(error_model="numpy")


@compiled
def everything(one, two, place, number, results):
    """Writes the results of all operations on eight numbers from a place on."""
    a, b = load(one, place), load(two, place)
    store(results, 0, plus(a, b))
    store(results, 8, times(a, b))
    store(results, 16, above(a, b))
    store(results, 24, greater(a, b))
    store(results, 32, full(number))
    return above_bits(a, b)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 3])
def test_operations(kind: type, place: int) -> None:
    random = np.random.default_rng(place)
    one, two = random.integers(-2, 3, (2, 11)).astype(kind)
    results = np.full(48, 7, kind)
    bits = everything(one, two, place, kind(0.5), results)
    a, b = one[place : place + LANES], two[place : place + LANES]
    expected = [a + b, a * b, a > b, np.maximum(a, b), np.full(LANES, 0.5), np.full(LANES, 7)]
    assert (results == np.concatenate(expected)).all()
    assert bits == sum(1 << lane for lane in range(LANES) if a[lane] > b[lane])
