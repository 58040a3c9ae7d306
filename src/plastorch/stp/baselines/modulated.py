"""Neuromodulated plasticity: Miconi, Rawal, Clune, Stanley, *Backpropamine*, ICLR 2019."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.stp.energy import synaptic_energy


class ModulatedState(NamedTuple):
    """State that the network carries from step to step."""

    h: Tensor
    """Activity [B, H]."""
    hebb: Tensor
    """Hebbian trace of the recurrent synapses [B, H, H]."""


class ModulatedPlasticity(nn.Module):
    """h = tanh(V x + c + (W + α Hb) h(t-1)); Hb = clamp(Hb + m h h(t-1)', ±1); m = tanh(M h + d).

    The trace Hb is clamped to ±``clamp``, by default 1.
    """

    def __init__(self, input_size: int, hidden_size: int, *, clamp: float = 1.0) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.clamp = input_size, hidden_size, clamp
        self.input = nn.Linear(input_size, hidden_size)
        self.weight = nn.Parameter(0.01 * torch.rand(hidden_size, hidden_size))
        self.alpha = nn.Parameter(0.01 * torch.rand(hidden_size, hidden_size))
        self.modulator = nn.Linear(hidden_size, 1)

    def forward(
        self, x: Tensor, state: ModulatedState | None = None
    ) -> tuple[Tensor, ModulatedState]:
        """Returns activities [T, B, H] and the last state for sequences [T, B, I]."""
        output, _, state = self._unroll(x, state, False)
        return output, state

    @torch.no_grad()
    def energy(self, x: Tensor, state: ModulatedState | None = None) -> Tensor:
        """Returns the energy of each neuron [T, B, H]; the modulator is not counted."""
        return self._unroll(x, state, True)[1]

    def _unroll(
        self, x: Tensor, state: ModulatedState | None, count: bool
    ) -> tuple[Tensor, Tensor, ModulatedState]:
        if state is None:
            zeros = x.new_zeros
            batch, size = x.shape[1], self.hidden_size
            state = ModulatedState(zeros(batch, size), zeros(batch, size, size))
        h, hebb = state
        outputs, energies = [], []
        for input_, drive in zip(x, self.input(x), strict=True):
            before = h
            weight = torch.addcmul(self.weight, self.alpha, hebb)
            # Twice as fast as a batched matrix-vector product, which does not vectorize.
            h = torch.tanh(drive + (weight * before.unsqueeze(-2)).sum(-1))
            modulated = torch.tanh(self.modulator(h)) * h
            hebb = torch.addcmul(hebb, modulated.unsqueeze(-1), before.unsqueeze(-2))
            hebb = F.hardtanh(hebb, -self.clamp, self.clamp)
            outputs.append(h)
            if count:
                of_input = synaptic_energy(self.input.weight, input_)
                energies.append(of_input + synaptic_energy(weight, before))
        output = torch.stack(outputs)
        energy = torch.stack(energies) if count else output
        return output, energy, ModulatedState(h, hebb)
