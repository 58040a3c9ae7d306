"""Kernels that answer patterns sorted so that neighbors begin alike, for CPUs.

The effect of the inputs of a pattern's first parts on the hidden neurons is kept, not computed
again, as long as later patterns begin with the same parts. Each part's spikes are added in the same
order whatever is shared, so a pattern gets bitwise the same answer as alone.
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
"""Largest number of shared first parts that is kept, as each is one bit of an integer."""


@compiled
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


@compiled
def _wanted(departure, begin, end):  # type: ignore[no-untyped-def]
    """Returns which beginnings of each pattern later ones share: bit m is for the first m parts."""
    wanted = np.zeros(end - begin, np.uint64)
    one = np.uint64(1)
    for place in range(end - begin - 2, -1, -1):
        last = one << np.uint64(departure[begin + place + 1])
        wanted[place] = (wanted[place + 1] & (last - one)) | last
    return wanted


@compiled
def _copy(source, target):  # type: ignore[no-untyped-def]
    """Copies steps of currents."""
    for step in range(len(source)):
        for k in range(source.shape[1]):
            target[step, k] = source[step, k]


@compiled
def respond_to_parts(  # type: ignore[no-untyped-def]
    tables, starts, sizes, codes, departure, weights, constants, begin, end, results
):
    """Fills distance [U, C], potential [U, C], hidden_spikes [U], output_spikes [U] for the
    patterns from ``begin`` to ``end``.

    Part m has ``sizes[m]`` inputs and the rows of ``tables``, uint8, from ``starts[m]`` on.
    ``codes`` are the rows of each different pattern, sorted [U, M]; ``departure`` is the first part
    that differs from the pattern before, at most :data:`DEEPEST` [U].
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
