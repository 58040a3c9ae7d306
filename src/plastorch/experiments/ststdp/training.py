"""Training of networks on streams of digits by backpropagation."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data.tasks.streams import Transforms
from plastorch.engine.run import Record
from plastorch.learning.phases import Phase, under
from plastorch.spiking.shortterm.recognition import Digits, recognize, shown

PATIENCE = 2
"""Number of epochs without improvement after which a network stops learning."""
VALIDATION = 0
"""Place of the validation streams among random numbers; those of epochs count from 1."""


@dataclass(frozen=True, kw_only=True)
class TrainingCourse:
    """Data and settings of a training by Adam, with each digit once in each of ``epochs`` or fewer.

    ``window`` is the number of presentations per update, ``path`` the place in random numbers.
    """

    train: Digits
    validation: Digits
    transforms: Transforms
    epochs: int
    streams: int
    window: int
    learning_rate: float
    path: tuple[int, ...]

    def shown(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields frames of a window of presentations [T, S, D], and each frame's label [T, S]."""
        path, waiting = (*self.path, epoch), []
        for x, labels in shown(self.train, self.transforms, streams=self.streams, path=path):
            waiting.append((x, labels.expand(len(x), -1)))
            if len(waiting) == self.window:
                yield torch.cat([x for x, _ in waiting]), torch.cat([label for _, label in waiting])
                waiting.clear()


class StreamTraining(Phase):
    """Training phase: epochs of new streams of the same digits, by Adam, with early stopping.

    An update takes the frames of some presentations in all streams. The state is carried from one
    update to the next; gradients are not. Finally, the network is restored from the epoch that was
    best on validation streams.
    """

    def __init__(self, name: str, net: nn.Module, course: TrainingCourse) -> None:
        super().__init__(name, course.epochs)
        self.net, self.course = net, course
        self.optimizer = torch.optim.Adam(net.parameters(), course.learning_rate)
        self.optimizers = (self.optimizer,)
        self.best = {name: value.clone() for name, value in net.state_dict().items()}
        self.best_accuracy, self.best_epoch = torch.tensor(-1.0), torch.tensor(0)

    def step(self) -> list[Record]:
        """Trains for one epoch and validates."""
        course = self.course
        loss, train_accuracy = self._epoch()
        self.position += 1
        path = (*course.path, VALIDATION)
        right = recognize(
            self.net, course.validation, course.transforms, streams=course.streams, path=path
        )
        accuracy = right.float().mean().cpu()
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.best_epoch = accuracy, torch.tensor(self.position)
            self.best = {name: value.clone() for name, value in self.net.state_dict().items()}
        record: Record = {
            "phase": self.name,
            "epoch": self.position,
            "loss": loss,
            "train_accuracy": train_accuracy,
            "validation_accuracy": float(accuracy),
            "frames": course.transforms.frames * len(course.train.labels),
        }
        if self.position - int(self.best_epoch) >= PATIENCE:
            self.position = self.total
        if self.position == self.total:
            self.net.load_state_dict(self.best)
        return [record]

    def state_dict(self) -> dict[str, Tensor]:
        """Returns Adam's moments, and the best network so far."""
        best = {f"best.{name}": value for name, value in self.best.items()}
        found = {"best_accuracy": self.best_accuracy, "best_epoch": self.best_epoch}
        return {**super().state_dict(), **best, **found}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.best_accuracy, self.best_epoch = state["best_accuracy"], state["best_epoch"]
        self.best = under(state, "best.")

    def _epoch(self) -> tuple[float, float]:
        """Trains for one epoch; returns the mean loss and the share of correct frames."""
        state, updates, frames = None, 0, 0
        loss_sum, right = torch.zeros((), dtype=torch.float64), torch.zeros(())
        for x, labels in self.course.shown(self.position + 1):
            scores, state = self.net(x, state)
            loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten())
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            loss_sum = loss_sum.to(loss.device) + loss.detach()
            right = right.to(loss.device) + (scores.argmax(2) == labels).sum()
            frames, updates = frames + labels.numel(), updates + 1
        return float(loss_sum) / updates, int(right) / frames
