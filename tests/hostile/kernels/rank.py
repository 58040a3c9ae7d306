"""The running pool of ``CausalConvolutions``."""

import torch
from kernel_fuzz import Hostile

from plastorch.rank.running_pool import Pools, running_pool


def pool_from_any_state(hostile: Hostile) -> None:
    """Of numbers that aren't finite, nothing is claimed."""
    start = Pools(torch.zeros(2, 3), torch.full((2, 3), -torch.inf), torch.zeros(2, 1))
    values, before = hostile.damaged((torch.randn(2, 5, 3, requires_grad=True), start))
    pooled, after = running_pool(values, before)
    if pooled.requires_grad:
        (pooled.sum() + after.total.sum() + after.most.sum()).backward()


def pool_from_foreign_state(hostile: Hostile) -> None:
    batch, features = (hostile.random.choice([1, 2, 3, 40]) for _ in range(2))
    sizes = (2, 3), (batch, features)
    own, foreign = (
        Pools(torch.zeros(b, f), torch.zeros(b, f), torch.zeros(b, 1)) for b, f in sizes
    )
    running_pool(torch.randn(2, 5, 3), hostile.mixed(own, foreign))
