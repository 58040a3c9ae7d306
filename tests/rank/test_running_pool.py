"""Running pools against torch's cumsum and cummax."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.rank.running_pool import Pools, _in_torch, running_pool


def parts(sizes: tuple[int, int, int], dtype: torch.dtype, seed: int = 0) -> list[torch.Tensor]:
    """Returns values, of which many are equal, and a sum and maximum of three steps before."""
    random = torch.Generator().manual_seed(seed)
    batch, features, steps = sizes
    values = torch.randint(-2, 3, (batch, steps, features), generator=random).to(dtype)
    earlier = torch.randint(-2, 3, (batch, 3, features), generator=random).to(dtype)
    tensors = [values, earlier.sum(dim=1), earlier.amax(dim=1)]
    return [tensor.requires_grad_() for tensor in tensors]


@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 9)),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 9),
)
def test_pools_and_gradients_are_those_of_torch(
    sizes: tuple[int, int, int], dtype: torch.dtype, seed: int
) -> None:
    """Of what is pooled, and of the last sums and maxima, from which a next part goes on."""
    found = []
    for run in (running_pool, _in_torch):
        values, total, most = parts(sizes, dtype, seed)
        pooled, after = run(values, Pools(total, most, torch.full((sizes[0], 1), 3.0, dtype=dtype)))
        weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        loss = (weights * pooled).sum() + (after.total * 0.3).sum() + (after.most * 0.7).sum()
        gradients = torch.autograd.grad(loss, (values, total, most))
        found.append([pooled, *after, *gradients])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_values_in_any_layout() -> None:
    values, total, most = parts((2, 5, 4), torch.float32)
    before = Pools(total, most, torch.full((2, 1), 3.0))
    turned = values.detach().transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(running_pool(turned, before)[0], running_pool(values, before)[0])


def test_what_is_not_finite_stays_so() -> None:
    """So that a training that diverges can say so by its loss."""
    values, total, most = parts((2, 5, 4), torch.float32)
    values.data[1, 3, 2] = torch.nan
    pooled, after = running_pool(values, Pools(total, most, torch.full((2, 1), 3.0)))
    assert pooled[3, 1, 2].isnan() and after.total[1, 2].isnan()
    assert bool(pooled[:, 0].isfinite().all())


def test_tensors_that_do_not_fit() -> None:
    values, total, most = parts((2, 5, 4), torch.float32)
    steps = torch.full((2, 1), 3.0)
    with pytest.raises(InputError, match=r"before.total is \[1, 5\] .* expected \[2, 5\]"):
        running_pool(values, Pools(total[:1], most, steps))
    with pytest.raises(InputError, match=r"before.most is .* torch.float64 .* torch.float32"):
        running_pool(values, Pools(total, most.double(), steps))
    with pytest.raises(InputError, match=r"before.steps is \[1, 1\]"):
        running_pool(values, Pools(total, most, steps[:1]))
    with pytest.raises(InputError, match=r"values are \[2, 0, 5\] .* a step or more"):
        running_pool(values[:, :0], Pools(total, most, steps))
