"""Frozen networks made fast: what is linear in a block becomes a part of its weights."""

from copy import copy
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from plastorch.hebbian.layers import at_least_float32
from plastorch.hebbian.networks import SoftHebbBlock, SoftHebbNet, blocks_of
from plastorch.hebbian.winograd import convolve, transformed


def folded(net: SoftHebbNet) -> SoftHebbNet:
    """Returns a network with the features of a frozen one, from fewer operations.

    Normalization by running statistics, and Triangle's subtraction of the mean over channels,
    become a part of the weights. Convolutions of 3 x 3 take Winograd's form on CPUs in single
    precision. Blocks with several groups or ``pre_triangle`` stay as they are.

    Args:
        net: trained network, switched to eval mode; its blocks must not change from now on.

    Returns:
        Network for ``features``, which shares the readout and the wide layer; of a folded network,
        an equal one.

    Example:
        >>> net = SoftHebbNet.from_preset("cifar10", depth=2, width="quarter").eval()
        >>> images = torch.rand(2, 3, 32, 32)
        >>> features, own = folded(net).features(images), net.features(images)
        >>> bool((features - own).abs().max() < 1e-4 * own.max())
        True
    """
    found = copy(net.eval())
    found._modules = dict(net._modules)
    blocks = (block if _stays(block) else FoldedBlock(block) for block in blocks_of(net))
    found.blocks = nn.ModuleList(blocks)
    return found.eval()


class FoldedBlock(SoftHebbBlock):
    """A frozen block whose pre-activations are already centered.

    Products in half precision are those of the block itself, so that both round alike.
    """

    def __init__(self, block: SoftHebbBlock) -> None:
        nn.Module.__init__(self)
        self.block, self.spec, self.conv = block, block.spec, block.conv
        weight, bias = _with_norm(block)
        if block.spec.activation == "triangle":
            weight, bias = weight - weight.mean(dim=0), bias - bias.mean()
        dtype = block.conv.weight.dtype
        self.weight = weight.to(dtype, memory_format=torch.channels_last)
        self.bias = bias.to(dtype)

    @cached_property
    def _winograd(self) -> Tensor | None:
        """Weights in Winograd's form, which half precision doesn't need."""
        return transformed(self.weight) if self.conv._suits_winograd() else None

    def pre_activation(self, x: Tensor) -> Tensor:
        """Returns u [B, K, H, W] of maps [B, C, H, W], less its mean over channels."""
        if torch.is_autocast_enabled(x.device.type):
            return self.block._center(self.block.pre_activation(x))
        x = self.conv._padded(x)
        if self._winograd is None or x.requires_grad:
            return at_least_float32(F.conv2d(x, self.weight, self.bias))
        return convolve(x, self._winograd, self.bias)

    def activate_pairs(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Activates and pools ON neurons, then OFF neurons; on CPUs in one pass over the maps."""
        from plastorch.hebbian.pair_kernels import pooled_pairs

        pool, power = self.spec.pool, self._power
        single = u.is_cpu and u.dtype == torch.float32 and not u.requires_grad
        if not single or (pool.kind == "avg" and power != 1):
            return super().activate_pairs(u)
        on, off = pooled_pairs(u, pool)
        return (on, off) if power == 1 else (on.pow_(power), off.pow_(power))

    def _center(self, u: Tensor) -> Tensor:
        return u


def _stays(block: SoftHebbBlock) -> bool:
    return isinstance(block, FoldedBlock) or block.spec.groups > 1 or block.spec.pre_triangle


def _with_norm(block: SoftHebbBlock) -> tuple[Tensor, Tensor]:
    """Returns weights and biases in double precision, with a block's normalization in them."""
    weight, norm = block.conv.weight.detach().double(), block.norm
    if not isinstance(norm, _BatchNorm):
        return weight, weight.new_zeros(len(weight))
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    weight = weight * scale.view(-1, 1, 1)
    return weight, -(weight * norm.running_mean.double().view(-1, 1, 1)).sum(dim=(1, 2, 3))
