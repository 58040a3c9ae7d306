"""Training of a rank coder, and of the same network without rank coding.

Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate Recurrent
Neural Networks*, ICLR 2022, arXiv 2110.02865.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import torch
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
from plastorch.engine.streams import seeded, stream
from plastorch.learning.phases import Phase, under
from plastorch.rank.decision import Decision
from plastorch.rank.model import RankCoder
from plastorch.rank.objectives import Batch, Objective, losses
from plastorch.rank.thresholds import check_between


@dataclass(frozen=True)
class RankSettings:
    """Settings of training by Adam.

    Args:
        batches: number of batches, with one update each.
        objective: outputs that are trained; see :func:`plastorch.rank.objectives.losses`.
        every: number of batches per record, for example those of an epoch.
        learning_rate: initial learning rate.
        cosine: decay of the learning rate to 0 along half a cosine; otherwise it is constant.
        max_norm: maximum gradient norm over all parameters; None turns clipping off.
        best_from: share of training after which the best weights are kept, if there is a score.
        patience: number of records without a better score after which training ends; None for no
            early end.
        alpha: price α of a wrong answer against that of a late one, for objective "cost".
        weight_decay: rate at which weights decay, apart from Adam's update (AdamW).

    Raises:
        InputError: a value is out of range.
    """

    batches: int
    objective: Objective = "first"
    every: int = 100
    learning_rate: float = 1e-3
    cosine: bool = False
    max_norm: float | None = None
    best_from: float = 0.8
    patience: int | None = None
    alpha: float = 0.8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_one_of(get_args(Objective), objective=self.objective)
        check_positive(batches=self.batches, every=self.every, learning_rate=self.learning_rate)
        for name in ("max_norm", "patience"):
            if (value := getattr(self, name)) is not None:
                check_positive(**{name: value})
        if not 0 <= self.best_from <= 1:
            raise InputError(f"best_from is {self.best_from}; expected 0 to 1")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay is {self.weight_decay}; expected 0 or more")
        check_between(alpha=self.alpha)

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
    ``computed_steps`` per sequence in the forward pass (and in the backward pass), wall-clock
    ``seconds`` of the updates, and the results of ``validate``.

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
        self.optimizer = torch.optim.AdamW(
            self.trained, training.learning_rate, weight_decay=training.weight_decay
        )
        self.optimizers = [self.optimizer]
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.since_best = 0

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
            state["since_best"] = torch.tensor(self.since_best)
            state |= {f"best.{name}": tensor for name, tensor in weights.items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a state from :meth:`state_dict`."""
        super().load_state_dict(state)
        if "score" in state:
            self.best = float(state["score"]), under(state, "best.")
            self.since_best = int(state["since_best"])

    def _update(self, number: int) -> Tensor:
        """Trains on one batch and returns sums over its samples [7]."""
        training, whole = self.training, self.batch(number)
        batch = self._part(whole)
        share = batch.weight / whole.weight if workers() > 1 else None
        self.optimizer.param_groups[0]["lr"] = training.rate(number)
        path = (*self.path, number, worker()) if workers() > 1 else (*self.path, number)
        with seeded(stream(*path).initial_seed(), batch.x.device):
            loss, decision = losses(self.coder, batch, training.objective, training.alpha)
        self.optimizer.zero_grad()
        backward(loss, self.trained, share)
        if training.max_norm is not None:
            nn.utils.clip_grad_norm_(self.trained, training.max_norm)
        self.optimizer.step()
        loss = loss.detach() * (1 if share is None else share * workers())
        return _sums(loss, decision, batch.labels)

    def _part(self, batch: Batch) -> Batch:
        """Returns this worker's samples."""
        check_parts(batch_size=len(batch.labels))
        dim = 0 if self.coder.batch_first and batch.x.dim() == 3 else 1
        ends, weights = (None if of is None else part(of) for of in batch[2:])
        return Batch(part(batch.x, dim), part(batch.labels), ends, weights)

    def _keep(self, record: Record) -> None:
        """Keeps the best weights so far, and restores them after the last record."""
        if self.score is None:
            return
        if self.position >= self.training.best_from * self.total:
            score = self.score(record)
            self.since_best += 1
            if self.best is None or score > self.best[0]:
                weights = self.coder.state_dict()
                self.best = score, {name: value.clone() for name, value in weights.items()}
                self.since_best = 0
            if self.since_best == self.training.patience:
                self.position = self.total
        if self.position == self.total and self.best is not None:
            self.coder.load_state_dict(self.best[1])


def _sums(loss: Tensor, decision: Decision, labels: Tensor) -> Tensor:
    """Sums loss, correct, steps of all and of crossed samples, crossings, computed, samples."""
    step, crossed, samples = decision.step, decision.crossed, len(labels)
    right = (decision.label == labels).sum()
    sums = [loss.double() * samples, right, step.sum(), (step * crossed).sum(), crossed.sum()]
    counts = torch.tensor([decision.computed, samples], device=loss.device)
    return torch.cat([torch.stack(sums).double(), counts.double()])
