"""Patterns composed of few different parts.

Where inputs come in groups, such as those of a record's keys, a group has far fewer different
patterns than there are records. Stored as such parts, patterns take little memory, and a network
answers them fast (:mod:`plastorch.spiking.patterns.part_answers`): what a part adds is computed
once, and equal patterns are answered once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError

_SMALL = 1 << 16
"""Bound below which numbers are sorted faster."""


class Parts(NamedTuple):
    """B patterns in M parts."""

    tables: Sequence[NDArray[np.uint8]]
    """Different patterns of each part's inputs, in the order of the inputs [P_m, N_m]."""
    codes: NDArray[np.uint32]
    """Row of each pattern in each part's table [B, M]."""

    def assemble(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.uint8]:
        """Returns the patterns as bins, all or some of them [B, N]."""
        codes = self.codes[rows]
        bins = np.empty((len(codes), sum(table.shape[1] for table in self.tables)), np.uint8)
        first = 0
        for part, table in enumerate(self.tables):
            end = first + table.shape[1]
            bins[:, first:end] = table[codes[:, part]]
            first = end
        return bins


class Different(NamedTuple):
    """U different patterns among B, in an order in which neighbors begin alike."""

    rows: NDArray[np.int64]
    """Row of one occurrence of each different pattern [U]."""
    which: NDArray[np.int64]
    """Index of each of the B patterns among the different ones [B]."""


def sorting(parts: Parts) -> NDArray[np.int64]:
    """Returns the parts by which patterns are sorted, in order [M]: those with few different
    patterns first, so that long runs of patterns begin alike."""
    return np.argsort([len(table) for table in parts.tables], kind="stable")


def different(parts: Parts) -> Different:
    """Finds the different patterns; raises InputError if a code is out of its table's range."""
    from plastorch.spiking.patterns.part_kernels import departures

    check(parts)
    codes = parts.codes.T[sorting(parts)]
    columns = [
        column.astype(np.uint16) if column.max(initial=0) < _SMALL else column for column in codes
    ]
    order = np.lexsort(columns[::-1])
    departure = departures(np.ascontiguousarray(codes[:, order].T))
    new = departure < len(columns)
    new[:1] = True
    which = np.empty_like(order)
    which[order] = np.cumsum(new) - 1
    return Different(order[new], which)


def grouped(parts: Parts) -> Different:
    """Returns all patterns, those that begin alike as neighbors, each as if it were different: to
    find the few equal ones among many others takes longer than to answer them."""
    check(parts)
    groups, bound = np.zeros(len(parts.codes), np.uint16), 1
    for part in sorting(parts):
        count = len(parts.tables[part])
        bound *= count
        if bound >= _SMALL:
            break
        groups = groups * np.uint16(count) + parts.codes[:, part].astype(np.uint16)
    order = np.argsort(groups, kind="stable")
    which = np.empty_like(order)
    which[order] = np.arange(len(order))
    return Different(order, which)


def check(parts: Parts) -> None:
    """Raises InputError if codes are out of the tables' range, or arrays are of other types."""
    from plastorch.engine.numba_options import check_arrays  # importing numba takes a second

    check_arrays(codes=(parts.codes, (None, None), np.uint32))
    check_arrays(**{f"table {m}": (t, (None, None), np.uint8) for m, t in enumerate(parts.tables)})
    if not 0 < len(parts.tables) == parts.codes.shape[1]:
        raise InputError(
            f"codes are of {parts.codes.shape[1]} parts; expected {len(parts.tables)}, as tables"
        )
    for part, table in enumerate(parts.tables):
        if len(parts.codes) and parts.codes[:, part].max() >= len(table):
            raise InputError(f"codes of part {part} are not all below {len(table)}")
