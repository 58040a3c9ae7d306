"""Objectives of training: which of a network's outputs are trained, and how they count.

Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate Recurrent
Neural Networks*, ICLR 2022, arXiv 2110.02865, has "last" and "first".
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_one_of
from plastorch.rank.criterion import (
    cross_entropies,
    crossing_before,
    first_crossing,
    log_odds,
    mean_over,
)
from plastorch.rank.decision import Decision
from plastorch.rank.model import RankCoder
from plastorch.rank.thresholds import check_between

Objective = Literal["first", "last", "all", "hybrid", "cost"]
"""Objectives by name; see :func:`losses`."""
REST = 1e-3
"""Probability of going on below which a sample is not read any further, in "cost"."""


class Batch(NamedTuple):
    """Sequences with classes and lengths."""

    x: Tensor
    """Sequences in the form that :class:`RankCoder` takes, on its device."""
    labels: Tensor
    """Classes, int64 [B]."""
    lengths: Tensor | None = None
    """Number of steps of each sequence [B]; all if None."""
    weights: Tensor | None = None
    """Weights of the sequences in losses [B]; equal if None."""

    @property
    def weight(self) -> float:
        """Sum of the sequences' weights."""
        return len(self.labels) if self.weights is None else float(self.weights.sum())

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch on a device."""
        ends, weights = (None if of is None else of.to(device) for of in self[2:])
        return Batch(self.x.to(device), self.labels.to(device), ends, weights)

    def split(self, size: int) -> list["Batch"]:
        """Returns parts of at most ``size`` sequences; steps must be the first dimension."""
        rows = [slice(first, first + size) for first in range(0, len(self.labels), size)]
        ends, weights = self.lengths, self.weights
        return [
            Batch(
                self.x[:, part],
                self.labels[part],
                None if ends is None else ends[part],
                None if weights is None else weights[part],
            )
            for part in rows
        ]


def losses(
    coder: RankCoder, batch: Batch, objective: Objective, alpha: float = 0.8
) -> tuple[Tensor, Decision]:
    """Returns the loss of an objective, mean over samples, and the answers.

    With the cross-entropy ℓ_t of step t = 1 … T, T being a sample's length, the loss of a sample is

    - ``first``: ℓ at the answer t* minus β times its entropy (rank coding);
    - ``last``: ℓ_T;
    - ``all``: the mean of ℓ_t over all steps;
    - ``hybrid``: the same mean for a network that holds its answer to the end,
      (Σ_{t < t*} ℓ_t + (T - t* + 1) ℓ_{t*}) / T;
    - ``cost``: the expected price of the answer, Σ_t P_t (α ℓ_t + (1 - α) t / T). The network stops
      at t with the probability P_t = h_t Π_{s < t} (1 - h_s), h_t = σ(logit c_t - logit θ), c_t
      being its confidence max_c p_{t,c}; at the end it must stop.

    Steps after t* are not computed in ``first`` and ``hybrid``, nor in ``cost`` those that are
    reached with a probability below 0.001. In ``last`` and ``all``, no step is skipped.

    Args:
        coder: network with its threshold θ and entropy weight β.
        batch: sequences, classes, lengths and weights.
        objective: name of the objective.
        alpha: price α of a wrong answer against that of a late one, in (0, 1), for ``cost``.

    Raises:
        InputError: sequences, lengths or labels don't fit the network.

    Example:
        >>> coder = RankCoder(torch.nn.GRU(3, 8), torch.nn.Linear(8, 2), threshold=1.0)
        >>> batch = Batch(torch.randn(9, 4, 3), torch.arange(4) % 2)
        >>> torch.allclose(losses(coder, batch, "first")[0], losses(coder, batch, "last")[0])
        True
    """
    check_one_of(get_args(Objective), objective=objective)
    if objective == "first":
        return coder.loss(*batch)
    if objective in ("last", "all"):
        return _of_whole(coder, batch, objective)
    x, labels, lengths, weights = batch
    theta = _constant(coder)
    stopping = _Stopping(theta, alpha) if objective == "cost" else None
    logits, made = coder.up_to_answers(x, lengths, stopping)
    steps = x.shape[1] if coder.batch_first and x.dim() == 3 else x.shape[0]
    ends = torch.full_like(made.step, steps) if lengths is None else lengths.to(made.step)
    wrong = cross_entropies(logits, labels)
    if stopping:
        chance = stopping.chances(logits, made.step)
        time = torch.arange(1, len(logits) + 1, device=ends.device)[:, None] / ends
        found = (chance * (alpha * wrong + (1 - alpha) * time)).sum(dim=0)
        made = _answers(logits.detach(), theta, made)
    else:
        found = (wrong * _held(made.step, ends, len(logits))).sum(dim=0) / ends
    return mean_over(found, weights), made


def _of_whole(coder: RankCoder, batch: Batch, objective: Objective) -> tuple[Tensor, Decision]:
    """Returns the loss at the last step or at all steps, and the answers at θ."""
    x, labels, lengths, weights = batch
    logits = coder.all_steps(x, lengths)
    steps, samples = logits.shape[:2]
    rows = torch.arange(samples, device=logits.device)
    step, crossed = first_crossing(logits.detach(), _constant(coder), lengths)
    made = Decision(logits.detach()[step, rows], step, crossed, steps * samples)
    if objective == "last":
        ends = steps - 1 if lengths is None else lengths.long() - 1
        return mean_over(cross_entropies(logits[ends, rows], labels), weights), made
    ends = torch.full_like(step, steps) if lengths is None else lengths.to(step)
    wrong = cross_entropies(logits, labels)
    read = torch.arange(steps, device=logits.device)[:, None] < ends
    return mean_over((wrong * read / ends).sum(dim=0), weights), made


def _answers(logits: Tensor, threshold: float, read: Decision) -> Decision:
    """Returns the answers at θ, or at the last step that was read, of outputs [S, B, C]."""
    step, crossed = crossing_before(logits, threshold, read.step + 1)
    rows = torch.arange(len(step), device=step.device)
    return Decision(logits[step, rows], step, crossed, read.computed)


def _held(step: Tensor, ends: Tensor, steps: int) -> Tensor:
    """Returns for how many steps [S, B] each output counts if answers at ``step`` are held."""
    numbers = torch.arange(steps, device=step.device)[:, None]
    return torch.where(numbers == step, ends - step, (numbers < step).to(ends))


class _Stopping:
    """Stopping probabilities of a network, and where the chance of going on is negligible."""

    def __init__(self, threshold: float, alpha: float) -> None:
        check_between(alpha=alpha)
        if threshold == 1:
            raise InputError("threshold is 1; expected less for objective cost: 1 is never crossed")
        self.limit = math.log(threshold / (1 - threshold))
        self.on: Tensor | None = None

    def __call__(self, scores: Tensor, start: int, rows: Tensor) -> Tensor:
        """Returns where samples are done; remembers the log of the chance of going on."""
        if self.on is None:
            self.on = scores.new_zeros(len(rows))
        on = self.on[rows] + F.logsigmoid(self.limit - log_odds(scores)).cumsum(dim=0)
        self.on[rows] = on[-1]
        return on < math.log(REST)

    def chances(self, logits: Tensor, step: Tensor) -> Tensor:
        """Returns the probability [S, B] of stopping at each step, at ``step`` if not before."""
        numbers = torch.arange(len(logits), device=logits.device)[:, None]
        odds = log_odds(logits) - self.limit
        stop = F.logsigmoid(odds).masked_fill(numbers == step, 0.0)
        on = F.logsigmoid(-odds)
        return (on.cumsum(dim=0) - on + stop).exp() * (numbers <= step)


def _constant(coder: RankCoder) -> float:
    if isinstance(coder.threshold, Tensor):
        raise InputError("threshold differs from step to step; expected one number in training")
    return coder.threshold
