"""Kernels that answer patterns composed of parts, for CPUs.

But for their resets, hidden neurons are linear: a potential is a sum over parts, and what a part
adds is looked up in a table. So a pattern costs a row of a table per part, not a pass over spikes.
The sums of patterns that begin alike are computed once. A reset raises the threshold by what it
takes off the potential: there, and only there, a neuron's steps depend on each other.

A neuron can only fire where its potential, were it never reset, would be above the threshold. What
patterns of a run share, and the most that their other parts can add, tell in which steps that may
be, and only there are potentials added. Patterns are reset two by two: while the processor waits
for a threshold of one, it computes the other's.

Sixteen hidden neurons, a tile, are computed at a time for many patterns, because their tables stay
in the processor's cache. Which eight of them fire in a step is a number of eight bits; what they
add to the output neurons is looked up.
"""

from typing import Any, NamedTuple

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, ordered_kernel
from plastorch.engine.numba_vectors import (
    LANES,
    above,
    above_bits,
    aligned_zeros,
    choose,
    full,
    fused,
    greater,
    load,
    plus,
    store,
    times,
)
from plastorch.spiking.patterns.kernels import add_spikes

BLOCK = 16
"""Number of patterns whose output neurons' drive is in the processor's cache."""
BATCH = 8192
"""Number of patterns that a tile answers before the next tile does."""
AT_ONCE = 3
"""Number of parts that are added together; missing ones are rows of zeros."""
ALMOST = 0.999
"""Potential from which on a neuron may fire, for all that rounding can do: a bit less than 1."""
BYTE = 8
"""Number of hidden neurons whose spikes are looked up together."""
HALVES = LANES // BYTE
"""Number of lookups of a tile in a step: two."""
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
def _integrate(drive, constants, row, rows, table):  # type: ignore[no-untyped-def]
    """Writes the potentials that a drive [S, tiles × 16] makes if no hidden neuron is ever reset to
    a row of a table [tiles, rows, S, 16], flat."""
    steps, width = drive.shape
    decay, synapse, gain = full(constants.membrane), full(constants.synapse), full(constants.gain)
    for tile in range(width // LANES):
        current = membrane = full(drive.dtype.type(0))
        for step in range(steps):
            current = plus(times(synapse, current), load(drive, step * width + tile * LANES))
            membrane = plus(times(decay, membrane), times(gain, current))
            store(table, ((tile * rows + row) * steps + step) * LANES, membrane)


@ordered_kernel
def tabulate(patterns, first, row, rows, weights, constants, table):  # type: ignore[no-untyped-def]
    """Fills rows of a flat table [tiles, rows, S, 16], from ``row`` on, with what patterns add to
    the potentials of hidden neurons: bins [P, n] of inputs from ``first`` on."""
    width = -(-len(weights[1]) // LANES) * LANES
    drive = np.empty((len(constants.target), width), weights[1].dtype)
    for place in range(len(patterns)):
        drive[:] = 0
        add_spikes(patterns[place], weights[0], first, constants.input_steps, drive)
        _integrate(drive, constants, row + place, rows, table)


@ordered_kernel
def tabulate_rest(weights, constants, table):  # type: ignore[no-untyped-def]
    """Fills a flat table [tiles, S, 16] with the potentials that the bias alone makes."""
    neurons = len(weights[1])
    drive = np.zeros((len(constants.target), -(-neurons // LANES) * LANES), weights[1].dtype)
    for step in range(len(drive)):
        for k in range(neurons):
            drive[step, k] = weights[1][k]
    _integrate(drive, constants, 0, 1, table)


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
def _rounded(parts):  # type: ignore[no-untyped-def]
    """Returns the number of rows that are added for so many parts, rows of zeros included."""
    return max(1, -(-parts // AT_ONCE)) * AT_ONCE


@ordered_kernel(**UNCOUNTED)
def _place(codes, first, shared, values, steps, places):  # type: ignore[no-untyped-def]
    """Fills where the rows of patterns from ``first`` on begin in a tile: those of shared parts,
    and then those of the others, each followed by rows of zeros [B, rows]."""
    skipped = _rounded(shared) - shared
    for b in range(len(places)):
        for j in range(places.shape[1]):
            places[b, j] = (values.rows - 1) * steps * LANES
        for m in range(codes.shape[1]):
            row = values.starts[m] + np.int64(codes[first + b, m])
            places[b, m if m < shared else m + skipped] = row * steps * LANES


@ordered_kernel(**UNCOUNTED)
def _add(start, table, places, begin, end, sums):  # type: ignore[no-untyped-def]
    """Writes potentials plus rows of a tile's table to ``sums`` [S, 16], flat, from ``begin`` to
    ``end``."""
    for j in range(0, len(places), AT_ONCE):
        one, two, three = places[j], places[j + 1], places[j + 2]
        for k in range(begin, end, LANES):
            total = plus(load(start, k), load(table, one + k))
            store(sums, k, plus(total, plus(load(table, two + k), load(table, three + k))))
        start = sums


@ordered_kernel(**UNCOUNTED)
def _when(shared, others):  # type: ignore[no-untyped-def]
    """Returns the beginning and the end of the steps in which a tile's neurons may fire, given the
    sum over the shared parts, and the most that the others may add [S, 16], flat."""
    begin, end, almost = len(shared), 0, full(shared.dtype.type(ALMOST))
    for k in range(0, len(shared), LANES):
        if above_bits(plus(load(shared, k), load(others, k)), almost):
            begin, end = min(begin, k), k + LANES
    return begin, end


@ordered_kernel(**UNCOUNTED)
def _cross(potential, threshold, decay, rise, jump):  # type: ignore[no-untyped-def]
    """Returns which of sixteen neurons fire, a bit for each, and their next thresholds: those decay
    to 1, and rise by 1 when their neuron fires."""
    fired, quiet = fused(threshold, decay, jump), fused(threshold, decay, rise)
    return above_bits(potential, threshold), choose(potential, threshold, fired, quiet)


@ordered_kernel(**UNCOUNTED)
def _reset(one, two, begin, end, membrane, events, counts, places):  # type: ignore[no-untyped-def]
    """Resets neurons that fire in two patterns, given their potentials [S, 16], flat. Appends to
    two lists of events; the first step is in ``places``. Returns the new numbers of events."""
    unit, shift = one.dtype.type(1), np.uint64(LANES)
    decay, rise, jump = full(membrane), full(unit - membrane), full(unit + unit - membrane)
    threshold = other = full(unit)
    (count, more), (place, further) = counts, places
    for k in range(begin, end, LANES):
        bits, threshold = _cross(load(one, k), threshold, decay, rise, jump)
        events[0, count] = (place << shift) | np.uint64(bits)
        count += np.uint64(bits != 0)
        bits, other = _cross(load(two, k), other, decay, rise, jump)
        events[1, more] = (further << shift) | np.uint64(bits)
        more += np.uint64(bits != 0)
        place, further = place + np.uint64(1), further + np.uint64(1)
    return count, more


@ordered_kernel(**UNCOUNTED)
def _fire(  # type: ignore[no-untyped-def]
    departure, places, shared, rest, table, others, membrane, sums, events
):
    """Lets a tile's neurons fire and be reset in B patterns. Lists in ``events``, in two lists of
    rising order, where some do: b × S + step, times 2¹⁶, plus a bit for each neuron that fires."""
    base, one, two, nothing = sums[0], sums[1], sums[2], sums[3]
    rows, steps = _rounded(shared), np.uint64(len(base) // LANES)
    counts, b, begin, end = (np.uint64(0), np.uint64(0)), 0, 0, 0
    while b < len(places):
        if b == 0 or departure[b] < shared:
            _add(rest, table, places[b, :rows], 0, len(base), base)
            begin, end = _when(base, others)
        _add(base, table, places[b, rows:], begin, end, one)
        pair = b + 1 < len(places) and departure[b + 1] >= shared
        if pair:
            _add(base, table, places[b + 1, rows:], begin, end, two)
        place = np.uint64(b) * steps + np.uint64(begin // LANES)
        second = two if pair else nothing
        counts = _reset(
            one, second, begin, end, membrane, events, counts, (place, place + steps)
        )  # fmt: skip
        b += 2 if pair else 1
    events[0, counts[0]] = events[1, counts[1]] = END


@ordered_kernel(**UNCOUNTED)
def _drive(events, heard, first, last, outputs, drive):  # type: ignore[no-untyped-def]
    """Adds what hidden spikes before the place ``last`` add to the output neurons, from those on
    that were ``heard`` in each list; drive [C / 16, places from ``first`` on × 16]."""
    bits, end = (1 << BYTE) - 1, np.uint64(last) << np.uint64(LANES)
    for n in range(len(events)):
        own, number = events[n], heard[n]
        for c in range(len(drive)):
            one = ((c * (len(events) // 2) + n // 2) * HALVES) << BYTE
            two, number = one + (1 << BYTE), heard[n]
            while own[number] < end:
                event = np.int64(own[number])
                to = ((event >> LANES) - first) * LANES
                total = plus(load(drive[c], to), load(outputs, (one + (event & bits)) * LANES))
                second = two + ((event >> BYTE) & bits)
                store(drive[c], to, plus(total, load(outputs, second * LANES)))
                number += np.uint64(1)
        heard[n] = number


@ordered_kernel(**UNCOUNTED)
def _listen(drive, place, bias, first, constants, found):  # type: ignore[no-untyped-def]
    """Runs sixteen output neurons, from ``first`` on, on the drive from a place on, which becomes
    0. Writes Σ trace², -2 Σ trace × target's trace and the highest potentials to ``found``
    [3 × 16]."""
    steps, one = len(constants.target), drive.dtype.type(1)
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


@ordered_kernel
def answer(  # type: ignore[no-untyped-def]
    codes, departure, begin, end, shared, values, others, outputs, bias, constants, results
):
    """Answers the patterns from ``begin`` to ``end``, batch by batch.

    ``codes`` are the rows of each different pattern, sorted [U, M]; ``departure`` is the first part
    that differs from the pattern before [U]; the sums over the first ``shared`` parts are kept for
    runs of patterns that share them; ``others`` is the most that the other parts may add to the
    potentials [tiles, S, 16], flat. ``outputs`` is a flat table of :func:`tabulate_outputs`, and
    ``bias`` that of output neurons, rounded up with zeros.
    """
    distance, potential = results
    steps, dtype, classes = len(constants.target), bias.dtype, len(bias) // LANES
    size, most = steps * LANES, min(BATCH, end - begin)
    tiles = len(values.rest) // size
    sums = aligned_zeros(4 * size, dtype).reshape(4, size)
    places = np.empty((most, _rounded(shared) + _rounded(codes.shape[1] - shared)), np.int64)
    events = np.empty((2 * tiles, most * steps + 1), np.uint64)
    heard = np.empty(2 * tiles, np.uint64)
    drive = aligned_zeros(classes * BLOCK * size, dtype).reshape(classes, BLOCK * size)
    found, target = np.empty(3 * LANES, dtype), (constants.target * constants.target).sum()
    for first in range(begin, end, BATCH):
        last = min(first + BATCH, end)
        _place(codes, first, shared, values, steps, places[: last - first])
        for tile in range(tiles):
            rest = slice(tile * size, (tile + 1) * size)
            own = slice(tile * values.rows * size, (tile + 1) * values.rows * size)
            _fire(
                departure[first:last], places[: last - first], shared, values.rest[rest],
                values.table[own], others[rest], constants.membrane, sums,
                events[2 * tile : 2 * tile + 2],
            )  # fmt: skip
        heard[:] = 0
        for block in range(first, last, BLOCK):
            until = min(block + BLOCK, last)
            _drive(events, heard, (block - first) * steps, (until - first) * steps, outputs, drive)
            for u in range(block, until):
                total = target
                for c in range(classes):
                    _listen(drive[c], (u - block) * steps, bias, c * LANES, constants, found)
                    for k in range(min(LANES, distance.shape[1] - c * LANES)):
                        total += found[k]
                        distance[u, c * LANES + k] = found[LANES + k]
                        potential[u, c * LANES + k] = found[2 * LANES + k]
                for c in range(distance.shape[1]):
                    distance[u, c] += total


@ordered_kernel(**UNCOUNTED)
def decide(distance, potential, found):  # type: ignore[no-untyped-def]
    """Fills the class with the smallest distance [U]; among equals, that of the highest potential;
    both are [U, C]. No branch depends on them, as a processor could not foresee it."""
    for u in range(len(found)):
        best, least, most = 0, distance[u, 0], potential[u, 0]
        for c in range(1, distance.shape[1]):
            own, other = distance[u, c], potential[u, c]
            nearer = (own < least) | ((own == least) & (other > most))
            best = c if nearer else best
            least, most = own if nearer else least, other if nearer else most
        found[u] = best
