"""Several workers that train as one on their joined batch: gathered rows, shared statistics.

Without a process group, or in one of a single worker, everything here is what it is on one worker.
All workers must have batches of the same size.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from plastorch.engine.distributed import sum_over_workers


def workers() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def worker() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if workers() > 1 else 0


def gathered(rows: Tensor) -> Tensor:
    """The rows of all workers, one worker after the other; gradients flow back to each.

    Args:
        rows: [R, D], R the same on every worker.

    Returns:
        [workers R, D].

    Example:
        >>> gathered(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    return rows if workers() == 1 else cast(Tensor, _Gather.apply(rows))  # type: ignore[no-untyped-call]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Gives all workers the mean of their gradients, in place.

    If each worker's loss is the mean over its own rows, that is the gradient of the mean over the
    rows of all.

    Args:
        parameters: the same on every worker; those without a gradient are left out.
    """
    if workers() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = sum_over_workers(torch.cat([gradient.flatten() for gradient in gradients])) / workers()
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def share_state(module: nn.Module) -> None:
    """Gives all workers the parameters and buffers of the first, in place."""
    if workers() > 1:
        for tensor in module.state_dict().values():
            whole = tensor.contiguous()
            dist.broadcast(whole, 0)
            tensor.copy_(whole)


def synchronise(module: nn.Module) -> None:
    """Replaces each batch normalisation inside a module by one over all workers' batches.

    Parameters and running statistics are kept, the same objects.

    Args:
        module: changed in place.

    Example:
        >>> layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        >>> synchronise(layers)
        >>> type(layers[1]).__name__
        'SynchronisedBatchNorm'
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, SynchronisedBatchNorm.of(child))


class SynchronisedBatchNorm(_BatchNorm):
    """Batch normalisation over the joined batch of all workers, on any device.

    ``torch.nn.SyncBatchNorm`` does it on GPUs only.
    """

    @classmethod
    def of(cls, norm: _BatchNorm) -> "SynchronisedBatchNorm":
        """One with the parameters and running statistics of another normalisation."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, device="meta")
        made.train(norm.training)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(made, name, getattr(norm, name))
        return made

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, of the same shape and type.

        Args:
            input: [B, num_features, ...].
        """
        if not self.training or workers() == 1:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        over = [dim for dim in range(x.dim()) if dim != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        count = x.numel() // x.shape[1] * workers()
        mean = _summed(x.sum(over)) / count
        centred = x - mean.view(shape)
        variance = _summed(centred.square().sum(over)) / count
        self._keep(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            normal = normal * self.weight.view(shape)
        if self.bias is not None:
            normal = normal + self.bias.view(shape)
        return normal.to(input.dtype)

    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics; they are plain means if there is no momentum."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum or 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)


def _summed(tensor: Tensor) -> Tensor:
    """The sum of all workers' tensors; gradients flow back to each."""
    return cast(Tensor, _Sum.apply(tensor))  # type: ignore[no-untyped-call]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        whole = [torch.empty_like(rows) for _ in range(workers())]
        dist.all_gather(whole, rows.contiguous())
        return torch.cat(whole)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return sum_over_workers(gradient.clone()).chunk(workers())[worker()]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return sum_over_workers(tensor.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return sum_over_workers(gradient.clone())
