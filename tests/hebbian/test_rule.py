"""The equations against naive loops, closed forms and their invariances."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.hebbian.rule import (
    Competition,
    center,
    compete,
    hebbian_update,
    largest,
    norm_dependent_rate,
    normalize,
    prior_update,
    triangle,
)

sizes = st.integers(1, 6)
seeds = st.integers(0, 2**31)
rules = st.sampled_from(["softkrotov", "soft", "hard"])
quick = settings(max_examples=40)


def rows(seed: int, n: int, inputs: int, neurons: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, inputs, generator=random, dtype=torch.float64)
    return x, torch.randn(neurons, inputs, generator=random, dtype=torch.float64)


def naive_update(x: Tensor, w: Tensor, rule: Competition, t: float) -> Tensor:
    """Sample by sample, synapse by synapse, with numbers only."""
    total = [[0.0] * w.shape[1] for _ in range(w.shape[0])]
    for sample in x.tolist():
        u = [sum(a * b for a, b in zip(sample, row, strict=True)) for row in w.tolist()]
        winner = u.index(max(u))
        exponentials = [2.718281828459045 ** (t * (value - max(u))) for value in u]
        for k in range(len(u)):
            y = exponentials[k] / sum(exponentials)
            if rule == "hard":
                y = float(k == winner)
            elif rule == "softkrotov" and k != winner:
                y = -y
            for i, value in enumerate(sample):
                total[k][i] += y * (value - u[k] * float(w[k, i]))
    return torch.tensor(total, dtype=torch.float64)


@quick
@given(seeds, sizes, sizes, sizes, rules, st.floats(0.1, 5))
def test_update_equals_a_loop_over_samples(
    seed: int, n: int, inputs: int, neurons: int, rule: Competition, t: float
) -> None:
    x, w = rows(seed, n, inputs, neurons)
    u = x @ w.T
    raw = hebbian_update(x, u, compete(u, rule, t), w)
    torch.testing.assert_close(raw, naive_update(x, w, rule, t), rtol=1e-9, atol=1e-9)


@quick
@given(seeds, sizes, sizes, rules)
def test_normalized_update_has_largest_entry_one(
    seed: int, n: int, neurons: int, rule: Competition
) -> None:
    x, w = rows(seed, n, 4, neurons)
    u = x @ w.T
    delta = normalize(hebbian_update(x, u, compete(u, rule), w))
    assert float(delta.abs().max()) == pytest.approx(1)


@quick
@given(seeds, sizes, st.integers(2, 6))
def test_activations_sum_to_one_or_twice_the_winner_less_one(
    seed: int, n: int, neurons: int
) -> None:
    x, w = rows(seed, n, 4, neurons)
    u = x @ w.T
    soft, signed = compete(u, "soft"), compete(u, "softkrotov")
    torch.testing.assert_close(soft.sum(1), torch.ones(n, dtype=torch.float64))
    torch.testing.assert_close(signed.sum(1), 2 * soft.amax(1) - 1)
    torch.testing.assert_close(signed.abs(), soft)


@quick
@given(seeds, sizes, st.integers(2, 6))
def test_hard_is_soft_at_zero_temperature(seed: int, n: int, neurons: int) -> None:
    x, w = rows(seed, n, 4, neurons)
    u = x @ w.T
    best = u.topk(2).values
    u = u[best[:, 0] - best[:, 1] > 1e-3]
    torch.testing.assert_close(compete(u, "soft", 1e5), compete(u, "hard"))


@quick
@given(seeds, sizes, sizes, rules)
def test_a_repeated_batch_changes_nothing(
    seed: int, n: int, neurons: int, rule: Competition
) -> None:
    x, w = rows(seed, n, 4, neurons)

    def delta(x: Tensor) -> Tensor:
        u = x @ w.T
        return normalize(hebbian_update(x, u, compete(u, rule), w))

    torch.testing.assert_close(delta(x.repeat(3, 1)), delta(x), rtol=1e-9, atol=1e-9)


@quick
@given(seeds, sizes, st.integers(2, 6), rules)
def test_permuted_neurons_get_permuted_updates(
    seed: int, n: int, neurons: int, rule: Competition
) -> None:
    x, w = rows(seed, n, 4, neurons)
    order = torch.randperm(neurons, generator=torch.Generator().manual_seed(seed))

    def raw(w: Tensor) -> Tensor:
        u = x @ w.T
        return hebbian_update(x, u, compete(u, rule), w)

    torch.testing.assert_close(raw(w[order]), raw(w)[order], rtol=1e-9, atol=1e-9)


def test_ties_go_to_the_first_neuron() -> None:
    assert compete(torch.zeros(1, 3), "hard").tolist() == [[1, 0, 0]]


def test_equilibrium_is_the_normalized_mean_of_a_neurons_inputs() -> None:
    """Its fixed point: with w = E[y x] / |E[y x]| and y independent of u's scale, dw = 0."""
    x = torch.tensor([[3.0, 0.0], [0.0, 4.0], [3.0, 0.2]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    mean = y.T @ x
    w = mean / mean.norm(dim=1, keepdim=True)
    assert float(hebbian_update(x, x @ w.T, y, w).abs().max()) < 1e-12


def test_prior_update_vanishes_at_the_mean_probability() -> None:
    y = torch.tensor([[0.7, 0.3], [0.1, 0.9]], dtype=torch.float64)
    t = 2.0
    bias = y.mean(0).log() / t
    assert float(prior_update(y, bias, t).abs().max()) < 1e-12
    assert prior_update(y, bias - 0.1, t).min() > 0


def test_largest_is_per_group() -> None:
    raw = torch.tensor([[1.0, -2.0], [0.5, 0.0], [8.0, 1.0], [0.0, -4.0]])
    assert largest(raw, 2).flatten().tolist() == [2, 2, 8, 8]
    assert largest(raw).unique().tolist() == [8]
    assert largest(torch.tensor([-3.0, 2.0])).tolist() == [3, 3]


def test_rate_is_zero_at_norm_one_and_constant_for_power_zero() -> None:
    radius = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    assert norm_dependent_rate(radius, 0.5).tolist() == pytest.approx([1, 1e-5, 1])
    assert norm_dependent_rate(radius, 0.0).tolist() == [1, 1, 1]


def test_triangle_keeps_its_mean_out_of_the_gradient() -> None:
    u = torch.tensor([[1.0, 3.0, 8.0]], dtype=torch.float64, requires_grad=True)
    y = triangle(u, 2.0)
    assert y.tolist() == [[0, 0, 16]]
    assert center(u).tolist() == [[-3, -1, 4]]
    y.sum().backward()
    assert u.grad is not None and u.grad.tolist() == [[0, 0, 8]]


def test_unknown_competition_is_named() -> None:
    with pytest.raises(InputError, match=r"'loud'.*softkrotov"):
        compete(torch.zeros(1, 2), "loud")  # type: ignore[arg-type]
