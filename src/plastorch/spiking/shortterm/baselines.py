"""Baselines for short-term plasticity: networks trained on streams by backpropagation.

All take frames [T, S, D] of S streams and return class scores [T, S, C] and a state, which is None
for networks that see one frame at a time.
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
"""Function from frames [T, S, D] and a state, None at first, to scores [T, S, C] and a state."""


class Digits(NamedTuple):
    """Labeled images."""

    images: Tensor
    """Images in [0, 1], float [N, H, H]."""
    labels: Tensor
    """Labels, int64 [N]."""


class FrameNet(nn.Module):
    """Network that sees one frame at a time.

    Args:
        layers: layers from images [N, 1, H, H] to class scores [N, C].

    Example:
        >>> FrameNet(nn.Flatten(), nn.Linear(64, 10))(torch.rand(5, 2, 64))[0].shape
        torch.Size([5, 2, 10])
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        """Returns scores [T, S, C], and no state."""
        side = math.isqrt(x.shape[2])
        scores: Tensor = self.layers(x.reshape(-1, 1, side, side))
        return scores.view(*x.shape[:2], -1), None


class RecurrentNet(nn.Module):
    """Recurrent layer with a linear readout at each step.

    Args:
        core: ``nn.RNN``, ``nn.GRU``, ``nn.LSTM``, or a module called like them.
        hidden_size: hidden size of the core.
        classes: number of classes C.

    Example:
        >>> RecurrentNet(nn.GRU(64, 20), 20, 10)(torch.rand(5, 2, 64))[0].shape
        torch.Size([5, 2, 10])
    """

    def __init__(self, core: nn.Module, hidden_size: int, classes: int) -> None:
        super().__init__()
        self.core = core
        self.readout = nn.Linear(hidden_size, classes)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Returns scores [T, S, C], and the core's state, detached from the graph."""
        output, state = self.core(x, state)
        scores: Tensor = self.readout(output)
        return scores, _detached(state)


def mlp(side: int, hidden_size: int, classes: int) -> FrameNet:
    """Builds a network with one hidden layer of rectified linear units."""
    return FrameNet(
        nn.Flatten(),
        nn.Linear(side * side, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, classes),
    )


def cnn(side: int, hidden_size: int, classes: int) -> FrameNet:
    """Builds a network with two layers of 5 x 5 filters at stride 2, and a hidden layer."""
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


def nearest(digits: Digits, classes: int, neighbors: int = 5) -> Classify:
    """Returns a classifier by votes of the labeled images that are nearest to a frame, by angle.

    Args:
        digits: labeled images.
        classes: number of classes C.
        neighbors: number of nearest images that vote.

    Example:
        >>> known = Digits(torch.rand(9, 2, 2), torch.arange(9) % 3)
        >>> scores, _ = nearest(known, classes=3)(torch.rand(4, 1, 4), None)
        >>> scores.sum(2).flatten()
        tensor([5., 5., 5., 5.])
    """
    known = F.normalize(digits.images.flatten(1), dim=1).mT.contiguous()
    votes = F.one_hot(digits.labels, classes).float()

    def classify(x: Tensor, state: None) -> tuple[Tensor, None]:
        near = (x.flatten(0, 1) @ known).topk(neighbors, dim=1).indices
        return votes[near].sum(1).view(*x.shape[:2], classes), None

    return classify


def smoothed(classify: Classify, tau: float) -> Classify:
    """Returns the exponential moving average of a network's class posteriors, as a classifier.

    Args:
        classify: network to smooth.
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
def recognize(
    classify: Classify,
    digits: Digits,
    transforms: Transforms,
    streams: int,
    path: tuple[int, ...],
) -> Tensor:
    """Returns which frames of streams a network classifies correctly, without reset or labels.

    Args:
        classify: network to test.
        digits: images, each shown once.
        transforms: transformations of the images.
        streams: number of streams S.
        path: numbers that seed order, textures and noise.

    Returns:
        Correctness, bool [P, frames, S].
    """
    right, state = [], None
    for x, labels in shown(digits, transforms, streams, path):
        scores, state = classify(x, state)
        right.append(scores.argmax(2) == labels)
    return torch.stack(right)


def shown(
    digits: Digits, transforms: Transforms, streams: int, path: tuple[int, ...]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields frames [T, S, D] and labels [S] of each presentation; see :func:`recognize`."""
    order = presentations(len(digits.labels), streams, generator(*path, 0))
    frames = film(digits.images, order, transforms, generator(*path, 1))
    for row, x in zip(order, frames, strict=True):
        yield x.flatten(2), digits.labels[row.to(digits.labels.device)]


class StreamTraining:
    """Training phase: epochs of new streams of the same digits, by Adam, with early stopping.

    An update takes the frames of some presentations in all streams. The state is carried from one
    update to the next; gradients are not. Finally, the network is restored from the epoch that was
    best on validation streams.

    Args:
        name: name of the phase.
        net: network to train.
        train: training digits, each shown once per epoch.
        validation: validation digits.
        transforms: transformations of the images.
        epochs: largest number of epochs.
        patience: number of epochs without improvement after which training stops.
        streams: number of streams S.
        window: number of presentations per update.
        learning_rate: learning rate of Adam.
        path: numbers that seed the streams.
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
        """Trains for one epoch and validates."""
        loss, train_accuracy = self._epoch()
        self.position += 1
        right = recognize(self.net, self.validation, self.transforms, self.streams, (*self.path, 0))
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
        """Returns Adam's moments, and the best network so far."""
        best = {f"best.{name}": value for name, value in self.best.items()}
        found = {"best_accuracy": self.best_accuracy, "best_epoch": self.best_epoch}
        return {**moments(self.optimizer), **best, **found}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what :meth:`state_dict` returned."""
        state = dict(state)
        self.best_accuracy, self.best_epoch = state.pop("best_accuracy"), state.pop("best_epoch")
        self.best = {name: state.pop(f"best.{name}") for name in self.best}
        load_moments(self.optimizer, state)

    def _epoch(self) -> tuple[float, float]:
        """Trains for one epoch; returns the mean loss and the share of correct frames."""
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
    """Yields frames of several presentations together [T, S, D], and each frame's label [T, S]."""
    waiting: list[tuple[Tensor, Tensor]] = []
    for x, labels in stream:
        waiting.append((x, labels.expand(len(x), -1)))
        if len(waiting) == presentations:
            yield torch.cat([x for x, _ in waiting]), torch.cat([labels for _, labels in waiting])
            waiting.clear()


def _detached(state: Any) -> Any:
    """Detaches a state, or a tuple of them, from the graph."""
    if isinstance(state, Tensor):
        return state.detach()
    parts = (part.detach() for part in state)
    return state._make(parts) if hasattr(state, "_make") else tuple(parts)
