"""HebbFF: Tyulmankov, Yang, Abbott, *Meta-learning synaptic plasticity*, Neuron 110, 2022."""

from math import log
from typing import Any

import torch
from torch import nn

from plastorch.stp.cell import STPNCell
from plastorch.stp.layers import STPN
from plastorch.stp.rule import Parameters


class HebbFF(STPN):
    """HebbFF: h = σ((W + A) x + b); A = λ A + η h x', with shared λ in (0, 1) and η < 0.

    ``faithful`` initializes η at -5/H as in the STPN paper's code, not at HebbFF's own -5/I.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, faithful: bool = False, **made: Any
    ) -> None:
        super().__init__(input_size, hidden_size, **made)
        size = hidden_size if faithful else input_size
        self.cells = nn.ModuleList([_Cell(input_size, hidden_size, 5 / size, **made)])


class _Cell(STPNCell):
    """Feed-forward unit; λ is the logistic function of its parameter, η the -exponential."""

    def __init__(self, input_size: int, hidden_size: int, rate: float, **made: Any) -> None:
        super().__init__(
            input_size,
            hidden_size,
            plasticity="feedforward",
            norm="none",
            scalar=True,
            activation="sigmoid",
            **made,
        )
        nn.init.constant_(self.weight_lambda, log(0.99 / 0.01))
        nn.init.constant_(self.weight_gamma, log(rate))

    @property
    def slow(self) -> Parameters:
        """Returns the parameters in the form of :mod:`plastorch.stp.rule`."""
        decay, rate = torch.sigmoid(self.weight_lambda), -torch.exp(self.weight_gamma)
        return Parameters(self.weight, self.bias, decay, rate)
