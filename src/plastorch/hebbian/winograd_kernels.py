"""Winograd's form of maps, and products with weights or activities that change, for CPUs.

Equations and matrices are those of :mod:`plastorch.hebbian.winograd`. Some channels of a tile, or
some neurons and six of the 36 products, are computed at a time, so that what is read again stays
in the nearer caches.
"""

from functools import partial

from plastorch.engine.numba_options import UNCOUNTED, vector_kernel
from plastorch.engine.numba_vectors import (
    LANES,
    aligned_zeros,
    full,
    load,
    plus,
    store_eight,
    times,
)

NEURONS = 16
"""Number of neurons at a time."""
CHANNELS = 128
"""Number of channels of a tile at a time."""
_uncounted = partial(vector_kernel, **UNCOUNTED)


@_uncounted
def _turn_weights(weight, k, row, turned, i):  # type: ignore[no-untyped-def]
    """Writes the points of one row of G w Gᵀ of neuron k, for weights [K, 9, C]."""
    number = weight.dtype.type
    f0, f1, f2 = number(row[0]), number(row[1]), number(row[2])
    quarter, sixth = number(1 / 4), number(1 / 6)
    twelfth, less = number(1 / 12), number(1 / 24)
    for c in range(weight.shape[2]):
        x0 = f0 * weight[k, 0, c] + f1 * weight[k, 3, c] + f2 * weight[k, 6, c]
        x1 = f0 * weight[k, 1, c] + f1 * weight[k, 4, c] + f2 * weight[k, 7, c]
        x2 = f0 * weight[k, 2, c] + f1 * weight[k, 5, c] + f2 * weight[k, 8, c]
        both, middle = sixth * (x0 + x2), sixth * x1
        outer, side = less * x0 + sixth * x2, twelfth * x1
        turned[i, 0, c] = quarter * x0
        turned[i, 1, c] = -both - middle
        turned[i, 2, c] = middle - both
        turned[i, 3, c] = outer + side
        turned[i, 4, c] = outer - side
        turned[i, 5, c] = x2


@_uncounted
def _turn_weights_back(turned, i, row, found, k):  # type: ignore[no-untyped-def]
    """Adds what the points of one row contribute to Gᵀ m G of neuron k, in sums [K, 9, C]."""
    number = found.dtype.type
    f0, f1, f2 = number(row[0]), number(row[1]), number(row[2])
    quarter, sixth = number(1 / 4), number(1 / 6)
    twelfth, less = number(1 / 12), number(1 / 24)
    for c in range(found.shape[2]):
        m1, m2, m3, m4 = turned[i, 1, c], turned[i, 2, c], turned[i, 3, c], turned[i, 4, c]
        both, outer = sixth * (m1 + m2), m3 + m4
        x0 = quarter * turned[i, 0, c] - both + less * outer
        x1 = sixth * (m2 - m1) + twelfth * (m3 - m4)
        x2 = sixth * outer - both + turned[i, 5, c]
        found[k, 0, c] += f0 * x0
        found[k, 1, c] += f0 * x1
        found[k, 2, c] += f0 * x2
        found[k, 3, c] += f1 * x0
        found[k, 4, c] += f1 * x1
        found[k, 5, c] += f1 * x2
        found[k, 6, c] += f2 * x0
        found[k, 7, c] += f2 * x1
        found[k, 8, c] += f2 * x2


@_uncounted
def _turn_maps(tile, count, out, n, first):  # type: ignore[no-untyped-def]
    """Writes Bᵀ x B of some channels of a tile [36, .] to [36, N, C]; changes the tile."""
    number = tile.dtype.type
    two, four, five = number(2), number(4), number(5)
    for b in range(6):
        for c in range(count):
            x0, x1, x2 = tile[b, c], tile[6 + b, c], tile[12 + b, c]
            x3, x4, x5 = tile[18 + b, c], tile[24 + b, c], tile[30 + b, c]
            far, wide = x4 - four * x2, x3 - four * x1
            even, odd = x4 - x2, two * (x3 - x1)
            tile[b, c] = four * x0 - five * x2 + x4
            tile[6 + b, c] = far + wide
            tile[12 + b, c] = far - wide
            tile[18 + b, c] = even + odd
            tile[24 + b, c] = even - odd
            tile[30 + b, c] = four * x1 - five * x3 + x5
    for at in range(0, 36, 6):
        for c in range(count):
            x0, x1, x2 = tile[at, c], tile[at + 1, c], tile[at + 2, c]
            x3, x4, x5 = tile[at + 3, c], tile[at + 4, c], tile[at + 5, c]
            far, wide = x4 - four * x2, x3 - four * x1
            even, odd = x4 - x2, two * (x3 - x1)
            out[at, n, first + c] = four * x0 - five * x2 + x4
            out[at + 1, n, first + c] = far + wide
            out[at + 2, n, first + c] = far - wide
            out[at + 3, n, first + c] = even + odd
            out[at + 4, n, first + c] = even - odd
            out[at + 5, n, first + c] = four * x1 - five * x3 + x5


@_uncounted
def _turn_outputs(products, i, out):  # type: ignore[no-untyped-def]
    """Writes Aᵀ m A of all tiles, for products [., 36, N], to [., 16, N]; changes the products."""
    number = out.dtype.type
    two, four, eight = number(2), number(4), number(8)
    for at in range(0, 36, 6):
        for n in range(out.shape[2]):
            m0, m1, m2 = products[i, at, n], products[i, at + 1, n], products[i, at + 2, n]
            m3, m4, m5 = products[i, at + 3, n], products[i, at + 4, n], products[i, at + 5, n]
            one, three, minus, less = m1 + m2, m3 + m4, m1 - m2, m3 - m4
            products[i, at, n] = m0 + one + three
            products[i, at + 1, n] = minus + two * less
            products[i, at + 2, n] = one + four * three
            products[i, at + 3, n] = minus + eight * less + m5
    for b in range(4):
        for n in range(out.shape[2]):
            m0, m1, m2 = products[i, b, n], products[i, 6 + b, n], products[i, 12 + b, n]
            m3, m4, m5 = products[i, 18 + b, n], products[i, 24 + b, n], products[i, 30 + b, n]
            one, three, minus, less = m1 + m2, m3 + m4, m1 - m2, m3 - m4
            out[i, b, n] = m0 + one + three
            out[i, 4 + b, n] = minus + two * less
            out[i, 8 + b, n] = one + four * three
            out[i, 12 + b, n] = minus + eight * less + m5


@_uncounted
def _turn_activities(tiles, i, turned):  # type: ignore[no-untyped-def]
    """Writes A y Aᵀ of all tiles, for activities [., 16, N], to [., 36, N]."""
    number = tiles.dtype.type
    two, four, eight = number(2), number(4), number(8)
    for b in range(4):
        for n in range(tiles.shape[2]):
            y0, y1 = tiles[i, b, n], tiles[i, 4 + b, n]
            y2, y3 = tiles[i, 8 + b, n], tiles[i, 12 + b, n]
            even, odd = y0 + y2, y1 + y3
            far, wide = y0 + four * y2, two * y1 + eight * y3
            turned[i, b, n] = y0
            turned[i, 6 + b, n] = even + odd
            turned[i, 12 + b, n] = even - odd
            turned[i, 18 + b, n] = far + wide
            turned[i, 24 + b, n] = far - wide
            turned[i, 30 + b, n] = y3
    for at in range(0, 36, 6):
        for n in range(tiles.shape[2]):
            y0, y1 = turned[i, at, n], turned[i, at + 1, n]
            y2, y3 = turned[i, at + 2, n], turned[i, at + 3, n]
            even, odd = y0 + y2, y1 + y3
            far, wide = y0 + four * y2, two * y1 + eight * y3
            turned[i, at + 1, n] = even + odd
            turned[i, at + 2, n] = even - odd
            turned[i, at + 3, n] = far + wide
            turned[i, at + 4, n] = far - wide
            turned[i, at + 5, n] = y3


@_uncounted
def _exchange(tiles, positions, count, first, size, to_tiles):  # type: ignore[no-untyped-def]
    """Copies numbers [B H W, K] of some neurons to tiles [., 16, N], or back.

    What is outside of the maps stays as it is."""
    batch, height, width, rows, columns = size
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                n = (b * rows + y // 4) * columns + x // 4
                place, position = y % 4 * 4 + x % 4, (b * height + y) * width + x
                if to_tiles:
                    for i in range(count):
                        tiles[i, place, n] = positions[position, first + i]
                else:
                    for i in range(count):
                        positions[position, first + i] = tiles[i, place, n]


@_uncounted
def _multiply(one, of_one, other, p, out, of_out, count, terms):  # type: ignore[no-untyped-def]
    """Writes products of rows one[:, of_one] [., R] with a matrix other[p] [R, W].

    Twenty-four vectors, three of each of eight rows, stay in registers through all terms."""
    width, none = other.shape[2], full(other.dtype.type(0))
    base, line = p * other.shape[1] * width, out.shape[1] * width
    for i in range(0, count, 8):
        for j in range(0, width, 3 * LANES):
            there = min(j + LANES, width - LANES)
            last = min(j + 2 * LANES, width - LANES)
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = none
            b0 = b1 = b2 = b3 = b4 = b5 = b6 = b7 = none
            c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = none
            for r in range(terms):
                at = base + r * width
                x, y, z = load(other, at + j), load(other, at + there), load(other, at + last)
                f = full(one[i, of_one, r])
                a0, b0, c0 = plus(a0, times(x, f)), plus(b0, times(y, f)), plus(c0, times(z, f))
                f = full(one[i + 1, of_one, r])
                a1, b1, c1 = plus(a1, times(x, f)), plus(b1, times(y, f)), plus(c1, times(z, f))
                f = full(one[i + 2, of_one, r])
                a2, b2, c2 = plus(a2, times(x, f)), plus(b2, times(y, f)), plus(c2, times(z, f))
                f = full(one[i + 3, of_one, r])
                a3, b3, c3 = plus(a3, times(x, f)), plus(b3, times(y, f)), plus(c3, times(z, f))
                f = full(one[i + 4, of_one, r])
                a4, b4, c4 = plus(a4, times(x, f)), plus(b4, times(y, f)), plus(c4, times(z, f))
                f = full(one[i + 5, of_one, r])
                a5, b5, c5 = plus(a5, times(x, f)), plus(b5, times(y, f)), plus(c5, times(z, f))
                f = full(one[i + 6, of_one, r])
                a6, b6, c6 = plus(a6, times(x, f)), plus(b6, times(y, f)), plus(c6, times(z, f))
                f = full(one[i + 7, of_one, r])
                a7, b7, c7 = plus(a7, times(x, f)), plus(b7, times(y, f)), plus(c7, times(z, f))
            at = i * line + of_out * width
            store_eight(out, at + j, line, (a0, a1, a2, a3, a4, a5, a6, a7))
            store_eight(out, at + there, line, (b0, b1, b2, b3, b4, b5, b6, b7))
            store_eight(out, at + last, line, (c0, c1, c2, c3, c4, c5, c6, c7))


@vector_kernel
def responses(begin, end, weight, signals, rows, size, out):  # type: ignore[no-untyped-def]
    """Writes outputs [B H W, K] of neurons from ``begin`` to before ``end``.

    Weights are [K, 9, C], signals [36, C, N] with N a multiple of 16, ``rows`` G [6, 3], and
    ``size`` is B, H, W, and rows and columns of tiles.
    """
    (_, channels, tiles), dtype = signals.shape, weight.dtype
    turned = aligned_zeros(NEURONS * 6 * channels, dtype).reshape(NEURONS, 6, channels)
    products = aligned_zeros(NEURONS * 36 * tiles, dtype).reshape(NEURONS, 36, tiles)
    outputs = aligned_zeros(NEURONS * 16 * tiles, dtype).reshape(NEURONS, 16, tiles)
    for first in range(begin, end, NEURONS):
        count = min(NEURONS, end - first)
        for u in range(6):
            for i in range(count):
                _turn_weights(weight, first + i, rows[u], turned, i)
            for v in range(6):
                p = 6 * u + v
                _multiply(turned, v, signals, p, products, p, count, channels)
        for i in range(count):
            _turn_outputs(products, i, outputs)
        _exchange(outputs, out, count, first, size, False)


@vector_kernel
def sums(begin, end, post, signals, rows, size, found):  # type: ignore[no-untyped-def]
    """Adds sums [K, 9, C] of neurons from ``begin`` to before ``end``.

    Activities are [B H W, K], signals [36, N, C] with C a multiple of 16; for the rest see
    :func:`responses`.
    """
    (_, tiles, channels), dtype = signals.shape, post.dtype
    activities = aligned_zeros(NEURONS * 16 * tiles, dtype).reshape(NEURONS, 16, tiles)
    turned = aligned_zeros(NEURONS * 36 * tiles, dtype).reshape(NEURONS, 36, tiles)
    products = aligned_zeros(NEURONS * 6 * channels, dtype).reshape(NEURONS, 6, channels)
    for first in range(begin, end, NEURONS):
        count = min(NEURONS, end - first)
        _exchange(activities, post, count, first, size, True)
        for i in range(count):
            _turn_activities(activities, i, turned)
        for u in range(6):
            for v in range(6):
                p = 6 * u + v
                _multiply(turned, p, signals, p, products, v, count, tiles)
            for i in range(count):
                _turn_weights_back(products, i, rows[u], found, first + i)


@vector_kernel
def to_signals(begin, end, size, maps, signals):  # type: ignore[no-untyped-def]
    """Writes Winograd's form [36, N, C] of tiles from ``begin`` to before ``end``.

    Maps are [B, H + 2, W + 2, C], and zeros outside; ``size`` is rows and columns of tiles.
    """
    (_, height, width, channels), (rows, columns) = maps.shape, size
    tile = aligned_zeros(36 * CHANNELS, maps.dtype).reshape(36, CHANNELS)
    none = maps.dtype.type(0)
    for n in range(begin, end):
        image, row, column = n // (rows * columns), n // columns % rows, n % columns
        for first in range(0, channels, CHANNELS):
            count = min(CHANNELS, channels - first)
            for place in range(36):
                y, x = 4 * row + place // 6, 4 * column + place % 6
                if y < height and x < width:
                    for c in range(count):
                        tile[place, c] = maps[image, y, x, first + c]
                else:
                    for c in range(count):
                        tile[place, c] = none
            _turn_maps(tile, count, signals, n, first)


@vector_kernel
def to_outputs(begin, end, size, products, bias, out):  # type: ignore[no-untyped-def]
    """Writes outputs [B, H, W, K] of tiles from ``begin`` to before ``end``.

    Products are [36, N, K]; ``size`` is rows and columns of tiles.
    """
    (_, height, width, neurons), (rows, columns) = out.shape, size
    points = aligned_zeros(36 * CHANNELS, out.dtype).reshape(1, 36, CHANNELS)
    tile = aligned_zeros(16 * CHANNELS, out.dtype).reshape(1, 16, CHANNELS)
    for n in range(begin, end):
        image, row, column = n // (rows * columns), n // columns % rows, n % columns
        for first in range(0, neurons, CHANNELS):
            count = min(CHANNELS, neurons - first)
            for p in range(36):
                for k in range(count):
                    points[0, p, k] = products[p, n, first + k]
            for k in range(count):  # the point (1, 1) is added to each output once
                points[0, 7, k] += bias[first + k]
            _turn_outputs(points, 0, tile)
            for place in range(16):
                y, x = 4 * row + place // 4, 4 * column + place % 4
                if y < height and x < width:
                    for k in range(count):
                        out[image, y, x, first + k] = tile[0, place, k]
