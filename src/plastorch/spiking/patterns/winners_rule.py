"""A layer of neurons that compete for patterns of spikes and learn them, without labels.

N inputs fire once or not at all, and all of them drive K leaky integrate-and-fire neurons with a
synaptic current. An inhibitory cell subtracts half of a full weight at each spike:

    I_k(t) = exp(-dt/τ_s) I_k(t-1) + Σ_i (w_ki - 1/2) s_i(t),
    u_k(t) = exp(-dt/τ_m) u_k(t-1) + g I_k(t).

A rhythm holds the neurons back until the decision, halfway through the pattern. From then on their
common inhibition falls, and neuron k fires once the fall has offset the drive d_k that it lacks:

    time_k = decision + fall max(0, d_k),    d_k = θ_k + ½ Σ_i w_ki² - u_k.

As g makes a spike count 1 on average, d_k - θ_k is about half the squared distance of the weights
from the pattern of inputs that have fired: the most similar neuron fires first. Only it learns, as
it fires, from the inputs x that fired before; the next few neurons only show which are next best:

    w_ki += η (x_i - w_ki),    θ_k += h η D² / N,    D = Σ_i (x_i - w_ki)²,

and all θ fall so that their sum stays 0. At a neuron's n-th spike η is 1 / (n + 1), but not less
than a constant. So weights become probabilities that an input fires before the neuron does. They
stay in [0, 1] and change only at the neuron's own spikes, as memristive devices require.

Stanojevic, Cherubini, Moraitis, Sebastian, *File classification based on spiking neural networks*,
ISCAS 2020, arXiv 2004.03953, have such a layer with STDP, but do not publish its equations. These
equations are ours; tables of labeled records gave the reasons for them:

- **Halfway.** Every input fires once, so at the end all have fired and all patterns look alike.
  What distinguishes values is which inputs have fired by a certain time, most so if half have.
- **A rhythm.** In a race to a fixed threshold, each neuron looks at another part of the pattern;
  thresholds must follow the drive to keep it there, and groups are found less well.
- **Thresholds that rise by the squared mismatch.** If each spike counted alike, all neurons would
  fire equally often: large groups of equal records would be divided and rare ones merged. A neuron
  may fire often if patterns match its weights.
- **Several spikes.** The first spike tells about as much as the nearest of K means, and can't tell
  more, as it is one of K answers. The order of the first two or three divides the records more
  finely, for no more synapses; see :mod:`plastorch.spiking.patterns.winners_readout`.
"""

from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.neurons import check_not_negative, check_step
from plastorch.spiking.patterns.rule import NO_SPIKE

INHIBITION = 0.5
"""Inhibition of all neurons by an input's spike, as a share of the largest weight."""


@dataclass(frozen=True)
class WinnerRule:
    """Constants of the neurons and of their plasticity. Times are in seconds.

    Args:
        tau_membrane: time constant τ_m of the membrane.
        tau_synapse: time constant τ_s of the synaptic current.
        dt: duration of a step. If it exceeds a time constant, a warning is given.
        decision: time until which input counts and neurons are held back.
        fall: time in which the inhibition falls by the effect of a spike at a full weight of 1.
        spikes: number of output spikes per pattern, from the neurons that fire first.
        learning_rate: lowest learning rate η.
        homeostasis: strength h of the homeostasis of thresholds.

    Raises:
        InputError: if a constant is out of range.

    Example:
        >>> WinnerRule().steps
        10
    """

    tau_membrane: float = 10e-3
    tau_synapse: float = 5e-3
    dt: float = 1e-3
    decision: float = 10e-3
    fall: float = 1e-4
    spikes: int = 3
    learning_rate: float = 0.01
    homeostasis: float = 2.0

    def __post_init__(self) -> None:
        check_positive(tau_membrane=self.tau_membrane, tau_synapse=self.tau_synapse)
        check_step(self.dt, tau_membrane=self.tau_membrane, tau_synapse=self.tau_synapse)
        check_positive(decision=self.decision, fall=self.fall, spikes=self.spikes)
        check_not_negative(homeostasis=self.homeostasis)
        if not 0 < self.learning_rate <= 1:
            raise InputError(f"learning_rate is {self.learning_rate}; expected above 0, at most 1")
        if not 0.5 < self.decision / self.dt < NO_SPIKE + 0.5:  # else the number of steps differs
            raise InputError(
                f"decision is {self.decision}; expected 1 to {NO_SPIKE} steps of {self.dt} s"
            )

    @property
    def steps(self) -> int:
        """Number of steps in which input counts."""
        return round(self.decision / self.dt)

    @cached_property
    def effect(self) -> tuple[float, ...]:
        """Effects of a spike at weight 1 in each of these steps on the membrane at the decision."""
        raw, current, membrane = [], 1.0, 0.0
        for _ in range(self.steps):
            membrane = exp(-self.dt / self.tau_membrane) * membrane + current
            current *= exp(-self.dt / self.tau_synapse)
            raw.append(membrane)
        return tuple(value * self.steps / sum(raw) for value in reversed(raw))


class Winners(NamedTuple):
    """Answers to patterns."""

    order: Tensor
    """Neurons in the order in which they fire, the winner first [..., S]."""
    time: Tensor
    """Times of their spikes since the start of the pattern, seconds [..., S]."""


def potentials(bins: Tensor, weight: Tensor, rule: WinnerRule) -> Tensor:
    """Returns the potentials u [B, K] at the decision, for weights [K, N]: sums of the effects of
    spikes that came before, in the steps ``bins``, uint8 [B, N]."""
    later = (0.0,) * (NO_SPIKE + 1 - rule.steps)
    effect = torch.tensor(rule.effect + later, dtype=weight.dtype)
    effect = effect.to(weight.device, non_blocking=True)
    return effect[bins.long()] @ (weight - INHIBITION).mT


def compete(lack: Tensor, rule: WinnerRule) -> Winners:
    """Returns the first neurons to fire as inhibition falls, given the drive that each lacks
    [B, K]; ties go to the lowest index."""
    lack, order = lack.sort(dim=-1, stable=True)
    lack = lack[..., : rule.spikes].clamp(min=0)
    return Winners(order[..., : rule.spikes], rule.decision + rule.fall * lack)


def answer(bins: Tensor, weight: Tensor, theta: Tensor, rule: WinnerRule) -> Winners:
    """Answers patterns, uint8 [B, N], without learning; weights are [K, N], thresholds [K]."""
    lack = theta + weight.square().sum(-1) / 2 - potentials(bins, weight, rule)
    return compete(lack, rule)


def changes(
    bins: Tensor, winner: Tensor, weight: Tensor, wins: Tensor, rule: WinnerRule
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the changes of weights [K, N], thresholds [K] and wins [K] that patterns, uint8
    [B, N], with their first neurons to fire [B] make, each by itself; their mean over the
    patterns."""
    rate = (1 / (wins[winner] + 2)).clamp(min=rule.learning_rate)
    error = (bins < rule.steps).to(weight) - weight[winner]
    rise = rule.homeostasis * rate * error.square().sum(1).square() / error.shape[1]
    of_weight = torch.zeros_like(weight).index_add_(0, winner, rate.unsqueeze(1) * error)
    of_theta = torch.zeros_like(wins).index_add_(0, winner, rise) - rise.sum() / len(wins)
    of_wins = torch.zeros_like(wins).index_add_(0, winner, torch.ones_like(rise))
    return of_weight / len(bins), of_theta / len(bins), of_wins / len(bins)
