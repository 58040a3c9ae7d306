"""Views of images in one pass over their pixels, for CPUs.

The equations are those of :mod:`plastorch.efference.views` and :mod:`plastorch.efference.colors`.
A view stays in the processor's cache through all its transforms.
"""

from math import ceil, exp, floor
from typing import Any

import numpy as np

from plastorch.engine.numba_options import vector_kernel

# Fields of actions, in their order.
TOP, LEFT, HEIGHT, WIDTH, FLIP, BRIGHTNESS = range(6)
CONTRAST, SATURATION, HUE, GRAY, BLUR, SOLARIZED = range(6, 12)
_0, _1, _2, _4, _6, _HALF = (np.float32(value) for value in (0, 1, 2, 4, 6, 0.5))
_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_SIXTH, _THIRD, _TWO_THIRDS = np.float32(1 / 6), np.float32(1 / 3), np.float32(2 / 3)
_TINY = np.float32(1e-12)

inlined: Any = vector_kernel(inline="always")


@inlined
def _clamped(value):  # type: ignore[no-untyped-def]
    return min(max(value, _0), _1)


@inlined
def _gray_value(red, green, blue):  # type: ignore[no-untyped-def]
    return red * _RED + green * _GREEN + blue * _BLUE


@inlined
def _channel(high, chroma, hue, own):  # type: ignore[no-untyped-def]
    """Returns a channel, whose own hue is given as a share of the circle."""
    distance = hue - own
    distance = abs(distance - np.floor(distance + _HALF))
    return high - _clamped(distance * _6 - _1) * chroma


@inlined
def _find_taps(first, weight, start, extent, length, turned):  # type: ignore[no-untyped-def]
    """Writes which pixels, of ``length``, each output averages, and weights; returns how many.

    Weights are triangles, two outputs wide, or two pixels where nothing shrinks; ``start`` and
    ``extent`` are of the crop, as shares of the image.
    """
    size, most = len(first), 1
    shrink = max(extent * length / size, 1.0)
    for j in range(size):
        k = size - 1 - j if turned else j
        center = (start + extent * (k + 0.5) / size) * length - 0.5
        low = min(max(ceil(center - shrink), 0), length - 1)
        high = min(max(floor(center + shrink), low), length - 1)
        total = 0.0
        for p in range(low, high + 1):
            share = max(1 - abs(p - center) / shrink, 1e-9)
            weight[j, p - low] = share
            total += share
        for t in range(weight.shape[1]):
            weight[j, t] = weight[j, t] / total if t <= high - low else 0.0
        first[j] = low
        most = max(most, high - low + 1)
    return most


@inlined
def _across(images, i, scale, rows, first, weight, taps):  # type: ignore[no-untyped-def]
    """Averages the columns of an image's rows ``rows[1]`` to ``rows[2]`` into ``rows[0]``."""
    made, begin, end = rows
    last = images.shape[3] - 1
    for c in range(3):
        for r in range(begin, end):
            if taps <= 2:
                for x in range(len(first)):
                    at = first[x]
                    near = np.float32(images[i, c, r, at])
                    far = np.float32(images[i, c, r, min(at + 1, last)])
                    made[c, r, x] = (weight[x, 0] * near + weight[x, 1] * far) * scale
            else:
                for x in range(len(first)):
                    tally = _0
                    for t in range(min(taps, last + 1 - first[x])):
                        tally += weight[x, t] * np.float32(images[i, c, r, first[x] + t])
                    made[c, r, x] = tally * scale


@inlined
def _down(made, out, i, first, weight, taps):  # type: ignore[no-untyped-def]
    """Averages rows into the view."""
    last, size = made.shape[1] - 1, out.shape[2]
    for c in range(3):
        for y in range(size):
            at, share = first[y], weight[y, 0]
            for x in range(size):
                out[i, c, y, x] = share * made[c, at, x]
            for t in range(1, min(taps, last + 1 - at)):
                share = weight[y, t]
                for x in range(size):
                    out[i, c, y, x] += share * made[c, at + t, x]


@inlined
def _brighten(out, i, factor):  # type: ignore[no-untyped-def]
    """Changes brightness; returns the mean gray value."""
    size, total = out.shape[2], 0.0
    for y in range(size):
        row = _0
        for x in range(size):
            red = _clamped(out[i, 0, y, x] * factor)
            green = _clamped(out[i, 1, y, x] * factor)
            blue = _clamped(out[i, 2, y, x] * factor)
            out[i, 0, y, x], out[i, 1, y, x], out[i, 2, y, x] = red, green, blue
            row += _gray_value(red, green, blue)
        total += float(row)
    return np.float32(total / (size * size))


@inlined
def _recolor(out, i, mean, contrast, saturation, hue, gray):  # type: ignore[no-untyped-def]
    """Changes contrast, saturation, hue; and makes the view gray by a share."""
    size, rest = out.shape[2], mean * (_1 - contrast)
    for y in range(size):
        for x in range(size):
            red = _clamped(out[i, 0, y, x] * contrast + rest)
            green = _clamped(out[i, 1, y, x] * contrast + rest)
            blue = _clamped(out[i, 2, y, x] * contrast + rest)
            light = _gray_value(red, green, blue)
            red = _clamped(light + saturation * (red - light))
            green = _clamped(light + saturation * (green - light))
            blue = _clamped(light + saturation * (blue - light))
            high, low = max(red, max(green, blue)), min(red, min(green, blue))
            chroma = high - low
            by = _1 / max(chroma, _TINY)
            place = (_4 * chroma + red - green) * by
            place = (_2 * chroma + blue - red) * by if green == high else place
            place = (green - blue) * by if red == high else place
            place = place * _SIXTH + hue
            red = _channel(high, chroma, place, _0)
            green = _channel(high, chroma, place, _THIRD)
            blue = _channel(high, chroma, place, _TWO_THIRDS)
            light = _gray_value(red, green, blue)
            out[i, 0, y, x] = red + gray * (light - red)
            out[i, 1, y, x] = green + gray * (light - green)
            out[i, 2, y, x] = blue + gray * (light - blue)


@inlined
def _blur(out, i, sigma, taps, room):  # type: ignore[no-untyped-def]
    """Blurs the view by a Gaussian over ``taps`` pixels, along rows and then along columns."""
    wide, line, weight = room
    size, half = out.shape[2], taps // 2
    total, reach = 1.0, 0
    for k in range(1, half + 1):
        total += 2 * exp(-0.5 * (k / sigma) ** 2)
    for k in range(half + 1):
        share = exp(-0.5 * (k / sigma) ** 2) / total
        weight[k] = share
        reach = k if share > 1e-12 else reach
    for c in range(3):
        for y in range(size):
            for x in range(size):
                line[half + x] = out[i, c, y, x]
            for k in range(1, half + 1):
                line[half - k] = line[half + k]
                line[half + size - 1 + k] = line[half + size - 1 - k]
            for x in range(size):
                wide[y, x] = weight[0] * line[half + x]
            for k in range(1, reach + 1):
                share = weight[k]
                for x in range(size):
                    wide[y, x] += share * (line[half + x - k] + line[half + x + k])
        for y in range(size):
            for x in range(size):
                out[i, c, y, x] = weight[0] * wide[y, x]
            for k in range(1, reach + 1):
                share = weight[k]
                above, below = abs(y - k), size - 1 - abs(size - 1 - y - k)
                for x in range(size):
                    out[i, c, y, x] += share * (wide[above, x] + wide[below, x])


@vector_kernel
def make_views(images, scale, actions, out, begin, end):  # type: ignore[no-untyped-def]
    """Writes views ``begin`` to ``end`` of images [B, 3, H, W], times ``scale``, [B, 3, S, S].

    ``actions`` are the fields of ImageActions, float64 [12, B].
    """
    height, width, size = images.shape[2], images.shape[3], out.shape[2]
    most = 2 * ceil(max(height, width) / size) + 2
    firsts, weights = np.empty((2, size), np.int64), np.empty((2, size, most), np.float32)
    made = np.empty((3, height, size), np.float32)
    taps = int(0.1 * size) // 2 * 2 + 1
    room = (
        np.empty((size, size), np.float32),
        np.empty(size + taps, np.float32),
        np.empty(taps, np.float32),
    )
    for i in range(begin, end):
        do = actions[:, i]
        columns = _find_taps(firsts[0], weights[0], do[LEFT], do[WIDTH], width, do[FLIP] > 0)
        rows = _find_taps(firsts[1], weights[1], do[TOP], do[HEIGHT], height, False)
        needed = min(firsts[1, size - 1] + rows, height)
        _across(images, i, scale, (made, firsts[1, 0], needed), firsts[0], weights[0], columns)
        _down(made, out, i, firsts[1], weights[1], rows)
        mean = _brighten(out, i, np.float32(do[BRIGHTNESS]))
        contrast, saturation = np.float32(do[CONTRAST]), np.float32(do[SATURATION])
        hue, gray = np.float32(do[HUE]), np.float32(do[GRAY])
        if contrast != _1 or saturation != _1 or hue != _0 or gray != _0:
            _recolor(out, i, mean, contrast, saturation, hue, gray)
        if do[BLUR] > 0 and taps > 1:
            _blur(out, i, do[BLUR], taps, room)
        if do[SOLARIZED] > 0:
            for c in range(3):
                for y in range(size):
                    for x in range(size):
                        out[i, c, y, x] = min(out[i, c, y, x], _1 - out[i, c, y, x])
