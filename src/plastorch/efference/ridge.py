"""Ridge regression, with the penalty chosen on held-out training samples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_finite
from plastorch.engine.streams import stream

PENALTIES = tuple(10.0**power for power in range(2, -7, -1))
"""Candidate penalties in units of the mean eigenvalue of the features' scatter matrix."""
HELD_OUT = 0.1
"""Share of the samples on which the penalty is chosen."""


def chosen_ridge(
    features: Tensor,
    targets: Tensor,
    error: Callable[[Any, Any], float],
    seed: int = 0,
) -> Any:
    """Returns scikit-learn's ``Ridge`` with the penalty of least error on held-out samples.

    The final fit uses all samples: features [N, D] and targets [N, T]. ``error`` takes predictions
    and targets as arrays [n, T]; in a tie the largest penalty wins.
    """
    from sklearn.linear_model import Ridge  # takes a second

    check_features("features", features)
    count = round(HELD_OUT * len(features))
    if len(targets) != len(features) or not 1 <= count <= len(features) - 2:
        raise InputError(
            f"features are {len(features)} and targets {len(targets)}; expected equal numbers, "
            "6 or more"
        )
    x, y = as_numpy(features), as_numpy(targets)

    def fitted(rows: Any, penalty: float) -> Any:
        scale = x[rows].var(axis=0).mean() * len(x[rows])
        return Ridge(penalty * (scale or 1.0)).fit(x[rows], y[rows])

    order = torch.randperm(len(x), generator=stream(seed)).numpy()
    out, kept = order[:count], order[count:]
    errors = [error(fitted(kept, penalty).predict(x[out]), y[out]) for penalty in PENALTIES]
    return fitted(np.arange(len(x)), PENALTIES[int(np.argmin(errors))])


def as_numpy(features: Tensor) -> Any:
    """Returns features as an array of double precision."""
    return features.detach().double().cpu().numpy()


def check_features(name: str, features: Tensor, width: int | None = None) -> None:
    """Raises InputError unless features are [N, D], with D = ``width`` if given, and finite."""
    shape = tuple(features.shape)
    if len(shape) != 2 or 0 in shape or shape[1] != (width or shape[1]):
        raise InputError(f"{name} are {shape}; expected (samples, {width or 'features'})")
    check_finite(**{name: features})
