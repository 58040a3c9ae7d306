"""HebbFF: Tyulmankov, Yang, Abbott, *Meta-learning synaptic plasticity*, Neuron 110, 2022."""

from math import log

import torch
from torch import nn

from plastorch.stp.layers import STPN, STPNCell
from plastorch.stp.rule import Parameters


class HebbFF(STPN):
    """h = σ((W + A) x + b); A = λ A + η h x', with one λ in (0, 1) and one η < 0 for all synapses.

    Args:
        input_size: I.
        hidden_size: H.
        faithful: as in the code of the STPN paper, η starts at -5/H; else at HebbFF's own -5/I.

    Example:
        >>> HebbFF(3, 5)(torch.randn(7, 2, 3))[0].shape
        torch.Size([7, 2, 5])
    """

    def __init__(self, input_size: int, hidden_size: int, *, faithful: bool = False) -> None:
        super().__init__(input_size, hidden_size)
        size = hidden_size if faithful else input_size
        self.cells = nn.ModuleList([_Cell(input_size, hidden_size, 5 / size)])


class _Cell(STPNCell):
    """A feed-forward unit; λ is the logistic function of its parameter, η the -exponential."""

    def __init__(self, input_size: int, hidden_size: int, rate: float) -> None:
        super().__init__(
            input_size,
            hidden_size,
            plasticity="feedforward",
            norm="none",
            scalar=True,
            activation="sigmoid",
        )
        nn.init.constant_(self.weight_lambda, log(0.99 / 0.01))
        nn.init.constant_(self.weight_gamma, log(rate))

    @property
    def slow(self) -> Parameters:
        """The parameters as the functions of :mod:`plastorch.stp.rule` take them."""
        decay, rate = torch.sigmoid(self.weight_lambda), -torch.exp(self.weight_gamma)
        return Parameters(self.weight, self.bias, decay, rate)
