"""Memoryless layer as a core of agents."""

from typing import Any

import torch
from torch import Tensor, nn

from plastorch.stp.energy import synaptic_energy


class MLP(nn.Module):
    """Stateless layer, h = tanh(W x + b)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """Returns activities [T, B, H] of inputs [T, B, I]."""
        return torch.tanh(self.linear(x)), None

    @torch.no_grad()
    def energy(self, x: Tensor, state: Any = None) -> Tensor:
        """Returns the energy of each neuron [T, B, H]."""
        return synaptic_energy(self.linear.weight, x)
