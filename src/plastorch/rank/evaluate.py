"""Speed and accuracy of a network's answers, for many thresholds at once."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.learning.lengths import checked_lengths
from plastorch.learning.modes import evaluating
from plastorch.rank.criterion import answer, check_labels, crossing_before
from plastorch.rank.model import RankCoder
from plastorch.rank.objectives import Batch
from plastorch.rank.thresholds import costs


class Timing(NamedTuple):
    """Speed and accuracy of answers; steps count from 0."""

    accuracy: float
    """Share of correct answers."""
    mean_step: float
    """Mean t* over all samples; the last step counts for samples that never crossed."""
    mean_step_crossed: float
    """Mean t* over samples that crossed; NaN if none did."""
    median_step: float
    """Median t* over all samples."""
    late_step: float
    """95th percentile of t* over all samples."""
    uncrossed: float
    """Share of samples that never crossed."""


class Readings(NamedTuple):
    """Answers of N samples for K thresholds and for each fixed step, all on the CPU."""

    thresholds: tuple[float, ...]
    """The K thresholds, in the order given."""
    step: Tensor
    """Answer steps t* from 0, int64 [K, N]."""
    crossed: Tensor
    """Whether the threshold was crossed, bool [K, N]."""
    right: Tensor
    """Whether the answer is correct, bool [K, N]."""
    lengths: Tensor
    """Number of steps of each sample, int64 [N]."""
    accuracy_at: Tensor
    """Share of correct answers at step t, or at the sample's end if earlier, double [T]."""

    def timing(self, threshold: float) -> Timing:
        """Returns the statistics of one threshold."""
        place = self.thresholds.index(threshold)
        step, crossed = self.step[place].double(), self.crossed[place]
        return Timing(
            accuracy=float(self.right[place].double().mean()),
            mean_step=float(step.mean()),
            mean_step_crossed=float(step[crossed].mean()),
            median_step=float(step.quantile(0.5)),
            late_step=float(step.quantile(0.95)),
            uncrossed=1 - float(crossed.double().mean()),
        )

    def early(self, threshold: float, earliest: Tensor) -> float:
        """Returns the share of samples that crossed before the earliest possible step [N]."""
        place = self.thresholds.index(threshold)
        return float((self.crossed[place] & (self.step[place] < earliest)).double().mean())

    def skipped(self, threshold: float) -> float:
        """Returns the share of steps that come after the answers."""
        used = self.step[self.thresholds.index(threshold)] + 1
        return 1 - float(used.sum()) / float(self.lengths.sum())

    def cost(self, threshold: float, alpha: float) -> float:
        """Returns the AvgCost of one threshold, at the price α of a wrong answer."""
        place = self.thresholds.index(threshold)
        right, time = self.right[place].numpy(), self.step[place].numpy() + 1
        return float(costs(right, time, self.lengths.numpy(), alpha).mean())


@torch.no_grad()
def evaluate(coder: RankCoder, batches: Iterable[Batch], thresholds: Sequence[float]) -> Readings:
    """Evaluates a network's answers for all thresholds in one pass over all steps.

    Args:
        coder: network; its own threshold is ignored.
        batches: batches with the same number of steps.
        thresholds: thresholds θ, each in (0, 1].

    Raises:
        InputError: there is no batch or no threshold, a threshold is out of range, or labels or
            lengths don't fit.

    Example:
        >>> from torch import nn
        >>> coder = RankCoder(nn.GRU(3, 8), nn.Linear(8, 2))
        >>> batch = Batch(torch.randn(9, 4, 3), torch.arange(4) % 2)
        >>> readings = evaluate(coder, [batch], thresholds=(1e-3, 1.0))
        >>> [readings.timing(threshold).mean_step for threshold in readings.thresholds]
        [0.0, 8.0]
    """
    with evaluating(coder):
        return read(
            ((coder.all_steps(batch.x, batch.lengths), batch) for batch in batches), thresholds
        )


def read(scored: Iterable[tuple[Tensor, Batch]], thresholds: Sequence[float]) -> Readings:
    """Evaluates answers from given logits.

    Args:
        scored: pairs of logits of all steps [T, B, C] and their batch.
        thresholds: thresholds θ, each in (0, 1].

    Raises:
        InputError: there is no batch or no threshold, a threshold is out of range, or labels or
            lengths don't fit.
    """
    if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
        raise InputError(f"thresholds are {thresholds}; expected some above 0, up to 1")
    parts = [_read(logits, batch, thresholds) for logits, batch in scored]
    if not parts:
        raise InputError("batches are empty; expected one or more")
    step, crossed, right, lengths, by_step = (
        torch.cat(of, dim=-1).cpu() for of in zip(*parts, strict=True)
    )
    accuracy_at = by_step.double().mean(dim=-1)
    return Readings(
        thresholds=tuple(thresholds),
        step=step,
        crossed=crossed,
        right=right,
        lengths=lengths,
        accuracy_at=accuracy_at,
    )


def multiply_accumulates(coder: RankCoder) -> int:
    """Counts multiply-accumulates per sample and step, each synapse once.

    Counts the entries of two-dimensional parameters. This is right for ``nn.RNN``, ``nn.GRU``,
    ``nn.LSTM`` and linear layers (4 H (I + H) + H C for one LSTM) and includes decay and growth of
    an STPN's synapses. It ignores biases and activation functions. Convolutions reuse their weights
    and must be counted by hand. For a sequence, multiply by its number of steps, or by t* + 1 if
    computation stops at the answer.

    Example:
        >>> from torch import nn
        >>> multiply_accumulates(RankCoder(nn.LSTM(3, 10), nn.Linear(10, 2)))
        540
    """
    return sum(p.numel() for p in coder.parameters() if p.dim() == 2)


def _read(logits: Tensor, batch: Batch, thresholds: Sequence[float]) -> list[Tensor]:
    """Returns steps, crossings, correct [K, B], lengths [B], correct at each step [T, B]."""
    check_labels(logits, batch.labels)
    steps, samples = logits.shape[:2]
    lengths = checked_lengths(batch.lengths, logits)
    rows = torch.arange(samples, device=logits.device)
    right = answer(logits) == batch.labels
    found = [crossing_before(logits, threshold, lengths) for threshold in thresholds]
    step = torch.stack([step for step, _ in found])
    crossed = torch.stack([crossed for _, crossed in found])
    read = torch.arange(steps, device=logits.device)[:, None].minimum(lengths - 1)
    return [step, crossed, right[step, rows], lengths, right[read, rows]]
