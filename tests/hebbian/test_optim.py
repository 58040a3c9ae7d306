"""Gradients for torch optimizers, on one worker and on two."""

import itertools
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given
from hypothesis import strategies as st

from plastorch import SoftHebbConv2d, SoftHebbLinear, set_gradients
from plastorch.hebbian.optim import linear_decay, readout_rate


def test_gradient_is_minus_the_scaled_delta() -> None:
    layer = SoftHebbConv2d(2, 4, 3, groups=2, bias=True, inverse_temperature=2.0).double()
    step = layer.learn(torch.randn(3, 2, 6, 6).double())
    raw, prior = step.updates["weight"].clone(), step.updates["bias"]
    set_gradients(layer, step)
    for group in (slice(0, 2), slice(2, 4)):
        rate = ((layer.radius()[group] - 1).abs() + 1e-10) ** 0.5
        expected = -rate.view(-1, 1, 1, 1) * raw[group] / raw[group].abs().max()
        torch.testing.assert_close(layer.weight.grad[group], expected)
        expected = -prior[group] / prior[group].abs().max() / 2.0
        torch.testing.assert_close(layer.bias.grad[group], expected)


def _worker(rank: int, rendezvous: str, x: torch.Tensor, weight: torch.Tensor, out: str) -> None:
    dist.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    layer = SoftHebbLinear(5, 4, rate_power=0.5, dtype=torch.float64)
    layer.weight.copy_(weight)
    set_gradients(layer, layer.learn(x.chunk(2)[rank]))
    torch.save(layer.weight.grad, f"{out}-{rank}.pt")
    dist.destroy_process_group()


def test_two_workers_equal_one_with_the_joined_batch(tmp_path: Path) -> None:
    x = torch.randn(8, 5, dtype=torch.float64)
    layer = SoftHebbLinear(5, 4, rate_power=0.5, dtype=torch.float64)
    set_gradients(layer, layer.learn(x))
    arguments = (str(tmp_path / "rendezvous"), x, layer.weight.data, str(tmp_path / "grad"))
    mp.spawn(_worker, arguments, nprocs=2)
    for rank in (0, 1):
        grad = torch.load(tmp_path / f"grad-{rank}.pt", weights_only=True)
        torch.testing.assert_close(grad, layer.weight.grad)


@given(st.floats(1e-4, 1), st.integers(1, 500))
def test_decay_starts_at_the_rate_and_ends_at_0(rate: float, steps: int) -> None:
    assert linear_decay(rate, 0, steps) == rate
    assert linear_decay(rate, steps, steps) == linear_decay(rate, steps + 7, steps) == 0


@given(st.integers(1, 300))
def test_readout_rate_only_falls_by_halves(epochs: int) -> None:
    rates = [readout_rate(1.0, epoch, epochs) for epoch in range(epochs)]
    assert rates[0] == 1
    assert all(b in (a, a / 2, a / 4) for a, b in itertools.pairwise(rates))
    assert rates[-1] == {True: 0.5**7, False: 0.25 if epochs >= 20 else 1.0}[epochs >= 50]


def test_readout_rate_may_fall_evenly() -> None:
    rates = [readout_rate(0.5, epoch, 20, "linear") for epoch in range(20)]
    assert rates == pytest.approx([0.5 - 0.025 * epoch for epoch in range(20)])
