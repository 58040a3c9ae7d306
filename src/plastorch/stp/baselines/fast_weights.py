"""Fast weights: Ba, Hinton, Mnih, Leibo, Ionescu, NeurIPS 2016, arXiv 1610.06258."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.streams import made_with
from plastorch.stp.energy import synaptic_energy


class FastWeightsState(NamedTuple):
    """State that the network carries from step to step."""

    h: Tensor
    """Activity [B, H]."""
    A: Tensor
    """Fast weights [B, H, H]."""


class FastWeights(nn.Module):
    """RNN with A = λ A + η h(t-1) h(t-1)'; s = tanh(LN(p)), then h = tanh(LN(p + A s)).

    p = W [x; h(t-1)] + b; the layer norm is shared; λ is ``decay``, η is ``rate``. ``faithful``
    follows the code of the STPN paper: A is updated again after the step, with the new activity,
    and gain and shift of the layer norm are initialized randomly.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        decay: float = 0.9,
        rate: float = 0.5,
        faithful: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.decay, self.rate, self.faithful = decay, rate, faithful
        with made_with(generator, device, dtype):
            self.linear = nn.Linear(input_size + hidden_size, hidden_size)
            self.layer_norm = nn.LayerNorm(hidden_size)
            bound = hidden_size**-0.5
            trained = self.parameters() if faithful else self.linear.parameters()
            for parameter in trained:
                nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self, x: Tensor, state: FastWeightsState | None = None
    ) -> tuple[Tensor, FastWeightsState]:
        """Returns activities [T, B, H] and the last state for sequences [T, B, I]."""
        output, _, state = self._unroll(x, state, False)
        return output, state

    @torch.no_grad()
    def energy(self, x: Tensor, state: FastWeightsState | None = None) -> Tensor:
        """Returns each neuron's energy [T, B, H], of slow and fast weights."""
        return self._unroll(x, state, True)[1]

    def _unroll(
        self, x: Tensor, state: FastWeightsState | None, count: bool
    ) -> tuple[Tensor, Tensor, FastWeightsState]:
        if state is None:
            zeros = x.new_zeros
            batch, size = x.shape[1], self.hidden_size
            state = FastWeightsState(zeros(batch, size), zeros(batch, size, size))
        h, fast = state
        outputs, energies = [], []
        for input_ in x:
            fast = self._updated(fast, h)
            pre = torch.cat([input_, h], dim=-1)
            p = self.linear(pre)
            h = torch.tanh(self.layer_norm(p))
            energy = p
            if count:
                energy = synaptic_energy(self.linear.weight, pre) + synaptic_energy(fast, h)
            fast_input = (fast * h.unsqueeze(-2)).sum(-1)
            h = torch.tanh(self.layer_norm(p + fast_input))
            if self.faithful:
                fast = self._updated(fast, h).clamp(-1000, 1000)
            outputs.append(h)
            energies.append(energy)
        return torch.stack(outputs), torch.stack(energies), FastWeightsState(h, fast)

    def _updated(self, fast: Tensor, h: Tensor) -> Tensor:
        return self.decay * fast + self.rate * h.unsqueeze(-1) * h.unsqueeze(-2)
