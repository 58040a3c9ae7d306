"""Other heads that learn from actions, on the same encoder and views as the inverse model.

AugSelf and E-SSL predict the action, EquiMod its effect. All take the place of
:class:`~plastorch.efference.heads.InverseModel` in a method, by its argument ``efference``; each
has targets of its own: :class:`~plastorch.efference.values.Values` or
:class:`~plastorch.efference.values.Rotations`.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.efference.heads import ActionHead, HeadLosses, Transitions, hits, projection
from plastorch.efference.losses import manipulation, similarity, single
from plastorch.engine.distributed import gathered, worker
from plastorch.engine.errors import InputError, check_positive


class AugSelf(ActionHead):
    """AugSelf: predicts differences of the parameters of two augmentations, as numbers.

    Lee, Lee, Lee, Lee, Shin, *Improving Transferability of Representations via Augmentation-Aware
    Self-Supervision*, NeurIPS 2021, arXiv 2111.09613. The loss is ‖φ(h, h') - (ω' - ω)‖², with one
    hidden layer for φ, as in the inverse model.

    Args:
        features: number of features D of the encoder.
        sizes: one number per difference, as of :class:`~plastorch.efference.values.Values`.
        hidden: number of hidden units.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Raises:
        InputError: there is no difference to predict, or a number is not positive.

    Example:
        >>> AugSelf(128, sizes=(1,) * 8)(torch.randn(4, 128), torch.randn(4, 128)).shape
        torch.Size([4, 8])
    """

    def __init__(
        self, features: int, sizes: Sequence[int], *, hidden: int = 512, **made: Any
    ) -> None:
        super().__init__()
        check_positive(sizes=len(sizes))
        self.layers = projection(2 * features, hidden, len(sizes), last_norm=False, **made)

    def forward(self, h: Tensor, h_next: Tensor) -> Tensor:
        """Returns the predicted differences [B, K] of features before and after [B, D]."""
        predicted: Tensor = self.layers(torch.cat([h, h_next], dim=1))
        return predicted

    def losses(self, of: Transitions, weights: Tensor) -> HeadLosses:
        """Returns the mean squared error, weighted over the differences."""
        predicted, wanted = single(self(of.before, of.after)), _numbers(of.targets)
        if wanted.shape != predicted.shape:
            raise InputError(
                f"targets have shape {tuple(wanted.shape)}; expected {tuple(predicted.shape)}"
            )
        each = (predicted - wanted).square().mean(dim=0)
        return HeadLosses((each * weights).sum() / weights.sum(), each.detach())


class EquiMod(ActionHead):
    """EquiMod: predicts the embedding of a view from that of another, and the action between them.

    Devillers, Lefort, *EquiMod: An Equivariance Module to Improve Visual Instance Discrimination*,
    ICLR 2023, arXiv 2211.01244. With embeddings z = g(h) of its own and predictions ẑ, the loss is
    the mean of -log(exp(cos(z_i, ẑ_i) / T) / Σ_k exp(cos(z_i, z_k) / T)) over views i; k are all
    views of other sources. The paper predicts from an image without augmentation, a third view;
    here the prediction is from the other view, so that all heads see the same views.

    Args:
        features: number of features D of the encoder.
        sizes: one number per parameter of the action, as of
            :class:`~plastorch.efference.values.Values`.
        hidden: number of hidden units of embedding and predictor.
        out: dimension P of embeddings.
        temperature: temperature T.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Raises:
        InputError: the action has no parameter, or a number is not positive.

    Example:
        >>> head = EquiMod(128, sizes=(1,) * 12)
        >>> head(torch.randn(4, 128), torch.randn(4, 12)).shape
        torch.Size([4, 64])
    """

    def __init__(
        self,
        features: int,
        sizes: Sequence[int],
        *,
        hidden: int = 512,
        out: int = 64,
        temperature: float = 0.2,
        **made: Any,
    ) -> None:
        super().__init__()
        check_positive(sizes=len(sizes), temperature=temperature)
        self.temperature = temperature
        self.embedding = projection(features, hidden, out, **made)
        self.predictor = projection(out + len(sizes), hidden, out, last_norm=False, **made)

    def forward(self, h: Tensor, action: Tensor) -> Tensor:
        """Returns predicted embeddings [B, P] of features before [B, D] and actions [B, K]."""
        predicted: Tensor = self.predictor(torch.cat([self.embedding(h), action], dim=1))
        return predicted

    def losses(self, of: Transitions, weights: Tensor) -> HeadLosses:
        """Returns the loss of predicted embeddings; it has one factor."""
        z, z_next = self.embedding(torch.cat([of.before, of.after])).chunk(2)
        predicted = self.predictor(torch.cat([z, _numbers(of.targets).to(z)], dim=1))
        loss = equivariance(predicted, z_next, of.sources, temperature=self.temperature)
        return HeadLosses(loss, loss.detach()[None])


class ESSL(ActionHead):
    """E-SSL: predicts by how many quarter turns a view was rotated.

    Dangovski et al., *Equivariant Contrastive Learning*, ICLR 2022, arXiv 2111.00899. One view of
    each source is rotated and passes through the encoder along with the two of the method, which
    costs half as much again; the paper rotates each by all four angles. The loss is the
    cross-entropy.

    Args:
        features: number of features D of the encoder.
        sizes: classes of the rotation, (4,), as of
            :class:`~plastorch.efference.values.Rotations`.
        hidden: number of units of both hidden layers.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Raises:
        InputError: sizes are not (4,).

    Example:
        >>> ESSL(128)(torch.randn(4, 128)).shape
        torch.Size([4, 4])
    """

    def __init__(
        self, features: int, sizes: Sequence[int] = (4,), *, hidden: int = 512, **made: Any
    ) -> None:
        super().__init__()
        if tuple(sizes) != (4,):
            raise InputError(f"sizes is {tuple(sizes)}; expected (4,), the quarters of a turn")
        self.layers = projection(features, hidden, 4, layers=3, last_norm=False, **made)

    def forward(self, h: Tensor) -> Tensor:
        """Returns logits [B, 4] of the features of turned views [B, D]."""
        logits: Tensor = self.layers(h)
        return logits

    def more_views(self, view_a: Tensor, targets: Tensor) -> Tensor:
        """Turns one view of each source by the quarters in ``targets`` [B, 1]."""
        if view_a.dim() != 4 or view_a.shape[2] != view_a.shape[3]:
            raise InputError(f"views have shape {tuple(view_a.shape)}; expected square images")
        if targets.shape != (len(view_a), 1):
            raise InputError(
                f"targets have shape {tuple(targets.shape)}; expected {(len(view_a), 1)}: quarters"
            )
        turned = torch.stack([view_a.rot90(k, (2, 3)) for k in range(4)])
        return turned[targets[:, 0], torch.arange(len(view_a), device=view_a.device)]

    def losses(self, of: Transitions, weights: Tensor) -> HeadLosses:
        """Returns the cross-entropy of the rotations."""
        assert of.more is not None
        logits, targets = [self(of.more)], of.targets[: of.sources]
        total, each = manipulation(logits, targets, weights)
        return HeadLosses(total, each, *hits(logits, targets))


def equivariance(
    predicted: Tensor, embedding: Tensor, sources: int, temperature: float = 0.2
) -> Tensor:
    """Returns EquiMod's loss -cos(z, ẑ) / T + log Σ_k exp(cos(z, z_k) / T), mean over rows.

    Args:
        predicted: predicted embeddings ẑ [R, P].
        embedding: embeddings z of the same views [R, P].
        sources: number of sources B; row r is of source r mod B, and k are the rows, of all
            workers, of other sources.
        temperature: temperature T.

    Raises:
        InputError: shapes differ, there are fewer than two sources, or T is not positive.

    Example:
        >>> z = torch.eye(3)
        >>> equivariance(z, z, sources=3, temperature=1.0)  # log(2) - 1
        tensor(-0.3069)
    """
    check_positive(temperature=temperature)
    if predicted.shape != embedding.shape or not 2 <= sources <= len(embedding):
        raise InputError(
            f"embeddings have shapes {tuple(predicted.shape)} and {tuple(embedding.shape)} of "
            f"{sources} sources; expected the same, of two sources or more"
        )
    keys = gathered(embedding)
    logits = similarity(embedding, keys, temperature)
    source = torch.arange(len(keys), device=keys.device) % len(embedding) % sources
    source += torch.arange(len(keys), device=keys.device) // len(embedding) * sources
    own = source[len(embedding) * worker() :][: len(embedding)]
    logits = logits.masked_fill(own[:, None] == source, torch.finfo(logits.dtype).min)
    near = F.cosine_similarity(single(embedding), single(predicted), dim=1) / temperature
    return (logits.logsumexp(dim=1) - near).mean()


def _numbers(targets: Tensor) -> Tensor:
    if not targets.is_floating_point():
        raise InputError(f"targets are {targets.dtype}; expected numbers, as of Values")
    return targets
