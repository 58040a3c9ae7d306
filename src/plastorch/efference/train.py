"""Pre-training on images or spectra in memory, with a linear probe trained alongside.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. Several workers, started by ``torchrun``, train as one on the joined batch.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from plastorch.efference.learner import Learner
from plastorch.efference.losses import manipulation
from plastorch.efference.method import Losses, Method
from plastorch.efference.optim import Training
from plastorch.engine.batchnorm import synchronize
from plastorch.engine.checkpoint import load_moments, moments
from plastorch.engine.device import generator
from plastorch.engine.distributed import (
    backward,
    part,
    share_state,
    sum_over_workers,
    worker,
    workers,
)
from plastorch.engine.errors import InputError
from plastorch.engine.run import Record


class Views(Protocol):
    """Distribution of actions, and the views of sources that they make."""

    def sample(self, count: int, generator: torch.Generator, device: torch.device | str) -> Any:
        """Draws actions, a NamedTuple of tensors with a row for each source."""

    def apply(self, images: Tensor, actions: Any) -> Tensor:
        """Makes views [B, channels, H, W] of sources [B, ...]."""


class Sources(NamedTuple):
    """Training data, on the training device."""

    images: Tensor
    """Images or spectra [N, ...]."""
    labels: Tensor
    """Classes, used by the probe only; -1 if unknown, int64 [N]."""


class Pretraining:
    """Phase of a run: one update per batch, on two views of each source.

    A step is ``every`` batches. It logs means of ``loss``, ``discrimination``, ``manipulation``
    and ``forward`` (those in use), for each factor F of the action ``loss_F`` and ``accuracy_F``,
    for the probe ``probe_loss`` and ``train_accuracy`` on both views, wall-clock ``seconds``, and
    the results of ``validate``.

    Args:
        name: name of the phase.
        learner: learner on its device. Several workers share batch normalization over the joined
            batch, and all start from the first worker's state.
        sources: training data on the same device, all of it on every worker.
        views: distribution of views.
        training: training settings.
        targets: function from the actions of views a and b to the classes of the action from a to
            b, int64 [B, K]; needed if the method needs targets.
        factors: names of the factors, for the log.
        path: numbers that seed order, views and shuffling.
        validate: function that evaluates the learner; its results are logged.

    Raises:
        InputError: there are fewer sources than in a batch, their number differs from that of the
            labels, a batch can't be divided among workers, targets are missing, or views come
            without the parameters that made them.
    """

    def __init__(
        self,
        name: str,
        learner: Learner,
        sources: Sources,
        views: Views,
        training: Training,
        targets: Callable[[Any, Any], Tensor] | None = None,
        factors: Sequence[str] = (),
        path: tuple[int, ...] = (0,),
        validate: Callable[[Learner], Record] | None = None,
    ) -> None:
        _check(learner.method, sources, training, targets)
        _check_views(views, sources.images.device)
        self.name, self.learner, self.sources, self.views = name, learner, sources, views
        self.training, self.targets, self.factors = training, targets, factors
        self.path, self.validate = path, validate
        self.position, self.total = 0, -(-training.batches // training.every)
        synchronize(learner)
        share_state(learner)
        self.optimizers = training.optimizers(learner.method, learner.probe)
        self._order: tuple[int, Tensor] | None = None

    def step(self) -> list[Record]:
        """Trains on the next batches, then validates."""
        start = time.perf_counter()
        first = self.position * self.training.every
        numbers = range(first, min(first + self.training.every, self.training.batches))
        self.learner.train()
        sums: dict[str, Tensor] = {}
        for number in numbers:
            for name, value in self._update(number).items():
                sums[name] = sums[name] + value if name in sums else value
        self.position += 1
        record = self._record(sums, len(numbers))
        record |= {"batch": numbers.stop, "seconds": round(time.perf_counter() - start, 4)}
        if self.validate is not None:
            self.learner.eval()
            record |= self.validate(self.learner)
        return [record]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the optimizers' moments."""
        return {
            f"{number}.{name}": tensor
            for number, optimizer in enumerate(self.optimizers)
            for name, tensor in moments(optimizer).items()
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a state from :meth:`state_dict`."""
        for number, optimizer in enumerate(self.optimizers):
            prefix = f"{number}."
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            load_moments(optimizer, own)

    def _update(self, number: int) -> dict[str, Tensor]:
        """Trains on one batch; returns values to be summed over batches and workers."""
        views, labels = self._batch(number)
        device = self.sources.images.device
        for optimizer, rate in zip(self.optimizers, self.training.rates(number), strict=True):
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(generator(*self.path, 3, number, worker()).initial_seed())
            with torch.autocast(device.type, torch.bfloat16, enabled=self.training.bfloat16):
                losses: Losses = self.learner.method(*views)
        logits = self.learner.probe(losses.features.to(self.learner.probe.weight))
        probe_loss, _ = manipulation([logits], labels[:, None])  # the class is its only factor
        backward(losses.total + probe_loss, self.learner.parameters())
        for optimizer in self.optimizers:
            optimizer.step()
        self.learner.method.after_step((number + 1) / self.training.batches)
        figures = {"loss": losses.total, "probe_loss": probe_loss, **losses._asdict()}
        figures |= {"hits": (logits.argmax(dim=1) == labels).sum(), "labeled": (labels >= 0).sum()}
        del figures["total"], figures["features"]
        return {
            name: value.detach().float() for name, value in figures.items() if value is not None
        }

    def _batch(self, number: int) -> tuple[list[Tensor | None], Tensor]:
        """Returns this worker's views, targets of action and reverse, and labels of both views."""
        images, labels = self.sources
        size = self.training.batch_size
        mine = part(torch.arange(size)).to(images.device)
        rows = self._rows(number).to(images.device)[mine]
        random = generator(*self.path, 1, number)
        a, b = (self.views.sample(size, random, images.device) for _ in range(2))
        views = [self.views.apply(images[rows], _rows_of(actions, mine)) for actions in (a, b)]
        classes: list[Tensor | None] = [None, None]
        if self.targets is not None and self.learner.method.needs_targets:
            order = mine
            if self.training.shuffled:
                shuffled = torch.randperm(size, generator=generator(*self.path, 2, number))
                order = shuffled.to(images.device)[mine]
            classes[0] = self.targets(a, b)[order]
            if self.training.reverse:
                classes[1] = self.targets(b, a)[order]
        return [*views, *classes], labels[rows].repeat(2)

    def _rows(self, number: int) -> Tensor:
        """Returns the sources of a batch, over all workers; each epoch has its own order."""
        size, count = self.training.batch_size, len(self.sources.images)
        epoch, place = divmod(number, count // size)
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(count, generator=generator(*self.path, 0, epoch))
            self._order = epoch, order
        return self._order[1][place * size : (place + 1) * size]

    def _record(self, sums: dict[str, Tensor], batches: int) -> Record:
        """Computes means over batches and workers."""
        for value in sums.values():
            sum_over_workers(value)
        hits, labeled = float(sums.pop("hits")), float(sums.pop("labeled"))
        means = {name: value / batches / workers() for name, value in sums.items()}
        record: Record = {"phase": self.name, "step": self.position}
        record |= {name: float(value) for name, value in means.items() if value.dim() == 0}
        if not math.isfinite(float(means["loss"])):
            raise InputError(
                f"learning_rate is {self.training.learning_rate}: the loss is "
                f"{float(means['loss'])} by step {self.position}; expected one that keeps it finite"
            )
        if "per_factor" in means:
            accuracy = means["right"] / means["valid"].clamp(min=1e-9)
            names = self.factors or [str(number) for number in range(len(accuracy))]
            for name, loss, right in zip(names, means["per_factor"], accuracy, strict=True):
                record |= {f"loss_{name}": float(loss), f"accuracy_{name}": float(right)}
        if labeled:
            record["train_accuracy"] = hits / labeled
        return record


def _rows_of(actions: Any, rows: Tensor) -> Any:
    return type(actions)(*(field[rows] for field in actions))


def _check(method: Method, sources: Sources, training: Training, targets: object | None) -> None:
    images, labels = sources
    if len(images) != len(labels):
        raise InputError(f"labels are {len(labels)}; expected {len(images)}, one for each source")
    if training.batch_size > len(images):
        raise InputError(f"batch_size is {training.batch_size}; expected 2 to {len(images)}")
    if training.batch_size % workers() or training.batch_size < 2 * workers():
        raise InputError(
            f"batch_size is {training.batch_size}; expected a multiple of {workers()}, the number "
            "of workers, with two sources or more for each"
        )
    if method.needs_targets and targets is None:
        raise InputError("targets are missing; expected a function of the actions of both views")


def _check_views(views: Views, device: torch.device) -> None:
    if not hasattr(views, "sample") or not hasattr(views, "apply"):
        raise InputError(
            f"views are a {type(views).__name__}; expected sample, which draws actions, and apply, "
            "such as ImageViews: a transform that doesn't return its parameters has no efference "
            "copy"
        )
    actions = views.sample(2, torch.Generator(), device)
    if not hasattr(actions, "_fields") or not all(isinstance(of, Tensor) for of in actions):
        raise InputError(
            f"views.sample gives a {type(actions).__name__}; expected a NamedTuple of tensors, the "
            "parameters of each view: without them there is no efference copy"
        )
