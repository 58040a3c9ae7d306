"""Layers without recurrence as cores of agents; they see one step, or the last few."""

from typing import Any

import torch
from torch import Tensor, nn

from plastorch.engine.streams import made_with
from plastorch.stp.energy import synaptic_energy


class MLP(nn.Module):
    """Stateless layer, h = tanh(W x + b)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        with made_with(generator, device, dtype):
            self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """Returns activities [T, B, H] of inputs [T, B, I]."""
        return torch.tanh(self.linear(x)), None

    @torch.no_grad()
    def energy(self, x: Tensor, state: Any = None) -> Tensor:
        """Returns the energy of each neuron [T, B, H]."""
        return synaptic_energy(self.linear.weight, x)


class Stacked(nn.Module):
    """Layer that sees the inputs of the last K steps, side by side; zeros stand before the first.

    The state is the inputs of the last K - 1 steps [K - 1, B, I].
    """

    def __init__(self, layer: MLP, steps: int) -> None:
        super().__init__()
        self.hidden_size = layer.hidden_size
        self.layer, self.steps = layer, steps

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns activities [T, B, H] of inputs [T, B, I], and the state."""
        before = x.new_zeros(self.steps - 1, *x.shape[1:]) if state is None else state
        seen = torch.cat([before, x])
        stacked = torch.cat([seen[k : k + len(x)] for k in range(self.steps)], dim=-1)
        return self.layer(stacked)[0], seen[len(x) :]
