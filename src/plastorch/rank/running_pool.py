"""Mean and maximum of features over all steps so far, run in the fastest way for the device."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from plastorch.engine.device import has_kernels
from plastorch.engine.errors import InputError


class Pools(NamedTuple):
    """Sums and maxima of B series so far."""

    total: Tensor
    """Sum of all values so far [B, F]."""
    most: Tensor
    """Largest value so far [B, F]."""
    steps: Tensor
    """Number of steps so far [B, 1]."""


def running_pool(values: Tensor, before: Pools) -> tuple[Tensor, Pools]:
    """Returns mean and maximum of values over all steps so far, and what to go on from.

    Compiled on a CPU, in torch elsewhere. Of equal maxima, the latest has the gradient.

    Args:
        values: values of F features at T steps [B, T, F].
        before: what was pooled before.

    Returns:
        Means and maxima [T, B, 2 F], and what is pooled after the last step.

    Raises:
        InputError: there is no step, or what was pooled before is of other series, features, type
            or device.

    Example:
        >>> start = Pools(torch.zeros(1, 1), torch.full((1, 1), -torch.inf), torch.zeros(1, 1))
        >>> running_pool(torch.tensor([[[3.0], [1.0], [5.0]]]), start)[0][:, 0]
        tensor([[3., 3.],
                [2., 3.],
                [3., 5.]])
    """
    _check(values, before)
    if not has_kernels(values) or torch.compiler.is_compiling():
        return _in_torch(values, before)
    tensors = values.contiguous(), before.total, before.most, before.steps[:, 0]
    pooled, total, most = _RunningPool.apply(*tensors)  # type: ignore[no-untyped-call]
    return pooled, Pools(total, most, before.steps + values.shape[1])


def _check(values: Tensor, before: Pools) -> None:
    """Raises InputError unless all tensors fit together; the kernels check no index."""
    if values.dim() != 3 or not values.shape[1] or not values.is_floating_point():
        raise InputError(
            f"values are {list(values.shape)} in {values.dtype}; expected [series, steps, features]"
            ", with a step or more, in a floating-point type"
        )
    batch, _, features = values.shape
    sizes = (batch, features), (batch, features), (batch, 1)
    for name, part, size in zip(Pools._fields, before, sizes, strict=True):
        if part.shape != size or (part.dtype, part.device) != (values.dtype, values.device):
            raise InputError(
                f"before.{name} is {list(part.shape)} in {part.dtype} on {part.device}; expected "
                f"{list(size)} in {values.dtype} on {values.device}"
            )


def _in_torch(values: Tensor, before: Pools) -> tuple[Tensor, Pools]:
    values = values.transpose(0, 1)
    steps = torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    total = before.total + values.cumsum(dim=0)
    most = torch.cat([before.most[None], values]).cummax(dim=0).values[1:]
    pooled = torch.cat([total / (before.steps + steps[:, None, None]), most], dim=2)
    return pooled, Pools(total[-1], most[-1], before.steps + len(values))


class _RunningPool(torch.autograd.Function):
    """Pools, last sums and last maxima, differentiable once."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, total: Tensor, most: Tensor, steps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        from plastorch.rank import running_pool_kernels as kernels  # numba takes a second

        total, most = total.clone(), most.clone()
        batch, length, features = values.shape
        pooled = values.new_empty(length, batch, 2, features)
        kernels.pool(*(each.detach().numpy() for each in (values, steps, total, most, pooled)))
        ctx.save_for_backward(values, steps, pooled)
        return pooled.flatten(2), total, most

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, of_total: Tensor, of_most: Tensor
    ) -> tuple[Tensor | None, ...]:
        from plastorch.rank import running_pool_kernels as kernels

        values, steps, pooled = ctx.saved_tensors
        of_total, of_most = of_total.clone(), of_most.clone()
        of_values = torch.empty_like(values)
        gradient = gradient.contiguous().view_as(pooled)
        arrays = gradient, values, steps, pooled, of_total, of_most, of_values
        kernels.pool_backward(*(each.numpy() for each in arrays))
        return of_values, of_total, of_most, None
