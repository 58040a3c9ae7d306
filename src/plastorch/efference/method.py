"""Base of methods that learn from two views, with or without efference copies.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. The loss is λ_D L_D + λ_M L_M: L_D is the method's own, on projections; L_M is that of
a head that learns from the action, such as an inverse model, on the encoder's features or on those
of its blocks. With λ_M = 0 the head is neither made nor computed. What remains is the method
itself, bit for bit, with the same random numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from plastorch.efference.heads import ActionHead, HeadLosses, InverseModel, Transitions
from plastorch.efference.places import OUTPUT, Reader, check_overflow, read_blocks, shares
from plastorch.engine.errors import InputError

Head = Callable[..., ActionHead]
"""Function from numbers of features and of each factor's classes to a head, such as InverseModel,
AugSelf, EquiMod or ESSL."""
Places = str | Mapping[str, float]
"""Name of the block of an encoder that a head reads, "output" for its features; or names with
weights, for a head on each."""


@dataclass(frozen=True)
class Weights:
    """Weights of the parts of the loss.

    Args:
        discrimination: weight λ_D of the method's own loss.
        manipulation: weight λ_M of the loss of the inverse model, or of another head.
        factors: weights of the action's factors in that loss, such as 1 / entropy; equal if empty.

    Raises:
        InputError: a weight is negative or not finite, both weights are 0, or all factors have
            weight 0 with a head to train.
    """

    discrimination: float = 1.0
    manipulation: float = 0.0
    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("discrimination", "manipulation"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} weight is {getattr(self, name)}; expected 0 or more")
        if not (self.discrimination or self.manipulation):
            raise InputError("both weights are 0; expected at least one above 0")
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
    """Loss of the inverse model, or other head; this and the following are None if its weight is
    0. With heads on several blocks they are weighted means, and sums of the last two."""
    per_factor: Tensor | None = None
    """Head's loss for each factor [K], 0 for a factor without targets."""
    right: Tensor | None = None
    """Number of targets the head predicts correctly, per factor, int64 [K]; None if it predicts no
    classes."""
    valid: Tensor | None = None
    """Number of targets per factor, int64 [K]."""


class Method(nn.Module):
    """Base class of methods: an encoder, and a head that learns from the action between two views.

    A subclass adds its own heads, then calls :meth:`_add_head`, and defines :meth:`discrimination`.

    Args:
        encoder: any module from views [B, ...] to features [B, D].
        weights: weights of the losses.
    """

    factors: Tensor

    def __init__(self, encoder: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.encoder, self.weights = encoder, weights
        self.places: dict[str, float] = {}
        self.readers = nn.ModuleList()
        self.heads = nn.ModuleList()

    @property
    def inverse(self) -> ActionHead | None:
        """Head that learns from the action, the first one if several blocks are read."""
        head = next(iter(self.heads), None)
        assert head is None or isinstance(head, ActionHead)
        return head

    def _add_head(
        self,
        features: int,
        sizes: Sequence[int],
        head: Head = InverseModel,
        at: Places = OUTPUT,
        **made: Any,
    ) -> None:
        """Makes the head last, so that other parts start the same without it."""
        if self.weights.factors and len(self.weights.factors) != len(sizes):
            raise InputError(
                f"factors has {len(self.weights.factors)} weights; expected {len(sizes)}, one for "
                "each factor of the action"
            )
        self.places = shares(self.encoder, at)
        if not self.weights.manipulation:
            return
        for place in self.places:
            reader = Reader(self.encoder, place, features)
            self.readers.append(reader)
            self.heads.append(head(reader.features, sizes, **made))
        given = self.weights.factors or [1.0] * len(sizes)
        factors = torch.tensor(given, device=made.get("device"))
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
            targets: the action from a to b, as classes, -1 where there is none, int64 [B, K], or as
                numbers, where the head asks for them; needed if it has nonzero weight.
            reverse_targets: the action from b to a, to train both directions.

        Raises:
            InputError: there is only one source, shapes differ, targets are missing, features
                overflow half precision (on the CPU), or a block has no map or vector of features.
        """
        if view_a.shape != view_b.shape or len(view_a) < 2:
            raise InputError(
                f"views have shapes {tuple(view_a.shape)} and {tuple(view_b.shape)}; expected the "
                "same, with two sources or more"
            )
        views = torch.cat([view_a, view_b])
        head = self.inverse
        if head is None:
            h, own = self._own(self.encoder(views), views)
            return Losses(self.weights.discrimination * own, h.detach(), own)
        targets = _checked(targets, reverse_targets, len(view_a))
        more = head.more_views(view_a, targets)
        seen = views if more is None else torch.cat([views, more])
        output, read = read_blocks(self.encoder, seen, self.places)
        h, own = self._own(output[: len(views)], views)
        actions = targets, reverse_targets
        heads = cast("list[ActionHead]", list(self.heads))
        found = [
            each.losses(_transitions(reader(block), len(view_a), *actions), self.factors)
            for each, reader, block in zip(heads, self.readers, read, strict=True)
        ]
        return self._joined(own, h, found)

    def predicted(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """Returns the action's classes by inverse models, from the sum of their logits [B, K].

        Args:
            view_a: one view of each source [B, ...].
            view_b: another view of each source [B, ...].
        """
        blocks = (read_blocks(self.encoder, of, self.places)[1] for of in (view_a, view_b))
        logits = [
            head(reader(a), reader(b))
            for head, reader, a, b in zip(self.heads, self.readers, *blocks, strict=True)
        ]
        parts = list(self.places.values())
        factors = [_weighted(of, parts) for of in zip(*logits, strict=True)]
        return torch.stack([of.argmax(dim=1) for of in factors], dim=1)

    def _own(self, h: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features of both views, checked, and the method's own loss."""
        if h.dim() != 2 or len(h) != len(views):
            raise InputError(f"features have shape {tuple(h.shape)}; expected ({len(views)}, D)")
        check_overflow("features", h)
        return h, self.discrimination(h, views)

    def _joined(self, own: Tensor, h: Tensor, found: Sequence[HeadLosses]) -> Losses:
        """Returns the losses of a method with its heads on each place."""
        parts = list(self.places.values())
        loss = _weighted([of.total for of in found], parts)
        return Losses(
            self.weights.discrimination * own + self.weights.manipulation * loss,
            h.detach(),
            own,
            loss,
            per_factor=_weighted([of.per_factor for of in found], parts),
            right=_summed([of.right for of in found]),
            valid=_summed([of.valid for of in found]),
        )


def _weighted(values: Sequence[Tensor], parts: Sequence[float]) -> Tensor:
    """Returns the weighted sum; a single value, of weight 1, stays as it is."""
    if len(values) == 1:
        return values[0]
    return torch.stack([part * value for part, value in zip(parts, values, strict=True)]).sum(dim=0)


def _summed(counts: Sequence[Tensor | None]) -> Tensor | None:
    known = [count for count in counts if count is not None]
    return torch.stack(known).sum(dim=0) if known else None


def _checked(targets: Tensor | None, reverse_targets: Tensor | None, sources: int) -> Tensor:
    if targets is None:
        raise InputError("targets are missing; expected the action from a to b")
    if len(targets) != sources:
        raise InputError(f"targets are {len(targets)} rows; expected {sources}, one per source")
    if reverse_targets is not None and reverse_targets.shape != targets.shape:
        raise InputError(
            f"reverse_targets have shape {tuple(reverse_targets.shape)}; expected "
            f"{tuple(targets.shape)}"
        )
    return targets


def _transitions(
    read: Tensor, sources: int, targets: Tensor, reverse_targets: Tensor | None
) -> Transitions:
    """Returns features before and after each action, and the action: a to b, then b to a."""
    h, more = read[: 2 * sources], read[2 * sources :]
    h_a, h_b = h.chunk(2)
    own = more if len(more) else None
    if reverse_targets is None:
        return Transitions(h_a, h_b, targets, sources, own)
    both = torch.cat([targets, reverse_targets])
    return Transitions(h, torch.cat([h_b, h_a]), both, sources, own)
