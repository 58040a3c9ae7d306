"""Kernels of neurons: selection and order."""

import torch
from torch import Tensor

from plastorch.engine.errors import check_positive
from plastorch.hebbian.analysis.fields import blocks_until
from plastorch.hebbian.networks import SoftHebbNet, blocks_of


def select_neurons(net: SoftHebbNet, layer: int, count: int) -> list[int]:
    """Returns the neurons of a layer whose kernels are the most structured.

    With anti-Hebbian losers (``softkrotov``) a tenth of the first layer's settles at norm 1 within
    an epoch of CIFAR-10; the others move on, and their kernels keep the noise of their start.

    Args:
        net: network.
        layer: number of the layer, from 1.
        count: number of neurons; all of them if the layer has fewer.

    Returns:
        Indices of the neurons, by falling :func:`structure` of their kernels.

    Raises:
        InputError: no such layer, or a count that is not positive.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> net = SoftHebbNet(preset("cifar10", depth=1), 3, 32, classes=10)
        >>> len(select_neurons(net, layer=1, count=72))
        72
    """
    check_positive(count=count)
    weight = blocks_until(net, layer)[-1].conv.weight.detach()
    order = structure(weight).argsort(descending=True, stable=True)
    return [int(neuron) for neuron in order[:count]]


def first_layer_filters(net: SoftHebbNet, count: int = 120) -> Tensor:
    """Returns weights of first-layer neurons, most structured first; the paper draws them 15 x 8.

    Args:
        net: network.
        count: number of neurons, evenly sampled in that order; all if the layer has fewer.

    Returns:
        Weights [n, C, k, k], unscaled.

    Raises:
        InputError: count that is not positive.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> net = SoftHebbNet(preset("cifar10", depth=1), 3, 32, classes=10)
        >>> first_layer_filters(net, count=24).shape
        torch.Size([24, 3, 5, 5])
    """
    check_positive(count=count)
    weight = blocks_of(net)[0].conv.weight.detach().contiguous()
    order = structure(weight).argsort(descending=True, stable=True)
    picks = torch.linspace(0, len(order) - 1, min(len(order), count), dtype=torch.float64)
    return weight[order[picks.round().long().to(order.device)]]


def structure(kernels: Tensor) -> Tensor:
    """Returns how patterned kernels are, at any length: 1 - Geary's C over neighboring pixels.

    Noise gives about 0, edges and plain colors up to 1. The spatial deviation, by which the
    paper's code sorts, grows with a neuron's norm, and so puts neurons that learned least first.

    Args:
        kernels: kernels [K, C, kh, kw].

    Returns:
        Structure [K]; a diverged neuron, or one without any variance, has -1 and comes last.

    Example:
        >>> edge, stripes = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
        >>> edge[..., :2], stripes[..., ::2] = -1, -1
        >>> structure(torch.cat([edge, stripes])).round(decimals=2)
        tensor([0.6700, 0.0000])
    """
    centered = kernels.double() - kernels.double().mean(dim=(1, 2, 3), keepdim=True)
    steps = [centered.diff(dim=dim).square().flatten(1) for dim in (2, 3)]
    rough = torch.cat(steps, dim=1).sum(1) / max(1, sum(step.shape[1] for step in steps))
    score = 1 - rough / (2 * centered.square().mean(dim=(1, 2, 3)))
    return score.nan_to_num(nan=-1.0, neginf=-1.0).to(kernels.dtype)
