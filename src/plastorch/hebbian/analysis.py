"""What a trained network has learned: receptive fields by gradient ascent."""

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.rule import triangle


def receptive_side(net: SoftHebbNet, layer: int) -> int:
    """Side in pixels of the input that one neuron of a layer sees, paddings removed.

    Args:
        net: the network.
        layer: counted from 1.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> net = SoftHebbNet(preset("stl10"), 3, 96, classes=10)
        >>> [receptive_side(net, layer) for layer in (1, 2, 3, 4)]
        [5, 12, 26, 54]
    """
    blocks = blocks_of(net)[: _checked(net, layer)]
    side = blocks[-1].spec.kernel_size
    for block in reversed(blocks[:-1]):
        pool = block.spec.pool
        side = (side - 1) * pool.stride + pool.kernel_size + block.spec.kernel_size - 1
    return side


def unpadded_response(net: SoftHebbNet, images: Tensor, layer: int) -> Tensor:
    """Pre-activations of a layer with all convolution and pooling padding removed, in eval mode.

    Args:
        net: the network.
        images: network input [B, C, H, W], at least :func:`receptive_side` pixels wide.
        layer: counted from 1.

    Returns:
        u [B, K, H', W'].
    """
    net.eval()
    blocks = blocks_of(net)[: _checked(net, layer)]
    x = images
    for block in blocks:
        conv = block.conv
        # Contiguous, so that equal maxima of a flat image are pooled from the first position.
        u = F.conv2d(block.norm(x), conv.weight.contiguous(), conv.bias, groups=conv.groups)
        u = triangle(u) if conv.pre_triangle else u
        if block is not blocks[-1]:
            pool = F.max_pool2d if block.spec.pool.kind == "max" else F.avg_pool2d
            activation = triangle(u, block.spec.triangle_power)
            x = pool(activation, block.spec.pool.kernel_size, block.spec.pool.stride)
    return u


def receptive_field(
    net: SoftHebbNet,
    layer: int,
    neuron: int,
    steps: int = 500,
    step_size: float = 1e-3,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, float]:
    """The image that drives a neuron, by gradient ascent from a grey start.

    Paper B (section on receptive fields): each step adds the gradient, then rescales the image:
    q = |x| / ||x||, stretched to [0, 1] over the whole image.

    Args:
        net: a trained network.
        layer: counted from 1.
        neuron: of that layer, counted from 0.
        steps: of ascent.
        step_size: on the raw gradient.
        generator: of a start of noise 1e-5 strong; a start of exactly 0 if None.

    Returns:
        The image [C, side, side] in [0, 1], and the neuron's pre-activation for it.

    Raises:
        InputError: if the layer or the neuron does not exist.

    Example:
        >>> from plastorch.hebbian.presets import preset
        >>> net = SoftHebbNet(preset("cifar10", depth=1), 3, 32, classes=10)
        >>> image, response = receptive_field(net, layer=1, neuron=3, steps=2)
        >>> image.shape
        torch.Size([3, 5, 5])
    """
    side, neurons = receptive_side(net, layer), blocks_of(net)[layer - 1].spec.out_channels
    if not 0 <= neuron < neurons:
        raise InputError(f"neuron is {neuron}; expected 0..{neurons - 1} in layer {layer}")
    weight = net.readout.weight
    x = torch.zeros(1, net.in_channels, side, side, dtype=weight.dtype, device=weight.device)
    if generator is not None:
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        radius = torch.rand(1, generator=generator, dtype=torch.float64) ** (1 / x.numel())
        x = (x + (1e-5 * radius * noise / noise.norm()).to(x)).clamp(0, 1)
    for _ in range(steps):
        x.requires_grad_(True)
        response = unpadded_response(net, x, layer)[0, neuron, 0, 0]
        (gradient,) = torch.autograd.grad(response, x)
        x = _stretched(x.detach() + step_size * gradient)
    with torch.no_grad():
        response = unpadded_response(net, x, layer)[0, neuron, 0, 0]
    return x[0], float(response)


def _stretched(x: Tensor) -> Tensor:
    """|x| / ||x||, stretched to [0, 1] over the whole image."""
    q: Tensor = (x / x.norm()).abs()
    q = q - q.min()
    highest = q.max()
    if highest > 0:
        q = q / highest
    return q.clamp(0, 1)


def _checked(net: SoftHebbNet, layer: int) -> int:
    if not 1 <= layer <= len(net.blocks):
        raise InputError(f"layer is {layer}; expected 1..{len(net.blocks)}")
    return layer
