"""Long-term plasticity of a soft winner-take-all, which learns objects at rest without labels.

The neuron that spikes moves its weights toward the input x, at a decreasing rate, and biases keep
all neurons in use:

    W_k += η (x - W_k),    b_k -= η_b,    and all b += η_b / K.

:func:`plastorch.spiking.shortterm.events.learn` runs it from spike to spike on a CPU;
:func:`plastorch.spiking.shortterm.clocked.learn` in steps of time on any device.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.spiking.shortterm.rule import Score, scored


@dataclass(frozen=True)
class LongTerm:
    """Constants of long-term learning.

    Args:
        rate: learning rate η of a neuron's first spike.
        decline: number of spikes after which η is halved: η = rate / (1 + spikes / decline).
        homeostasis: learning rate η_b of the biases.
        kappa: inverse temperature of the competition.
        score: score of an input; see :class:`plastorch.spiking.shortterm.rule.ShortTerm`.

    Raises:
        InputError: if the rate is outside (0, 1], the decline is not positive, or the homeostasis
            is negative.
    """

    rate: float = 0.02
    decline: float = 50.0
    homeostasis: float = 0.02
    kappa: float = 80.0
    score: Score = "cosine"

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise InputError(f"rate is {self.rate}; expected more than 0, up to 1")
        if not 0 <= self.homeostasis < math.inf:
            raise InputError(f"homeostasis is {self.homeostasis}; expected 0 or more")
        check_positive(decline=self.decline, kappa=self.kappa)
        check_one_of(get_args(Score), score=self.score)


class LongTermState(NamedTuple):
    """State learned by B independent networks."""

    weight: Tensor
    """Weights W [B, K, D]."""
    bias: Tensor
    """Biases b [B, K]."""
    spikes: Tensor
    """Number of spikes of each neuron so far [B, K]."""


def learn_spike(
    x: Tensor, fires: Tensor, choice: Tensor, state: LongTermState, constants: LongTerm
) -> None:
    """Lets a neuron of each network, where ``fires`` [B], spike and learn; changes the state.

    Inputs are [B, D]; ``choice`` are numbers in [0, 1) that choose the neuron [B].
    """
    weight, bias, spikes = state
    drive = (weight @ x.unsqueeze(-1)).squeeze(-1)
    score = scored(drive, weight.square().sum(-1), constants.score)
    reached = (bias + constants.kappa * score).softmax(-1).cumsum(-1)
    chosen = choice.unsqueeze(-1) * reached[:, -1:]
    k = (reached <= chosen).sum(-1, keepdim=True).clamp(max=bias.shape[1] - 1)
    fires = fires.unsqueeze(-1).to(weight.dtype)
    rate = fires * constants.rate / (1 + spikes.gather(1, k) / constants.decline)
    row = torch.arange(len(k), device=k.device), k.squeeze(-1)
    weight[row] += rate * (x - weight[row])
    spikes.scatter_add_(1, k, fires)
    bias += fires * constants.homeostasis / bias.shape[1]
    bias.scatter_add_(1, k, -constants.homeostasis * fires)
