"""Phases of a training: their position, their order of examples and the state of optimizers."""

from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

from plastorch.engine.checkpoint import load_moments, moments
from plastorch.engine.checkpoint import under as under
from plastorch.engine.errors import InputError
from plastorch.engine.run import Record
from plastorch.engine.streams import stream


class Phase:
    """Part of a training that is done in steps and can resume from a checkpoint.

    Subclasses define :meth:`step`, and list in ``optimizers`` those whose moments belong to the
    checkpoint. The weights belong to the model, which is saved by itself.

    Args:
        name: name of the phase, for log and checkpoint.
        total: number of steps.

    Example:
        >>> class Countdown(Phase):
        ...     def step(self):
        ...         self.position += 1
        ...         return [{"phase": self.name, "left": self.total - self.position}]
        >>> run_phase(Countdown("countdown", 2))
        [{'phase': 'countdown', 'left': 1}, {'phase': 'countdown', 'left': 0}]
    """

    optimizers: Sequence[torch.optim.Optimizer] = ()

    def __init__(self, name: str, total: int) -> None:
        self.name, self.position, self.total = name, 0, total

    def step(self) -> list[Record]:
        """Does the step at ``position``, advances it, and returns records to log."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the state beside model and position: the moments of the optimizers."""
        return {
            f"optimizer{number}.{name}": tensor
            for number, optimizer in enumerate(self.optimizers)
            for name, tensor in moments(optimizer).items()
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a state from :meth:`state_dict`."""
        for number, optimizer in enumerate(self.optimizers):
            load_moments(optimizer, under(state, f"optimizer{number}."))


def run_phase(phase: Phase) -> list[Record]:
    """Runs a phase to its end, and returns what it logged."""
    records = []
    while phase.position < phase.total:
        records += phase.step()
    return records


class EpochOrder:
    """Rows of each mini-batch; each epoch visits the examples in an order of its own.

    Args:
        examples: number of examples.
        batch_size: number of examples per mini-batch.
        seed: random seed.
        path: name of the stream, and the place in it; the epoch is added.
        drop_last: whether to omit examples that don't fill a mini-batch.

    Attributes:
        per_epoch: number of mini-batches in an epoch.

    Raises:
        InputError: there are no examples, or fewer than a mini-batch if ``drop_last``.

    Example:
        >>> order = EpochOrder(5, 2, 0)
        >>> order.per_epoch, torch.cat([order(number) for number in range(3)]).sort().values
        (3, tensor([0, 1, 2, 3, 4]))
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
