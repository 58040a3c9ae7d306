"""Pre-training on images or spectra in memory, with a linear probe trained alongside.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224. Several workers, started by ``torchrun``, train as one on the joined batch.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from plastorch.efference.actions import Views, on
from plastorch.efference.losses import manipulation
from plastorch.efference.method import Losses, Method
from plastorch.efference.optim import Training
from plastorch.efference.streams import TrainingStream
from plastorch.engine.batchnorm import synchronize
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
from plastorch.engine.streams import seeded, stream
from plastorch.learning.phases import EpochOrder, Phase


class Learner(nn.Module):
    """Method, optionally with a linear probe that learns from its features without affecting them.

    The probe is initialized at 0, as its loss is convex.

    Args:
        method: method, such as SimCLR, BYOL or ReLIC.
        features: number of features D of its encoder; needed for a probe.
        classes: number of label classes; without it, there is no probe.

    Raises:
        InputError: there are fewer than two classes, or classes without features.

    Example:
        >>> from plastorch.efference import SimCLR
        >>> learner = Learner(SimCLR(nn.Flatten(), features=12), features=12, classes=10)
        >>> learner.probe(learner.method.encoder(torch.rand(4, 3, 2, 2))).shape
        torch.Size([4, 10])
    """

    def __init__(
        self, method: Method, features: int | None = None, classes: int | None = None
    ) -> None:
        super().__init__()
        self.method, self.probe = method, None
        if classes is None:
            return
        if classes < 2:
            raise InputError(f"classes is {classes}; expected 2 or more")
        if features is None:
            raise InputError("features are missing; expected their number, for the probe")
        self.probe = nn.Linear(features, classes)
        nn.init.zeros_(self.probe.weight)
        nn.init.zeros_(self.probe.bias)


class Sources(NamedTuple):
    """Training data, on the training device.

    Example:
        >>> Sources(torch.zeros(8, 3, 32, 32, dtype=torch.uint8)).labels is None
        True
    """

    images: Tensor
    """Images or spectra [N, ...]."""
    labels: Tensor | None = None
    """Classes, used by the probe only; -1 if unknown, int64 [N]."""


class Copies(Protocol):
    """Efference copies as targets of a head, such as :class:`~plastorch.efference.Bins`."""

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each factor, 1 for a number."""

    def targets(self, a: Any, b: Any) -> Tensor:
        """Returns the actions from views a to views b, as classes or numbers [B, K]."""


class Pretraining(Phase):
    """Phase of a run: one update per batch, on two views of each source.

    A step is ``every`` batches. It logs means of ``loss``, ``discrimination`` and, with an inverse
    model, ``manipulation``, for each factor F of the action ``loss_F`` and ``accuracy_F``, for a
    probe ``probe_loss`` and ``train_accuracy`` on both views, wall-clock ``seconds``, and the
    results of ``validate``.

    Args:
        name: name of the phase.
        learner: learner on its device. Several workers share batch normalization over the joined
            batch, and all start from the first worker's state.
        sources: training data on the same device, all of it on every worker.
        views: distribution of views.
        training: training settings.
        copies: efference copies; needed if the method has an inverse model, or another head.
        path: random seed, then numbers that identify the training among others with that seed.
        validate: function that evaluates the learner; its results are logged.

    Raises:
        InputError: there are fewer sources than in a batch, their number differs from that of the
            labels, a batch can't be divided among workers, targets or the probe's labels are
            missing, or views come without the parameters that made them.
    """

    def __init__(
        self,
        name: str,
        learner: Learner,
        sources: Sources,
        views: Views,
        training: Training,
        *,
        copies: Copies | None = None,
        path: tuple[int, ...] = (0,),
        validate: Callable[[Learner], Record] | None = None,
    ) -> None:
        super().__init__(name, -(-training.batches // training.every))
        self.learner, self.sources, self.views, self.training = learner, sources, views, training
        self.copies, self.path, self.validate = copies, path, validate
        self._check()
        self._rows = EpochOrder(
            len(sources.images), training.batch_size, *path, TrainingStream.ORDER, drop_last=True
        )
        synchronize(learner)
        share_state(learner)
        self.optimizers = training.optimizers(learner.method, learner.probe)

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

    def _update(self, number: int) -> dict[str, Tensor]:
        """Trains on one batch; returns values to be summed over batches and workers."""
        views, labels = self._batch(number)
        device = self.sources.images.device
        for optimizer, rate in zip(self.optimizers, self.training.rates(number), strict=False):
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate
        dropout = stream(*self.path, TrainingStream.DROPOUT, number, worker())
        narrow = torch.autocast(device.type, torch.bfloat16, enabled=self.training.bfloat16)
        with seeded(dropout.initial_seed(), device), narrow:
            losses: Losses = self.learner.method(*views)
        figures: dict[str, Tensor | None] = {"loss": losses.total, **losses._asdict()}
        del figures["total"], figures["features"]
        total = losses.total
        if labels is not None:
            probed = self._probed(losses.features, labels)
            total = total + probed["probe_loss"]
            figures.update(probed)
        backward(total, self.learner.parameters())
        for optimizer in self.optimizers:
            optimizer.step()
        self.learner.method.after_step((number + 1) / self.training.batches)
        return {
            name: value.detach().float() for name, value in figures.items() if value is not None
        }

    def _probed(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Returns the probe's loss, and the numbers of its right answers and of labels."""
        assert self.learner.probe is not None
        logits = self.learner.probe(features.to(self.learner.probe.weight))
        loss, _ = manipulation([logits], labels[:, None])  # the class is its only factor
        right = (logits.argmax(dim=1) == labels).sum()
        return {"probe_loss": loss, "hits": right, "labeled": (labels >= 0).sum()}

    def _batch(self, number: int) -> tuple[list[Tensor | None], Tensor | None]:
        """Returns this worker's views, targets of action and reverse, and the probe's labels of
        both views."""
        images, labels = self.sources
        size = self.training.batch_size
        mine = part(torch.arange(size))
        rows = on(self._rows(number)[mine], images.device)
        random = stream(*self.path, TrainingStream.VIEWS, number)
        a, b = (self.views.sample(size, random, images.device) for _ in range(2))
        order = on(mine, images.device)
        views = [
            self.views.apply(images[rows], type(actions)(*(field[order] for field in actions)))
            for actions in (a, b)
        ]
        classes: list[Tensor | None] = [None, None]
        if self.copies is not None and self.learner.method.inverse is not None:
            if self.training.shuffled:
                others = stream(*self.path, TrainingStream.SHUFFLED_TARGETS, number)
                order = on(torch.randperm(size, generator=others)[mine], images.device)
            classes[0] = self.copies.targets(a, b)[order]
            if self.training.reverse:
                classes[1] = self.copies.targets(b, a)[order]
        if labels is None or self.learner.probe is None:
            return [*views, *classes], None
        return [*views, *classes], labels[rows].repeat(2)

    def _record(self, sums: dict[str, Tensor], batches: int) -> Record:
        """Computes means over batches and workers."""
        for value in sums.values():
            sum_over_workers(value)
        hits, labeled = (float(sums.pop(name, 0)) for name in ("hits", "labeled"))
        means = {name: value / batches / workers() for name, value in sums.items()}
        record: Record = {"phase": self.name, "step": self.position}
        record |= {name: float(value) for name, value in means.items() if value.dim() == 0}
        if not math.isfinite(float(means["loss"])):
            raise InputError(
                f"learning_rate is {self.training.learning_rate}: the loss is "
                f"{float(means['loss'])} by step {self.position}; expected one that keeps it finite"
            )
        factors = self.copies.factors if self.copies is not None else ()
        if "per_factor" in means and len(means["per_factor"]) == len(factors):
            record |= _by_factor("loss", factors, means["per_factor"])
        if "right" in means:
            shares = means["right"] / means["valid"].clamp(min=1e-9)
            record |= _by_factor("accuracy", factors, shares)
        if labeled:
            record["train_accuracy"] = hits / labeled
        return record

    def _check(self) -> None:
        if not isinstance(self.views, Views):
            raise InputError(
                f"views are a {type(self.views).__name__}; expected Views, such as ImageViews: a "
                "transform that doesn't return its parameters has no efference copy"
            )
        images, labels = self.sources
        size = self.training.batch_size
        if labels is None and self.learner.probe is not None:
            raise InputError(
                "labels are missing; expected some for the probe, or a learner without classes"
            )
        if labels is not None and len(images) != len(labels):
            raise InputError(
                f"labels are {len(labels)}; expected {len(images)}, one for each source"
            )
        if size % workers() or size < 2 * workers():
            raise InputError(
                f"batch_size is {size}; expected a multiple of {workers()}, the number of workers, "
                "with two sources or more for each"
            )
        if self.learner.method.inverse is not None and self.copies is None:
            raise InputError("copies are missing; expected bins of the actions between views")


def _by_factor(kind: str, names: Sequence[str], values: Tensor) -> Record:
    return {f"{kind}_{name}": value for name, value in zip(names, values.tolist(), strict=True)}
