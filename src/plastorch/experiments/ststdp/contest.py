"""Training of several networks from the same films, each with several learning rates."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.run import Record
from plastorch.experiments.ststdp.jobs import on_cpu
from plastorch.experiments.ststdp.training import PATIENCE
from plastorch.learning.phases import Phase, under
from plastorch.spiking.shortterm.recognition import followed

RATES = (1e-3, 3e-3, 1e-2)
"""Learning rates that are tried."""
TRIAL = 2
"""Number of epochs after which validation films choose the learning rate."""

Seen = tuple[Mapping[str, Tensor], Tensor]
"""A presentation: its frames [T, S, D] by kind of input, and labels [S]."""


@dataclass(frozen=True, kw_only=True)
class Films:
    """Films to learn from, new in each epoch, and those to validate with; ``epochs`` is the most.

    ``shown`` takes the epoch, from 1, and yields its presentations; for 0, those of validation.
    """

    shown: Callable[[int], Iterator[Seen]]
    epochs: int


class Candidate(nn.Module):
    """A copy of a network that learns with one rate, and what it was after its best epoch."""

    accuracy: Tensor
    epoch: Tensor

    def __init__(self, net: nn.Module, rate: float) -> None:
        super().__init__()
        self.net, self.best = copy.deepcopy(net), copy.deepcopy(net)
        self.register_buffer("accuracy", torch.tensor(-1.0))
        self.register_buffer("epoch", torch.tensor(0))
        self.rate, self.optimizer = rate, torch.optim.Adam(self.net.parameters(), rate)
        self.memory: Any = None

    def learn(self, x: Tensor, labels: Tensor) -> None:
        """Makes one update from frames [T, S, D] that go on from the last ones; labels [T, S]."""
        device = next(self.net.parameters()).device
        x, labels = x.to(device), labels.to(device)
        scores, self.memory = self.net(x, self.memory)
        self.optimizer.zero_grad()
        F.cross_entropy(scores.flatten(0, 1), labels.flatten()).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def validate(self, right: Tensor, epoch: int) -> float:
        """Keeps the network if it is its best so far; returns its accuracy on validation films."""
        accuracy = right.float().mean()
        if accuracy > self.accuracy:
            self.accuracy.copy_(accuracy)
            self.epoch.fill_(epoch)
            self.best.load_state_dict(self.net.state_dict())
        return float(accuracy)


class Contest(Phase):
    """Training phase: networks learn side by side by Adam, all from the same films.

    All begin with each learning rate. After ``TRIAL`` epochs each goes on with the rate that was
    best on validation films, until ``PATIENCE`` epochs brought nothing; finally it is restored from
    its best epoch. The state is carried from one update to the next; gradients are not.

    Args:
        name: name of the phase.
        nets: networks by name, "INPUT-MODEL"; INPUT is the kind of frames that they see.
        windows: number of presentations per update, by name.
        films: films of an epoch.
    """

    def __init__(
        self, name: str, nets: Mapping[str, nn.Module], windows: Mapping[str, int], films: Films
    ) -> None:
        super().__init__(name, films.epochs)
        self.nets, self.windows, self.films = nets, windows, films
        self.candidates = {
            net: nn.ModuleList(Candidate(nets[net], rate) for rate in RATES) for net in nets
        }
        self.optimizers = [each.optimizer for net in nets for each in self._all(net)]

    def step(self) -> list[Record]:
        """Trains all that still learn for one epoch, and validates them."""
        learning = self.learning()
        self._epoch(learning)
        self.position += 1
        shown = list(self.films.shown(0))
        records: list[Record] = []
        for net, candidates in learning.items():
            films = [(seen[_input(net)], labels) for seen, labels in shown]
            for each in candidates:
                accuracy = each.validate(followed(on_cpu(each.net), films), self.position)
                record: Record = {"phase": self.name, "net": net, "rate": each.rate}
                records.append(record | {"epoch": self.position, "validation_accuracy": accuracy})
        if not any(self.learning().values()):
            self.position = self.total
        if self.position == self.total:
            for net, found in self.nets.items():
                found.load_state_dict(self._winner(net).best.state_dict())
        return records

    def learning(self) -> dict[str, list[Candidate]]:
        """Returns the candidates that go on learning, by network."""
        if self.position < TRIAL:
            return {net: self._all(net) for net in self.nets}
        winners = {net: self._winner(net) for net in self.nets}
        return {
            net: [each] if self.position - int(each.epoch) < PATIENCE else []
            for net, each in winners.items()
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the candidates, and Adam's moments."""
        found = nn.ModuleDict(self.candidates).state_dict()
        return {**super().state_dict(), **{f"net.{name}": value for name, value in found.items()}}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        nn.ModuleDict(self.candidates).load_state_dict(under(state, "net."))

    def _epoch(self, learning: Mapping[str, Sequence[Candidate]]) -> None:
        waiting: dict[str, list[tuple[Tensor, Tensor]]] = {net: [] for net in learning}
        for seen, labels in self.films.shown(self.position + 1):
            for net, candidates in learning.items():
                x = seen[_input(net)]
                waiting[net].append((x, labels.expand(len(x), -1)))
                if len(waiting[net]) == self.windows[net]:
                    x, told = (torch.cat(parts) for parts in zip(*waiting.pop(net), strict=True))
                    waiting[net] = []
                    for each in candidates:
                        each.learn(x, told)
        for candidates in learning.values():
            for each in candidates:
                each.memory = None

    def _winner(self, net: str) -> Candidate:
        return max(self._all(net), key=lambda each: float(each.accuracy))

    def _all(self, net: str) -> list[Candidate]:
        return cast(list[Candidate], list(self.candidates[net]))


def _input(net: str) -> str:
    return net.split("-")[0]
