"""What methods share that learn from two views, with or without efference copies.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. The loss is λ_D L_D + λ_M L_M: L_D is the method's own, on projections, L_M that of an
inverse model on the encoder's features. With λ_M = 0 nothing of the latter is made or computed:
what remains is the method itself, bit for bit, with the same random numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from plastorch.efference.heads import ForwardModel, InverseModel
from plastorch.efference.losses import byol, manipulation
from plastorch.engine.errors import InputError


@dataclass(frozen=True)
class Weights:
    """Of the parts of the loss.

    Args:
        discrimination: λ_D, of the method's own loss.
        manipulation: λ_M, of the inverse model's.
        forward: of the forward model's.
        factors: of the action's factors within the inverse model's loss, such as 1 / entropy; all
            the same if empty.

    Raises:
        InputError: if a weight is negative or not finite, or all are 0; if all of the factors are,
            with an inverse model to learn them.
    """

    discrimination: float = 1.0
    manipulation: float = 0.0
    forward: float = 0.0
    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        parts = {
            "discrimination": self.discrimination,
            "manipulation": self.manipulation,
            "forward": self.forward,
        }
        for name, value in parts.items():
            if not 0 <= value < math.inf:
                raise InputError(f"{name} weight is {value}; expected 0 or more")
        if not any(parts.values()):
            raise InputError("all weights are 0; expected one that is more")
        if not all(0 <= value < math.inf for value in self.factors):
            raise InputError(f"factors is {self.factors}; expected weights of 0 or more")
        if self.manipulation and self.factors and not any(self.factors):
            raise InputError(f"factors is {self.factors}; expected weights that are not all 0")


BASELINE = Weights()
"""The method alone."""


class Losses(NamedTuple):
    """Of a batch of B sources."""

    total: Tensor
    """To be minimised."""
    features: Tensor
    """h of both views, without gradient [2 B, D]."""
    discrimination: Tensor
    """The method's own loss."""
    manipulation: Tensor | None = None
    """The inverse model's; None, as what follows, if its weight is 0."""
    per_factor: Tensor | None = None
    """The same for each factor [K], 0 for one without targets."""
    right: Tensor | None = None
    """Targets of each factor that the inverse model finds, int64 [K]."""
    valid: Tensor | None = None
    """Targets that each factor has, int64 [K]."""
    forward: Tensor | None = None
    """The forward model's; None if its weight is 0."""


class Method(nn.Module):
    """What the methods share: an encoder, and models of the action between two views.

    A subclass adds its own heads, then calls :meth:`_add_action_models`, and says what its
    :meth:`discrimination` is.

    Args:
        encoder: any module from views [B, ...] to features [B, D].
        weights: of the losses.
    """

    def __init__(self, encoder: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.encoder, self.weights = encoder, weights
        self.inverse: InverseModel | None = None
        self.forward_model: ForwardModel | None = None

    def _add_action_models(self, features: int, sizes: Sequence[int]) -> None:
        """Makes them last, so that the other parts start the same with and without them."""
        if self.weights.factors and len(self.weights.factors) != len(sizes):
            raise InputError(
                f"factors has {len(self.weights.factors)} weights; expected {len(sizes)}, one for "
                "each factor of the action"
            )
        if self.weights.manipulation:
            self.inverse = InverseModel(features, sizes)
        if self.weights.forward:
            self.forward_model = ForwardModel(features, sizes)

    @property
    def needs_targets(self) -> bool:
        """Whether the loss asks for the actions between the views."""
        return self.inverse is not None or self.forward_model is not None

    def discrimination(self, h: Tensor, views: Tensor) -> Tensor:
        """The method's own loss.

        Args:
            h: features of both views of each source [2 B, D].
            views: both views [2 B, ...].
        """
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """Moves the target network, if there is one, after each update.

        Args:
            progress: share of the training that is done, 0 to 1.
        """

    def forward(
        self,
        view_a: Tensor,
        view_b: Tensor | None = None,
        targets: Tensor | None = None,
        reverse_targets: Tensor | None = None,
    ) -> Losses:
        """The losses of a batch; both views go through the encoder as one batch.

        Args:
            view_a: one view of each source [B, ...].
            view_b: another [B, ...].
            targets: classes of the factors of the action from a to b, -1 where there is none, int64
                [B, K]; needed if a weight of theirs is not 0.
            reverse_targets: those of the action from b to a; if given, both directions are learnt.

        Raises:
            InputError: if there is one view only, or one source, or shapes differ, or targets are
                missing.
        """
        views = torch.cat(_checked_views(view_a, view_b))
        h = self.encoder(views)
        if h.dim() != 2 or len(h) != len(views):
            raise InputError(f"features have shape {tuple(h.shape)}; expected ({len(views)}, D)")
        own = self.discrimination(h, views)
        losses = Losses(self.weights.discrimination * own, h.detach(), own)
        if not self.needs_targets:
            return losses
        return self._with_actions(losses, *_transitions(h, targets, reverse_targets))

    def _with_actions(self, losses: Losses, h: Tensor, h_next: Tensor, targets: Tensor) -> Losses:
        """The same losses, and those of the models of the action from h to h_next."""
        total = losses.total
        if self.inverse is not None:
            logits = self.inverse(h, h_next)
            factors = torch.tensor(self.weights.factors or [1.0] * len(logits), device=h.device)
            loss, each = manipulation(logits, targets, factors)
            found = torch.stack([of.argmax(dim=1) for of in logits], dim=1)
            total = total + self.weights.manipulation * loss
            losses = losses._replace(
                manipulation=loss,
                per_factor=each,
                right=(found == targets).sum(dim=0),
                valid=(targets >= 0).sum(dim=0),
            )
        if self.forward_model is not None:
            loss = byol(self.forward_model(h, targets), h_next)
            total = total + self.weights.forward * loss
            losses = losses._replace(forward=loss)
        return losses._replace(total=total)


def _checked_views(view_a: Tensor, view_b: Tensor | None) -> tuple[Tensor, Tensor]:
    if view_b is None:
        raise InputError("view_b is missing; expected a second view of each source")
    if view_a.shape != view_b.shape or len(view_a) < 2:
        raise InputError(
            f"views have shapes {tuple(view_a.shape)} and {tuple(view_b.shape)}; expected the "
            "same, with two sources or more"
        )
    return view_a, view_b


def _transitions(
    h: Tensor, targets: Tensor | None, reverse_targets: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Features before and after each action, and its classes: from a to b, then from b to a."""
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
