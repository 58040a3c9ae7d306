"""Kernels that answer patterns composed of parts, for CPUs.

But for their resets, hidden neurons are linear: a potential is a sum over parts, and what a part
adds is looked up in a table. So a pattern costs a row of a table per part, not a pass over spikes.
The sums of patterns that begin alike are computed once. A reset raises the threshold by what it
takes off the potential: there, and only there, a neuron's steps depend on each other.

Eight hidden neurons, a tile, are computed at a time for many patterns, because their tables stay in
the processor's cache. Which of the eight fire in a step is a number of eight bits; what they add to
the output neurons is looked up, too.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from plastorch.engine.numba_options import NoOverlap
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
from plastorch.spiking.patterns.kernels import add_spikes

_compiled: Any = njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "nsz"},
    pipeline_class=NoOverlap,
)

BATCH = 8192
"""Largest number of patterns that a tile answers before the next tile does."""
AT_ONCE = 4
"""Number of patterns whose steps are computed side by side, as each must wait for the last."""


class Values(NamedTuple):
    """What parts add to the potentials of hidden neurons, by tile."""

    table: Any
    """Potentials [tiles, R, S, 8], flat."""
    rows: int
    """Number of rows R of all parts."""
    starts: Any
    """First row of each part [M]."""
    rest: Any
    """Potentials that the bias alone makes [tiles, S, 8], flat."""


@_compiled
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


@_compiled
def _integrate(drive, constants, current):  # type: ignore[no-untyped-def]
    """Turns the drive of hidden neurons into their potentials if none is ever reset [S, H]."""
    for k in range(len(current)):
        current[k] = drive[0, k]
        drive[0, k] = constants.gain * current[k]
    for step in range(1, len(drive)):
        for k in range(len(current)):
            current[k] = constants.synapse * current[k] + drive[step, k]
            drive[step, k] = constants.membrane * drive[step - 1, k] + constants.gain * current[k]


@_compiled
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


@_compiled
def tabulate(patterns, first, row, rows, weights, constants, table):  # type: ignore[no-untyped-def]
    """Fills rows of a flat table [tiles, rows, S, 8], from ``row`` on, with what patterns add to
    the potentials of hidden neurons: bins [P, n] of inputs from ``first`` on."""
    neurons, dtype = len(weights[1]), weights[1].dtype
    drive, current = np.empty((len(constants.target), neurons), dtype), np.empty(neurons, dtype)
    for place in range(len(patterns)):
        drive[:] = 0
        add_spikes(patterns[place], weights[0], first, constants.input_steps, drive)
        _integrate(drive, constants, current)
        _spread(drive, row + place, rows, table)


@_compiled
def tabulate_rest(weights, constants, table):  # type: ignore[no-untyped-def]
    """Fills a flat table [tiles, S, 8] with the potentials that the bias alone makes."""
    neurons, dtype = len(weights[1]), weights[1].dtype
    drive, current = np.empty((len(constants.target), neurons), dtype), np.empty(neurons, dtype)
    drive[:] = weights[1]
    _integrate(drive, constants, current)
    _spread(drive, 0, 1, table)


@_compiled
def tabulate_outputs(weight, table):  # type: ignore[no-untyped-def]
    """Fills what each number of eight bits, one per hidden neuron of a tile, adds to the output
    neurons, eight at a time [C / 8, tiles, 256, 8]; output weights are [H, C]."""
    table[:] = 0
    neurons, classes = weight.shape
    for tile in range(table.shape[1]):
        for bits in range(1, 1 << LANES):
            lane = 0
            while not (bits >> lane) & 1:
                lane += 1
            k, others = tile * LANES + lane, bits & (bits - 1)
            for c in range(classes):
                own = weight[k, c] if k < neurons else weight.dtype.type(0)
                before = table[c // LANES, tile, others, c % LANES]
                table[c // LANES, tile, bits, c % LANES] = before + own


@_compiled
def _begin(codes, b, shared, rest, table, starts, rows, size, bases, run):  # type: ignore[no-untyped-def]
    """Writes the sum over the first ``shared`` parts of pattern b, potentials [S, 8] of each tile,
    to a run's place in ``bases`` [tiles, runs × S × 8]."""
    for tile in range(len(bases)):
        own = bases[tile]
        for k in range(0, size, LANES):
            store(own, run * size + k, load(rest, tile * size + k))
        for m in range(shared):
            row = (tile * rows + starts[m] + np.int64(codes[b, m])) * size
            for k in range(0, size, LANES):
                total = plus(load(own, run * size + k), load(table, row + k))
                store(own, run * size + k, total)


@_compiled
def _sum(bases, group, first, table, places, start, size, sums):  # type: ignore[no-untyped-def]
    """Adds rows of a tile, whose table begins at ``start``, to the bases of four patterns from
    ``first`` on; writes the sums [4, S, 8]."""
    left = places.shape[1]
    for other in range(AT_ONCE):
        b, target = first + other, other * size
        own = group[b]
        if left >= 3:
            one, two, three = start + places[b, 0], start + places[b, 1], start + places[b, 2]
            for k in range(0, size, LANES):
                total = plus(load(bases, own + k), load(table, one + k))
                total = plus(plus(total, load(table, two + k)), load(table, three + k))
                store(sums, target + k, total)
        else:
            for k in range(0, size, LANES):
                store(sums, target + k, load(bases, own + k))
        j = 3 if left >= 3 else 0
        while j + 2 <= left:
            one, two = start + places[b, j], start + places[b, j + 1]
            for k in range(0, size, LANES):
                total = plus(
                    plus(load(sums, target + k), load(table, one + k)), load(table, two + k)
                )
                store(sums, target + k, total)
            j += 2
        if j < left:
            one = start + places[b, j]
            for k in range(0, size, LANES):
                store(sums, target + k, plus(load(sums, target + k), load(table, one + k)))


@_compiled
def _fire(sums, first, steps, constants, bits):  # type: ignore[no-untyped-def]
    """Lets a tile's neurons fire and be reset, in four patterns from ``first`` on, whose potentials
    are in ``sums`` [4, S, 8]; fills the tile's ``bits`` [B × S], bytes."""
    size, next_one = steps * LANES, np.uint64(steps)  # unsigned places need no check of their sign
    decay = full(constants.membrane)
    one = constants.membrane / constants.membrane
    rise = full(one - constants.membrane)
    a = b = c = d = full(one)
    for step in range(steps):
        place, to = step * LANES, np.uint64(first * steps + step)
        u, v = load(sums, place), load(sums, place + size)
        w, x = load(sums, place + 2 * size), load(sums, place + 3 * size)
        bits[to] = above_bits(u, a)
        bits[to + next_one] = above_bits(v, b)
        bits[to + next_one + next_one] = above_bits(w, c)
        bits[to + next_one + next_one + next_one] = above_bits(x, d)
        a = plus(plus(times(a, decay), rise), above(u, a))
        b = plus(plus(times(b, decay), rise), above(v, b))
        c = plus(plus(times(c, decay), rise), above(w, c))
        d = plus(plus(times(d, decay), rise), above(x, d))


@_compiled
def _decide(bits, b, first, outputs, bias, constants, found):  # type: ignore[no-untyped-def]
    """Runs eight output neurons, from ``first`` on, on the hidden spikes of pattern b, ``bits``
    [tiles, B × S]. Writes Σ trace², -2 Σ trace × target's trace and the highest potentials to
    ``found`` [3 × 8]."""
    steps, one = len(constants.target), constants.membrane / constants.membrane
    decay, synapse, gain = full(constants.membrane), full(constants.synapse), full(constants.gain)
    fading, threshold, minus, two = full(constants.trace), full(one), full(-one), full(-one - one)
    current = membrane = trace = common = own = fired = full(one - one)
    highest = full(-one / (one - one))
    flat, stride = bits.reshape(bits.size), np.uint64(bits.shape[1])
    start = (first * len(bits)) << LANES
    for step in range(steps):
        drive, more = load(bias, first), full(one - one)
        place, row = np.uint64(b * steps + step), start
        for _ in range(len(bits) // 2):  # two sums, as an addition must wait for the last one
            drive = plus(drive, load(outputs, row + LANES * np.int64(flat[place])))
            place, row = place + stride, row + (LANES << LANES)
            more = plus(more, load(outputs, row + LANES * np.int64(flat[place])))
            place, row = place + stride, row + (LANES << LANES)
        if len(bits) % 2:
            drive = plus(drive, load(outputs, row + LANES * np.int64(flat[place])))
        drive = plus(drive, more)
        current = plus(times(synapse, current), drive)
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


@_compiled
def _spikes(  # type: ignore[no-untyped-def]
    codes, departure, begin, end, shared, values, constants, bases, bits
):
    """Fills the hidden spikes of patterns from ``begin`` to ``end``: ``bits`` [tiles, B × S]."""
    rest, table, starts, rows = values.rest, values.table, values.starts, values.rows
    steps, count, left = len(constants.target), end - begin, codes.shape[1] - shared
    size = steps * LANES
    places, group = np.zeros((count + AT_ONCE, left), np.int64), np.zeros(count + AT_ONCE, np.int64)
    last = -1
    for b in range(count):
        if b == 0 or departure[begin + b] < shared:
            last += 1
            _begin(codes, begin + b, shared, rest, table, starts, rows, size, bases, last)
        group[b] = last * size
        for j in range(left):
            row = starts[shared + j] + np.int64(codes[begin + b, shared + j])
            places[b, j] = row * size
    sums = np.empty(AT_ONCE * size, rest.dtype)
    for tile in range(len(bits)):
        for first in range(0, count, AT_ONCE):
            _sum(bases[tile], group, first, table, places, tile * rows * size, size, sums)
            _fire(sums, first, steps, constants, bits[tile])


@_compiled
def _end(departure, begin, end, shared, runs):  # type: ignore[no-untyped-def]
    """Returns where a batch from ``begin`` on ends: with as many runs, or :data:`BATCH`."""
    u, left = begin + 1, runs - 1
    end = min(end, begin + BATCH)
    while u < end and (left > 0 or departure[u] >= shared):
        left -= departure[u] < shared
        u += 1
    return u


@_compiled
def answer(  # type: ignore[no-untyped-def]
    codes, departure, begin, end, shared, runs, values, outputs, bias, constants, results
):
    """Answers the patterns from ``begin`` to ``end``, batch by batch.

    ``codes`` are the rows of each different pattern, sorted [U, M]; ``departure`` is the first part
    that differs from the pattern before [U]; the sums over the first ``shared`` parts are kept for
    ``runs`` runs of patterns that share them. ``outputs`` is a flat table of
    :func:`tabulate_outputs`, and ``bias`` that of output neurons, rounded up with zeros.
    """
    distance, potential = results
    steps, dtype = len(constants.target), bias.dtype
    tiles = len(values.rest) // (steps * LANES)
    bases = np.empty((tiles, min(runs, BATCH, end - begin) * steps * LANES), dtype)
    bits = np.empty((tiles, (min(BATCH, end - begin) + AT_ONCE) * steps), np.uint8)
    found = np.empty(3 * LANES, dtype)
    target = (constants.target * constants.target).sum()
    last = begin
    while last < end:
        first, last = last, _end(departure, last, end, shared, runs)
        _spikes(codes, departure, first, last, shared, values, constants, bases, bits)
        for u in range(first, last):
            total = target
            for c in range(0, len(bias), LANES):
                _decide(bits, u - first, c, outputs, bias, constants, found)
                for k in range(min(LANES, distance.shape[1] - c)):
                    total += found[k]
                    distance[u, c + k] = found[LANES + k]
                    potential[u, c + k] = found[2 * LANES + k]
            for c in range(distance.shape[1]):
                distance[u, c] += total
