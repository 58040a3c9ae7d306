"""Finds equal rows of numbers with a hash table, on CPUs."""

import secrets
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.numba_options import UNCOUNTED, check_arrays, kernel
from plastorch.files.encode_kernels import mix

WORD = 64
"""Number of bits of a word."""


def distinct(rows: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Numbers the distinct rows [B, W] in order of first appearance: returns the number of each row
    [B], and the index of each distinct row's first appearance [U]."""
    check_arrays(rows=(rows, (None, None), np.uint64))
    found: tuple[NDArray[np.uint32], NDArray[np.int64]]
    found = _distinct(rows, np.uint64(secrets.randbits(64)))  # nobody can make rows collide
    return found


def packed(codes: NDArray[np.uint32], counts: Sequence[int]) -> NDArray[np.uint64]:
    """Packs codes [B, M], column m below ``counts[m]``, into as few words as hold them [B, W]: rows
    that are equal where those of codes are."""
    check_arrays(codes=(codes, (None, len(counts)), np.uint32))
    places, word, used = [], 0, 0
    for count in counts:
        bits = max(1, (count - 1).bit_length())
        if used + bits > WORD:
            word, used = word + 1, 0
        places.append((word, bits))
        used += bits
    words = np.zeros((len(codes), word + 1), np.uint64)
    _pack(codes, np.array(places), words)
    return words


@kernel
def _pack(codes, places, words):  # type: ignore[no-untyped-def]
    for m in range(len(places)):
        word, bits = places[m, 0], np.uint64(places[m, 1])
        for b in range(len(codes)):
            words[b, word] = (words[b, word] << bits) | np.uint64(codes[b, m])


@kernel
def _distinct(rows, salt):  # type: ignore[no-untyped-def]
    slots = 16
    while slots < 2 * len(rows):
        slots *= 2
    table = np.full(slots, -1, np.int32)
    codes, firsts = np.empty(len(rows), np.uint32), np.empty(len(rows), np.int64)
    count = _number(rows, salt, table, codes, firsts)
    return codes, firsts[:count].copy()


@kernel(**UNCOUNTED)
def _number(rows, salt, table, codes, firsts):  # type: ignore[no-untyped-def]
    """Numbers rows by a hash table of which each slot is -1; returns how many are distinct."""
    slots, count = len(table), 0
    for row in range(len(rows)):
        state = salt
        for word in range(rows.shape[1]):
            state = mix(state ^ rows[row, word])
        slot = np.int64(state & np.uint64(slots - 1))
        while table[slot] >= 0 and not _same(rows, firsts[table[slot]], row):
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = row
            count += 1
        codes[row] = table[slot]
    return count


@kernel(**UNCOUNTED)
def _same(rows, first, second):  # type: ignore[no-untyped-def]
    for word in range(rows.shape[1]):  # noqa: SIM110, compiled
        if rows[first, word] != rows[second, word]:
            return False
    return True
