"""What short-term plasticity is measured against: networks trained on streams by backpropagation.

All take frames [T, S, D] of S streams and return class scores [T, S, C] and a state; those that see
one frame at a time have none.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data.tasks.streams import Transforms, film, presentations
from plastorch.engine.checkpoint import load_moments, moments
from plastorch.engine.device import generator
from plastorch.engine.errors import check_positive
from plastorch.engine.run import Record

Classify = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Scores [T, S, C] and a state, of frames [T, S, D] and the state before, None at first."""


class Digits(NamedTuple):
    """Labelled images."""

    images: Tensor
    """In [0, 1], float [N, H, H]."""
    labels: Tensor
    """int64 [N]."""


class FrameNet(nn.Module):
    """A network that sees one frame at a time.

    Args:
        layers: from [N, 1, H, H] to class scores [N, C].

    Example:
        >>> FrameNet(nn.Flatten(), nn.Linear(64, 10))(torch.rand(5, 2, 64))[0].shape
        torch.Size([5, 2, 10])
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        """Scores [T, S, C], and no state."""
        side = math.isqrt(x.shape[2])
        scores: Tensor = self.layers(x.reshape(-1, 1, side, side))
        return scores.view(*x.shape[:2], -1), None


class RecurrentNet(nn.Module):
    """A recurrent layer and a linear readout of each of its steps.

    Args:
        core: ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``, or what is called like them.
        hidden_size: of the core.
        classes: C.

    Example:
        >>> RecurrentNet(nn.GRU(64, 20), 20, 10)(torch.rand(5, 2, 64))[0].shape
        torch.Size([5, 2, 10])
    """

    def __init__(self, core: nn.Module, hidden_size: int, classes: int) -> None:
        super().__init__()
        self.core = core
        self.readout = nn.Linear(hidden_size, classes)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores [T, S, C], and the core's state, cut off from gradients."""
        output, state = self.core(x, state)
        scores: Tensor = self.readout(output)
        return scores, _detached(state)


def mlp(side: int, hidden_size: int, classes: int) -> FrameNet:
    """One hidden layer of rectifiers."""
    return FrameNet(
        nn.Flatten(),
        nn.Linear(side * side, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, classes),
    )


def cnn(side: int, hidden_size: int, classes: int) -> FrameNet:
    """Two layers of 5 x 5 filters, two pixels apart, and a hidden layer."""
    return FrameNet(
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * ((side + 3) // 4) ** 2, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, classes),
    )


def nearest(digits: Digits, classes: int, neighbours: int = 5) -> Classify:
    """Votes of the labelled images that are nearest to a frame, by angle.

    Args:
        digits: that are known.
        classes: C.
        neighbours: that vote.

    Example:
        >>> known = Digits(torch.rand(9, 2, 2), torch.arange(9) % 3)
        >>> scores, _ = nearest(known, classes=3)(torch.rand(4, 1, 4), None)
        >>> scores.sum(2).flatten()
        tensor([5., 5., 5., 5.])
    """
    known = F.normalize(digits.images.flatten(1), dim=1).mT.contiguous()
    votes = F.one_hot(digits.labels, classes).float()

    def classify(x: Tensor, state: None) -> tuple[Tensor, None]:
        near = (x.flatten(0, 1) @ known).topk(neighbours, dim=1).indices
        return votes[near].sum(1).view(*x.shape[:2], classes), None

    return classify


def smoothed(classify: Classify, tau: float) -> Classify:
    """The moving average of a network's class posteriors, with weights that fall exponentially.

    Args:
        classify: the network.
        tau: time constant, in frames.

    Example:
        >>> net = FrameNet(nn.Flatten(), nn.Linear(4, 3))
        >>> smoothed(net, tau=8.0)(torch.rand(5, 2, 4), None)[0].shape
        torch.Size([5, 2, 3])
    """
    check_positive(tau=tau)
    kept = math.exp(-1 / tau)

    def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        inner, mean = (None, None) if state is None else state
        scores, inner = classify(x, inner)
        means = []
        for posterior in scores.softmax(-1):
            mean = posterior if mean is None else torch.lerp(posterior, mean, kept)
            means.append(mean)
        return torch.stack(means), (inner, mean)

    return of_frames


@torch.no_grad()
def recognise(
    classify: Classify,
    digits: Digits,
    transforms: Transforms,
    streams: int,
    path: tuple[int, ...],
) -> Tensor:
    """Which frames of streams a network gets right; it is never reset or told a label.

    Args:
        classify: the network.
        digits: each is shown once.
        transforms: what happens to them.
        streams: S.
        path: of numbers that seeds order, textures and noise.

    Returns:
        bool [P, frames, S].
    """
    right, state = [], None
    for x, labels in shown(digits, transforms, streams, path):
        scores, state = classify(x, state)
        right.append(scores.argmax(2) == labels)
    return torch.stack(right)


def shown(
    digits: Digits, transforms: Transforms, streams: int, path: tuple[int, ...]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames [T, S, D] and labels [S] of each presentation; see :func:`recognise`."""
    order = presentations(len(digits.labels), streams, generator(*path, 0))
    frames = film(digits.images, order, transforms, generator(*path, 1))
    for row, x in zip(order, frames, strict=True):
        yield x.flatten(2), digits.labels[row.to(digits.labels.device)]


class StreamTraining:
    """A phase of the run: epochs of new streams of the same digits, by Adam, with early stopping.

    An update takes the frames of some presentations in all streams. The state goes on from one to
    the next; gradients don't. In the end the network is what it was in the epoch that was best on
    validation streams.

    Args:
        name: of the phase.
        net: what learns.
        train: each digit is shown once in an epoch.
        validation: other digits.
        transforms: what happens to them.
        epochs: at most.
        patience: epochs without a better one after which to stop.
        streams: S.
        window: presentations per update.
        learning_rate: of Adam.
        path: of numbers that seeds streams.
    """

    def __init__(
        self,
        name: str,
        net: nn.Module,
        train: Digits,
        validation: Digits,
        transforms: Transforms,
        epochs: int,
        patience: int,
        streams: int,
        window: int,
        learning_rate: float,
        path: tuple[int, ...],
    ) -> None:
        self.name, self.net, self.train, self.validation = name, net, train, validation
        self.transforms, self.patience, self.streams = transforms, patience, streams
        self.window, self.path = window, path
        self.position, self.total = 0, epochs
        self.optimizer = torch.optim.Adam(net.parameters(), learning_rate)
        self.best = {name: value.clone() for name, value in net.state_dict().items()}
        self.best_accuracy, self.best_epoch = torch.tensor(-1.0), torch.tensor(0)

    def step(self) -> list[Record]:
        """An epoch."""
        loss, train_accuracy = self._epoch()
        self.position += 1
        right = recognise(self.net, self.validation, self.transforms, self.streams, (*self.path, 0))
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
            "frames": self.transforms.frames * len(self.train.labels),
        }
        if self.position - int(self.best_epoch) >= self.patience:
            self.position = self.total
        if self.position == self.total:
            self.net.load_state_dict(self.best)
        return [record]

    def state_dict(self) -> dict[str, Tensor]:
        """Adam's moments, and the best network so far."""
        best = {f"best.{name}": value for name, value in self.best.items()}
        found = {"best_accuracy": self.best_accuracy, "best_epoch": self.best_epoch}
        return {**moments(self.optimizer), **best, **found}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes what :meth:`state_dict` gave."""
        state = dict(state)
        self.best_accuracy, self.best_epoch = state.pop("best_accuracy"), state.pop("best_epoch")
        self.best = {name: state.pop(f"best.{name}") for name in self.best}
        load_moments(self.optimizer, state)

    def _epoch(self) -> tuple[float, float]:
        """Mean loss and share of right frames."""
        state, updates = None, 0
        loss_sum, right, frames = 0.0, 0, 0
        stream = shown(self.train, self.transforms, self.streams, (*self.path, 1 + self.position))
        for x, labels in _windows(stream, self.window):
            scores, state = self.net(x, state)
            loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten())
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            loss_sum += float(loss.detach())
            right += int((scores.argmax(2) == labels).sum())
            frames += labels.numel()
            updates += 1
        return loss_sum / updates, right / frames


def _windows(
    stream: Iterator[tuple[Tensor, Tensor]], presentations: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames of some presentations together [T, S, D], and the label of each frame [T, S]."""
    waiting: list[tuple[Tensor, Tensor]] = []
    for x, labels in stream:
        waiting.append((x, labels.expand(len(x), -1)))
        if len(waiting) == presentations:
            yield torch.cat([x for x, _ in waiting]), torch.cat([labels for _, labels in waiting])
            waiting.clear()


def _detached(state: Any) -> Any:
    """A state, or a tuple of them, that gradients don't pass."""
    if isinstance(state, Tensor):
        return state.detach()
    parts = (part.detach() for part in state)
    return state._make(parts) if hasattr(state, "_make") else tuple(parts)
