"""Masks: run lengths and polygons against loops over pixels."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.data.masks import decode_runs, encode_runs, fill_polygon
from plastorch.engine.errors import InputError


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_runs_go_down_the_columns_and_start_with_those_off(
    height: int, width: int, data: st.DataObject
) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = torch.tensor(bits).view(height, width)
    counts = encode_runs(mask)
    column_by_column = [bool(mask[y, x]) for x in range(width) for y in range(height)]
    unrolled = [place % 2 == 1 for place, count in enumerate(counts) for _ in range(count)]
    assert unrolled == column_by_column
    assert all(count > 0 for count in counts[1:])
    assert torch.equal(decode_runs(counts, (height, width), "x"), mask)


def test_lengths_of_zero_are_read() -> None:
    assert decode_runs([0, 1, 0, 2, 1], (2, 2), "x").int().tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (None, "x: counts are None; expected a list of run lengths"),
        ("PYY", "x: counts are 'PYY'"),
        ([], "x: counts add up to 0"),
        ([3], "x: counts add up to 3, the least is 3; expected 4 and at least 0"),
        ([5, -1], "x: counts add up to 4, the least is -1"),
        ([2.0, 2], "x: a count is 2.0; expected a whole number"),
        ([True, 3], "x: a count is True"),
        ([10**400], "expected a whole number"),
        ([2**52, 2**52], "x: counts add up to"),
    ],
)
def test_wrong_runs_are_named(counts: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        decode_runs(counts, (2, 2), "x")


def crossings(points: list[float], x: float, y: float) -> int:
    """How many edges a ray to the left from a point crosses."""
    corners = list(zip(points[::2], points[1::2], strict=True))
    count = 0
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if min(y0, y1) <= y < max(y0, y1):
            count += x0 + (x1 - x0) * (y - y0) / (y1 - y0) <= x
    return count


@settings(max_examples=50)
@given(st.lists(st.integers(0, 24), min_size=6, max_size=16).filter(lambda p: len(p) % 2 == 0))
def test_polygons_hold_the_pixels_whose_middle_is_inside(quarters: list[int]) -> None:
    points = [value / 4 for value in quarters]
    mask = fill_polygon(points, (6, 6), "x")
    for y in range(6):
        for x in range(6):
            assert bool(mask[y, x]) == (crossings(points, x + 0.5, y + 0.5) % 2 == 1)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (7, "x: polygon is 7; expected x, y of 3 points or more"),
        ([0, 0, 1, 1], "x: polygon is [0, 0, 1, 1]"),
        ([0, 0, 1, 1, 2, 2, 3], "3 points or more"),
        ([0, 0, 1, 1, 2, None], "x: a corner is None; expected a number"),
        ([0, 0, 1, 1, 2, float("nan")], "x: a corner is nan"),
        ([0, 0, 1, 1, 2, 10**400], "expected a number"),
        ([0, 0, 1, 1, 2, 1e300], "expected inside 4x3"),
        ([0, 0, -2, 1, 2, 1], "expected inside 4x3"),
    ],
)
def test_wrong_polygons_are_named(points: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        fill_polygon(points, (3, 4), "x")
