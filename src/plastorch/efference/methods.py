"""SimCLR, BYOL and ReLIC with one interface, each with or without efference copies.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.efference.heads import InverseModel, projection
from plastorch.efference.losses import byol, nt_xent, relic
from plastorch.efference.method import BASELINE, Head, Method, Places, Weights
from plastorch.efference.places import OUTPUT
from plastorch.engine.errors import InputError, check_positive


class SimCLR(Method):
    """SimCLR: distinguishes the other view of the same source from all other views.

    Chen, Kornblith, Norouzi, Hinton, ICML 2020, arXiv 2002.05709.

    Args:
        encoder: any module from views [B, ...] to features [B, D].
        features: number of features D.
        sizes: class counts of the action's factors; needed if their weight is above 0.
        weights: weights of the losses.
        efference: head that learns from the action: :class:`InverseModel`, or one of
            :mod:`~plastorch.efference.rivals`.
        efference_at: block of the encoder that the head reads, such as "layer3", or blocks with
            weights; "output" means the features.
        hidden: number of hidden units of the projection.
        out: dimension P of the projection.
        temperature: temperature T.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> from plastorch.efference.encoders import small_resnet
        >>> method = SimCLR(small_resnet(8), 32, (8, 2), Weights(manipulation=1.0))
        >>> actions = torch.tensor([[3, 0], [7, 1], [0, -1], [2, 0]])
        >>> losses = method(torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32), actions)
        >>> losses.total.backward()
        >>> losses.valid
        tensor([4, 3])
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        sizes: Sequence[int] = (),
        weights: Weights = BASELINE,
        *,
        efference: Head = InverseModel,
        efference_at: Places = OUTPUT,
        hidden: int = 512,
        out: int = 64,
        temperature: float = 0.5,
        **made: Any,
    ) -> None:
        super().__init__(encoder, weights)
        check_positive(temperature=temperature)
        self.projection = projection(features, hidden, out, **made)
        self.temperature = temperature
        self._add_head(features, sizes, efference, efference_at, **made)

    def discrimination(self, h: Tensor, views: Tensor) -> Tensor:
        """Returns :func:`~plastorch.efference.losses.nt_xent` of the projections."""
        z_a, z_b = self.projection(h).chunk(2)
        return nt_xent(z_a, z_b, self.temperature)


class TargetMethod(Method):
    """Method with a target network: encoder and projection that follow the trained ones.

    After each update the target's parameters move by 1 - τ toward the trained ones; τ goes from
    ``tau`` to 1 along half a cosine.
    """

    def __init__(self, encoder: nn.Module, weights: Weights, head: nn.Module, tau: float) -> None:
        super().__init__(encoder, weights)
        if not 0 <= tau <= 1:
            raise InputError(f"tau is {tau}; expected 0 to 1")
        self.projection, self.tau = head, tau
        self.target = deepcopy(nn.Sequential(encoder, head)).requires_grad_(False)

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Updates the target network."""
        share = (1 - self.tau) * (1 + math.cos(math.pi * progress)) / 2
        learner = [*self.encoder.parameters(), *self.projection.parameters()]
        for target, parameter in zip(self.target.parameters(), learner, strict=True):
            target.lerp_(parameter, share)

    @torch.no_grad()
    def target_projections(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the target network's projections of both views [B, P]."""
        z_a, z_b = self.target(views).chunk(2)
        return z_a, z_b


class BYOL(TargetMethod):
    """BYOL: predicts a target network's projection of the other view.

    Grill et al., NeurIPS 2020, arXiv 2006.07733. The loss is the mean over both views, half of the
    paper's sum.

    Args:
        encoder: any module from views [B, ...] to features [B, D].
        features: number of features D.
        sizes: class counts of the action's factors; needed if their weight is above 0.
        weights: weights of the losses.
        efference: head that learns from the action: :class:`InverseModel`, or one of
            :mod:`~plastorch.efference.rivals`.
        efference_at: block of the encoder that the head reads, such as "layer3", or blocks with
            weights; "output" means the features.
        hidden: number of hidden units of projection and predictor.
        out: dimension P of both.
        tau: initial τ of the target network.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> method = BYOL(nn.Flatten(), 12)
        >>> bool(method(torch.rand(4, 3, 2, 2), torch.rand(4, 3, 2, 2)).total > 0)
        True
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        sizes: Sequence[int] = (),
        weights: Weights = BASELINE,
        *,
        efference: Head = InverseModel,
        efference_at: Places = OUTPUT,
        hidden: int = 512,
        out: int = 128,
        tau: float = 0.996,
        **made: Any,
    ) -> None:
        head = projection(features, hidden, out, last_norm=False, **made)
        super().__init__(encoder, weights, head, tau)
        self.predictor = projection(out, hidden, out, last_norm=False, **made)
        self._add_head(features, sizes, efference, efference_at, **made)

    def discrimination(self, h: Tensor, views: Tensor) -> Tensor:
        """Returns :func:`~plastorch.efference.losses.byol` of predictions and targets."""
        target_a, target_b = self.target_projections(views)
        return byol(self.predictor(self.projection(h)), torch.cat([target_b, target_a]))


class ReLIC(TargetMethod):
    """ReLIC: identifies the source, with the same distribution from both views.

    Mitrovic, McWilliams, Walker, Buesing, Blundell, ICLR 2021, arXiv 2010.07922.

    Args:
        encoder: any module from views [B, ...] to features [B, D].
        features: number of features D.
        sizes: class counts of the action's factors; needed if their weight is above 0.
        weights: weights of the losses.
        efference: head that learns from the action: :class:`InverseModel`, or one of
            :mod:`~plastorch.efference.rivals`.
        efference_at: block of the encoder that the head reads, such as "layer3", or blocks with
            weights; "output" means the features.
        hidden: number of hidden units of the projection.
        out: dimension P of the projection.
        temperature: temperature T.
        alpha: weight α of the divergence between both views' distributions.
        tau: initial τ of the target network.
        made: generator, device and dtype of the initial weights, as of
            :func:`~plastorch.efference.heads.projection`.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> method = ReLIC(nn.Flatten(), 12)
        >>> bool(method(torch.rand(4, 3, 2, 2), torch.rand(4, 3, 2, 2)).total > 0)
        True
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        sizes: Sequence[int] = (),
        weights: Weights = BASELINE,
        *,
        efference: Head = InverseModel,
        efference_at: Places = OUTPUT,
        hidden: int = 512,
        out: int = 64,
        temperature: float = 0.5,
        alpha: float = 1.0,
        tau: float = 0.996,
        **made: Any,
    ) -> None:
        super().__init__(encoder, weights, projection(features, hidden, out, **made), tau)
        check_positive(temperature=temperature)
        if not alpha >= 0:
            raise InputError(f"alpha is {alpha}; expected 0 or more")
        self.temperature, self.alpha = temperature, alpha
        self._add_head(features, sizes, efference, efference_at, **made)

    def discrimination(self, h: Tensor, views: Tensor) -> Tensor:
        """Returns :func:`~plastorch.efference.losses.relic` of projections and targets."""
        z = (*self.projection(h).chunk(2), *self.target_projections(views))
        return relic(*z, temperature=self.temperature, alpha=self.alpha)
