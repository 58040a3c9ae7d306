"""The circuit that learns from digits at rest, by spikes and without labels."""

import torch
from torch import Tensor, nn

from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.longterm import LongTerm
from plastorch.spiking.shortterm.rule import ShortTerm

NEURONS = 400
LEARNING = LongTerm(rate=0.1, homeostasis=0.2)
"""Faster learning than the default, so that what neurons learned early is forgotten."""


class NamedCircuit(nn.Module):
    """A circuit, and the names that labels give its neurons [K]."""

    names: Tensor

    def __init__(self, inputs: int, random: torch.Generator) -> None:
        super().__init__()
        self.circuit = ShortTermWTA(
            inputs,
            NEURONS,
            short_term=ShortTerm(site="none"),  # while it learns
            long_term=LEARNING,
            generator=random,
        )
        self.register_buffer("names", torch.zeros(NEURONS, dtype=torch.int64))
