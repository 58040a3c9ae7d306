"""Long-term plasticity of a soft winner-take-all, which learns objects at rest without labels.

The neuron that spikes moves its weights toward the input x, at a decreasing rate, and biases keep
all neurons in use:

    W_k += η (x - W_k),    b_k -= η_b,    and all b += η_b / K.

:func:`plastorch.spiking.shortterm.events.learn` runs it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.shortterm.rule import Score, unit


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


class LongTermState(NamedTuple):
    """State learned by B independent networks."""

    weight: Tensor
    """Weights W [B, K, D]."""
    bias: Tensor
    """Biases b [B, K]."""
    spikes: Tensor
    """Number of spikes of each neuron so far [B, K]."""


def initial_state(
    networks: int, neurons: int, inputs: int, generator: torch.Generator
) -> LongTermState:
    """Draws random weights of norm 1, uniform in the positive corner, with equal biases.

    Args:
        networks: number of networks B.
        neurons: number of neurons K.
        inputs: number of inputs D.
        generator: random generator on the CPU.

    Example:
        >>> initial_state(1, 2, 3, torch.Generator().manual_seed(0)).weight.shape
        torch.Size([1, 2, 3])
    """
    check_positive(networks=networks, neurons=neurons, inputs=inputs)
    weight = unit(torch.rand(networks, neurons, inputs, generator=generator))
    return LongTermState(
        weight, weight.new_zeros(weight.shape[:2]), weight.new_zeros(weight.shape[:2])
    )
