"""Answers to patterns that are sorted so that neighbours begin alike, for CPUs.

What the inputs of a pattern's first parts do to the hidden neurons is kept as long as later
patterns begin with the same parts, and not computed again. Each part's spikes are added in the same
order whatever is shared, so a pattern's answer has the same bits as alone.
"""

import numpy as np

from plastorch.spiking.patterns.kernels import (
    add_spikes,
    answer_drive,
    compiled,
    memory_of_one,
    rest,
    scratch_for,
)

DEEPEST = 63
"""Most parts of a beginning that is kept, as each is a bit of a number."""


@compiled
def departures(codes):  # type: ignore[no-untyped-def]
    """The first part in which each pattern, codes [B, M], is not as the one before; M if none."""
    parts = codes.shape[1]
    departure = np.zeros(len(codes), np.int64)
    for b in range(1, len(codes)):
        part = 0
        while part < parts and codes[b, part] == codes[b - 1, part]:
            part += 1
        departure[b] = part
    return departure


@compiled
def _wanted(departure, begin, end):  # type: ignore[no-untyped-def]
    """Which beginnings of each pattern later ones share: bit m is that of the first m parts."""
    wanted = np.zeros(end - begin, np.uint64)
    one = np.uint64(1)
    for place in range(end - begin - 2, -1, -1):
        last = one << np.uint64(departure[begin + place + 1])
        wanted[place] = (wanted[place + 1] & (last - one)) | last
    return wanted


@compiled
def _copy(source, target):  # type: ignore[no-untyped-def]
    """Steps of currents."""
    for step in range(len(source)):
        for k in range(source.shape[1]):
            target[step, k] = source[step, k]


@compiled
def respond_to_parts(  # type: ignore[no-untyped-def]
    tables, starts, sizes, codes, departure, weights, constants, begin, end, results
):
    """Fills distance [U, C], potential [U, C], hidden_spikes [U], output_spikes [U].

    Args:
        tables: uint8, all rows of all parts' tables, one after the other.
        starts: where each part's table begins [M].
        sizes: inputs of each part [M].
        codes: rows of the tables, of different patterns in order [U, M].
        departure: at most :data:`DEEPEST` [U].
        weights: of the network.
        constants: of the network.
        begin: first pattern.
        end: one after the last pattern.
        results: to be filled.
    """
    steps, spiking = len(constants.target), constants.input_steps
    scratch, memory = scratch_for(weights, steps), memory_of_one(weights, steps)
    drive, parts = memory.hidden[0], codes.shape[1]
    kept = np.empty((min(parts, DEEPEST) + 1, spiking, len(weights[1])), weights[1].dtype)
    wanted = _wanted(departure, begin, end)
    rest(weights[1], kept[0])
    for u in range(begin, end):
        part = departure[u] if u > begin else 0
        _copy(kept[part], drive[:spiking])
        rest(weights[1], drive[spiking:])
        first = sizes[:part].sum()
        for m in range(part, parts):
            if part < m <= DEEPEST and (wanted[u - begin] >> np.uint64(m)) & np.uint64(1):
                _copy(drive[:spiking], kept[m])
            row = starts[m] + np.int64(codes[u, m]) * sizes[m]
            add_spikes(tables[row : row + sizes[m]], weights[0], first, spiking, drive)
            first += sizes[m]
        answer_drive(weights, constants, scratch, memory, 0, results, u)
