"""Finds equal rows of numbers with a hash table, on CPUs."""

import secrets
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from plastorch.engine.numba_options import check_arrays
from plastorch.files.encode_kernels import mix

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy")


def distinct(rows: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Numbers the distinct rows in order of first appearance.

    Args:
        rows: rows of words, uint64 [B, W].

    Returns:
        Number of each row, uint32 [B]; index of each distinct row's first appearance, int64 [U].

    Raises:
        InputError: the rows have another type or shape.

    Example:
        >>> codes, firsts = distinct(np.array([[7], [5], [7]], np.uint64))
        >>> codes, firsts
        (array([0, 1, 0], dtype=uint32), array([0, 1]))
    """
    check_arrays(rows=(rows, (None, None), np.uint64))
    found: tuple[NDArray[np.uint32], NDArray[np.int64]]
    found = _distinct(rows, np.uint64(secrets.randbits(64)))  # nobody can make rows collide
    return found


@_compiled
def _distinct(rows, salt):  # type: ignore[no-untyped-def]
    slots = 16
    while slots < 2 * len(rows):
        slots *= 2
    table, count = np.full(slots, -1, np.int64), 0
    codes, firsts = np.empty(len(rows), np.uint32), np.empty(len(rows), np.int64)
    for row in range(len(rows)):
        state = salt
        for word in rows[row]:
            state = mix(state ^ word)
        slot = np.int64(state & np.uint64(slots - 1))
        while table[slot] >= 0 and not _same(rows, firsts[table[slot]], row):
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = row
            count += 1
        codes[row] = table[slot]
    return codes, firsts[:count].copy()


@_compiled
def _same(rows, first, second):  # type: ignore[no-untyped-def]
    for word in range(rows.shape[1]):  # noqa: SIM110, compiled
        if rows[first, word] != rows[second, word]:
            return False
    return True
