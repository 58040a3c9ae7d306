"""What a run of an experiment is given besides its configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from plastorch.engine.run import RunFolder


@dataclass(frozen=True)
class Session:
    """One sitting of a run.

    Args:
        run: the run folder, new or to be resumed.
        seed: of everything random.
        device: where to compute.
        data: the data root, or None for the default one.
        quick: a smoke run of at most a minute, never a source of figures.
        tell: shows the user a line.
    """

    run: RunFolder
    seed: int
    device: torch.device
    data: Path | None
    quick: bool
    tell: Callable[[str], None]
