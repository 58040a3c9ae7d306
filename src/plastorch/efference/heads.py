"""Heads on an encoder: projections, and a model of the action between two views.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_positive


def projection(
    features: int, hidden: int, out: int, *, layers: int = 2, last_norm: bool = True
) -> nn.Sequential:
    """Builds linear layers with batch normalization and ReLU between them.

    Args:
        features: number of input features.
        hidden: number of units of all layers but the last.
        out: number of units of the last layer.
        layers: number of layers.
        last_norm: normalize the last layer, without shift, as in SimCLR; otherwise it has a bias,
            as in BYOL's projection and prediction.

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
    for inputs in widths[:-1]:
        parts += [nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
    parts.append(nn.Linear(widths[-1], out, bias=not last_norm))
    if last_norm:
        norm = nn.BatchNorm1d(out)
        norm.bias.requires_grad_(False)
        parts.append(norm)
    return nn.Sequential(*parts)


class InverseModel(nn.Module):
    """Inverse model: infers from the features of two views the action between them.

    q_M(g | h, h') is one distribution per factor of the action: a hidden layer with batch
    normalization on the concatenated features, and one linear layer for the logits of all factors.

    Args:
        features: number of features D of the encoder.
        sizes: number of classes of each factor.
        hidden: number of hidden units.

    Raises:
        InputError: there is no factor, or a number is not positive.

    Example:
        >>> inverse = InverseModel(128, sizes=(8, 8, 2))
        >>> [logits.shape[1] for logits in inverse(torch.randn(4, 128), torch.randn(4, 128))]
        [8, 8, 2]
    """

    def __init__(self, features: int, sizes: Sequence[int], hidden: int = 512) -> None:
        super().__init__()
        if len(sizes) == 0 or min(sizes) < 2:
            raise InputError(
                f"sizes is {tuple(sizes)}; expected one factor or more, each of 2 classes"
            )
        self.sizes = list(sizes)
        self.layers = projection(2 * features, hidden, sum(sizes), last_norm=False)

    def forward(self, h: Tensor, h_next: Tensor) -> tuple[Tensor, ...]:
        """Returns the logits of each factor [B, size].

        Args:
            h: features of the view before the action [B, D].
            h_next: features of the view after the action [B, D].
        """
        logits: Tensor = self.layers(torch.cat([h, h_next], dim=1))
        return torch.split(logits, self.sizes, dim=1)
