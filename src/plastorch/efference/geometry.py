"""Geometry of class features: cosines within and between classes, effective ranks."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.efference.probes import check_labels
from plastorch.efference.ridge import check_features
from plastorch.engine.errors import InputError


class Geometry(NamedTuple):
    """Statistics of features with classes."""

    within: float
    """Mean cosine over all pairs of samples of the same class."""
    between: float
    """Mean cosine over all pairs of samples of different classes."""
    ratio: float
    """Ratio within / between."""
    class_mean_rank: float
    """Effective rank of the class means around their own mean; at most classes - 1."""
    within_rank: float
    """Effective rank of the samples around their class means."""


@torch.no_grad()
def geometry(features: Tensor, labels: Tensor) -> Geometry:
    """Measures geometry, which efference copies restructure (Scherr, Guo, Moraitis, NeurIPS 2022).

    Sums of unit vectors replace the loop over pairs, for N * D operations.

    Args:
        features: features [N, D].
        labels: classes, int64 [N]; at least two classes, and two samples in some class.

    Raises:
        InputError: shapes or labels don't fit, or features are not finite.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> found = geometry(features, torch.tensor([0, 0, 1, 1]))
        >>> round(found.within, 4), round(found.between, 4)
        (0.8536, 0.3536)
    """
    check_features("features", features)
    check_labels(labels, len(features))
    kinds, index, counts = torch.unique(
        labels.to(features.device), return_inverse=True, return_counts=True
    )
    if len(kinds) < 2 or int(counts.max()) < 2:
        raise InputError(
            f"labels have {len(kinds)} classes, {int(counts.max())} samples at most in one; "
            "expected 2 or more of both"
        )
    x = features.double()
    units = F.normalize(x, dim=1)
    sums = _class_sums(units, index, len(kinds))
    same = sums.square().sum() - units.square().sum()  # ordered pairs within a class
    others = sums.sum(dim=0).square().sum() - sums.square().sum()
    pairs = (counts * (counts - 1)).sum()
    within = float(same / pairs)
    between = float(others / (len(x) ** 2 - counts.square().sum()))
    means = _class_sums(x, index, len(kinds)) / counts[:, None]
    return Geometry(
        within,
        between,
        within / between if between else float("inf"),
        effective_rank(means - means.mean(dim=0)),
        effective_rank(x - means[index]),
    )


def effective_rank(rows: Tensor) -> float:
    """Returns the exponential of the entropy of the normalized eigenvalues of rowsᵀ rows.

    Roy, Vetterli, *The effective rank*, EUSIPCO 2007, applied to the scatter matrix of rows [N, D].
    It is D if all directions vary equally, 1 if only one varies, and 0 if none does.
    """
    check_features("rows", rows)
    values = torch.linalg.svdvals(rows.double()).square()
    if not (total := values.sum()) > 0:
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())


def _class_sums(rows: Tensor, index: Tensor, kinds: int) -> Tensor:
    return rows.new_zeros(kinds, rows.shape[1]).index_add_(0, index, rows)
