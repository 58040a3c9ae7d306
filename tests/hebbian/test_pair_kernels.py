"""Pooled pairs in one pass, against torch's pooling of each of the two maps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.hebbian.pair_kernels import pooled_pairs
from plastorch.hebbian.spec import Pool

WINDOWS = st.sampled_from([(4, 2, 1), (2, 2, 0), (3, 1, 1), (2, 3, 0), (1, 1, 0)])


@given(st.sampled_from(["max", "avg"]), WINDOWS, st.integers(4, 9), st.integers(4, 9))
def test_equals_pooling_of_each(
    kind: str, window: tuple[int, int, int], height: int, width: int
) -> None:
    pool = Pool(kind, *window)  # type: ignore[arg-type]
    u = torch.randn(3, 5, height, width, generator=torch.Generator().manual_seed(height))
    on, off = pooled_pairs(u, pool)
    torch.testing.assert_close(on, pool(u.relu()))
    torch.testing.assert_close(off, pool((-u).relu()))


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_many_threads_do_what_one_does(kind: str) -> None:
    pool, u = Pool(kind, 4, 2, 1), torch.randn(40, 96, 16, 16)  # type: ignore[arg-type]
    assert u.numel() > 400_000
    on, off = pooled_pairs(u, pool)
    torch.testing.assert_close(on, pool(u.relu()))
    torch.testing.assert_close(off, pool((-u).relu()))
    assert on.stride(1) == off.stride(1) == 1  # channels last
