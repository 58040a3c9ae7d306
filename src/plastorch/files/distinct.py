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
    """Numbers the distinct rows [B, W] in order of first appearance: returns the number of each row
    [B], and the index of each distinct row's first appearance [U]."""
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
