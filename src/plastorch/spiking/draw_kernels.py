"""Random input spikes in time steps, drawn as lists; the cost grows only with their number."""

from math import log, log1p

import numpy as np

from plastorch.engine.numba_options import kernel


@kernel
def draw(chances, steps, dt, seeds):  # type: ignore[no-untyped-def]
    """Draws the spikes of all networks for S patterns of ``steps`` steps that follow one another.

    ``chances`` are the probabilities that an input spikes in a step [S, B, N], ``dt`` is in
    seconds, ``seeds`` are [S, B]. Returns times and inputs of the spikes, network by network in
    order of time, and where each network's end.
    """
    times, source = np.empty(256), np.empty(256, np.int64)
    drawn, place = (np.empty(256, np.int64), np.empty(256, np.int64)), np.empty(steps + 1, np.int64)
    ends, end = np.zeros(chances.shape[1] + 1, np.int64), 0
    for b in range(chances.shape[1]):
        for s in range(chances.shape[0]):
            drawn, count = _draw(chances, s, b, steps, seeds[s, b], drawn, place)
            times, source = with_room(times, source, end, count)
            place[0] = end
            for t in range(steps):
                place[t + 1] += place[t]
            for event in range(count):  # sorted by step
                t = drawn[0][event]
                at = place[t]
                times[at], source[at] = (s * steps + t) * dt, drawn[1][event]
                place[t] += 1
            end += count
        ends[b + 1] = end
    return times[:end], source[:end], ends


@kernel
def _draw(chances, s, b, steps, seed, drawn, place):  # type: ignore[no-untyped-def]
    """Returns steps and inputs of the spikes of pattern s for network b, input by input, with their
    number; ``place`` counts those in the step before. Steps from spike to spike are geometric."""
    step_of, input_of = drawn
    place[:] = 0
    count, state = 0, np.uint64(seed)
    for j in range(chances.shape[2]):
        if chances[s, b, j] == 0:
            continue
        per_log = 1 / log1p(-chances[s, b, j])
        step = -1.0
        while True:
            state += np.uint64(0x9E3779B97F4A7C15)
            step += 1 + np.floor(log(_uniform(state)) * per_log)
            if not step < steps:
                break
            if count == len(step_of):
                step_of, input_of = with_room(step_of, input_of, count, 1)
            step_of[count], input_of[count] = int(step), j
            place[int(step) + 1] += 1
            count += 1
    return (step_of, input_of), count


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
