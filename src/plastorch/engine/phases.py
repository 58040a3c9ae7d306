"""Base of the phases of a training: their position, and the state of their optimizers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from plastorch.engine.checkpoint import load_moments, moments, under
from plastorch.engine.run import Record


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
