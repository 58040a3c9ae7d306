"""Base of methods that learn from two views, with or without efference copies.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. The loss is λ_D L_D + λ_M L_M: L_D is the method's own, on projections; L_M is that of
an inverse model on the encoder's features. With λ_M = 0 the inverse model is neither made nor
computed. What remains is the method itself, bit for bit, with the same random numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from plastorch.efference.heads import InverseModel
from plastorch.efference.losses import manipulation
from plastorch.engine.errors import InputError


@dataclass(frozen=True)
class Weights:
    """Weights of the parts of the loss.

    Args:
        discrimination: weight λ_D of the method's own loss.
        manipulation: weight λ_M of the inverse model's loss.
        factors: weights of the action's factors in the inverse model's loss, such as 1 / entropy;
            equal if empty.

    Raises:
        InputError: a weight is negative or not finite, both weights are 0, or all factors have
            weight 0 with an inverse model to train.
    """

    discrimination: float = 1.0
    manipulation: float = 0.0
    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("discrimination", "manipulation"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} weight is {getattr(self, name)}; expected 0 or more")
        if not (self.discrimination or self.manipulation):
            raise InputError("both weights are 0; expected one that is more")
        if not all(0 <= value < math.inf for value in self.factors):
            raise InputError(f"factors is {self.factors}; expected weights of 0 or more")
        if self.manipulation and self.factors and not any(self.factors):
            raise InputError(f"factors is {self.factors}; expected weights that are not all 0")


BASELINE = Weights()
"""Weights of the method alone."""


class Losses(NamedTuple):
    """Losses and statistics of a batch of B sources."""

    total: Tensor
    """Loss to minimize."""
    features: Tensor
    """Features h of both views, without gradient [2 B, D]."""
    discrimination: Tensor
    """The method's own loss."""
    manipulation: Tensor | None = None
    """Inverse model's loss; this and the following are None if its weight is 0."""
    per_factor: Tensor | None = None
    """Inverse model's loss for each factor [K], 0 for a factor without targets."""
    right: Tensor | None = None
    """Number of targets the inverse model predicts correctly, per factor, int64 [K]."""
    valid: Tensor | None = None
    """Number of targets per factor, int64 [K]."""


class Method(nn.Module):
    """Base class of methods: an encoder, and an inverse model of the action between two views.

    A subclass adds its own heads, then calls :meth:`_add_inverse_model`, and defines
    :meth:`discrimination`.

    Args:
        encoder: any module from views [B, ...] to features [B, D].
        weights: weights of the losses.
    """

    factors: Tensor

    def __init__(self, encoder: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.encoder, self.weights = encoder, weights
        self.inverse: InverseModel | None = None

    def _add_inverse_model(self, features: int, sizes: Sequence[int]) -> None:
        """Makes the inverse model last, so that other parts start the same without it."""
        if self.weights.factors and len(self.weights.factors) != len(sizes):
            raise InputError(
                f"factors has {len(self.weights.factors)} weights; expected {len(sizes)}, one for "
                "each factor of the action"
            )
        if self.weights.manipulation:
            self.inverse = InverseModel(features, sizes)
            factors = torch.tensor(self.weights.factors or [1.0] * len(sizes))
            self.register_buffer("factors", factors, persistent=False)

    def discrimination(self, h: Tensor, views: Tensor) -> Tensor:
        """Returns the method's own loss.

        Args:
            h: features of both views of each source [2 B, D].
            views: both views of each source [2 B, ...].
        """
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """Updates the target network, if any, after each training update.

        Args:
            progress: completed share of the training, 0 to 1.
        """

    def forward(
        self,
        view_a: Tensor,
        view_b: Tensor,
        targets: Tensor | None = None,
        reverse_targets: Tensor | None = None,
    ) -> Losses:
        """Computes the losses of a batch; both views pass through the encoder as one batch.

        Args:
            view_a: one view of each source [B, ...].
            view_b: another view of each source [B, ...].
            targets: classes of the action from a to b, -1 where there is none, int64 [B, K];
                needed if the inverse model has nonzero weight.
            reverse_targets: classes of the action from b to a, to train both directions.

        Raises:
            InputError: there is only one source, shapes differ, or targets are missing.
        """
        if view_a.shape != view_b.shape or len(view_a) < 2:
            raise InputError(
                f"views have shapes {tuple(view_a.shape)} and {tuple(view_b.shape)}; expected the "
                "same, with two sources or more"
            )
        views = torch.cat([view_a, view_b])
        h = self.encoder(views)
        if h.dim() != 2 or len(h) != len(views):
            raise InputError(f"features have shape {tuple(h.shape)}; expected ({len(views)}, D)")
        own = self.discrimination(h, views)
        losses = Losses(self.weights.discrimination * own, h.detach(), own)
        if self.inverse is None:
            return losses
        h, h_next, targets = _transitions(h, targets, reverse_targets)
        logits = self.inverse(h, h_next)
        loss, each = manipulation(logits, targets, self.factors)
        found = torch.stack([of.argmax(dim=1) for of in logits], dim=1)
        return losses._replace(
            total=losses.total + self.weights.manipulation * loss,
            manipulation=loss,
            per_factor=each,
            right=(found == targets).sum(dim=0),
            valid=(targets >= 0).sum(dim=0),
        )


def _transitions(
    h: Tensor, targets: Tensor | None, reverse_targets: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns features before and after each action, and its classes: a to b, then b to a."""
    if targets is None:
        raise InputError("targets are missing; expected the classes of the action from a to b")
    h_a, h_b = h.chunk(2)
    if len(targets) != len(h_a):
        raise InputError(f"targets are {len(targets)} rows; expected {len(h_a)}, one per source")
    if reverse_targets is None:
        return h_a, h_b, targets
    if reverse_targets.shape != targets.shape:
        raise InputError(
            f"reverse_targets have shape {tuple(reverse_targets.shape)}; expected "
            f"{tuple(targets.shape)}"
        )
    return h, torch.cat([h_b, h_a]), torch.cat([targets, reverse_targets])
