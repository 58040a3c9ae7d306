"""Training settings of a method: optimizers and learning rate schedule.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from plastorch.engine.errors import InputError, check_one_of, check_positive, require

Optimizer = Literal["lars", "sgd"]
"""Optimizer: LARS (lightly's) scales each weight's update by the weight's norm; SGD doesn't."""


@dataclass(frozen=True)
class Training:
    """Training settings of a method.

    Args:
        batches: number of batches, with one update each.
        batch_size: number of sources per batch, over all workers.
        every: number of batches per record, for example those of an epoch.
        optimizer: optimizer of the method; the probe always uses SGD.
        learning_rate: learning rate after warm-up, per 256 sources of a batch.
        momentum: momentum of both optimizers.
        weight_decay: weight decay, except for biases and normalization.
        warm_up: number of batches in which the learning rate rises to its full value, before it
            decays to 0 along half a cosine.
        probe_rate: learning rate of the probe, with the same schedule.
        bfloat16: run encoder and heads in bfloat16.
        shuffled: shuffle the targets within a batch, as a control: they then carry no information
            about their views.
        reverse: also train on the action from the second view back to the first.

    Raises:
        InputError: a value is out of range.
    """

    batches: int
    batch_size: int = 256
    every: int = 50
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-6
    warm_up: int = 0
    probe_rate: float = 0.1
    bfloat16: bool = False
    shuffled: bool = False
    reverse: bool = True

    def __post_init__(self) -> None:
        check_one_of(get_args(Optimizer), optimizer=self.optimizer)
        check_positive(batches=self.batches, every=self.every, learning_rate=self.learning_rate)
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum is {self.momentum}; expected 0 or more and below 1")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay is {self.weight_decay}; expected 0 or more")
        if self.optimizer == "lars":  # without decay, lightly falls back to plain SGD
            check_positive(weight_decay=self.weight_decay)
        if not 0 <= self.warm_up <= self.batches:
            raise InputError(f"warm_up is {self.warm_up}; expected 0 to {self.batches}")
        check_positive(probe_rate=self.probe_rate)
        if self.batch_size < 2:
            raise InputError(f"batch_size is {self.batch_size}; expected 2 or more")

    def course(self, number: int) -> float:
        """Returns a batch's share of the learning rate; batches count from 0.

        Example:
            >>> training = Training(batches=12, warm_up=2)
            >>> [round(training.course(number), 3) for number in (0, 1, 2, 7, 11)]
            [0.5, 1.0, 1.0, 0.5, 0.024]
        """
        if number < self.warm_up:
            return (number + 1) / self.warm_up
        falling = (number - self.warm_up) / (self.batches - self.warm_up)
        return (1 + math.cos(math.pi * falling)) / 2

    def optimizers(self, method: nn.Module, probe: nn.Module | None) -> tuple[Any, ...]:
        """Makes the optimizers of the method and of the probe, if there is one.

        They are for parameters with a gradient.

        Raises:
            InputError: LARS is chosen and lightly isn't installed.
        """
        learning = [p for p in method.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learning if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in learning if p.dim() <= 1], "weight_decay": 0.0},
        ]
        law: Any = torch.optim.SGD
        if self.optimizer == "lars":
            require("lightly", "ssl")
            from lightly.utils.lars import LARS  # type: ignore[import-untyped]

            law = LARS
        own = law(groups, lr=0.0, momentum=self.momentum)
        if probe is None:
            return (own,)
        decay = self.weight_decay
        settings: dict[str, Any] = {"momentum": self.momentum, "weight_decay": decay}
        return own, torch.optim.SGD(probe.parameters(), lr=0.0, **settings)

    def rates(self, number: int) -> tuple[float, float]:
        """Returns the learning rates of method and probe in a batch, counted from 0."""
        course = self.course(number)
        return course * self.learning_rate * self.batch_size / 256, course * self.probe_rate
