"""Predictions for fatiguing STDP in closed form: mean resource, mean drive, drift of the weights.

They hold for Poisson inputs. The paper derives conditions for learning timing despite rates; the
derivation here is our own, for the rule of :mod:`plastorch.spiking.fatigue.rule`.

Paper: Moraitis et al., *Fatiguing STDP*, IJCNN 2017, arXiv 1706.05563.
"""

from math import pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.fatigue.rule import FatiguingSTDP, weight_change


def mean_resource(rates: Tensor, fatigue: float, tau_fatigue: float) -> Tensor:
    """Returns the mean resource at the spikes of Poisson inputs, E[R] = 1 / (1 + U r τ), exactly.

    Args:
        rates: firing rates r, Hz.
        fatigue: share U of the resource that a spike uses up.
        tau_fatigue: time constant τ of the recovery, seconds.

    Example:
        >>> mean_resource(torch.tensor([10.0, 40.0]), 0.5, 0.5)
        tensor([0.2857, 0.0909])
    """
    return 1 / (1 + fatigue * rates * tau_fatigue)


def mean_square_resource(rates: Tensor, fatigue: float, tau_fatigue: float) -> Tensor:
    """Returns the mean square of the resource at the spikes of Poisson inputs, exactly.

    From one spike to the next, R' = 1 - (1 - (1 - U) R) z, with z the decay between them.

    Args:
        rates: firing rates r, Hz.
        fatigue: share U of the resource that a spike uses up.
        tau_fatigue: time constant τ of the recovery, seconds.

    Example:
        >>> mean_square_resource(torch.tensor([10.0, 40.0]), 0.5, 0.5)
        tensor([0.0994, 0.0107])
    """
    kept = 1 - fatigue
    z = rates * tau_fatigue / (1 + rates * tau_fatigue)
    z2 = rates * tau_fatigue / (2 + rates * tau_fatigue)
    mean = mean_resource(rates, fatigue, tau_fatigue)
    return (1 - 2 * z + z2 + 2 * kept * (z - z2) * mean) / (1 - kept**2 * z2)


def timing_margin(
    slow: float, fast: float, correlation: float, share: float, rule: FatiguingSTDP
) -> float:
    """Returns by how much a slow correlated input beats a fast uncorrelated one.

    share √c (1 + U r_fast τ_fatigue) - τ_trace (r_fast - r_slow): the contribution of common events
    to a trace at output spikes, less that of the difference of rates. Without fatigue it is
    negative once rates differ enough; fatigue raises it without limit. Above 0, timing is learned.

    Args:
        slow: rate of the slow input, Hz.
        fast: rate of the fast input, Hz.
        correlation: correlation c.
        share: share of output spikes that come with common events, see :func:`common_share`.
        rule: constants of the rule.

    Example:
        >>> timing_margin(10, 40, 0.5, 0.4, FatiguingSTDP(fatigue=0.0)) > 0
        False
        >>> timing_margin(10, 40, 0.5, 0.4, FatiguingSTDP()) > 0
        True
    """
    fatigued = 1 + rule.fatigue * fast * rule.tau_fatigue
    return share * sqrt(correlation) * fatigued - rule.tau_trace * (fast - slow)


def common_share(spikes: Tensor, common: Tensor, tau_trace: float, duration: float) -> float:
    """Returns the share of output spikes that come with common events of the inputs beyond chance.

    It is the mean trace of the common events at output spikes minus that at any time; so an output
    spike a little after a common event counts a little less.

    Args:
        spikes: times of output spikes, seconds [S].
        common: times of common events, seconds [C].
        tau_trace: time constant of the trace, seconds.
        duration: length of the time that holds them all, seconds.

    Raises:
        InputError: if there is no output spike.

    Example:
        >>> common_share(torch.tensor([0.5, 0.7]), torch.tensor([0.5]), 0.02, duration=1.0)
        0.48...
    """
    if len(spikes) == 0:
        raise InputError("spikes are none; expected one output spike or more")
    lag = spikes.double()[:, None] - common.double()
    # Equal times in single precision differ by up to 8 µs in the first two minutes.
    trace = torch.where(lag >= -1e-5, (-lag / tau_trace).exp(), 0.0).sum(dim=1)
    return float(trace.mean()) - len(common) * tau_trace / duration


class MeanField(NamedTuple):
    """Mean traces at output spikes, for given weights."""

    common: Tensor
    """Traces at output spikes that come with common events [N]."""
    other: Tensor
    """Traces at all other output spikes [N]."""
    theta: float
    """Threshold."""
    share: float
    """Share of output spikes with common events."""

    def drift(self, weight: Tensor) -> Tensor:
        """Returns the mean change of weights [N] per output spike, for a learning rate of 1."""
        with_common = weight_change(weight, self.common, 1.0)
        without = weight_change(weight, self.other, 1.0)
        return self.share * with_common + (1 - self.share) * without


def mean_field(
    weight: Tensor,
    rates: Tensor,
    members: Tensor,
    *,
    correlation: float,
    share: float,
    rule: FatiguingSTDP,
) -> MeanField:
    """Returns the mean traces at the output spikes of a neuron with many inputs.

    An input's trace is τ r E[R] at any time. A common event adds √c E[R] to those of the members.
    All other output spikes come when the membrane, a diffusion, first reaches the threshold: by a
    chance excess of input, of which each input has its share of the variance. The threshold is the
    one at which that happens at the rate that homeostasis sets.

    Args:
        weight: weights w [N].
        rates: firing rates, Hz [N].
        members: correlated inputs, all of one rate, bool [N].
        correlation: correlation c.
        share: share of output spikes that come with common events, below 1.
        rule: constants of the one-sided window.

    Example:
        >>> rates, members = torch.tensor([10.0, 10.0, 40.0]), torch.tensor([True, False, False])
        >>> weight, known = torch.full((3,), 0.5), {"correlation": 0.5, "share": 0.4}
        >>> field = mean_field(weight, rates, members, rule=FatiguingSTDP(), **known)
        >>> [drift > 0 for drift in field.drift(weight).tolist()]
        [True, False, False]
    """
    fatigue, tau = rule.fatigue, rule.tau_fatigue
    resource = mean_resource(rates, fatigue, tau)
    seen = resource if rule.trace_fatigue else torch.ones_like(resource)
    square = mean_square_resource(rates, fatigue, tau)
    product = square if rule.trace_fatigue else resource
    trace = rule.tau_trace * rates * seen
    mean = float((rule.tau_membrane * weight * rates * resource).sum())
    variance = float((rule.tau_membrane / 2 * weight**2 * rates * square).sum())
    theta = passage_threshold(
        mean, sqrt(variance), rule.tau_membrane, rule.target_rate * (1 - share)
    )
    both = rule.tau_trace * rule.tau_membrane / (rule.tau_trace + rule.tau_membrane)
    excess = both * weight * rates * product * (theta - mean) / variance
    common = trace + sqrt(correlation) * seen * members
    return MeanField(common, trace + excess, theta, share)


def passage_threshold(mean: float, deviation: float, tau: float, rate: float) -> float:
    """Returns the threshold that a diffusing membrane, reset to 0, reaches at a mean rate.

    Inverts Siegert's formula for the mean first-passage time of an Ornstein-Uhlenbeck process.

    Args:
        mean: mean potential far from reset and threshold.
        deviation: standard deviation of the potential there.
        tau: time constant of the membrane, seconds.
        rate: mean rate, Hz.

    Example:
        >>> passage_threshold(50.0, 3.5, tau=0.02, rate=10.0) > 50
        True
    """
    from scipy.integrate import quad
    from scipy.optimize import brentq
    from scipy.special import erfcx

    def excess_time(theta: float) -> float:
        bounds = (-mean / deviation / sqrt(2), (theta - mean) / deviation / sqrt(2))
        integral, _ = quad(lambda u: erfcx(-u), *bounds, limit=200, epsabs=1e-9)
        return float(tau * sqrt(pi) * integral - 1 / rate)

    return float(brentq(excess_time, 1e-9 * mean, mean + 8 * deviation))
