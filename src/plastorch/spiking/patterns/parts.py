"""Patterns composed of few different parts, and a network's answers to them.

Where inputs come in groups, such as those of a record's keys, a group has far fewer different
patterns than there are records. Stored as such parts, patterns take little memory, and a network
answers them fast: equal patterns are answered once, and different ones in an order in which
neighbors begin alike, so that only their differences are computed. Parts with many inputs and few
different patterns should come first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.engine.threads import in_threads
from plastorch.spiking.patterns.network import (
    PatternNetwork,
    arrays_of,
    by_input,
    check_weights,
    constants_of,
)
from plastorch.spiking.patterns.rule import Response

USEFUL = 512
"""Number of patterns that are worth a thread."""
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


def different(parts: Parts) -> Different:
    """Finds the different patterns; raises InputError if a code is out of its table's range."""
    from plastorch.spiking.patterns.part_kernels import departures

    _check(parts)
    columns = [
        codes.astype(np.uint16) if len(table) <= _SMALL else codes
        for table, codes in zip(parts.tables, parts.codes.T, strict=True)
    ]
    order = np.lexsort(columns[::-1])
    departure = departures(parts.codes[order])
    new = departure < len(columns)
    new[:1] = True
    which = np.empty_like(order)
    which[order] = np.cumsum(new) - 1
    return Different(order[new], which)


@torch.no_grad()
def answer_parts(network: PatternNetwork, parts: Parts, found: Different) -> Response:
    """Answers U different patterns on the CPU, bitwise as :meth:`PatternNetwork.forward`."""
    from plastorch.engine.numba_options import check_arrays
    from plastorch.spiking.patterns import part_kernels as kernels

    check_arrays(codes=(parts.codes, (None, None), np.uint32))
    check_arrays(rows=(found.rows, (None,), np.int64, 0, len(parts.codes) - 1))
    parts = parts._replace(codes=parts.codes[found.rows])
    _check(parts)
    width = sum(table.shape[1] for table in parts.tables)
    if width != network.in_features:
        raise InputError(f"parts have {width} inputs; expected {network.in_features}")
    for table in parts.tables:
        network.check_steps(torch.from_numpy(table))
    weights, count = network.weights(), len(found.rows)
    check_weights(weights, width)
    new, classes = weights.hidden.new_empty, len(weights.output_bias)
    results = Response(new(count, classes), new(count, classes), new(count), new(count))
    sizes = np.array([table.shape[1] for table in parts.tables])
    starts = np.cumsum([0, *(table.size for table in parts.tables[:-1])])
    arguments = (
        np.concatenate([table.ravel() for table in parts.tables]),
        starts,
        sizes,
        parts.codes,
        np.minimum(kernels.departures(parts.codes), kernels.DEEPEST),
        arrays_of(by_input(weights)),
        constants_of(network.neuron, weights.hidden.dtype),
    )

    def run(begin: int, end: int) -> None:
        kernels.respond_to_parts(*arguments, begin, end, arrays_of(results))

    in_threads(run, count, count // USEFUL)
    return results


def _check(parts: Parts) -> None:
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
