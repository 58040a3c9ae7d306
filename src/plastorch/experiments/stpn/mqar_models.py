"""Memories that are compared at multi-query associative recall, and their widths at equal size."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.experiments.stpn.recurrent import trained_parameters
from plastorch.stp import STPN
from plastorch.stp.baselines import (
    GRU,
    LSTM,
    DeltaNet,
    FactoredSTPN,
    GatedLinearAttention,
    LinearAttention,
    SoftmaxAttention,
)
from plastorch.stp.recall import RecallBlock

MOST_WIDTH = 1 << 14


class Projected(nn.Module):
    """STPN whose inputs are projected to fewer, as other models' are projected to keys."""

    def __init__(self, input_size: int, core: STPN) -> None:
        super().__init__()
        self.hidden_size = core.hidden_size
        self.project = nn.Linear(input_size, core.input_size, bias=False)
        self.core = core

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Returns activities [T, B, H] and the last state for sequences [T, B, I]."""
        found: tuple[Tensor, Any] = self.core(self.project(x), state)
        return found


RATE = -5.0
"""Initial Γ times the number of inputs, as of HebbFF. Where Γ < 0 and Λ = 1, Hebb's rule is the
delta rule: a neuron that answers (W + F) z changes F by Γ (W z + F z) z', until F z is -W z."""


def _stpn(kind: type[STPN] = STPN, **settings: Any) -> Callable[[int, int], nn.Module]:
    """Returns the function that makes an STPN of twice as many projected inputs as neurons.

    Its inputs tell both keys and values. It is neither recurrent nor normalized, and at first it
    forgets nothing.
    """

    def make(inputs: int, width: int) -> nn.Module:
        unit = kind(2 * width, width, plasticity="feedforward", norm="none", **settings)
        for name, parameter in unit.named_parameters():
            if "lambda" in name or name.endswith("gamma_column"):
                nn.init.ones_(parameter)
            elif "gamma" in name:
                nn.init.constant_(parameter, RATE / unit.input_size)
        return Projected(inputs, unit)

    return make


MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "stpn": _stpn(),
    "stpn-factored": _stpn(FactoredSTPN),
    "stpn-scalar": _stpn(scalar=True),
    "lstm": LSTM,
    "gru": GRU,
    "attention": SoftmaxAttention,
    "linear-attention": LinearAttention,
    "gated-linear-attention": GatedLinearAttention,
    "delta-net": DeltaNet,
    "gated-delta-net": lambda inputs, width: DeltaNet(inputs, width, gated=True),
}
"""Functions that make a memory from its numbers of inputs and of units."""
ALL = MODELS | {"stpn-recurrent": STPN}
"""The same and the paper's STPN, recurrent and normalized."""
GROWS = "attention"
"""Model whose state grows with the sequence; its keys are as wide as those of linear attention."""


@cache
def state_size(name: str, inputs: int, width: int, steps: int = 1) -> int:
    """Returns the numbers that a model carries from step to step, of a sequence so far."""
    with torch.device("meta"):
        _, state = ALL[name](inputs, width)(torch.zeros(steps, 1, inputs))
    return _elements(state)


@cache
def block_parameters(name: str, inputs: int, width: int) -> int:
    """Returns the number of trained parameters of a residual block around a model."""
    with torch.device("meta"):
        return trained_parameters(RecallBlock(ALL[name](inputs, width), inputs))


def width_of_state(name: str, inputs: int, size: int) -> int:
    """Returns the width at which a model's state is nearest to a size."""
    name = "linear-attention" if name == GROWS else name
    return nearest(lambda width: state_size(name, inputs, width), size)


def width_of_parameters(name: str, inputs: int, size: int) -> int:
    """Returns the width at which a model has as many parameters as an STPN of a state size."""
    stpn = block_parameters("stpn", inputs, width_of_state("stpn", inputs, size))
    return nearest(lambda width: block_parameters(name, inputs, width), stpn)


def nearest(count: Callable[[int], int], target: int) -> int:
    """Returns the width, 1 or more, whose growing count is nearest to a target.

    Example:
        >>> nearest(lambda width: width**2, 70)
        8
    """
    low, high = 1, MOST_WIDTH
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) >= target else (middle + 1, high)
    return min(max(1, low - 1), low, key=lambda width: abs(count(width) - target))


def _elements(state: Any) -> int:
    """Returns the number of elements of a tensor, or of all in a tuple."""
    return state.numel() if isinstance(state, Tensor) else sum(map(_elements, state))
