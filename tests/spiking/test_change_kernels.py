"""Bringing weights within their bounds by a kernel, and summing changes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.spiking.change_kernels import add_changes, bring_within
from plastorch.spiking.stdp import PairSTDP, within


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    spread=st.sampled_from([0.1, 1.0, 30.0]),
    norm=st.sampled_from([None, 0.7]),
    seed=st.integers(0, 99),
)
def test_weights_are_brought_within_as_in_torch(
    shape: tuple[int, int], spread: float, norm: float | None, seed: int
) -> None:
    rule = PairSTDP(low=0.0, high=0.8, norm=norm)
    weight = spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
    weight[:, ::2] = weight[:, ::2].clamp(0, 0.8)  # neurons that stay as they are
    inside, change = torch.full_like(weight, 9.0), torch.full_like(weight, 9.0)
    bring_within(weight.numpy(), (rule.low, rule.high), norm or 0.0, inside.numpy(), change.numpy())
    torch.testing.assert_close(inside, within(weight.mT, rule).mT, rtol=1e-12, atol=0)
    assert torch.equal(change, inside - weight)


def test_changes_of_networks_are_summed() -> None:
    """Two networks, of which the first has two learners and the second one."""
    total = np.ones((2, 3))
    changes = np.array([10.0, 20.0, 30.0, 40.0, 5.0, 6.0])
    add_changes(np.array([2, 1]), np.array([2, 0, 2]), changes, total)
    assert total.tolist() == pytest.approx(np.array([[21, 1, 16], [41, 1, 37]]))
