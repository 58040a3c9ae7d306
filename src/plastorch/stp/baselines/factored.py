"""STPN whose time constants and rates belong to rows and columns instead of to each synapse."""

from typing import Any

import torch
from torch import nn

from plastorch.stp.cell import STPNCell
from plastorch.stp.layers import STPN
from plastorch.stp.rule import Parameters


class FactoredSTPN(STPN):
    """STPN with Λ = a b' and Γ = c d': a factor of each neuron times one of each signal."""

    def __init__(self, input_size: int, hidden_size: int, **settings: Any) -> None:
        super().__init__(input_size, hidden_size, **settings)
        self.cells = nn.ModuleList([_Cell(input_size, hidden_size, **settings)])


class _Cell(STPNCell):
    """Unit of an STPN; its Λ and Γ start as large as those of an ordinary one."""

    def __init__(self, input_size: int, hidden_size: int, **settings: Any) -> None:
        super().__init__(input_size, hidden_size, **settings)
        decay, rate = self.weight_lambda.detach(), self.weight_gamma.detach()
        del self.weight_lambda, self.weight_gamma
        self.lambda_row = nn.Parameter(decay[:, 0].sqrt())
        self.lambda_column = nn.Parameter(decay[0].sqrt())
        self.gamma_row = nn.Parameter(rate[:, 0].clone())
        self.gamma_column = nn.Parameter(torch.ones_like(rate[0]))

    @property
    def slow(self) -> Parameters:
        """Returns the parameters in the form of :mod:`plastorch.stp.rule`."""
        decay = self.lambda_row.outer(self.lambda_column)
        rate = self.gamma_row.outer(self.gamma_column)
        return Parameters(self.weight, self.bias, decay, rate)
