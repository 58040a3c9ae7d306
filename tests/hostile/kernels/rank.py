"""The compiled pass of ``CausalConvolutions``, and the search of first crossings."""

import torch
from kernel_fuzz import Hostile

from plastorch.rank.convolutions import CausalConvolutions
from plastorch.rank.criterion import first_crossing


def series_from_any_state(hostile: Hostile) -> None:
    """Of numbers that aren't finite, nothing is claimed."""
    normalized = hostile.random.choice([True, False])
    core = CausalConvolutions(2, 3, layers=2, kernel=2, dropout=0.5, normalized=normalized)
    x = torch.randn(5, 2, 2, requires_grad=True)
    x, state = hostile.damaged((x, core._start(x)))
    activity, after = core(x, state)
    if activity.requires_grad:
        (activity.sum() + after.pools.total.sum() + after.last[1].sum()).backward()


def series_from_foreign_state(hostile: Hostile) -> None:
    batch, features = (hostile.random.choice([1, 2, 3, 40]) for _ in range(2))
    core = CausalConvolutions(2, 3, layers=2)
    own = core._start(torch.randn(5, 2, 2))
    foreign = CausalConvolutions(2, max(2, features), layers=2)._start(torch.randn(5, batch, 2))
    core(torch.randn(5, 2, 2), hostile.mixed(own, foreign))


def answers_of_any_logits(hostile: Hostile) -> None:
    logits, ends = hostile.damaged((torch.randn(5, 3, 2), torch.tensor([5, 1, 3])))
    first_crossing(logits, 0.9, ends)
