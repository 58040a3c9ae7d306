"""Batch normalization over the joined batch of all workers."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from plastorch.engine.distributed import summed, workers


def synchronize(module: nn.Module) -> None:
    """Replaces each batch normalization in a module, in place, by one over all workers' batches.

    Parameters and running statistics stay the same objects. With one worker, nothing changes.
    """
    if workers() == 1:
        return
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, SynchronizedBatchNorm.of(child))


class SynchronizedBatchNorm(_BatchNorm):
    """Batch normalization over the workers' joined batch; torch's SyncBatchNorm needs GPUs."""

    @classmethod
    def of(cls, norm: _BatchNorm) -> "SynchronizedBatchNorm":
        """Makes one that shares another normalization's parameters and running statistics."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, device="meta")
        made.train(norm.training)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(made, name, getattr(norm, name))
        return made

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns the normalized features [B, num_features, ...], of the same dtype."""
        if not self.training or workers() == 1:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        over = [dim for dim in range(x.dim()) if dim != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        own = x.new_tensor([x.numel() // x.shape[1]])
        sums = summed(torch.cat([x.sum(over), own]))
        mean, count = sums[:-1] / sums[-1], sums[-1]
        centered = x - mean.view(shape)
        variance = summed(centered.square().sum(over)) / count
        self._keep(mean.detach(), variance.detach() * count / (count - 1))
        normal = centered * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            normal = normal * self.weight.view(shape)
        if self.bias is not None:
            normal = normal + self.bias.view(shape)
        return normal.to(input.dtype)

    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        """Updates the running statistics; without momentum they are plain means."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)
