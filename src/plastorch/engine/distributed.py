"""What training needs to know about other workers."""

import torch.distributed as dist
from torch import Tensor


def sum_over_workers(tensor: Tensor) -> Tensor:
    """Adds the tensors of all workers, in place; without a process group it changes nothing.

    Args:
        tensor: same shape on every worker.

    Returns:
        The same tensor, summed.

    Example:
        >>> import torch
        >>> sum_over_workers(torch.ones(2))
        tensor([1., 1.])
    """
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor
