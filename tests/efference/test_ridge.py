"""Ridge regression: against scikit-learn, and what makes it the minimum."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeClassifier
from torch import Tensor
from torch.nn import functional

from plastorch.efference.ridge import PENALTIES, LinearMap, chosen_ridge, ridge
from plastorch.engine.device import generator
from plastorch.engine.errors import InputError


def samples(count: int, width: int, seed: int = 0) -> Tensor:
    return 3 + 2 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(80, 6), (20, 40)])
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 300.0])
def test_classes_are_those_of_scikit_learns_ridge_classifier(
    shape: tuple[int, int], penalty: float
) -> None:
    x, labels = samples(*shape), torch.arange(shape[0]) % 3
    theirs = RidgeClassifier(alpha=penalty).fit(x.double().numpy(), labels.numpy())
    (ours,) = ridge(x, 2 * functional.one_hot(labels).double() - 1, [penalty])
    torch.testing.assert_close(ours.weight.T, torch.tensor(theirs.coef_), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(ours.bias, torch.tensor(theirs.intercept_), rtol=1e-6, atol=1e-9)
    queries = samples(50, shape[1], seed=1)
    expected = theirs.predict(queries.double().numpy())
    assert ours(queries).argmax(dim=1).tolist() == expected.tolist()


@settings(max_examples=30)
@given(st.integers(2, 9), st.integers(1, 6), st.integers(1, 3), st.floats(1e-3, 1e3))
def test_nothing_near_it_is_better(count: int, width: int, targets: int, penalty: float) -> None:
    """The gradient of the objective, by hand, is 0."""
    x, y = samples(count, width).double(), samples(count, targets, seed=1).double()
    (found,) = ridge(x, y, [penalty])
    weight, bias = found.weight.requires_grad_(), found.bias.requires_grad_()
    error = (x @ weight + bias - y).square().sum() + penalty * weight.square().sum()
    for gradient in torch.autograd.grad(error, (weight, bias)):
        assert gradient.abs().max() < 1e-7 * (1 + float(error.detach()))


def test_one_decomposition_serves_all_penalties() -> None:
    x, y = samples(30, 5), samples(30, 2, seed=1)
    together = ridge(x, y, [0.1, 10.0])
    for penalty, found in zip([0.1, 10.0], together, strict=True):
        (alone,) = ridge(x, y, [penalty])
        assert torch.equal(alone.weight, found.weight)
        theirs = Ridge(alpha=penalty).fit(x.double().numpy(), y.double().numpy())
        torch.testing.assert_close(found.weight.T, torch.tensor(theirs.coef_), rtol=1e-6, atol=1e-9)


def squared(predicted: Tensor, wanted: Tensor) -> Tensor:
    return (predicted - wanted).square().mean()


@pytest.mark.parametrize("noise", [0.01, 10.0])
def test_the_penalty_is_the_best_on_samples_that_were_held_out(noise: float) -> None:
    x = samples(40, 20)
    y = x[:, :1] - x[:, 1:2] + noise * samples(40, 1, seed=1)
    order = torch.randperm(40, generator=generator(5))
    out, kept = order[:8], order[8:]
    errors = {}
    for relative in PENALTIES:
        centered = (x[kept] - x[kept].mean(dim=0)).double()
        mean = float(torch.linalg.eigvalsh(centered.T @ centered).mean())
        theirs = Ridge(alpha=relative * mean).fit(
            x[kept].double().numpy(), y[kept].double().numpy()
        )
        guess = torch.tensor(theirs.predict(x[out].double().numpy())).view(-1, 1)
        errors[relative] = float(squared(guess, y[out].double()))
    best = min(errors, key=lambda relative: errors[relative])
    centered = (x - x.mean(dim=0)).double()
    (expected,) = ridge(x, y, [best * float(torch.linalg.eigvalsh(centered.T @ centered).mean())])
    found = chosen_ridge(x, y, squared, held_out=0.2, seed=5)
    torch.testing.assert_close(found.weight, expected.weight)


def test_it_does_not_matter_in_which_unit_features_come() -> None:
    x, y = samples(50, 6), samples(50, 2, seed=1)
    one, other = (chosen_ridge(scale * x, y, squared) for scale in (1.0, 1024.0))
    torch.testing.assert_close(one(x), other(1024 * x))


def test_equal_errors_go_to_the_largest_penalty_and_constants_are_borne() -> None:
    x, y = samples(20, 3), torch.ones(20, 2)
    found = chosen_ridge(x, y, squared)
    assert found.weight.abs().max() < 1e-9 and isinstance(found, LinearMap)
    flat = chosen_ridge(torch.ones(20, 3), samples(20, 2), squared)
    assert torch.isfinite(flat.weight).all() and flat.weight.abs().max() == 0


@pytest.mark.parametrize(
    ("x", "y", "penalties", "message"),
    [
        (torch.zeros(3), torch.zeros(3, 1), [1.0], "features are (3,)"),
        (torch.zeros(3, 2), torch.zeros(3), [1.0], "targets are (3,); expected (3, number"),
        (torch.zeros(3, 2), torch.zeros(2, 1), [1.0], "targets are (2, 1)"),
        (torch.zeros(3, 2), torch.zeros(3, 1), [1.0, 0.0], "penalty is 0.0; expected more than 0"),
        (torch.full((3, 2), torch.inf), torch.zeros(3, 1), [1.0], "NaN or infinite"),
    ],
)
def test_bad_input_is_named(x: Tensor, y: Tensor, penalties: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ridge(x, y, penalties)


@pytest.mark.parametrize("held_out", [0.0, 0.01, 0.95, 1.0])
def test_a_share_that_leaves_a_side_empty(held_out: float) -> None:
    with pytest.raises(InputError, match=f"held_out is {held_out} of 20 samples"):
        chosen_ridge(samples(20, 2), samples(20, 1), squared, held_out)
