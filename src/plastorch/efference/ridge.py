"""Ridge regression in closed form, with the penalty chosen on held-out training samples."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.device import generator
from plastorch.engine.errors import InputError, check_finite, check_positive

PENALTIES = tuple(10.0**power for power in range(-6, 3))
"""Candidate penalties in units of the mean eigenvalue of the features' scatter matrix."""


class LinearMap(NamedTuple):
    """Linear map from features [N, D] to T values."""

    weight: Tensor
    """Weights, float64 [D, T]."""
    bias: Tensor
    """Biases, float64 [T]."""

    def __call__(self, features: Tensor) -> Tensor:
        """Returns the values, float64 [N, T]."""
        return features.double() @ self.weight + self.bias


@torch.no_grad()
def ridge(features: Tensor, targets: Tensor, penalties: Sequence[float]) -> list[LinearMap]:
    """Fits ridge regressions with an intercept in closed form, all from one decomposition.

    Each minimizes the sum of squared errors plus its penalty times the sum of squared weights,
    without the intercept.

    Args:
        features: features [N, D].
        targets: target values [N, T].
        penalties: penalties, each above 0.

    Returns:
        One map per penalty.

    Raises:
        InputError: shapes differ, features are not finite, or a penalty is not above 0.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> ridge(x, 3 * x + 1, [1e-9])[0](torch.tensor([[4.0]])).round(decimals=3)
        tensor([[13.]], dtype=torch.float64)
    """
    check_features("features", features)
    if targets.ndim != 2 or len(targets) != len(features):
        raise InputError(
            f"targets are {tuple(targets.shape)}; expected ({len(features)}, number of targets)"
        )
    for penalty in penalties:
        check_positive(penalty=penalty)
    x, y = features.double(), targets.double()
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    x = x - x_mean
    values, vectors = torch.linalg.eigh(x.T @ x)
    projected = vectors.T @ (x.T @ (y - y_mean))
    maps = []
    for penalty in penalties:
        weight = vectors @ (projected / (values.clamp(min=0) + penalty)[:, None])
        maps.append(LinearMap(weight, y_mean - x_mean @ weight))
    return maps


def chosen_ridge(
    features: Tensor,
    targets: Tensor,
    error: Callable[[Tensor, Tensor], Tensor],
    held_out: float = 0.1,
    seed: int = 0,
) -> LinearMap:
    """Fits the ridge regression whose penalty has the least error on held-out training samples.

    The final fit uses all training samples. In a tie the largest penalty wins.

    Args:
        features: features [N, D].
        targets: target values [N, T].
        error: scalar error of predictions [n, T] for targets [n, T].
        held_out: held-out share of the samples.
        seed: random seed that selects the held-out samples.

    Raises:
        InputError: see :func:`ridge`; or the share leaves no sample on one side.
    """
    check_features("features", features)
    count = round(held_out * len(features))
    if not 1 <= count <= len(features) - 2:
        raise InputError(
            f"held_out is {held_out} of {len(features)} samples; expected at least 1, and 2 left"
        )
    order = torch.randperm(len(features), generator=generator(seed)).to(features.device)
    out, kept = order[:count], order[count:]
    tried = sorted(PENALTIES, reverse=True)
    maps = ridge(features[kept], targets[kept], _scaled(tried, features[kept]))
    errors = [float(error(each(features[out]), targets[out].double())) for each in maps]
    best = tried[errors.index(min(errors))]
    return ridge(features, targets, _scaled([best], features))[0]


def check_features(name: str, features: Tensor, width: int | None = None) -> None:
    """Raises InputError unless features are [N, D], with D as given, and finite.

    Example:
        >>> check_features("features", torch.zeros(3, 5), width=5)
    """
    shape = tuple(features.shape)
    if len(shape) != 2 or 0 in shape or shape[1] != (width or shape[1]):
        raise InputError(f"{name} are {shape}; expected (samples, {width or 'features'})")
    check_finite(**{name: features})


def _scaled(penalties: Sequence[float], features: Tensor) -> list[float]:
    """Scales penalties by the mean eigenvalue of the scatter matrix, or by 1 if that is 0."""
    mean = float(features.double().var(dim=0, correction=0).mean()) * len(features)
    return [penalty * (mean or 1.0) for penalty in penalties]
