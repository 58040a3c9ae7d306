"""Feed-forward units as in the STPN paper's retrieval code, where F is squashed, too."""

import torch
from torch import Tensor, nn

from plastorch.stp.cell import STPNCell
from plastorch.stp.energy import synaptic_energy
from plastorch.stp.layers import STPN
from plastorch.stp.rule import STPNState, activate, respond, update


class Squashed(nn.Module):
    """Feed-forward unit with F = Λ act(F) + Γ h x' at every step; act is the neurons' activation.

    The unit is an :class:`STPN` of one layer, or :class:`HebbFF`.
    """

    def __init__(self, unit: STPN) -> None:
        super().__init__()
        self.unit = unit
        self.input_size, self.hidden_size = unit.input_size, unit.hidden_size

    def forward(self, x: Tensor, state: STPNState | None = None) -> tuple[Tensor, STPNState]:
        """Returns activities [T, B, H] and the last state for sequences [T, B, I]."""
        output, _, state = self._unroll(x, state)
        return output, state

    @torch.no_grad()
    def energy(self, x: Tensor, state: STPNState | None = None) -> Tensor:
        """Returns the energy of each neuron [T, B, H]."""
        return self._unroll(x, state)[1]

    def _unroll(self, x: Tensor, state: STPNState | None) -> tuple[Tensor, Tensor, STPNState]:
        cell = self.unit.cells[0]
        assert isinstance(cell, STPNCell)
        state = cell.initial_state(x.shape[1]) if state is None else state
        outputs, energies = [], []
        for input_ in x:
            response = respond(input_, state, cell.slow, cell.dynamics)
            energies.append(synaptic_energy(response.efficacy.detach(), input_))
            squashed = activate(state.F, cell.dynamics.activation)
            memory = update(squashed, input_, response, cell.slow, cell.dynamics)
            state = STPNState(response.h, memory)
            outputs.append(response.h)
        return torch.stack(outputs), torch.stack(energies), state
