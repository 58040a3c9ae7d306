"""The peer of our STPN: its equations in everyday PyTorch, one step in time after the other."""

import torch
from torch import Tensor, nn

from plastorch.stp import STPN


class PeerCell(nn.Module):
    """One step of STPNr in mode ``pre``.

    Args:
        cell: our cell, of default settings, whose parameters are copied.
    """

    weight: Tensor
    bias: Tensor
    weight_lambda: Tensor
    weight_gamma: Tensor

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        for name, parameter in cell.named_parameters():
            self.register_parameter(name, nn.Parameter(parameter.detach().clone()))

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Returns activities [B, H] and the state, for inputs [B, I]."""
        h, memory = state
        pre = torch.cat([x, h], dim=1)
        total = self.weight + memory
        norm = torch.linalg.norm(total, dim=2, keepdim=True) + 1e-16
        drive = torch.einsum("bhk,bk->bh", total, pre) / norm.squeeze(2)
        h = torch.tanh(drive + self.bias)
        change = torch.einsum("bh,bk->bhk", h, pre)
        memory = self.weight_lambda * (memory / norm) + self.weight_gamma * change
        return h, (h, memory)


class PeerSTPN(PeerCell):
    """A loop over steps, differentiated by autograd.

    Args:
        layer: our layer, of one layer and default settings, whose parameters are copied.
    """

    def __init__(self, layer: STPN) -> None:
        super().__init__(layer.cells[0])

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:  # type: ignore[override]
        """Returns activities [T, B, H] and the last state, for sequences [T, B, I]."""
        batch, (hidden, width) = x.shape[1], self.weight.shape
        state = x.new_zeros(batch, hidden), x.new_zeros(batch, hidden, width)
        outputs = []
        for input_ in x:
            h, state = super().forward(input_, state)
            outputs.append(h)
        return torch.stack(outputs), state
