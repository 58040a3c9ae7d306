"""Phases of a training, the order of examples in them, and the course of learning rates."""

from enum import IntEnum
from typing import Literal

import torch
from torch import Tensor

from plastorch.engine.checkpoint import under as under
from plastorch.engine.errors import InputError
from plastorch.engine.phases import Phase as Phase
from plastorch.engine.phases import run_phase as run_phase
from plastorch.engine.streams import stream

Schedule = Literal["constant", "linear"]
"""Course of a learning rate: constant, or falling linearly to 0."""


def set_rate(
    optimizer: torch.optim.Optimizer, rate: float, schedule: Schedule, position: int, total: int
) -> None:
    """Sets the learning rate for the step at ``position``, from 0, of a phase of ``total`` steps.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> set_rate(optimizer, 0.8, "linear", 3, 4)
        >>> optimizer.param_groups[0]["lr"]
        0.2
    """
    left = 1 - position / total if schedule == "linear" else 1
    for group in optimizer.param_groups:
        group["lr"] = left * rate


class EpochOrder:
    """Rows of each mini-batch; each epoch visits the examples in a new random order.

    ``path`` identifies the random stream; the epoch is appended to it. With ``drop_last``,
    examples that don't fill a mini-batch are left out. Raises InputError if there
    are no examples or, with ``drop_last``, fewer than a mini-batch. ``per_epoch`` is the number of
    mini-batches.
    """

    def __init__(
        self,
        examples: int,
        batch_size: int,
        seed: int,
        *path: IntEnum | int,
        drop_last: bool = False,
    ) -> None:
        most = examples if drop_last else max(batch_size, 1)
        if not 1 <= batch_size <= most:
            raise InputError(f"batch_size is {batch_size}; expected 1 to {examples}")
        if not examples:
            raise InputError("examples are 0; expected 1 or more")
        self.examples, self.batch_size, self.seed, self.path = examples, batch_size, seed, path
        self.per_epoch = examples // batch_size if drop_last else -(-examples // batch_size)
        self._current: tuple[int, Tensor] | None = None

    def __call__(self, number: int) -> Tensor:
        """Returns the rows of a mini-batch, int64 on the CPU, by its number over all epochs."""
        epoch, place = divmod(number, self.per_epoch)
        if self._current is None or self._current[0] != epoch:
            random = stream(self.seed, *self.path, epoch)
            self._current = epoch, torch.randperm(self.examples, generator=random)
        return self._current[1][place * self.batch_size : (place + 1) * self.batch_size]
