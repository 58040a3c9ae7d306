"""Kernels that answer patterns composed of parts, for CPUs.

But for their resets, hidden neurons are linear: a potential is a sum over parts, and what a part
adds is looked up in a table. So a pattern costs a row of a table per part, not a pass over spikes.
The sums of patterns that begin alike are computed once. A reset raises the threshold by what it
takes off the potential: there, and only there, a neuron's steps depend on each other.

A neuron can only fire where its potential, were it never reset, would be above the threshold. That
is seldom; bounds that are sums of bytes tell where it may be, and only there are potentials added.

Sixteen hidden neurons, a tile, are computed at a time for many patterns, because their tables stay
in the processor's cache. Which eight of them fire in a step is a number of eight bits; what they
add to the output neurons is looked up, too.
"""

from typing import Any, NamedTuple

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, ordered_kernel
from plastorch.engine.numba_vectors import (
    LANES,
    above,
    above_bits,
    add,
    aligned_zeros,
    full,
    greater,
    halves,
    load,
    lowest,
    plus,
    store,
    times,
)
from plastorch.spiking.patterns.kernels import add_spikes

BLOCK = 16
"""Number of patterns whose output neurons' drive is in the processor's cache."""
AT_ONCE = 4
"""Number of parts that are added together; missing ones are rows of zeros."""
HALF = 128
"""Sum of bounds from which on a neuron may fire: the highest bit of its byte."""
BYTE, WORD = 8, 64
"""Numbers of bits: hidden neurons whose spikes are looked up together, and bounds in a word."""
HALVES = LANES // BYTE
"""Number of words, and of lookups, of a tile in a step."""
END = np.uint64(0xFFFFFFFFFFFFFFFF)
"""Mark after the last event of a list."""


class Values(NamedTuple):
    """Potentials that parts add to those of hidden neurons, by tile."""

    table: Any
    """Potentials [tiles, R, S, 16], flat."""
    rows: int
    """Number of rows R of all parts, and of one more, whose potentials are 0."""
    starts: Any
    """First row of each part [M]."""
    rest: Any
    """Potentials that the bias alone makes [tiles, S, 16], flat."""


class Bounds(NamedTuple):
    """Bounds of potentials, bytes whose sum is 128 or more wherever a neuron may fire."""

    table: Any
    """Bounds of what parts after the shared ones add, eight in a word [tiles, R, S, 2], flat, and
    sixteen words more."""
    zero: Any
    """Sums over the shared parts at which the bound is 128 [tiles, S, 16], flat."""
    scale: Any
    """Bytes per unit of the potential [tiles, S, 16], flat."""


@ordered_kernel
def departures(codes):  # type: ignore[no-untyped-def]
    """Returns the first part where each pattern, codes [B, M], differs from the last; M if none."""
    parts = codes.shape[1]
    departure = np.zeros(len(codes), np.int64)
    for b in range(1, len(codes)):
        part = 0
        while part < parts and codes[b, part] == codes[b - 1, part]:
            part += 1
        departure[b] = part
    return departure


@ordered_kernel(**UNCOUNTED)
def _integrate(drive, constants, current):  # type: ignore[no-untyped-def]
    """Turns the drive of hidden neurons into their potentials if none is ever reset [S, H]."""
    for k in range(len(current)):
        current[k] = drive[0, k]
        drive[0, k] = constants.gain * current[k]
    for step in range(1, len(drive)):
        for k in range(len(current)):
            current[k] = constants.synapse * current[k] + drive[step, k]
            drive[step, k] = constants.membrane * drive[step - 1, k] + constants.gain * current[k]


@ordered_kernel(**UNCOUNTED)
def _spread(drive, row, rows, table):  # type: ignore[no-untyped-def]
    """Writes potentials [S, H] to a row of a table by tiles; further neurons are 0."""
    steps, neurons = drive.shape
    tiles = (neurons + LANES - 1) // LANES
    for tile in range(tiles):
        for step in range(steps):
            place = ((tile * rows + row) * steps + step) * LANES
            for lane in range(LANES):
                k = tile * LANES + lane
                table[place + lane] = drive[step, k] if k < neurons else drive.dtype.type(0)


@ordered_kernel
def tabulate(patterns, first, row, rows, weights, constants, table):  # type: ignore[no-untyped-def]
    """Fills rows of a flat table [tiles, rows, S, 16], from ``row`` on, with what patterns add to
    the potentials of hidden neurons: bins [P, n] of inputs from ``first`` on."""
    neurons, dtype = len(weights[1]), weights[1].dtype
    drive, current = np.empty((len(constants.target), neurons), dtype), np.empty(neurons, dtype)
    for place in range(len(patterns)):
        drive[:] = 0
        add_spikes(patterns[place], weights[0], first, constants.input_steps, drive)
        _integrate(drive, constants, current)
        _spread(drive, row + place, rows, table)


@ordered_kernel
def tabulate_rest(weights, constants, table):  # type: ignore[no-untyped-def]
    """Fills a flat table [tiles, S, 16] with the potentials that the bias alone makes."""
    neurons, dtype = len(weights[1]), weights[1].dtype
    drive, current = np.empty((len(constants.target), neurons), dtype), np.empty(neurons, dtype)
    for step in range(len(drive)):
        for k in range(neurons):
            drive[step, k] = weights[1][k]
    _integrate(drive, constants, current)
    _spread(drive, 0, 1, table)


@ordered_kernel(**UNCOUNTED)
def tabulate_outputs(weight, table):  # type: ignore[no-untyped-def]
    """Fills what each number of eight bits, one per hidden neuron, adds to the output neurons,
    sixteen at a time [C / 16, H / 8, 256, 16]; output weights are [H, C]."""
    table[:] = 0
    neurons, classes = weight.shape
    for byte in range(table.shape[1]):
        for bits in range(1, 1 << BYTE):
            lane = 0
            while not (bits >> lane) & 1:
                lane += 1
            k, others = byte * BYTE + lane, bits & (bits - 1)
            for c in range(classes):
                own = weight[k, c] if k < neurons else weight.dtype.type(0)
                before = table[c // LANES, byte, others, c % LANES]
                table[c // LANES, byte, bits, c % LANES] = before + own


@ordered_kernel(**UNCOUNTED)
def _bound(potentials, zero, scale, least, bounds):  # type: ignore[no-untyped-def]
    """Fills bounds, bytes; see :class:`Bounds`."""
    nothing = least - least
    for k in range(len(potentials)):
        bound = np.ceil((potentials[k] - zero[k]) * scale[k]) + least
        bounds[k] = np.uint8(np.int32(max(bound, nothing)))


@ordered_kernel(**UNCOUNTED)
def bound_rows(table, first, last, low, scale, bounds):  # type: ignore[no-untyped-def]
    """Fills the bounds of some rows of a table, whose potentials count from ``low`` on; tables are
    [tiles, R, S × 16], ``low`` and ``scale`` [tiles, S × 16]."""
    for tile in range(len(table)):
        for row in range(first, last):
            own, nothing = bounds[tile, row], scale.dtype.type(0)
            _bound(table[tile, row], low[tile], scale[tile], nothing, own)


@ordered_kernel(**UNCOUNTED)
def _begin(codes, b, shared, values, bounds, bases, base_bounds, run):  # type: ignore[no-untyped-def]
    """Writes the sum over the first ``shared`` parts of pattern b, potentials [S, 16] of each tile,
    to a run's place in ``bases`` [tiles, runs × S × 16], and its bounds to ``base_bounds``."""
    size = len(bounds.zero) // len(bases)
    for tile in range(len(bases)):
        base = bases[tile, run * size : (run + 1) * size]
        for k in range(0, size, LANES):
            total = load(values.rest, tile * size + k)
            for m in range(shared):
                row = (tile * values.rows + values.starts[m] + np.int64(codes[b, m])) * size
                total = plus(total, load(values.table, row + k))
            store(base, k, total)
        own, half = slice(tile * size, (tile + 1) * size), bounds.scale.dtype.type(HALF)
        of_base = base_bounds[tile, run * size : (run + 1) * size]
        _bound(base, bounds.zero[own], bounds.scale[own], half, of_base)


@ordered_kernel(**UNCOUNTED)
def _place(  # type: ignore[no-untyped-def]
    codes, departure, begin, count, shared, values, bounds, bases, base_bounds, group, places
):
    """Sums the first parts of patterns from ``begin`` on; fills where the words of their sums
    [B] and of their other parts [B, M - shared, rounded up] are in a tile."""
    steps = len(bounds.zero) // (len(bases) * LANES)
    run = -1
    for b in range(count):
        if b == 0 or departure[begin + b] < shared:
            run += 1
            _begin(codes, begin + b, shared, values, bounds, bases, base_bounds, run)
        group[b] = run * steps
        places[b] = (values.rows - 1) * steps
        for j in range(codes.shape[1] - shared):
            row = values.starts[shared + j] + np.int64(codes[begin + b, shared + j])
            places[b, j] = row * steps


@ordered_kernel(**UNCOUNTED)
def _may_fire(base, rows, begin, end, base_bounds, bounds):  # type: ignore[no-untyped-def]
    """Returns a word whose bits 0, 2, 4, … tell whether a tile's neurons may fire in the steps from
    ``begin`` on, given where the first steps of the base and of other rows are."""
    may = np.uint64(0)
    for step in range(begin, end, LANES // HALVES):
        total = load(base_bounds, (base + step) * HALVES)
        for j in range(0, len(rows), AT_ONCE):
            total = add(total, load(bounds, (rows[j] + step) * HALVES))
            other = load(bounds, (rows[j + 1] + step) * HALVES)
            total = add(total, add(other, load(bounds, (rows[j + 2] + step) * HALVES)))
            total = add(total, load(bounds, (rows[j + 3] + step) * HALVES))
        may |= halves(total) << np.uint64((step - begin) * HALVES)
    if (end - begin) * HALVES < WORD:
        may &= (np.uint64(1) << np.uint64((end - begin) * HALVES)) - np.uint64(1)
    return (may | (may >> np.uint64(1))) & np.uint64(0x5555555555555555)


@ordered_kernel(**UNCOUNTED)
def _fire(  # type: ignore[no-untyped-def]
    group, places, base, base_bounds, table, bounds, constants, powers, events
):
    """Lets a tile's neurons fire and be reset in B patterns. Lists in ``events`` where some do:
    b × S + step, times 2¹⁶, plus a bit for each neuron that fires. ``powers`` are those of the
    membrane's decay [S + 1]: a neuron loses 1 by a spike, less later."""
    steps, left, count = len(constants.target), places.shape[1], 0
    one, decay, nothing = full(powers[0]), full(powers[1]), full(powers[0] - powers[0])
    for b in range(len(places)):
        lost, last, own, rows = nothing, -1, group[b], places[b]
        for begin in range(0, steps, WORD // HALVES):
            end = min(steps, begin + WORD // HALVES)
            may = _may_fire(own, rows, begin, end, base_bounds, bounds)
            while may:
                step = begin + lowest(may) // HALVES
                may &= may - np.uint64(1)
                potential = load(base, (own + step) * LANES)
                for j in range(0, left, AT_ONCE):
                    potential = plus(potential, load(table, (rows[j] + step) * LANES))
                    other = load(table, (rows[j + 1] + step) * LANES)
                    other = plus(other, load(table, (rows[j + 2] + step) * LANES))
                    other = plus(other, load(table, (rows[j + 3] + step) * LANES))
                    potential = plus(potential, other)
                lost = times(lost, full(powers[step - last - 1]))
                threshold = plus(lost, one)
                bits = above_bits(potential, threshold)
                lost = plus(times(lost, decay), above(potential, threshold))
                last = step
                events[count] = np.uint64(((b * steps + step) << LANES) | bits)
                count += bits != 0
    events[count] = END


@ordered_kernel(**UNCOUNTED)
def _drive(events, heard, end, first, outputs, drive):  # type: ignore[no-untyped-def]
    """Adds what hidden spikes before the place ``end`` add to the output neurons, from those on
    that were ``heard`` in each tile; drive [C / 16, places from ``first`` on × 16]."""
    tiles = len(events)
    for tile in range(tiles):
        own, number = events[tile], heard[tile]
        while own[number] < (np.uint64(end) << np.uint64(LANES)):
            event = np.int64(own[number])
            to = ((event >> LANES) - first) * LANES
            for c in range(len(drive)):
                total = load(drive[c], to)
                for half in range(HALVES):
                    byte = (c * tiles + tile) * HALVES + half
                    bits = (event >> (half * BYTE)) & ((1 << BYTE) - 1)
                    total = plus(total, load(outputs, ((byte << BYTE) + bits) * LANES))
                store(drive[c], to, total)
            number += 1
        heard[tile] = number


@ordered_kernel(**UNCOUNTED)
def _decide(drive, place, bias, first, constants, found):  # type: ignore[no-untyped-def]
    """Runs sixteen output neurons, from ``first`` on, on the drive from a place on, which becomes
    0. Writes Σ trace², -2 Σ trace × target's trace and the highest potentials to ``found``
    [3 × 16]."""
    steps, one = len(constants.target), constants.membrane / constants.membrane
    decay, synapse, gain = full(constants.membrane), full(constants.synapse), full(constants.gain)
    fading, threshold, minus, two = full(constants.trace), full(one), full(-one), full(-one - one)
    zero = full(one - one)
    current = membrane = trace = common = own = fired = zero
    highest, rest = full(-one / (one - one)), load(bias, first)
    for step in range(steps):
        at = (place + step) * LANES
        current = plus(times(synapse, current), plus(rest, load(drive, at)))
        store(drive, at, zero)
        membrane = plus(times(decay, membrane), times(gain, current))
        membrane = plus(membrane, times(fired, minus))
        fired = above(membrane, threshold)
        trace = plus(times(fading, trace), fired)
        common = plus(common, times(trace, trace))
        own = plus(own, times(trace, full(constants.target[step])))
        highest = greater(membrane, highest)
    store(found, 0, common)
    store(found, LANES, times(own, two))
    store(found, 2 * LANES, highest)


@ordered_kernel(**UNCOUNTED)
def _end(departure, begin, end, shared, runs):  # type: ignore[no-untyped-def]
    """Returns where a batch from ``begin`` on ends that has at most so many runs."""
    u, left = begin + 1, runs - 1
    while u < end and (left > 0 or departure[u] >= shared):
        left -= departure[u] < shared
        u += 1
    return u


@ordered_kernel
def answer(  # type: ignore[no-untyped-def]
    codes, departure, begin, end, shared, sizes, values, bounds, outputs, bias, constants, results
):
    """Answers the patterns from ``begin`` to ``end``, batch by batch.

    ``codes`` are the rows of each different pattern, sorted [U, M]; ``departure`` is the first part
    that differs from the pattern before [U]; the sums over the first ``shared`` parts are kept for
    runs of patterns that share them. ``sizes`` are the largest numbers of patterns and of runs in a
    batch. ``outputs`` is a flat table of :func:`tabulate_outputs`, and ``bias`` that of output
    neurons, rounded up with zeros.
    """
    distance, potential = results
    steps, dtype, left = len(constants.target), bias.dtype, codes.shape[1] - shared
    size, most = steps * LANES, min(sizes[0], end - begin)
    tiles, runs = len(values.rest) // size, min(sizes[1], most)
    bases = aligned_zeros(tiles * runs * size, dtype).reshape(tiles, runs * size)
    base_bounds = np.zeros((tiles, runs * size + LANES * BYTE), np.uint8)
    group = np.empty(most, np.int64)
    places = np.empty((most, -(-left // AT_ONCE) * AT_ONCE), np.int64)
    events, heard = np.empty((tiles, most * steps + 1), np.uint64), np.empty(tiles, np.int64)
    classes = len(bias) // LANES
    drive = aligned_zeros(classes * BLOCK * size, dtype).reshape(classes, BLOCK * size)
    powers, found = np.ones(steps + 1, dtype), np.empty(3 * LANES, dtype)
    powers[1:] = constants.membrane
    powers = powers.cumprod()
    target = (constants.target * constants.target).sum()
    last = begin
    while last < end:
        first, last = last, _end(departure, last, min(end, last + most), shared, runs)
        count = last - first
        _place(
            codes, departure, first, count, shared, values, bounds, bases, base_bounds,
            group, places,
        )  # fmt: skip
        for tile in range(tiles):
            own = slice(tile * values.rows * size, (tile + 1) * values.rows * size)
            words = slice(own.start // BYTE, own.stop // BYTE + LANES)
            _fire(
                group[:count], places[:count], bases[tile], base_bounds[tile].view(np.uint64),
                values.table[own], bounds.table[words], constants, powers, events[tile],
            )  # fmt: skip
        heard[:] = 0
        for block in range(first, last, BLOCK):
            until = min(block + BLOCK, last)
            _drive(events, heard, (until - first) * steps, (block - first) * steps, outputs, drive)
            for u in range(block, until):
                total = target
                for c in range(len(drive)):
                    _decide(drive[c], (u - block) * steps, bias, c * LANES, constants, found)
                    for k in range(min(LANES, distance.shape[1] - c * LANES)):
                        total += found[k]
                        distance[u, c * LANES + k] = found[LANES + k]
                        potential[u, c * LANES + k] = found[2 * LANES + k]
                for c in range(distance.shape[1]):
                    distance[u, c] += total
