"""Heads on an encoder: projections, and models of the action between two views.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.efference.losses import manipulation
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.streams import made_with


def projection(
    features: int,
    hidden: int,
    out: int,
    *,
    layers: int = 2,
    last_norm: bool = True,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Sequential:
    """Builds linear layers with batch normalization and ReLU between them.

    Args:
        features: number of input features.
        hidden: number of units of all layers but the last.
        out: number of units of the last layer.
        layers: number of layers.
        last_norm: whether to normalize the last layer, without shift, as in SimCLR; otherwise it
            has a bias, as in BYOL's projection and prediction.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the weights.
        dtype: type of the weights.

    Returns:
        Module from [B, features] to [B, out].

    Raises:
        InputError: a number is not positive.

    Example:
        >>> projection(128, 512, 64)(torch.randn(8, 128)).shape
        torch.Size([8, 64])
    """
    check_positive(features=features, hidden=hidden, out=out, layers=layers)
    widths = [features] + [hidden] * (layers - 1)
    parts: list[nn.Module] = []
    with made_with(generator, device, dtype):
        for inputs in widths[:-1]:
            parts += [nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
        parts.append(nn.Linear(widths[-1], out, bias=not last_norm))
        if last_norm:
            norm = nn.BatchNorm1d(out)
            norm.bias.requires_grad_(False)
            parts.append(norm)
    return nn.Sequential(*parts)


class Transitions(NamedTuple):
    """R actions, each from one view of a source to another, and what a head reads of the views."""

    before: Tensor
    """Features of the views before the actions [R, D]."""
    after: Tensor
    """Features of the views after the actions [R, D]."""
    targets: Tensor
    """Actions, from the ``targets`` of efference copies [R, K]."""
    sources: int
    """Number of sources B; row r is of source r mod B."""
    more: Tensor | None = None
    """Features of the head's own views, see :meth:`ActionHead.more_views`."""


class HeadLosses(NamedTuple):
    """Loss of a head, and its statistics for each of K factors."""

    total: Tensor
    per_factor: Tensor
    """Loss of each factor, without gradient [K]."""
    right: Tensor | None = None
    """Number of correctly predicted classes, int64 [K]; None if the head predicts no classes."""
    valid: Tensor | None = None
    """Number of targets, int64 [K]."""


class ActionHead(nn.Module):
    """Base of heads that learn from actions between views, each made as ``head(features, sizes)``.

    Subclasses define :meth:`losses`.
    """

    def more_views(self, view_a: Tensor, targets: Tensor) -> Tensor | None:
        """Makes the views that a head needs besides the two of the method, if any.

        Args:
            view_a: one view of each source [B, ...].
            targets: actions [B, K].
        """
        return None

    def losses(self, of: Transitions, weights: Tensor) -> HeadLosses:
        """Returns the loss of predicting actions, or of predicting features from actions.

        Args:
            of: transitions.
            weights: weights of the factors [K].
        """
        raise NotImplementedError


class InverseModel(ActionHead):
    """Inverse model: infers the action between two views from their features.

    q_M(g | h, h') is one distribution per factor of the action: a hidden layer with batch
    normalization on the concatenated features, and one linear layer for the logits of all factors.

    Args:
        features: number of features D of the encoder.
        sizes: number of classes of each factor; 1 for a factor that never changes.
        hidden: number of hidden units.
        made: generator, device and dtype of the initial weights, as of :func:`projection`.

    Raises:
        InputError: there is no factor, or a number is not positive.

    Example:
        >>> inverse = InverseModel(128, sizes=(8, 8, 2))
        >>> [logits.shape[1] for logits in inverse(torch.randn(4, 128), torch.randn(4, 128))]
        [8, 8, 2]
    """

    def __init__(
        self, features: int, sizes: Sequence[int], *, hidden: int = 512, **made: Any
    ) -> None:
        super().__init__()
        if len(sizes) == 0 or min(sizes) < 1:
            raise InputError(
                f"sizes is {tuple(sizes)}; expected one factor or more, each of a class or more"
            )
        self.sizes = list(sizes)
        self.layers = projection(2 * features, hidden, sum(sizes), last_norm=False, **made)

    def forward(self, h: Tensor, h_next: Tensor) -> tuple[Tensor, ...]:
        """Returns the logits of each factor [B, size].

        Args:
            h: features of the view before the action [B, D].
            h_next: features of the view after the action [B, D].
        """
        logits: Tensor = self.layers(torch.cat([h, h_next], dim=1))
        return torch.split(logits, self.sizes, dim=1)

    def losses(self, of: Transitions, weights: Tensor) -> HeadLosses:
        """Returns the cross-entropy of the actions' classes, see :func:`manipulation`."""
        logits = self(of.before, of.after)
        total, each = manipulation(logits, of.targets, weights)
        return HeadLosses(total, each, *hits(logits, of.targets))


def hits(logits: Sequence[Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns how many classes are predicted correctly, and how many targets there are [K]."""
    found = torch.stack([of.argmax(dim=1) for of in logits], dim=1)
    return (found == targets).sum(dim=0), (targets >= 0).sum(dim=0)
