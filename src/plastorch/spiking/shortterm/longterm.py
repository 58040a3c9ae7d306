"""Long-term plasticity of a soft winner-take-all: what objects look like at rest, without labels.

Winners move their weights towards their inputs, ever more slowly; biases keep all neurons in use.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.shortterm.rule import Score, compete, potential, unit


@dataclass(frozen=True)
class LongTerm:
    """How weights are learned.

    Args:
        rate: η of a neuron's first spike.
        decline: spikes after which η is half of that: η = rate / (1 + spikes / decline).
        homeostasis: η of the bias.
        kappa: inverse temperature of the competition.
        score: of an input; see :class:`plastorch.spiking.shortterm.rule.ShortTerm`.

    Raises:
        InputError: for a rate outside (0, 1], a decline that is not positive, or a negative
            homeostasis.
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
    """What B independent networks have learned."""

    weight: Tensor
    """W [B, K, D]."""
    bias: Tensor
    """b [B, K]."""
    spikes: Tensor
    """Spikes of each neuron so far, or sums of its posteriors [B, K]."""


def initial_state(
    networks: int, neurons: int, inputs: int, generator: torch.Generator
) -> LongTermState:
    """Random weights of norm 1, uniform in the positive corner, and equal biases.

    Args:
        networks: B.
        neurons: K.
        inputs: D.
        generator: on the CPU.

    Example:
        >>> initial_state(1, 2, 3, torch.Generator().manual_seed(0)).weight.shape
        torch.Size([1, 2, 3])
    """
    check_positive(networks=networks, neurons=neurons, inputs=inputs)
    weight = unit(torch.rand(networks, neurons, inputs, generator=generator))
    return LongTermState(
        weight, weight.new_zeros(weight.shape[:2]), weight.new_zeros(weight.shape[:2])
    )


def infer(x: Tensor, state: LongTermState, constants: LongTerm) -> Tensor:
    """Posteriors [B, K] of inputs [B, D]."""
    drive = (state.weight @ x.unsqueeze(-1)).squeeze(-1)
    squared = state.weight.square().sum(-1)
    return compete(potential(drive, squared, state.bias, constants.kappa, constants.score))


def learn_step(x: Tensor, y: Tensor, state: LongTermState, constants: LongTerm) -> LongTermState:
    """W += η y (x - W), b += η_b (1 / K - y), with η of each neuron falling with its spikes.

    Args:
        x: inputs [B, D].
        y: posterior, or 1 of the neuron that spiked [B, K].
        state: of the networks.
        constants: of learning.

    Example:
        >>> state = LongTermState(torch.zeros(1, 2, 2), torch.zeros(1, 2), torch.zeros(1, 2))
        >>> y = torch.tensor([[1.0, 0.0]])
        >>> learn_step(torch.ones(1, 2), y, state, LongTerm(rate=0.5)).weight
        tensor([[[0.5000, 0.5000],
                 [0.0000, 0.0000]]])
    """
    weight, bias, spikes = state
    share = constants.rate * y / (1 + spikes / constants.decline)
    return LongTermState(
        torch.addcmul(weight, share.unsqueeze(-1), x.unsqueeze(1) - weight),
        bias + constants.homeostasis * (1 / y.shape[-1] - y),
        spikes + y,
    )


def learn(
    x: Tensor, state: LongTermState, constants: LongTerm, generator: torch.Generator | None = None
) -> LongTermState:
    """Inputs one after the other, softly, or by spikes that sample the posterior.

    Args:
        x: [T, B, D].
        state: before the first.
        constants: of learning.
        generator: of the spikes, on the CPU; None: each neuron learns its share of the posterior.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> x, state = torch.rand(5, 1, 3), initial_state(1, 2, 3, random)
        >>> float(learn(x, state, LongTerm(), random).spikes.sum())
        5.0
    """
    for now in x:
        y = infer(now, state, constants)
        if generator is not None:
            winners = torch.multinomial(y.cpu(), 1, generator=generator).to(y.device)
            y = torch.zeros_like(y).scatter_(1, winners, 1.0)
        state = learn_step(now, y, state, constants)
    return state
