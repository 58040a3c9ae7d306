"""Training of a rank coder, and of the same network without rank coding.

Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate Recurrent
Neural Networks*, ICLR 2022, arXiv 2110.02865.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.distributed import (
    backward,
    check_parts,
    part,
    sum_over_workers,
    worker,
    workers,
)
from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning.phases import Phase, under
from plastorch.rank.criterion import check_labels, first_crossing, rank_loss
from plastorch.rank.model import Decision, RankCoder

Mode = Literal["rank", "last", "all"]
"""Trained outputs: at the first crossing ("rank"), at the last step ("last"), or at all steps."""


class Batch(NamedTuple):
    """Sequences with classes and lengths."""

    x: Tensor
    """Sequences in the form that :class:`RankCoder` takes, on its device."""
    labels: Tensor
    """Classes, int64 [B]."""
    lengths: Tensor | None = None
    """Number of steps of each sequence [B]; all if None."""

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch on a device."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Batch(self.x.to(device), self.labels.to(device), lengths)

    def split(self, size: int) -> list["Batch"]:
        """Returns parts of at most ``size`` sequences; steps must be the first dimension."""
        rows = [slice(first, first + size) for first in range(0, len(self.labels), size)]
        ends = self.lengths
        return [
            Batch(self.x[:, part], self.labels[part], None if ends is None else ends[part])
            for part in rows
        ]


@dataclass(frozen=True)
class RankSettings:
    """Settings of training by Adam.

    Args:
        batches: number of batches, with one update each.
        mode: outputs that are trained. Threshold and entropy weight matter only in "rank".
        every: number of batches per record, for example those of an epoch.
        learning_rate: initial learning rate.
        cosine: decay of the learning rate to 0 along half a cosine; otherwise it is constant.
        max_norm: maximum gradient norm over all parameters; None turns clipping off.
        best_from: share of training after which the best weights are kept, if there is a score.

    Raises:
        InputError: a value is out of range.
    """

    batches: int
    mode: Mode = "rank"
    every: int = 100
    learning_rate: float = 1e-3
    cosine: bool = False
    max_norm: float | None = None
    best_from: float = 0.8

    def __post_init__(self) -> None:
        check_one_of(get_args(Mode), mode=self.mode)
        check_positive(batches=self.batches, every=self.every, learning_rate=self.learning_rate)
        if self.max_norm is not None:
            check_positive(max_norm=self.max_norm)
        if not 0 <= self.best_from <= 1:
            raise InputError(f"best_from is {self.best_from}; expected 0 to 1")

    def rate(self, number: int) -> float:
        """Returns the learning rate of a batch, counted from 0.

        Example:
            >>> RankSettings(100, cosine=True, learning_rate=0.1).rate(50)
            0.05
        """
        if not self.cosine:
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * number / self.batches)) / 2


class RankTraining(Phase):
    """Phase of a run that trains by Adam on batches identified by number, from 0.

    A step takes ``every`` batches. It logs the loss, ``train_accuracy`` at t* (the step of the
    first crossing, or the last; from 0), ``mean_step`` over all sequences, ``mean_step_crossed``
    over those that crossed (omitted if none did), ``uncrossed``, the share of the others,
    ``computed_steps`` per sequence, forward and as many backward, wall-clock ``seconds`` of the
    updates, and the results of ``validate``.

    Args:
        name: name of the phase.
        coder: network to train, on its device.
        batch: function from a number to its batch, over all workers. It may make fresh data or
            take part of an epoch (:class:`~plastorch.learning.phases.EpochOrder`), but must return
            the same batch for the same number.
        training: training settings.
        path: seed, and name of the stream of dropout, if any; each worker draws its own.
        validate: function that evaluates the network; its results are logged.
        score: function of the record. Training ends with the weights of the highest score from
            ``best_from`` on; None keeps the last weights.

    Raises:
        InputError: the loss is not finite (raised by a step).

    Example:
        >>> coder = RankCoder(nn.GRU(3, 8), nn.Linear(8, 2))
        >>> batch = lambda number: Batch(torch.randn(9, 4, 3), torch.arange(4) % 2)
        >>> phase = RankTraining("gru", coder, batch, RankSettings(batches=2))
        >>> phase.step()[0]["computed_steps"], phase.position == phase.total
        (9.0, True)
    """

    def __init__(
        self,
        name: str,
        coder: RankCoder,
        batch: Callable[[int], Batch],
        training: RankSettings,
        *,
        path: tuple[int, ...] = (0,),
        validate: Callable[[RankCoder], Record] | None = None,
        score: Callable[[Record], float] | None = None,
    ) -> None:
        super().__init__(name, math.ceil(training.batches / training.every))
        self.coder, self.batch, self.training = coder, batch, training
        self.path, self.validate, self.score = path, validate, score
        self.trained = [p for p in coder.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, training.learning_rate)
        self.optimizers = [self.optimizer]
        self.best: tuple[float, dict[str, Tensor]] | None = None

    def step(self) -> list[Record]:
        """Trains on the next batches, then validates."""
        start = time.perf_counter()
        first = self.position * self.training.every
        numbers = range(first, min(first + self.training.every, self.training.batches))
        self.coder.train()
        found = torch.stack([self._update(number) for number in numbers]).sum(dim=0)
        sums = sum_over_workers(found).tolist()
        loss, right, steps, crossed_steps, crossed, computed, samples = sums
        if not math.isfinite(loss):
            raise InputError(
                f"learning_rate is {self.training.learning_rate}: the loss of {self.name} became "
                f"{loss} before batch {numbers.stop}; expected a rate at which it stays finite"
            )
        self.position += 1
        record: Record = {
            "phase": self.name,
            "batch": numbers.stop,
            "loss": loss / samples,
            "train_accuracy": right / samples,
            "mean_step": steps / samples,
            "uncrossed": 1 - crossed / samples,
            "computed_steps": computed / samples,
            "seconds": round(time.perf_counter() - start, 4),
        }
        if crossed:
            record["mean_step_crossed"] = crossed_steps / crossed
        if self.validate is not None:
            self.coder.eval()
            record |= self.validate(self.coder)
        self._keep(record)
        return [record]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns Adam's moments and the best weights so far."""
        state = super().state_dict()
        if self.best is not None:
            score, weights = self.best
            state["score"] = torch.tensor(score, dtype=torch.float64)
            state |= {f"best.{name}": tensor for name, tensor in weights.items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a state from :meth:`state_dict`."""
        super().load_state_dict(state)
        if "score" in state:
            self.best = float(state["score"]), under(state, "best.")

    def _update(self, number: int) -> Tensor:
        """Trains on one batch and returns sums over its samples [7]."""
        training, batch = self.training, self._part(self.batch(number))
        self.optimizer.param_groups[0]["lr"] = training.rate(number)
        devices = [batch.x.device] if batch.x.is_cuda else []
        with torch.random.fork_rng(devices):
            path = (*self.path, number, worker()) if workers() > 1 else (*self.path, number)
            torch.manual_seed(stream(*path).initial_seed())
            loss, decision = losses(self.coder, batch, training.mode)
        self.optimizer.zero_grad()
        backward(loss, self.trained)
        if training.max_norm is not None:
            nn.utils.clip_grad_norm_(self.trained, training.max_norm)
        self.optimizer.step()
        return _sums(loss.detach(), decision, batch.labels)

    def _part(self, batch: Batch) -> Batch:
        """Returns this worker's samples."""
        x, labels, lengths = batch
        check_parts(batch_size=len(labels))
        dim = 0 if self.coder.batch_first and x.dim() == 3 else 1
        return Batch(part(x, dim), part(labels), None if lengths is None else part(lengths))

    def _keep(self, record: Record) -> None:
        """Keeps the best weights so far, and restores them after the last record."""
        if self.score is None:
            return
        if self.position >= self.training.best_from * self.total:
            score = self.score(record)
            if self.best is None or score > self.best[0]:
                weights = self.coder.state_dict()
                self.best = score, {name: value.clone() for name, value in weights.items()}
        if self.position == self.total and self.best is not None:
            self.coder.load_state_dict(self.best[1])


def losses(coder: RankCoder, batch: Batch, mode: Mode) -> tuple[Tensor, Decision]:
    """Returns the loss of a mode, mean over samples, and the answers.

    Except in "rank", all steps up to a sample's length count as computed.

    Example:
        >>> coder = RankCoder(nn.GRU(3, 8), nn.Linear(8, 2), threshold=1.0)
        >>> batch = Batch(torch.randn(9, 4, 3), torch.arange(4) % 2)
        >>> torch.allclose(losses(coder, batch, "rank")[0], losses(coder, batch, "last")[0])
        True
    """
    x, labels, lengths = batch
    if mode == "rank":
        return coder.loss(x, labels, lengths)
    logits = coder.all_steps(x, lengths)
    check_labels(logits, labels)
    steps, samples = logits.shape[:2]
    rows = torch.arange(samples, device=logits.device)
    step, crossed = first_crossing(logits.detach(), coder.threshold, lengths)
    whole = steps * samples if lengths is None else int(lengths.sum())
    decision = Decision(logits.detach()[step, rows], step, crossed, whole)
    if mode == "last":
        ends = steps - 1 if lengths is None else lengths - 1
        return rank_loss(logits[ends, rows], labels), decision
    return _mean_over_steps(logits, labels, lengths), decision


def _mean_over_steps(logits: Tensor, labels: Tensor, lengths: Tensor | None) -> Tensor:
    """Returns the cross-entropy, mean over the steps of each sample."""
    steps, samples, classes = logits.shape
    spread = labels.expand(steps, samples)
    if classes == 1:
        wrong = F.binary_cross_entropy_with_logits(
            logits[..., 0], spread.to(logits), reduction="none"
        )
    else:
        wrong = F.cross_entropy(logits.flatten(0, 1), spread.flatten(), reduction="none")
    weight = torch.ones_like(spread, dtype=logits.dtype)
    if lengths is not None:
        numbers = torch.arange(steps, device=logits.device)[:, None]
        weight = weight * (numbers < lengths.to(numbers.device))
    return (wrong.view(steps, samples) * weight / weight.sum(dim=0)).sum(dim=0).mean()


def _sums(loss: Tensor, decision: Decision, labels: Tensor) -> Tensor:
    """Sums loss, correct, steps of all and of crossed samples, crossings, computed, samples."""
    step, crossed, samples = decision.step, decision.crossed, len(labels)
    right = (decision.label == labels).sum()
    sums = [loss.double() * samples, right, step.sum(), (step * crossed).sum(), crossed.sum()]
    counts = torch.tensor([decision.computed, samples], device=loss.device)
    return torch.cat([torch.stack(sums).double(), counts.double()])
