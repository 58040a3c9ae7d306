"""Spike-timing-dependent plasticity as pure functions: pair-based, and the Bayesian rule.

Shapes: B independent networks of N inputs and K neurons; weights [B, K, N].
"""

from dataclasses import dataclass
from math import exp, isfinite
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.spiking.neurons import check_not_negative

Bounds = Literal["additive", "multiplicative"]
"""Dependence of a change on the weight: none, so that bounds cut it off ("additive"), or in
proportion to the distance from the bound ("multiplicative", or soft)."""


class Traces(NamedTuple):
    """Exponentially decaying traces of all earlier spikes, each of which adds 1."""

    pre: Tensor
    """Traces a of the inputs [B, N]."""
    post: Tensor
    """Traces b of the neurons [B, K]."""


torch.serialization.add_safe_globals([Traces])


@dataclass(frozen=True)
class PairSTDP:
    """Pair-based exponential STDP, over all pairs of spikes.

    A presynaptic spike s seconds before a postsynaptic one raises the weight by A+ exp(-s / tau+);
    s seconds after it, it lowers it by A- exp(-s / tau-). Spikes at the same time count as pre
    before post. Song, Miller, Abbott, *Competitive Hebbian learning through spike-timing-dependent
    synaptic plasticity*, 2000; Morrison, Diesmann, Gerstner, *Phenomenological models of synaptic
    plasticity based on spike timing*, 2008.

    Args:
        potentiation: A+; if bounds are multiplicative and 1 apart, A+ at the lower bound.
        depression: A-; if bounds are multiplicative and 1 apart, A- at the upper bound.
        tau_plus: time constant tau+ of potentiation, seconds.
        tau_minus: time constant tau- of depression, seconds.
        bounds: dependence on the weight, see :data:`Bounds`.
        low: lower bound of the weights.
        high: upper bound of the weights.
        norm: sum of a neuron's weights, to which they are scaled at each of its spikes, after
            potentiation; None for no normalization.

    Raises:
        InputError: if a constant is out of range.

    Example:
        >>> PairSTDP(potentiation=0.005, depression=0.00525, bounds="multiplicative").tau_plus
        0.02
    """

    potentiation: float = 0.01
    depression: float = 0.0105
    tau_plus: float = 0.02
    tau_minus: float = 0.02
    bounds: Bounds = "additive"
    low: float = 0.0
    high: float = 1.0
    norm: float | None = None

    def __post_init__(self) -> None:
        check_not_negative(potentiation=self.potentiation, depression=self.depression)
        check_positive(tau_plus=self.tau_plus, tau_minus=self.tau_minus)
        check_one_of(get_args(Bounds), bounds=self.bounds)
        if not (self.low < self.high and isfinite(self.low) and isfinite(self.high)):
            raise InputError(f"low is {self.low} and high is {self.high}; expected low below high")
        if self.norm is not None:
            check_positive(norm=self.norm)
            if self.low < 0:
                raise InputError(
                    f"low is {self.low}; expected 0 or more, as weights are normalized"
                )


def within(weight: Tensor, stdp: PairSTDP) -> Tensor:
    """Returns weights [K, N] within their bounds; those of neurons that had one beyond a bound are
    then scaled to the sum ``norm``, if any."""
    inside = weight.clamp(stdp.low, stdp.high)
    if stdp.norm is None:
        return inside
    beyond = (inside != weight).any(dim=1, keepdim=True)
    total = inside.sum(dim=1, keepdim=True)
    scaled = (inside * (stdp.norm / total)).clamp(max=stdp.high)
    return torch.where(beyond & (total > 0), scaled, inside)


def depress(pre: Tensor, weight: Tensor, post_trace: Tensor, stdp: PairSTDP) -> Tensor:
    """Returns the change of weights w [B, K, N] at presynaptic spikes x [B, N]: -A- b x, with
    traces b of earlier postsynaptic spikes [B, K], times w - low if bounds are multiplicative."""
    delta = (-stdp.depression * post_trace).unsqueeze(2) * pre.unsqueeze(1)
    return delta * (weight - stdp.low) if stdp.bounds == "multiplicative" else delta


def potentiate(post: Tensor, weight: Tensor, pre_trace: Tensor, stdp: PairSTDP) -> Tensor:
    """Returns the change of weights w [B, K, N] at postsynaptic spikes y [B, K]: A+ y a, with
    traces a of presynaptic spikes up to now [B, N], times high - w if bounds are multiplicative.
    Then the weights of neurons that spiked are scaled to the sum ``norm``, if any."""
    fired = post.unsqueeze(2)
    delta = fired * (stdp.potentiation * pre_trace).unsqueeze(1)
    if stdp.bounds == "multiplicative":
        delta = delta * (stdp.high - weight)
    if stdp.norm is None:
        return delta
    raised = (weight + delta).clamp(max=stdp.high)
    total = raised.sum(dim=2, keepdim=True)
    scaled = torch.where(total > 0, raised * (stdp.norm / total), raised)
    return torch.where(fired > 0, scaled - weight, delta)


def fade(traces: Traces, stdp: PairSTDP, dt: float) -> Traces:
    """Decays traces by ``dt`` seconds, exactly."""
    return Traces(traces.pre * exp(-dt / stdp.tau_plus), traces.post * exp(-dt / stdp.tau_minus))


def pair_stdp(
    pre: Tensor, post: Tensor, weight: Tensor, traces: Traces, stdp: PairSTDP, dt: float
) -> tuple[Tensor, Traces]:
    """Runs one step: depression by presynaptic spikes, then potentiation by postsynaptic ones.

    Args:
        pre: spikes at the beginning of the step [B, N].
        post: spikes at the beginning of the step [B, K].
        weight: weights [B, K, N].
        traces: traces before the step.
        stdp: constants of the plasticity.
        dt: duration of the step, seconds.

    Returns:
        Change of the weights [B, K, N], not yet cut off at bounds, and the traces after the step.

    Example:
        >>> once, never, weight = torch.ones(1, 1), torch.zeros(1, 1), torch.full((1, 1, 1), 0.5)
        >>> rule, traces = PairSTDP(), Traces(never, never)
        >>> _, traces = pair_stdp(once, never, weight, traces, rule, dt=0.02)
        >>> delta, _ = pair_stdp(never, once, weight, traces, rule, dt=0.02)
        >>> f"{delta.item():.5f}"  # 0.01 / e
        '0.00368'
    """
    lowered = depress(pre, weight, traces.post, stdp)
    pre_trace = traces.pre + pre
    raised = potentiate(post, weight + lowered, pre_trace, stdp)
    return lowered + raised, fade(Traces(pre_trace, traces.post + post), stdp, dt)


def bayesian_stdp(pre: Tensor, post: Tensor, weight: Tensor, scale: float = 1.0) -> Tensor:
    """Returns delta = y (c exp(-w) x - 1), whose fixed point is w = log p(x = 1 | y) + log c.

    With it, a soft winner-take-all learns by online expectation maximization: weights become the
    logarithms of the probabilities of active inputs under each hidden cause. Nessler, Pfeiffer,
    Buesing, Maass, *Bayesian computation emerges in generic cortical microcircuits through
    spike-timing-dependent plasticity*, 2013.

    Args:
        pre: x, whether an input spiked a short time ago, 0 or 1 [B, N].
        post: spikes y of the neurons [B, K].
        weight: weights w [B, K, N].
        scale: constant c; above 1, weights of inputs that are active often enough are positive.

    Returns:
        Change of the weights at a learning rate of 1 [B, K, N].

    Raises:
        InputError: if c is not positive.

    Example:
        >>> w = torch.zeros(1, 1, 2)
        >>> w += 0.1 * bayesian_stdp(torch.tensor([[1.0, 0.0]]), torch.ones(1, 1), w, scale=3.0)
        >>> w
        tensor([[[ 0.2000, -0.1000]]])
    """
    check_positive(scale=scale)
    return post.unsqueeze(2) * (scale * torch.exp(-weight) * pre.unsqueeze(1) - 1)
