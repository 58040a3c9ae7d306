"""Causal convolutions with running pools on a CPU: one function, compiled except its products."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.threads import in_threads

USEFUL = 1 << 15
"""Number of features that keep a thread busy for longer than it takes to start."""

FEW = 800
"""Number of sums up to which products of matrices with copied windows beat convolutions."""


class Layer(NamedTuple):
    """Parameters of a convolution with F features of C channels."""

    weight: Tensor
    """Weights [F, C, kernel]."""
    bias: Tensor
    """Biases [F]."""
    gain: Tensor
    """Gains of normalized features [F]; empty if they aren't normalized."""
    shift: Tensor
    """Shifts that are added to them [F], or empty."""


class Plan(NamedTuple):
    """Settings of a pass."""

    dilations: tuple[int, ...]
    """Dilation of each layer."""
    eps: float
    """Constant added to variances."""
    dropout: float
    """Share of features left out, in [0, 1)."""


def pass_over(
    x: Tensor,
    last: Sequence[Tensor],
    pools: tuple[Tensor, Tensor, Tensor],
    layers: Sequence[Layer],
    plan: Plan,
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    """Returns pooled features [T, B, 2 L F] of series [T, B, C], and the state to continue from.

    Among equal maxima, the latest gets the gradient. The seed of dropout is drawn from torch's
    generator.

    Args:
        x: series.
        last: latest inputs of each layer.
        pools: sum and maximum of features so far [B, L F], and the number of steps [B].
        layers: parameters.
        plan: settings.

    Returns:
        Means and maxima so far, last sum and maximum, and latest inputs of each layer.
    """
    parameters = [tensor for layer in layers for tensor in layer]
    found = _Pass.apply(x, pools[2], plan, *last, *pools[:2], *parameters)  # type: ignore[no-untyped-call]
    pooled, total, most, *after = found
    return pooled, total, most, tuple(after)


def convolved(seen: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Returns sums [B, T, F] of inputs [B, t, C]."""
    found = F.conv2d(_picture(seen), _picture(weight.mT), bias, dilation=(1, dilation))
    return found[:, :, 0].mT


def _picture(part: Tensor) -> Tensor:
    """Returns a sequence [B, T, C] as a picture, channels last.

    torch convolves faster in this layout, which it has for pictures only.
    """
    return part.mT[:, :, None].contiguous(memory_format=torch.channels_last)


def _sums(seen: Tensor, layer: Layer, dilation: int, length: int) -> Tensor:
    """Returns sums [B, T, F] of inputs [B, t, C], by the method that is faster at their number."""
    if len(seen) * length > FEW:
        return convolved(seen, layer.weight, layer.bias, dilation).contiguous()
    found = torch.addmm(layer.bias, _windows(seen, layer, dilation, length), _matrix(layer))
    return found.view(len(seen), length, -1)


def _windows(seen: Tensor, layer: Layer, dilation: int, length: int) -> Tensor:
    """Returns the inputs of each sum [B T, kernel C]."""
    batch, steps, channels = seen.shape
    kernel = layer.weight.shape[2]
    strides = steps * channels, channels, dilation * channels, 1
    windows = seen.as_strided((batch, length, kernel, channels), strides)
    return windows.reshape(batch * length, kernel * channels)


def _matrix(layer: Layer) -> Tensor:
    """Returns the weights as a matrix [kernel C, F]."""
    return layer.weight.permute(2, 1, 0).reshape(-1, len(layer.bias))


class _Pass(torch.autograd.Function):
    """The whole pass, differentiable once."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, steps: Tensor, plan: Plan, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        from plastorch.rank import convolution_kernels as kernels  # numba takes a second

        count, (length, batch) = len(plan.dilations), x.shape[:2]
        total, most = (_copy(pool) for pool in tensors[count : count + 2])
        layers = _layers(tensors[count + 2 :])
        drawn = _drawn(plan, x)
        out = x.new_empty(batch, length, count, len(layers[0].bias))
        values, after, saved = x.transpose(0, 1), [], []
        for number, layer in enumerate(layers):
            seen = torch.cat([tensors[number], values], dim=1)
            sums = _sums(seen, layer, plan.dilations[number], length)
            given = sums, layer.gain, layer.shift, *drawn, number
            _run(kernels.rectify, given, [out])
            values = out[:, :, number]
            after.append(seen[:, length:])
            saved += [seen, sums]
        flat = out.view(batch, length, -1)
        pooled = x.new_empty(length, batch, 2, flat.shape[2])
        _run(kernels.pool, [flat, steps], [total, most, pooled])
        ctx.save_for_backward(
            *saved, *(part for layer in layers for part in layer), out, steps, pooled
        )
        ctx.plan, ctx.drawn = plan, drawn
        ctx.set_materialize_grads(False)
        return pooled.flatten(2), total, most, *after

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: Tensor | None, *others: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        from plastorch.rank import convolution_kernels as kernels

        count = len(ctx.plan.dilations)
        *parts, out, steps, pooled = ctx.saved_tensors
        layers = _layers(parts[2 * count :])
        length = out.shape[1]
        gradient = torch.zeros_like(pooled) if gradient is None else gradient.contiguous()
        of_pools = [
            steps.new_zeros(out.shape[0], pooled.shape[3]) if each is None else _copy(each)
            for each in others[:2]
        ]
        of_out = torch.empty_like(out)
        flat, of_flat = out.flatten(2), of_out.flatten(2)
        given = flat, gradient.view_as(pooled), steps, pooled
        _run(kernels.pool_backward, given, [*of_pools, of_flat])
        of_last: list[Tensor | None] = [None] * count
        of_layers: list[Tensor | None] = []
        of_x = None
        for number in reversed(range(count)):
            layer, (seen, sums) = layers[number], parts[2 * number : 2 * number + 2]
            of_sums = torch.empty_like(sums)
            of_norm = [sums.new_empty(len(sums), len(layer.gain)) for _ in range(2)]
            given = sums, layer.gain, layer.shift, *ctx.drawn, number
            _run(kernels.rectify_backward, given, [of_out, of_sums, *of_norm])
            wanted = number > 0 or ctx.needs_input_grad[0] or ctx.needs_input_grad[3]
            of_seen, of_weight = _products(of_sums, seen, layer, ctx.plan.dilations[number], wanted)
            of_gain, of_shift = (each.sum(dim=0) for each in of_norm)
            of_layers = [of_weight, of_sums.sum(dim=(0, 1)), of_gain, of_shift, *of_layers]
            if of_seen is None:
                continue
            past, later = seen.shape[1] - length, others[2 + number]
            if later is not None:
                of_seen[:, length:] += later
            of_last[number] = of_seen[:, :past]
            if number:
                of_out[:, :, number - 1] += of_seen[:, past:]
            else:
                of_x = of_seen[:, past:].transpose(0, 1)
        return of_x, None, None, *of_last, *of_pools, *of_layers


def _products(
    of_sums: Tensor, seen: Tensor, layer: Layer, dilation: int, wanted: bool
) -> tuple[Tensor | None, Tensor]:
    """Returns the gradients of a convolution's inputs [B, t, C], if wanted, and weights."""
    batch, length, features = of_sums.shape
    weight = layer.weight
    if batch * length > FEW:
        shape = None, (1, 1), (0, 0), (1, dilation), False, (0, 0), 1
        pictures = map(_picture, (of_sums, seen, weight.mT))
        of_seen, of_weight, _ = torch.ops.aten.convolution_backward(
            *pictures, *shape, (wanted, True, False)
        )
        return (of_seen[:, :, 0].mT if wanted else None), of_weight[:, :, 0]
    flat = of_sums.view(-1, features)
    _, channels, kernel = weight.shape
    of_weight = (_windows(seen, layer, dilation, length).T @ flat).view(kernel, channels, features)
    if not wanted:
        return None, of_weight.permute(2, 1, 0)
    of_windows = (flat @ _matrix(layer).T).view(batch, length, kernel, channels)
    of_seen = torch.zeros_like(seen)
    for place in range(kernel):
        of_seen[:, place * dilation :][:, :length] += of_windows[:, :, place]
    return of_seen, of_weight.permute(2, 1, 0)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


def _layers(tensors: Sequence[Tensor]) -> list[Layer]:
    fields = len(Layer._fields)
    return [Layer(*tensors[first : first + fields]) for first in range(0, len(tensors), fields)]


def _drawn(plan: Plan, x: Tensor) -> tuple[Any, ...]:
    """Returns the kernels' arguments for normalization and dropout, with a new seed."""
    seed = int(torch.randint(2**63 - 1, ())) if plan.dropout else 0
    eps = x.new_tensor(plan.eps).numpy()[()]
    return eps, np.uint64(seed), np.uint32(round(plan.dropout * 2**32))


def _run(kernel: Any, given: Sequence[Any], filled: Sequence[Tensor]) -> None:
    """Calls a kernel for shares of the series, on as many threads as are useful."""
    arrays = [
        each.detach().contiguous().numpy() if isinstance(each, Tensor) else each for each in given
    ]
    results = [each.numpy() for each in filled]
    series = len(arrays[0])
    in_threads(
        lambda begin, end: kernel(*arrays, begin, end, *results),
        series,
        arrays[0].size // USEFUL,
    )
