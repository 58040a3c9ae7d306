"""Vectors of sixteen numbers do what NumPy does with sixteen numbers."""

from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from plastorch.engine.numba_vectors import (
    LANES,
    LINE,
    above,
    above_bits,
    aligned_zeros,
    choose,
    full,
    fused,
    greater,
    load,
    plus,
    smaller,
    store,
    sums_of,
    times,
)

compiled: Any = njit(error_model="numpy")


@compiled
def everything(one, two, place, number, results):
    """Writes the results of all operations on sixteen numbers from a place on."""
    a, b = load(one, place), load(two, place)
    store(results, 0, plus(a, b))
    store(results, LANES, times(a, b))
    store(results, 2 * LANES, above(a, b))
    store(results, 3 * LANES, greater(a, b))
    store(results, 4 * LANES, full(number))
    store(results, 5 * LANES, smaller(a, b))
    store(results, 6 * LANES, fused(a, b, a))
    store(results, 7 * LANES, choose(a, b, full(number), a))
    return above_bits(a, b)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 3])
def test_operations(kind: type, place: int) -> None:
    random = np.random.default_rng(place)
    one, two = random.integers(-2, 3, (2, LANES + 3)).astype(kind)
    results = np.full(9 * LANES, 7, kind)
    bits = everything(one, two, place, kind(0.5), results)
    a, b = one[place : place + LANES], two[place : place + LANES]
    expected = [a + b, a * b, a > b, np.maximum(a, b), np.full(LANES, 0.5), np.minimum(a, b)]
    expected += [a * b + a, np.where(a > b, 0.5, a), np.full(LANES, 7)]
    assert (results == np.concatenate(expected)).all()
    assert bits == sum(1 << lane for lane in range(LANES) if a[lane] > b[lane])


def test_arrays_with_gaps_are_refused() -> None:
    with pytest.raises(TypingError, match="expected a contiguous one"):
        everything(np.ones(40)[::2], np.ones(20), 0, 0.5, np.ones(9 * LANES))


@compiled
def eight_sums(rows):
    """Returns the sums of eight rows of sixteen numbers."""
    v0, v1, v2, v3 = load(rows, 0), load(rows, 16), load(rows, 32), load(rows, 48)
    v4, v5, v6, v7 = load(rows, 64), load(rows, 80), load(rows, 96), load(rows, 112)
    return sums_of((v0, v1, v2, v3, v4, v5, v6, v7))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sums_of_eight_vectors(kind: type) -> None:
    rows = np.random.default_rng(0).integers(-9, 10, (8, LANES)).astype(kind)
    assert eight_sums(rows) == tuple(rows.sum(1))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_aligned_zeros_begin_with_a_cache_line(kind: type) -> None:
    """However many there are, as the next memory that is free begins somewhere else."""
    arrays = [aligned_zeros(15, np.dtype(kind)) for _ in range(20)]
    for array in arrays:
        assert array.ctypes.data % LINE == 0
        assert array.shape == (15,)
        assert array.dtype == kind
        assert not array.any()
