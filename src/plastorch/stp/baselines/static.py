"""Recurrent networks without plasticity: torch's own, RNN and LSTM with a single bias, and an RNN
with unit-norm rows.

They wrap torch's networks instead of subclassing them, because their states, like those of all
cores here, have the samples first: [B, H], not [1, B, H].
"""

from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from plastorch.engine.errors import check_one_of
from plastorch.engine.streams import made_with
from plastorch.stp.energy import synaptic_energy
from plastorch.stp.rule import EPSILON

Network = TypeVar("Network", nn.RNN, nn.LSTM)


class RNN(nn.Module):
    """Elman network, h = tanh(W [x; h] + b), with one bias.

    Weights are normalized over those of each neuron, as in short-term plasticity neurons
    ("neuron"), or over those from each input, as in the paper's code ("input"), which uses an L1
    norm there for energy.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        norm: Literal["none", "neuron", "input"] = "none",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_one_of(("none", "neuron", "input"), norm=norm)
        self.input_size, self.hidden_size, self.norm = input_size, hidden_size, norm
        with made_with(generator, device, dtype):
            self.network = _with_one_bias(nn.RNN(input_size, hidden_size))

    def efficacy(self, order: float = 2) -> Tensor:
        """Returns W [H, I + H] as used by the network."""
        weight = _weight(self.network)
        if self.norm == "none":
            return weight
        dim = 1 if self.norm == "neuron" else 0
        norm = torch.linalg.vector_norm(weight, ord=order, dim=dim, keepdim=True)
        normalized: Tensor = weight / (norm + EPSILON)
        return normalized

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns activities [T, B, H] and the last one [B, H] for sequences [T, B, I]."""
        state = None if state is None else state.unsqueeze(0)
        if self.norm == "none":
            output, h = self.network(x, state)
            return output, h[0]
        efficacy = self.efficacy()
        of_input, of_hidden = efficacy[:, : self.input_size], efficacy[:, self.input_size :]
        state = x.new_zeros(1, x.shape[1], self.hidden_size) if state is None else state
        biases = (self.network.get_parameter(f"bias_{of}_l0") for of in ("ih", "hh"))
        parameters = [of_input, of_hidden, *biases]
        output, h = torch.rnn_tanh(x, state, parameters, True, 1, 0.0, False, False, False)
        return output, h[0]

    @torch.no_grad()
    def energy(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Returns the energy of each neuron [T, B, H]."""
        output, _ = self(x, state)
        efficacy = self.efficacy(order=1 if self.norm == "input" else 2)
        return synaptic_energy(efficacy, _presynaptic(x, output, state))


class LSTM(nn.Module):
    """Long short-term memory with one bias."""

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
            self.network = _with_one_bias(nn.LSTM(input_size, hidden_size))

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Returns activities [T, B, H] and the last (h, c), each [B, H], of sequences [T, B, I]."""
        before = None if state is None else (state[0].unsqueeze(0), state[1].unsqueeze(0))
        output, (h, c) = self.network(x, before)
        return output, (h[0], c[0])

    @torch.no_grad()
    def energy(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Returns the energy of each gate's units [T, B, 4 H]; gates in the order i, f, g, o."""
        output, _ = self(x, state)
        h = None if state is None else state[0]
        return synaptic_energy(_weight(self.network), _presynaptic(x, output, h))


class GRU(nn.Module):
    """Gated recurrent unit, as torch has it."""

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
            self.network = nn.GRU(input_size, hidden_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns activities [T, B, H] and the last one [B, H] for sequences [T, B, I]."""
        output, h = self.network(x, None if state is None else state.unsqueeze(0))
        return output, h[0]


def _with_one_bias(network: Network) -> Network:
    """Fixes the second of torch's two biases at 0."""
    nn.init.zeros_(network.get_parameter("bias_hh_l0").requires_grad_(False))
    return network


def _weight(network: nn.RNN | nn.LSTM) -> Tensor:
    """Returns [W of inputs; W of activities]."""
    of_input, of_hidden = (network.get_parameter(f"weight_{of}_l0") for of in ("ih", "hh"))
    return torch.cat([of_input, of_hidden], dim=1)


def _presynaptic(x: Tensor, output: Tensor, h: Tensor | None) -> Tensor:
    """Returns [x; h(t-1)] of all steps."""
    first = torch.zeros_like(output[0]) if h is None else h
    return torch.cat([x, torch.cat([first.unsqueeze(0), output[:-1]])], dim=-1)
