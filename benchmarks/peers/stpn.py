"""The peer of our STPN: its equations in everyday PyTorch, one step in time after the other."""

import torch
from torch import Tensor, nn

from plastorch.stp import STPN


class PeerSTPN(nn.Module):
    """STPNr in mode ``pre``: a loop over steps, differentiated by autograd.

    Args:
        layer: our layer, of one layer and default settings, whose parameters are copied.
    """

    weight: Tensor
    bias: Tensor
    weight_lambda: Tensor
    weight_gamma: Tensor

    def __init__(self, layer: STPN) -> None:
        super().__init__()
        self.hidden_size = layer.hidden_size
        for name, parameter in layer.cells[0].named_parameters():
            self.register_parameter(name, nn.Parameter(parameter.detach().clone()))

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Returns activities [T, B, H] and the last state, for sequences [T, B, I]."""
        h = x.new_zeros(x.shape[1], self.hidden_size)
        memory = x.new_zeros(x.shape[1], *self.weight.shape)
        outputs = []
        for input_ in x:
            pre = torch.cat([input_, h], dim=1)
            total = self.weight + memory
            norm = torch.linalg.norm(total, dim=2, keepdim=True) + 1e-16
            drive = torch.einsum("bhk,bk->bh", total, pre) / norm.squeeze(2)
            h = torch.tanh(drive + self.bias)
            change = torch.einsum("bh,bk->bhk", h, pre)
            memory = self.weight_lambda * (memory / norm) + self.weight_gamma * change
            outputs.append(h)
        return torch.stack(outputs), (h, memory)
