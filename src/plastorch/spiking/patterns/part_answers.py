"""Answers of a network to patterns composed of parts, from tables of what a part adds."""

from collections.abc import Sequence
from math import ceil, prod
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
from plastorch.spiking.patterns.rule import Answer, by_class

USEFUL = 512
"""Number of patterns that are worth a thread."""
MOST_BYTES = 1 << 26
"""Largest size of the tables of parts."""
SAMPLE = 256
"""Number of patterns by which hidden neurons are ordered."""


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
    check(parts)
    width = sum(table.shape[1] for table in parts.tables)
    if width != network.in_features:
        raise InputError(f"parts have {width} inputs; expected {network.in_features}")
    for table in parts.tables:
        network.check_steps(torch.from_numpy(table))
    check_weights(network.weights(), width)
    new, count = network.output_bias.new_empty, len(found.rows)
    sizes = count, len(network.output_bias)
    results = Answer(new(sizes), new(sizes))
    sample = found.rows[np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)]
    prepared = _prepared(network, parts.assemble(sample))
    _fill(prepared, parts, found.rows, arrays_of(results))
    return by_class(results, network.population)


def nearest(answer: Answer) -> NDArray[np.int64]:
    """Returns the class of each pattern [U], as :func:`~plastorch.spiking.patterns.rule.decide`,
    in a single pass."""
    from plastorch.spiking.patterns import part_kernels as kernels

    distance, potential = arrays_of(answer)
    found = np.empty(len(distance), np.int64)
    kernels.decide(distance, potential, found)
    return found


def _prepared(network: PatternNetwork, sample: NDArray[np.uint8]) -> _Network:
    """Returns a network whose hidden neurons are ordered so that many of a tile may fire in the
    same steps."""
    from plastorch.engine.numba_vectors import LANES
    from plastorch.spiking.patterns import part_kernels as kernels

    weights = arrays_of(by_input(network.weights()))
    constants = constants_of(network.neuron, network.hidden_weight.dtype)
    order = _order(weights, constants, sample)
    hidden, hidden_bias, output, output_bias = weights
    weights = hidden[:, order].copy(), hidden_bias[order], output[order], output_bias
    tiles, classes = (ceil(size / LANES) for size in weights[2].shape)
    rest = np.empty(tiles * network.neuron.steps * LANES, weights[1].dtype)
    kernels.tabulate_rest(weights, constants, rest)
    outputs = _aligned((classes, tiles * kernels.HALVES, 1 << kernels.BYTE, LANES), rest.dtype)
    kernels.tabulate_outputs(weights[2], outputs)
    bias = np.pad(weights[3], (0, classes * LANES - len(weights[3])))
    return _Network(weights, constants, rest, outputs.ravel(), bias)


def _order(
    weights: tuple[NDArray[Any], ...], constants: Any, sample: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Returns hidden neurons by the last step in which they may fire in a sample."""
    from plastorch.engine.numba_vectors import LANES
    from plastorch.spiking.patterns import part_kernels as kernels

    count, steps, neurons = len(sample), len(constants.target), len(weights[1])
    table = np.empty((ceil(neurons / LANES), count, steps, LANES), weights[1].dtype)
    rest = np.empty((len(table), 1, steps, LANES), table.dtype)
    kernels.tabulate(sample, 0, 0, count, weights, constants, table.reshape(-1))
    kernels.tabulate_rest(weights, constants, rest.reshape(-1))
    may = (table + rest > 1).any(axis=1)
    last = (may * np.arange(1, steps + 1)[:, np.newaxis]).max(axis=1)
    return np.argsort(last.ravel()[:neurons], kind="stable")


def _aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Returns an array of zeros whose vectors of sixteen numbers don't reach over lines."""
    from plastorch.engine.numba_vectors import LINE

    size = prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    found: NDArray[Any] = memory[first : first + size].view(dtype).reshape(shape)
    return found


def _fill(
    network: _Network, parts: Parts, wanted: NDArray[np.int64], results: tuple[NDArray[Any], ...]
) -> None:
    """Fills the answers to the patterns in wanted rows, with tables of bounded size."""
    from plastorch.engine.numba_vectors import LANES
    from plastorch.spiking.patterns import part_kernels as kernels

    order = sorting(parts)
    firsts = np.cumsum([0, *(table.shape[1] for table in parts.tables[:-1])])[order].tolist()
    tables = [parts.tables[part] for part in order]
    all_codes, counts = _gathered(parts.codes, wanted, order), list(map(len, tables))
    row_bytes, size = network.rest.nbytes, len(network.constants.target) * LANES
    few, starts, block, rows = _shares(counts, len(all_codes), MOST_BYTES // row_bytes)
    table = _aligned((network.rest.size // size, rows, size), network.rest.dtype)
    values = kernels.Values(table.ravel(), rows, starts, network.rest)

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
            counts[part] = len(used)
        block_results = tuple(result[begin : begin + block] for result in results)
        _answer(network, values, codes, np.array(counts), block_results)


def _gathered(
    codes: NDArray[np.uint32], rows: NDArray[np.int64], parts: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Returns some rows of some parts, ``codes[rows][:, parts]``: codes are kept by part."""
    gathered = np.empty((len(rows), len(parts)), np.uint32)

    def gather(begin: int, end: int) -> None:
        for place, part in enumerate(parts):
            gathered[begin:end, place] = codes[:, part].take(rows[begin:end])

    in_threads(gather, len(rows), len(rows) // USEFUL)
    return gathered


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
    return few, starts, block, int(sizes.sum()) + 1


def _answer(
    network: _Network,
    values: Any,
    codes: NDArray[np.uint32],
    counts: NDArray[np.int64],
    results: tuple[NDArray[Any], ...],
) -> None:
    """Fills the answers to patterns all of whose rows are in tables; ``counts`` are the numbers of
    these rows of each part."""
    from plastorch.engine.numba_vectors import LANES
    from plastorch.spiking.patterns import part_kernels as kernels

    departure = kernels.departures(codes)
    shared = _shared(departure, codes.shape[1])
    table = values.table.reshape(-1, values.rows, len(network.constants.target) * LANES)
    others = np.zeros_like(values.rest)
    for start, count in zip(values.starts[shared:], counts[shared:], strict=True):
        with np.errstate(over="ignore", invalid="ignore"):  # weights may be huge
            others += table[:, start : start + count].max(axis=1).ravel()

    def run(begin: int, end: int) -> None:
        kernels.answer(
            codes, departure, begin, end, shared, values, others,
            network.outputs, network.bias, network.constants, results,
        )  # fmt: skip

    in_threads(run, len(codes), len(codes) // USEFUL)


def _shared(departure: NDArray[np.int64], parts: int) -> int:
    """Returns the number of first parts over which a sum is worth being kept. It takes about as
    long as adding that many rows and two more to a pattern where neurons may fire, but is computed
    only once for all patterns in a row that share these parts."""
    new = np.cumsum(np.bincount(departure, minlength=parts + 1))  # by number of parts, less one
    runs = np.concatenate([[1], new[:parts]])
    shared = np.arange(parts + 1)
    return int(np.argmin(runs * (shared + 2) + len(departure) * (parts - shared)))
