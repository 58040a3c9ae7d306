"""What a run of an experiment is given besides its configuration."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from plastorch.engine.loop import Loop
from plastorch.engine.run import Claim, RunFolder


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

    def finish(
        self, started: dict[str, Any], loop: Loop, metrics: dict[str, float], claims: list[Claim]
    ) -> dict[str, Any]:
        """Writes the result of a whole run.

        Args:
            started: as it was written at the start.
            loop: that ran its phases; their seconds and its peak memory become metrics.
            metrics: what was measured, the headline first.
            claims: what is said of it.

        Returns:
            The contents of ``result.json``.
        """
        seconds = {f"{name.replace('-', '_')}_s": round(s, 2) for name, s in loop.seconds.items()}
        finished = started | {
            "metrics": metrics | seconds | {"peak_memory_gb": round(loop.peak_memory_gb, 3)},
            "claims": [asdict(claim) for claim in claims],
            "wall_s": round(loop.wall_s, 2),
            "complete": True,
        }
        self.run.write_result(finished)
        return finished
