"""Evidence that arrives step by step: two toy tasks, and their ideal observers.

The tasks of Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate
Recurrent Neural Networks*, ICLR 2022, arXiv 2110.02865. Steps count from 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import check_positive

SIGNAL = 0.05
"""Size of the signal of :func:`noisy_signals`."""
SIGMAS = (0.05, 0.25)
"""Smallest and largest standard deviation of the noise of :func:`noisy_signals`."""
SIGNAL_STEPS, RUN_STEPS, RUN = 40, 25, 5
"""Numbers of steps of the two tasks, and number of equal bits in a run."""
GRID = 41
"""Number of standard deviations that the ideal observer considers."""


class Signals(NamedTuple):
    """Noisy signals."""

    x: Tensor
    """Signals [40, N, 1]."""
    labels: Tensor
    """Labels: 1 where the signal is positive, 0 where it is negative, int64 [N]."""
    sigma: Tensor
    """Standard deviation of each sequence's noise [N]."""


class Runs(NamedTuple):
    """Sequences of bits."""

    x: Tensor
    """Bits 0 and 1, float32 [25, N, 1]."""
    labels: Tensor
    """Labels: 1 if there are five equal bits in a row, int64 [N]."""
    known: Tensor
    """First step at which the label is certain, int64 [N]: for a 1, the first run's fifth bit; for
    a 0, the step from which on there is no time left for a run."""


def noisy_signals(count: int, random: torch.Generator) -> Signals:
    """Draws signals to classify as positive or negative: ``x_t = ±0.05 + σ n_t``, n_t normal.

    σ is uniform in [0.05, 0.25] for each sequence; half of them, or one more, are positive.

    Args:
        count: number of signals N.
        random: random generator on the CPU.

    Raises:
        InputError: the count is below 1.

    Example:
        >>> noisy_signals(6, torch.Generator().manual_seed(0)).labels.sum()
        tensor(3)
    """
    check_positive(count=count)
    labels = (torch.randperm(count, generator=random) + 1) % 2
    low, high = SIGMAS
    sigma = low + (high - low) * torch.rand(count, generator=random)
    noise = torch.randn(SIGNAL_STEPS, count, generator=random)
    x = (2 * labels - 1) * SIGNAL + sigma * noise
    return Signals(x.unsqueeze(-1), labels, sigma)


def signal_log_odds(x: Tensor) -> Tensor:
    """Returns ln P(positive) / P(negative) at each step, given all but the sign and σ.

    ``ln Σ_σ Π_t N(x_t; 0.05, σ) - ln Σ_σ Π_t N(x_t; -0.05, σ)``, with 41 values of σ.

    Args:
        x: noisy signals [T, N, 1].

    Returns:
        Log odds, double [T, N, 1]: logits of a single output, as a network would give them.

    Example:
        >>> signal_log_odds(torch.tensor([0.3, -0.3, 0.05]).view(3, 1, 1)).sign().flatten()
        tensor([1., 0., 1.], dtype=torch.float64)
    """
    x = x[..., 0].double()
    grid = torch.linspace(*SIGMAS, GRID, dtype=torch.float64, device=x.device)[:, None, None]
    count = torch.arange(1, len(x) + 1, device=x.device)[:, None]

    def evidence(mean: float) -> Tensor:
        squares = (x - mean).square().cumsum(dim=0)
        return (-squares / (2 * grid.square()) - count * grid.log()).logsumexp(dim=0)

    return (evidence(SIGNAL) - evidence(-SIGNAL)).unsqueeze(-1)


def runs_of_bits(count: int, random: torch.Generator) -> Runs:
    """Draws 25 fair bits, to classify by whether five in a row are equal.

    Args:
        count: number of sequences N.
        random: random generator on the CPU.

    Raises:
        InputError: the count is below 1.

    Example:
        >>> runs_of_bits(1000, torch.Generator().manual_seed(0)).labels.sum()
        tensor(565)
    """
    check_positive(count=count)
    bits = torch.randint(0, 2, (RUN_STEPS, count), generator=random)
    length = run_lengths(bits)
    labels = (length >= RUN).any(dim=0).long()
    known = torch.where(labels == 1, length >= RUN, _run_chance(length) == 0)
    return Runs(bits.float().unsqueeze(-1), labels, known.int().argmax(dim=0))


def run_log_odds(x: Tensor) -> Tensor:
    """Returns ln P(run) / P(none) at each step, given how bits are drawn.

    The odds depend on the length of the run that ends with the last bit, and on the number of bits
    to come. After a complete run, they stay infinite.

    Args:
        x: bits [25, N, 1].

    Returns:
        Log odds, double [25, N, 1]: logits of a single output.

    Example:
        >>> x = torch.ones(25, 1, 1)
        >>> run_log_odds(x)[3:5].flatten()
        tensor([1.0408,    inf], dtype=torch.float64)
    """
    length = run_lengths(x[..., 0])
    seen = (length >= RUN).cummax(dim=0).values
    return _run_chance(torch.where(seen, RUN, length)).logit().unsqueeze(-1)


def run_chances() -> Tensor:
    """Returns P(run so far or later) for n bits to come and r equal ones last, double [26, 6].

    Example:
        >>> run_chances()[25, 0]  # before the first bit
        tensor(0.5496, dtype=torch.float64)
    """
    chances = torch.zeros(RUN_STEPS + 1, RUN + 1, dtype=torch.float64)
    chances[:, RUN] = 1
    for left in range(1, RUN_STEPS + 1):
        before = chances[left - 1]
        chances[left, 0] = before[1]
        chances[left, 1:RUN] = (before[2:] + before[1]) / 2
    return chances


def run_lengths(bits: Tensor) -> Tensor:
    """Counts the equal bits in a row up to each step, int64 [T, N].

    Example:
        >>> run_lengths(torch.tensor([[0], [1], [1], [1], [0]])).flatten()
        tensor([1, 1, 2, 3, 1])
    """
    step = torch.arange(len(bits), device=bits.device)[:, None]
    new = torch.ones_like(bits, dtype=torch.bool)
    new[1:] = bits[1:] != bits[:-1]
    return step - torch.where(new, step, 0).cummax(dim=0).values + 1


def _run_chance(length: Tensor) -> Tensor:
    """Returns P(run) at each step [25, N], given the lengths so far."""
    left = torch.arange(RUN_STEPS - 1, -1, -1, device=length.device)[:, None]
    return run_chances().to(length.device)[left, length.clamp(max=RUN)]
