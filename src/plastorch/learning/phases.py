"""Phases of a training, and the order of examples in them."""

from enum import IntEnum

import torch
from torch import Tensor

from plastorch.engine.checkpoint import under as under
from plastorch.engine.errors import InputError
from plastorch.engine.phases import Phase as Phase
from plastorch.engine.phases import run_phase as run_phase
from plastorch.engine.streams import stream


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
