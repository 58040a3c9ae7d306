"""Continual familiarity detection: was this item seen exactly R steps ago?

Task: Tyulmankov, Yang, Abbott, *Meta-learning synaptic plasticity*, Neuron 110, 2022; in the form
of Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError


class FamiliarityStream(NamedTuple):
    """Items one after the other, and which of them are repeats."""

    items: Tensor
    """Items of signs -1 or 1, float32 [T, d]."""
    repeats: Tensor
    """Whether an item repeats the one R steps before, bool [T]."""

    def to(self, device: torch.device) -> "FamiliarityStream":
        """Returns the stream on a device."""
        return FamiliarityStream(self.items.to(device), self.repeats.to(device))


def familiarity_stream(
    steps: int, repeat: int, features: int, random: torch.Generator
) -> FamiliarityStream:
    """Draws items of random signs; from step R on, half of the draws repeat that of R steps ago.

    No item repeats a repeat, so two of three items are new in the long run. With few signs per
    item, a new item can equal an old one by chance, and still counts as new.
    """
    for name, value in (("steps", steps), ("repeat", repeat), ("features", features)):
        if value < 1:
            raise InputError(f"{name} is {value}; expected 1 or more")
    # Column r holds steps r, r + R, r + 2 R ...: each draws on the one above.
    rows = -(-steps // repeat)
    drawn = torch.rand(rows, repeat, generator=random) < 0.5
    drawn[0] = False
    row = torch.arange(rows).unsqueeze(1)
    last_not_drawn = torch.where(drawn, 0, row).cummax(dim=0).values
    # In an unbroken series of draws, the first repeats, the second can't, the third repeats ...
    repeats = (drawn & ((row - last_not_drawn) % 2 == 1)).flatten()[:steps]
    signs = 2.0 * torch.randint(0, 2, (steps, features), generator=random) - 1
    return FamiliarityStream(signs[torch.arange(steps) - repeat * repeats], repeats)
