"""Patches cut out of maps."""

import torch

from plastorch.hebbian.patches import cut


def test_places_reach_all_ends() -> None:
    maps = torch.arange(2 * 5 * 6.0).view(1, 2, 5, 6)
    ends = torch.tensor([[0.0, 0.999], [0.0, 0.999]])
    first, last = cut(maps, torch.zeros(2, dtype=torch.long), ends, 3)
    assert torch.equal(first, maps[0, :, :3, :3])
    assert torch.equal(last, maps[0, :, -3:, -3:])
