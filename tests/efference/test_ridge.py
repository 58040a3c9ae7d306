"""Ridge regression whose penalty is chosen: against scikit-learn's by hand."""

import re

import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from torch import Tensor

from plastorch.efference.ridge import HELD_OUT, PENALTIES, chosen_ridge
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream


def samples(count: int, width: int, seed: int = 0) -> Tensor:
    return 3 + 2 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def eigenvalue(x: Tensor) -> float:
    """The mean one, of the scatter matrix."""
    centered = (x - x.mean(dim=0)).double()
    return float(torch.linalg.eigvalsh(centered.T @ centered).mean())


@pytest.mark.parametrize("noise", [0.01, 10.0])
def test_the_penalty_is_the_best_on_samples_that_were_held_out(noise: float) -> None:
    x = samples(80, 40)
    y = x[:, :1] - x[:, 1:2] + noise * samples(80, 1, seed=1)
    order = torch.randperm(80, generator=stream(5))
    count = round(80 * HELD_OUT)
    out, kept = order[:count], order[count:]
    errors = {}
    for relative in PENALTIES:
        theirs = Ridge(relative * eigenvalue(x[kept]))
        theirs.fit(x[kept].double().numpy(), y[kept].double().numpy())
        guess = theirs.predict(x[out].double().numpy())
        errors[relative] = mean_squared_error(y[out].double().numpy(), guess)
    best = min(errors, key=lambda relative: errors[relative])
    expected = Ridge(best * eigenvalue(x)).fit(x.double().numpy(), y.double().numpy())
    found = chosen_ridge(x, y, mean_squared_error, seed=5)
    assert found.coef_.ravel() == pytest.approx(expected.coef_.ravel())


def test_it_does_not_matter_in_which_unit_features_come() -> None:
    x, y = samples(50, 6), samples(50, 2, seed=1)
    one, other = (chosen_ridge(scale * x, y, mean_squared_error) for scale in (1.0, 1024.0))
    new = samples(9, 6, seed=2).double().numpy()
    assert one.predict(new).ravel() == pytest.approx(other.predict(1024 * new).ravel())


def test_equal_errors_go_to_the_largest_penalty_and_constants_are_borne() -> None:
    x, y = samples(20, 3), samples(20, 2)
    found = chosen_ridge(x, y, lambda *_: 1.0)
    assert found.alpha == pytest.approx(PENALTIES[0] * eigenvalue(x)) and PENALTIES[0] == 100
    flat = chosen_ridge(torch.ones(20, 3), y, mean_squared_error)
    assert (flat.coef_ == 0).all()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(3), torch.zeros(3, 1), "features are (3,)"),
        (torch.zeros(9, 2), torch.zeros(8, 1), "features are 9 and targets 8; expected equal"),
        (torch.zeros(3, 2), torch.zeros(3, 1), "features are 3 and targets 3"),
        (torch.full((9, 2), torch.inf), torch.zeros(9, 1), "NaN or infinite"),
    ],
)
def test_bad_input_is_named(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        chosen_ridge(x, y, mean_squared_error)
