"""Training of a rank coder, and of the same network without rank coding, batch after batch.

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

from plastorch.engine.checkpoint import load_moments, moments
from plastorch.engine.device import generator
from plastorch.engine.distributed import (
    backward,
    check_parts,
    part,
    sum_over_workers,
    worker,
    workers,
)
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.run import Record
from plastorch.rank.criterion import check_labels, first_crossing, rank_loss
from plastorch.rank.model import Decision, RankCoder

Mode = Literal["rank", "last", "all", "growing"]
"""What is trained: the answer at the first crossing; that of the last step; those of all steps,
which count the same, or more the later they are."""


class Batch(NamedTuple):
    """Sequences, their classes, and their lengths."""

    x: Tensor
    """As :class:`RankCoder` takes it, on its device."""
    labels: Tensor
    """int64 [B]."""
    lengths: Tensor | None = None
    """Steps of each sequence [B]; all if None."""


@dataclass(frozen=True)
class Training:
    """How a network is trained by Adam.

    Args:
        batches: how many, one update each.
        mode: whose loss is minimised. The threshold and the weight of entropy matter in "rank".
        every: batches per record, such as those of an epoch.
        learning_rate: at the start.
        cosine: whether it falls to 0 along half a cosine; constant if not.
        max_norm: of the gradient of all parameters together; not clipped if None.
        best_from: share of the training from which on the best weights are kept, if there is a
            score.

    Raises:
        InputError: if a value is out of range.
    """

    batches: int
    mode: Mode = "rank"
    every: int = 100
    learning_rate: float = 1e-3
    cosine: bool = False
    max_norm: float | None = None
    best_from: float = 0.8

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise InputError(f"mode is {self.mode!r}; expected one of {', '.join(get_args(Mode))}")
        check_positive(batches=self.batches, every=self.every, learning_rate=self.learning_rate)
        if self.max_norm is not None:
            check_positive(max_norm=self.max_norm)
        if not 0 <= self.best_from <= 1:
            raise InputError(f"best_from is {self.best_from}; expected 0 to 1")

    def rate(self, number: int) -> float:
        """Learning rate of a batch, the first being 0.

        Example:
            >>> Training(100, cosine=True, learning_rate=0.1).rate(50)
            0.05
        """
        if not self.cosine:
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * number / self.batches)) / 2


class RankTraining:
    """A phase of the run: Adam on batches that are named by their number, from 0.

    A step is ``every`` batches and logs: loss; of the answers at t* (the step of the first
    crossing, or the last; from 0), ``train_accuracy``, ``mean_step`` over all sequences,
    ``mean_step_crossed`` over those that crossed (left out if none did) and ``uncrossed``, the
    share of the others; ``computed_steps`` per sequence, forwards and as many backwards; wall
    ``seconds`` of the updates; and what ``validate`` finds.

    Args:
        name: of the phase.
        coder: what learns, on its device.
        batch: makes the batch of a number, that of all workers. Fresh data for each number, or
            the part of an epoch (:func:`batch_rows`), are the same to the phase. It must give the
            same for the same number.
        training: how.
        path: of numbers that seeds dropout, if the network has any; each worker has its own.
        validate: measures the network as it is; its figures are logged.
        score: of what is logged; at the end the network has the weights of the highest score, of
            the records from ``best_from`` on. If None, it has the last.

    Raises:
        InputError: in a step, if the loss is not finite.

    Example:
        >>> coder = RankCoder(nn.GRU(3, 8), nn.Linear(8, 2))
        >>> batch = lambda number: Batch(torch.randn(9, 4, 3), torch.arange(4) % 2)
        >>> phase = RankTraining("gru", coder, batch, Training(batches=2))
        >>> phase.step()[0]["computed_steps"], phase.position == phase.total
        (9.0, True)
    """

    def __init__(
        self,
        name: str,
        coder: RankCoder,
        batch: Callable[[int], Batch],
        training: Training,
        path: tuple[int, ...] = (0,),
        validate: Callable[[RankCoder], Record] | None = None,
        score: Callable[[Record], float] | None = None,
    ) -> None:
        self.name, self.coder, self.batch, self.training = name, coder, batch, training
        self.path, self.validate, self.score = path, validate, score
        self.position, self.total = 0, math.ceil(training.batches / training.every)
        self.trained = [p for p in coder.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, training.learning_rate)
        self.best: tuple[float, dict[str, Tensor]] | None = None

    def step(self) -> list[Record]:
        """The next batches, and what validation says after them."""
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
        """Adam's moments, and the best weights so far."""
        state = {f"adam.{name}": tensor for name, tensor in moments(self.optimizer).items()}
        if self.best is not None:
            score, weights = self.best
            state["score"] = torch.tensor(score, dtype=torch.float64)
            state |= {f"best.{name}": tensor for name, tensor in weights.items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes what :meth:`state_dict` gave."""
        load_moments(self.optimizer, _under("adam.", state))
        if "score" in state:
            self.best = float(state["score"]), _under("best.", state)

    def _update(self, number: int) -> Tensor:
        """Learns from a batch; sums over its samples [7]."""
        training, batch = self.training, self._part(self.batch(number))
        self.optimizer.param_groups[0]["lr"] = training.rate(number)
        devices = [batch.x.device] if batch.x.is_cuda else []
        with torch.random.fork_rng(devices):
            path = (*self.path, number, worker()) if workers() > 1 else (*self.path, number)
            torch.manual_seed(generator(*path).initial_seed())
            loss, decision = losses(self.coder, batch, training.mode)
        self.optimizer.zero_grad()
        backward(loss, self.trained)
        if training.max_norm is not None:
            nn.utils.clip_grad_norm_(self.trained, training.max_norm)
        self.optimizer.step()
        return _sums(loss.detach(), decision, batch.labels)

    def _part(self, batch: Batch) -> Batch:
        """This worker's samples."""
        x, labels, lengths = batch
        check_parts(batch_size=len(labels))
        dim = 0 if self.coder.batch_first and x.dim() == 3 else 1
        return Batch(part(x, dim), part(labels), None if lengths is None else part(lengths))

    def _keep(self, record: Record) -> None:
        """Keeps the weights if they are the best so far; the last record brings the best back."""
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
    """What a mode minimises, mean over the samples, and what the samples are answered with.

    Except in "rank", all steps count as computed, up to the samples' lengths.

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
    return _mean_over_steps(logits, labels, lengths, mode == "growing"), decision


def batch_rows(number: int, samples: int, batch_size: int, path: tuple[int, ...]) -> Tensor:
    """Which samples make up a batch, if each epoch goes through all in an order of its own.

    Samples that don't fill a batch are left out of the epoch.

    Args:
        number: of the batch, from 0, counted over all epochs.
        samples: how many there are.
        batch_size: samples of a batch.
        path: of numbers that seeds the orders.

    Returns:
        int64 [batch_size], on the CPU.

    Example:
        >>> torch.cat([batch_rows(number, 6, 2, (0,)) for number in range(3)]).sort().values
        tensor([0, 1, 2, 3, 4, 5])
    """
    if not 1 <= batch_size <= samples:
        raise InputError(f"batch_size is {batch_size}; expected 1 to {samples}")
    epoch, place = divmod(number, samples // batch_size)
    order = torch.randperm(samples, generator=generator(*path, epoch))
    return order[place * batch_size : (place + 1) * batch_size]


def _mean_over_steps(
    logits: Tensor, labels: Tensor, lengths: Tensor | None, growing: bool
) -> Tensor:
    """Cross-entropy, mean over each sample's steps, weighted by their number if growing."""
    steps, samples, classes = logits.shape
    spread = labels.expand(steps, samples)
    if classes == 1:
        wrong = F.binary_cross_entropy_with_logits(
            logits[..., 0], spread.to(logits), reduction="none"
        )
    else:
        wrong = F.cross_entropy(logits.flatten(0, 1), spread.flatten(), reduction="none")
    numbers = torch.arange(1, steps + 1, device=logits.device)[:, None].expand(steps, samples)
    weight = numbers.to(logits) if growing else torch.ones_like(numbers, dtype=logits.dtype)
    if lengths is not None:
        weight = weight * (numbers <= lengths.to(numbers.device))
    return (wrong.view(steps, samples) * weight / weight.sum(dim=0)).sum(dim=0).mean()


def _sums(loss: Tensor, decision: Decision, labels: Tensor) -> Tensor:
    """Loss, right answers, steps of all and of those that crossed, crossings, work, samples."""
    step, crossed, samples = decision.step, decision.crossed, len(labels)
    right = (decision.label == labels).sum()
    sums = [loss.double() * samples, right, step.sum(), step[crossed].sum(), crossed.sum()]
    counts = torch.tensor([decision.computed, samples], device=loss.device)
    return torch.cat([torch.stack(sums).double(), counts.double()])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
