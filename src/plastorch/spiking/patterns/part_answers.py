"""Answers of a network to patterns composed of parts, from tables of what a part adds."""

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

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
from plastorch.spiking.patterns.parts import Different, Parts, check, sorting
from plastorch.spiking.patterns.rule import Answer

USEFUL = 512
"""Number of patterns that are worth a thread."""
MOST_BYTES = 1 << 26
"""Largest size of the tables of parts."""
BATCH_BYTES = 1 << 24
"""Largest size of the sums over first parts that a thread keeps."""


class _Network(NamedTuple):
    """Weights of a network, by input; its constants; and tables that depend on nothing else."""

    weights: tuple[NDArray[Any], ...]
    constants: Any
    rest: NDArray[Any]
    outputs: NDArray[Any]
    bias: NDArray[Any]


@torch.no_grad()
def answer_parts(network: PatternNetwork, parts: Parts, found: Different) -> Answer:
    """Answers U different patterns on the CPU as :meth:`PatternNetwork.forward` does, to rounding.

    Tables are made in advance for the parts with few different patterns, and for the others as
    these occur, so that their size is bounded.
    """
    from plastorch.engine.numba_options import check_arrays

    check_arrays(codes=(parts.codes, (None, None), np.uint32))
    check_arrays(rows=(found.rows, (None,), np.int64, 0, len(parts.codes) - 1))
    parts = parts._replace(codes=parts.codes[found.rows])
    check(parts)
    width = sum(table.shape[1] for table in parts.tables)
    if width != network.in_features:
        raise InputError(f"parts have {width} inputs; expected {network.in_features}")
    for table in parts.tables:
        network.check_steps(torch.from_numpy(table))
    check_weights(network.weights(), width)
    new, count = network.output_bias.new_empty, len(parts.codes)
    results = Answer(new(count, network.out_features), new(count, network.out_features))
    _fill(_prepared(network), parts, arrays_of(results))
    return results


def _prepared(network: PatternNetwork) -> _Network:
    from plastorch.engine.numba_vectors import LANES
    from plastorch.spiking.patterns import part_kernels as kernels

    weights = arrays_of(by_input(network.weights()))
    constants = constants_of(network.neuron, network.hidden_weight.dtype)
    tiles, classes = (ceil(size / LANES) for size in weights[2].shape)
    rest = np.empty(tiles * network.neuron.steps * LANES, weights[1].dtype)
    kernels.tabulate_rest(weights, constants, rest)
    outputs = np.empty((classes, tiles, 1 << LANES, LANES), rest.dtype)
    kernels.tabulate_outputs(weights[2], outputs)
    bias = np.pad(weights[3], (0, classes * LANES - len(weights[3])))
    return _Network(weights, constants, rest, outputs.ravel(), bias)


def _fill(network: _Network, parts: Parts, results: tuple[NDArray[Any], ...]) -> None:
    """Fills the answers, with tables of bounded size."""
    from plastorch.spiking.patterns import part_kernels as kernels

    order = sorting(parts)
    firsts = np.cumsum([0, *(table.shape[1] for table in parts.tables[:-1])])[order].tolist()
    tables = [parts.tables[part] for part in order]
    all_codes, counts = np.ascontiguousarray(parts.codes[:, order]), list(map(len, tables))
    row_bytes = network.rest.nbytes
    few, starts, block, rows = _shares(counts, len(all_codes), MOST_BYTES // row_bytes)
    values = kernels.Values(np.empty(network.rest.size * rows, network.rest.dtype), rows, starts,
                            network.rest)  # fmt: skip

    def tabulate(part: int, patterns: NDArray[np.uint8]) -> None:
        def run(begin: int, end: int) -> None:
            kernels.tabulate(
                patterns[begin:end], firsts[part], starts[part] + begin, rows,
                network.weights, network.constants, values.table,
            )  # fmt: skip

        in_threads(run, len(patterns), len(patterns) // USEFUL)

    for part in few:
        tabulate(part, tables[part])
    for begin in range(0, len(all_codes), block):
        codes = all_codes[begin : begin + block]
        for part in sorted(set(range(len(counts))) - set(few)):
            used, inverse = np.unique(codes[:, part], return_inverse=True)
            tabulate(part, tables[part][used])
            codes[:, part] = inverse
        _answer(network, values, codes, tuple(r[begin : begin + block] for r in results))


def _shares(
    counts: Sequence[int], patterns: int, most: int
) -> tuple[list[int], NDArray[np.int64], int, int]:
    """Returns the parts whose rows are all in tables; the first row of each part [M]; the number
    of patterns for which there is place for the rows of other parts; the number of rows."""
    few, used = [], 0
    for part in sorted(range(len(counts)), key=lambda part: counts[part]):
        if used + counts[part] > most // (1 if part == len(counts) - 1 else 2):
            break
        few.append(part)
        used += counts[part]
    others = len(counts) - len(few)
    block = patterns if not others else max(1, (most - used) // others)
    block = max(1, min(block, patterns))
    sizes = np.array([count if part in few else block for part, count in enumerate(counts)])
    starts = np.cumsum(sizes) - sizes
    return few, starts, block, int(sizes.sum())


def _answer(
    network: _Network, values: Any, codes: NDArray[np.uint32], results: tuple[NDArray[Any], ...]
) -> None:
    """Fills the answers to patterns all of whose rows are in tables."""
    from plastorch.spiking.patterns import part_kernels as kernels

    departure = kernels.departures(codes)
    shared = _shared(departure, codes.shape[1])
    runs = max(1, BATCH_BYTES // network.rest.nbytes)

    def run(begin: int, end: int) -> None:
        kernels.answer(
            codes, departure, begin, end, shared, runs, values,
            network.outputs, network.bias, network.constants, results,
        )  # fmt: skip

    in_threads(run, len(codes), len(codes) // USEFUL)


def _shared(departure: NDArray[np.int64], parts: int) -> int:
    """Returns the number of first parts over which a sum is worth being kept: it takes as long as
    adding that many rows, and two more, but only once for all patterns in a row that share them."""
    new = np.cumsum(np.bincount(departure, minlength=parts + 1))  # by number of parts, less one
    runs = np.concatenate([[1], new[:parts]])
    shared = np.arange(parts + 1)
    return int(np.argmin(runs * (shared + 2) + len(departure) * (parts - shared)))
