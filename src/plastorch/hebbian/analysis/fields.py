"""Receptive fields of neurons of any layer, by gradient ascent."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.hebbian.networks import SoftHebbBlock, SoftHebbNet, blocks_of
from plastorch.hebbian.rule import triangle


def receptive_side(net: SoftHebbNet, layer: int) -> int:
    """Returns the side, in pixels, of a layer's receptive fields without padding; layers from 1."""
    blocks = blocks_until(net, layer)
    side = blocks[-1].spec.kernel_size
    for block in reversed(blocks[:-1]):
        pool = block.spec.pool
        side = (side - 1) * pool.stride + pool.kernel_size + block.spec.kernel_size - 1
    return side


def unpadded_response(
    net: SoftHebbNet, images: Tensor, layer: int, neurons: Tensor | None = None
) -> Tensor:
    """Returns pre-activations [B, n, H', W'] of a layer (from 1), unpadded and in eval mode.

    Convolution and pooling go without padding, so images [B, C, H, W] must be at least
    :func:`receptive_side` pixels wide.
    """
    net.eval()
    *before, last = blocks_until(net, layer)
    x = images
    for block in before:
        u = block_response(block, block.norm(x))
        if block.spec.activation == "relu":
            activation = F.relu(u)
        else:
            activation = triangle(u, block.spec.triangle_power)
        pool = F.max_pool2d if block.spec.pool.kind == "max" else F.avg_pool2d
        x = pool(activation, block.spec.pool.kernel_size, block.spec.pool.stride)
    return block_response(last, last.norm(x), neurons)


def block_response(block: SoftHebbBlock, x: Tensor, neurons: Tensor | None = None) -> Tensor:
    """Returns pre-activations [B, n, H', W'] of neurons; computes no others where possible.

    ``x`` is the convolution's input [B, C, H, W], already normalized, and padded if desired.
    """
    conv = block.conv
    competing = neurons is None or conv.pre_triangle or conv.groups > 1
    # Contiguous, so that equal maxima of a flat image are pooled from the first position.
    weight = (conv.weight if competing else conv.weight[neurons]).contiguous()
    u = F.conv2d(x, weight, groups=conv.groups)
    u = triangle(u) if conv.pre_triangle else u
    return u[:, neurons] if competing and neurons is not None else u


def receptive_fields(
    net: SoftHebbNet,
    layer: int,
    neurons: Sequence[int],
    steps: int = 500,
    step_size: float = 1e-3,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Returns images [n, C, side, side] that drive neurons: gradient ascent from black.

    Journé et al. 2023 (section on receptive fields): each step adds the gradient, then rescales
    each image: q = |x| / ||x||, stretched to [0, 1] over the whole image. Layers count from 1,
    neurons from 0. With a generator the start is noise 1e-5 strong, else exactly 0.
    """
    check_positive(steps=steps, step_size=step_size)
    chosen = checked_neurons(net, layer, neurons)
    side = receptive_side(net, layer)
    x = torch.zeros(len(chosen), net.in_channels, side, side).to(net.readout.weight)
    if generator is not None:
        noise = torch.stack([_in_ball(x[0], 1e-5, generator) for _ in chosen])
        x = (x + noise).clamp(0, 1)
    for _ in range(steps):
        x = _stretched(x + step_size * _gradient(net, x, layer, chosen))
    return x


def smooth_receptive_fields(
    net: SoftHebbNet,
    layer: int,
    neurons: Sequence[int],
    blur: float | None = None,
    steps: int = 20,
    step_size: float = 0.05,
) -> Tensor:
    """Returns smooth images that drive neurons, for display: the published ascent gives noisy ones.

    :func:`receptive_fields` starts from black, so its first rescaling turns the image into the
    absolute gradient, and dark parts look like bright ones. Nothing suppresses the finest pixel
    patterns. Here the start is gray, pixels are clipped to [0, 1], and each gradient is blurred
    (standard deviation in pixels; half the number of the layer if None) and scaled to a largest
    entry of 1: the steepest of all smooth steps. Parts that stay gray don't matter to the neuron.
    """
    blur = layer / 2 if blur is None else blur
    chosen, side = checked_neurons(net, layer, neurons), receptive_side(net, layer)
    check_positive(blur=blur, steps=steps, step_size=step_size)
    x = torch.full((len(chosen), net.in_channels, side, side), 0.5).to(net.readout.weight)
    for _ in range(steps):
        gradient = _blurred(_gradient(net, x, layer, chosen), blur)
        largest = gradient.abs().amax((1, 2, 3), keepdim=True)
        tiny = torch.finfo(x.dtype).tiny
        x = (x + step_size * gradient / largest.clamp_min(tiny)).clamp(0, 1)
    return x


def blocks_until(net: SoftHebbNet, layer: int) -> list[SoftHebbBlock]:
    """Returns the blocks up to a layer, counted from 1; InputError if there is no such layer."""
    if not 1 <= layer <= len(net.blocks):
        raise InputError(f"layer is {layer}; expected 1..{len(net.blocks)}")
    return blocks_of(net)[:layer]


def checked_neurons(net: SoftHebbNet, layer: int, neurons: Sequence[int]) -> Tensor:
    """Returns neurons of a layer as indices [n] on the network's device, or raises InputError."""
    last = blocks_until(net, layer)[-1].spec.out_channels - 1
    if not len(neurons):
        raise InputError("neurons is empty; expected at least one index")
    wrong = [neuron for neuron in neurons if not 0 <= neuron <= last]
    if wrong:
        raise InputError(f"neurons holds {wrong[0]}; expected 0..{last} in layer {layer}")
    return torch.tensor(list(neurons), device=net.readout.weight.device)


def _gradient(net: SoftHebbNet, images: Tensor, layer: int, neurons: Tensor) -> Tensor:
    """Returns each response's gradient in its own image; images don't mix in eval mode."""
    x = images.detach().requires_grad_(True)
    response = unpadded_response(net, net.standardized(x), layer, neurons)
    gradient: Tensor = torch.autograd.grad(response[:, :, 0, 0].diagonal().sum(), x)[0]
    return gradient


def _in_ball(like: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    """Draws a point uniformly from the ball of that radius, in the shape of an image."""
    noise = torch.randn(like.shape, generator=generator, dtype=torch.float64)
    share = torch.rand(1, generator=generator, dtype=torch.float64) ** (1 / like.numel())
    point: Tensor = radius * share * noise / noise.norm()
    return point.to(like)


def _stretched(x: Tensor) -> Tensor:
    """Returns |x| / ||x||, stretched to [0, 1] over each whole image."""
    axes = (1, 2, 3)
    norm = torch.linalg.vector_norm(x, dim=axes, keepdim=True)
    q: Tensor = (x / norm.clamp_min(torch.finfo(x.dtype).tiny)).abs()
    q = q - q.amin(axes, keepdim=True)
    highest = q.amax(axes, keepdim=True)
    return (q / torch.where(highest > 0, highest, torch.ones_like(highest))).clamp(0, 1)


def _blurred(images: Tensor, deviation: float) -> Tensor:
    """Convolves images [n, C, H, W] with a Gaussian of that standard deviation in pixels."""
    reach = math.ceil(3 * deviation)
    offsets = torch.arange(-reach, reach + 1).to(images)
    kernel = torch.softmax(-(offsets**2) / (2 * deviation**2), dim=0)
    planes = images.flatten(0, 1).unsqueeze(1)
    planes = F.conv2d(planes, kernel.view(1, 1, -1, 1), padding=(reach, 0))
    smooth: Tensor = F.conv2d(planes, kernel.view(1, 1, 1, -1), padding=(0, reach))
    return smooth.view(images.shape)
