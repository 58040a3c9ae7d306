"""Lists of input spikes: drawn in time steps, at a cost that grows only with their number; and
checked in one pass."""

from math import inf, log, log1p, sqrt

import numpy as np

from plastorch.engine.numba_options import UNCOUNTED, kernel


@kernel
def draw(chances, steps, dt, seeds):  # type: ignore[no-untyped-def]
    """Draws the spikes of all networks for S patterns of ``steps`` steps that follow one another.

    ``chances`` are the probabilities that an input spikes in a step [S, B, N], ``dt`` is in
    seconds, ``seeds`` are [S, B]. Returns times and inputs of the spikes, network by network in
    order of time, and where each network's end.
    """
    patterns, networks, inputs = chances.shape
    usual = steps * chances.sum()
    room = int(usual + 8 * sqrt(usual)) + 256  # seldom too little
    times, source = np.empty(room), np.empty(room, np.int64)
    drawn, counts = np.empty(256, np.int32), np.empty(inputs, np.int64)
    place = np.empty(steps + 1, np.int64)
    ends, end = np.zeros(networks + 1, np.int64), 0
    for b in range(networks):
        for s in range(patterns):
            drawn, count = _draw(chances, s, b, steps, seeds[s, b], drawn, counts)
            times, source = with_room(times, source, end, count)
            place[0], place[1:] = end, 0
            for event in range(count):
                place[drawn[event] + 1] += 1
            for t in range(steps):
                place[t + 1] += place[t]
                time = (s * steps + t) * dt
                for at in range(place[t], place[t + 1]):
                    times[at] = time
            event = 0
            for j in range(inputs):  # sorted by step
                last = event + counts[j]
                while event < last:
                    t = drawn[event]
                    source[place[t]] = j
                    place[t] += 1
                    event += 1
            end += count
        ends[b + 1] = end
    return times[:end], source[:end], ends


@kernel
def _draw(chances, s, b, steps, seed, drawn, counts):  # type: ignore[no-untyped-def]
    """Returns steps of the spikes of pattern s for network b, input by input, and their number;
    ``counts`` gets that of each input."""
    count, state = 0, np.uint64(seed)
    for j in range(len(counts)):
        before = count
        if chances[s, b, j] > 0:
            per_log, step = 1 / log1p(-chances[s, b, j]), -1.0
            while step < steps:
                if count == len(drawn):
                    wider = np.empty(2 * count, drawn.dtype)
                    wider[:count] = drawn
                    drawn = wider
                step, state, count = _draw_input(per_log, steps, step, state, drawn, count)
        counts[j] = count - before
    return drawn, count


@kernel(**UNCOUNTED)
def _draw_input(per_log, steps, step, state, drawn, count):  # type: ignore[no-untyped-def]
    """Draws the spikes of an input after ``step``, as far as there is room for them; steps from
    spike to spike are geometric."""
    while count < len(drawn):
        state += np.uint64(0x9E3779B97F4A7C15)
        step += 1 + np.floor(log(_uniform(state)) * per_log)
        if not step < steps:
            break
        drawn[count] = step
        count += 1
    return step, state, count


@kernel
def are_in_order(times, source, offsets, inputs):  # type: ignore[no-untyped-def]
    """Returns whether spikes are what :func:`plastorch.spiking.events.check_events` asks for."""
    if len(source) != len(times) or offsets[0] != 0 or offsets[-1] != len(times):
        return False
    for b in range(len(offsets) - 1):
        if offsets[b + 1] < offsets[b]:
            return False
    for b in range(len(offsets) - 1):
        last = 0.0
        for event in range(offsets[b], offsets[b + 1]):
            if not last <= times[event] < inf or not 0 <= source[event] < inputs:
                return False
            last = times[event]
    return True


@kernel
def with_room(times, source, count, more):  # type: ignore[no-untyped-def]
    """Returns the same arrays, or larger copies with room for ``more`` after ``count`` entries."""
    if count + more <= len(times):
        return times, source
    size = 2 * (count + more)
    wider_times, wider_source = np.empty(size, times.dtype), np.empty(size, source.dtype)
    wider_times[:count], wider_source[:count] = times[:count], source[:count]
    return wider_times, wider_source


@kernel
def _uniform(state):  # type: ignore[no-untyped-def]
    """Returns a number in (0, 1) from a counter that grows by an odd constant: Steele, Lea, Flood,
    *Fast splittable pseudorandom number generators*, 2014."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return (np.int64(state >> np.uint64(11)) + 0.5) * 2.0**-53
