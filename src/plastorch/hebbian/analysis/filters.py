"""Kernels of neurons: selection and order."""

import torch
from torch import Tensor

from plastorch.engine.errors import check_positive
from plastorch.hebbian.analysis.fields import blocks_until
from plastorch.hebbian.networks import SoftHebbNet, blocks_of


def select_neurons(net: SoftHebbNet, layer: int, count: int) -> list[int]:
    """Returns up to ``count`` neurons of a layer (from 1), most structured kernels first.

    With anti-Hebbian losers (``softkrotov``) a tenth of the first layer's neurons settle at norm 1
    within an epoch of CIFAR-10; the others keep moving, and their kernels keep the initial noise.
    """
    check_positive(count=count)
    weight = blocks_until(net, layer)[-1].conv.weight.detach()
    order = structure(weight).argsort(descending=True, stable=True)
    return [int(neuron) for neuron in order[:count]]


def first_layer_filters(net: SoftHebbNet, count: int = 120) -> Tensor:
    """Returns weights [n, C, k, k] of up to ``count`` first-layer neurons, most structured first.

    They are evenly sampled in that order and unscaled; the paper draws them 15 x 8.
    """
    check_positive(count=count)
    weight = blocks_of(net)[0].conv.weight.detach().contiguous()
    order = structure(weight).argsort(descending=True, stable=True)
    picks = torch.linspace(0, len(order) - 1, min(len(order), count), dtype=torch.float64)
    return weight[order[picks.round().long().to(order.device)]]


def structure(kernels: Tensor) -> Tensor:
    """Returns how patterned kernels [K, C, kh, kw] are: 1 - Geary's C [K] over neighboring pixels.

    Noise gives about 0, edges and plain colors up to 1, at any norm; diverged or constant kernels
    give -1. The paper's code sorts by spatial deviation, which grows with a neuron's norm and so
    puts the neurons that learned least first.
    """
    centered = kernels.double() - kernels.double().mean(dim=(1, 2, 3), keepdim=True)
    steps = [centered.diff(dim=dim).square().flatten(1) for dim in (2, 3)]
    rough = torch.cat(steps, dim=1).sum(1) / max(1, sum(step.shape[1] for step in steps))
    score = 1 - rough / (2 * centered.square().mean(dim=(1, 2, 3)))
    return score.nan_to_num(nan=-1.0, neginf=-1.0).to(kernels.dtype)
