"""CPU kernels of the fixed 64-bit hash and its spike times; see :mod:`plastorch.files.encode`.

All arithmetic is on unsigned 64-bit numbers, modulo 2⁶⁴.
"""

import numpy as np

from plastorch.engine.numba_options import kernel

NO_SPIKE = np.uint8(255)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_U27, _U30, _U31, _U32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_U11 = np.uint64(11)
_SLASH, _BAR = np.uint8(ord("/")), np.uint8(ord("|"))


@kernel
def mix(x):  # type: ignore[no-untyped-def]
    """Mixes bits by the finalizer of Steele, Lea, Flood, *Fast splittable pseudorandom number
    generators*, 2014: a bijection in which each bit of x changes half of the bits."""
    x = (x ^ (x >> _U30)) * _FIRST
    x = (x ^ (x >> _U27)) * _SECOND
    return x ^ (x >> _U31)


@kernel
def text_hash(data, begin, end, state=_BASIS):  # type: ignore[no-untyped-def]
    """Hashes bytes from ``begin`` to ``end`` by 64-bit FNV-1a, going on from ``state``."""
    for place in range(begin, end):
        state = (state ^ np.uint64(data[place])) * _PRIME
    return state


@kernel
def salts_of(name, seed, neurons, grids):  # type: ignore[no-untyped-def]
    """Returns salts that differ between neurons, keys and seeds, uint64 [n_m], and numbers from 0
    to 1, one in each n_g-th part [n_g]; ``name`` is the key's name in bytes, and ``grids`` the
    number n_g of the first neurons that have one."""
    salts, uniform = np.empty(neurons, np.uint64), np.empty(grids)
    key = mix(text_hash(name, 0, len(name)) ^ mix(np.uint64(seed) + GOLDEN))
    for i in range(neurons):
        salts[i] = mix(key + np.uint64(i + 1) * GOLDEN)
    for i in range(grids):
        uniform[i] = (i + np.int64(mix(salts[i] + GOLDEN) >> _U11) * 2.0**-53) / grids
    return salts, uniform


@kernel
def _bin(code, salt, count):  # type: ignore[no-untyped-def]
    """Returns the bin of a code: the upper half of its hash, scaled to ``count`` bins."""
    return np.uint8(((mix(code ^ salt) >> _U32) * count) >> _U32)


@kernel
def encode_categories(data, offsets, present, salts, count):  # type: ignore[no-untyped-def]
    """Returns bins of categories, uint8 [R, n_m]: the code is the hash of the text.

    ``data`` are the UTF-8 bytes of all texts, ``offsets`` the positions at which texts begin and
    end [R + 1], ``present`` a mask of those not missing [R], ``salts`` those of the neurons [n_m],
    and ``count`` is the number of bins, uint64.
    """
    bins = np.full((len(present), len(salts)), NO_SPIKE)
    for r in range(len(present)):
        if present[r]:
            code = text_hash(data, offsets[r], offsets[r + 1])
            for i in range(len(salts)):
                bins[r, i] = _bin(code, salts[i], count)
    return bins


@kernel
def encode_sets(data, offsets, present, salts, count):  # type: ignore[no-untyped-def]
    """Returns bins of sets as :func:`encode_categories` does for texts: the code is the least
    mix(hash of the element ^ salt); all bits 1 if empty."""
    bins = np.full((len(present), len(salts)), NO_SPIKE)
    least = np.empty(len(salts), np.uint64)
    for r in range(len(present)):
        if not present[r]:
            continue
        least[:] = np.uint64(0xFFFFFFFFFFFFFFFF)
        begin = offsets[r]
        for place in range(offsets[r], offsets[r + 1] + 1):
            if place < offsets[r + 1] and data[place] != _BAR:
                continue
            if place > begin:
                element = text_hash(data, begin, place)
                for i in range(len(salts)):
                    least[i] = min(least[i], mix(element ^ salts[i]))
            begin = place + 1
        for i in range(len(salts)):
            bins[r, i] = _bin(least[i], GOLDEN, count)
    return bins


@kernel
def encode_paths(data, offsets, present, salts, depths, count):  # type: ignore[no-untyped-def]
    """Returns bins of paths as :func:`encode_categories` does for texts: the code is the hash of
    the first components, each after a "/", as many as a neuron's depth, or of all if there are
    fewer. ``depths`` of the neurons rise [n_m]."""
    bins = np.full((len(present), len(salts)), NO_SPIKE)
    for r in range(len(present)):
        if not present[r]:
            continue
        place, end, code = offsets[r], offsets[r + 1], _BASIS
        depth = i = 0
        while i < len(salts):
            if depth < depths[i] and place < end:
                while place < end and data[place] == _SLASH:
                    place += 1
                begin = place
                while place < end and data[place] != _SLASH:
                    place += 1
                if place > begin:
                    code = (code ^ np.uint64(_SLASH)) * _PRIME
                    code = text_hash(data, begin, place, code)
                    depth += 1
                continue
            bins[r, i] = _bin(code, salts[i], count)
            i += 1
    return bins


@kernel
def grid_places(cells, offsets):  # type: ignore[no-untyped-def]
    """Returns two words per number that are equal for numbers of the same codes [R, 2]: the cell,
    and how many neurons' grids are shifted so far that it is in the next one. ``offsets`` rise."""
    neurons = len(offsets)
    words = np.full((len(cells), 2), np.uint64(0xFFFFFFFFFFFFFFFF))
    for r in range(len(cells)):
        if np.isnan(cells[r]):
            continue
        whole = np.floor(cells[r])
        part = cells[r] - whole
        last = min(np.int64((1 - part) * neurons), neurons - 1)
        # Offsets are in n_m-th parts, so that this is the number, but for rounding.
        first = last + (part + offsets[last] < 1)
        while first > 0 and part + offsets[first - 1] >= 1:
            first -= 1
        while first < neurons and part + offsets[first] < 1:
            first += 1
        words[r, 0], words[r, 1] = np.uint64(np.int64(whole)), np.uint64(first)
    return words


@kernel
def encode_numbers(cells, period, salts, offsets, count):  # type: ignore[no-untyped-def]
    """Returns bins of numbers, uint8 [R, n_m]: the code is the cell of a grid shifted by the
    neuron's offset, 0 to 1 [n_m]. ``cells`` are numbers in units of cells, NaN where missing [R],
    and so is the ``period`` of a cycle; 0 for a number."""
    bins = np.full((len(cells), len(salts)), NO_SPIKE)
    for r in range(len(cells)):
        if np.isnan(cells[r]):
            continue
        whole = np.floor(cells[r])
        part = cells[r] - whole
        low = np.int64(whole)
        low_code, high_code = np.uint64(low), np.uint64(0 if low + 1 == period else low + 1)
        for i in range(len(salts)):
            code = high_code if part + offsets[i] >= 1 else low_code
            bins[r, i] = _bin(code, salts[i], count)
    return bins
