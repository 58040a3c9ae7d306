"""Context of an experiment's run, besides its configuration."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from plastorch.engine.loop import Loop
from plastorch.engine.run import Claim, RunFolder, result
from plastorch.experiments.command import command, commit
from plastorch.experiments.preset_defaults import Settings
from plastorch.experiments.registry import Experiment


@dataclass(frozen=True, kw_only=True)
class Context:
    """One session of a run, from its start or from a checkpoint.

    Args:
        run: run folder, new or to be resumed.
        experiment: experiment that runs.
        seed: random seed.
        device: device to compute on.
        data: data root, or None for the default one.
        quick: whether this is a smoke run of at most a minute, whose figures are not results.
        tell: function that shows the user a line.
    """

    run: RunFolder
    experiment: Experiment
    seed: int
    device: torch.device
    data: Path | None
    quick: bool
    tell: Callable[[str], None]

    def start(
        self,
        config: Settings,
        data: Mapping[str, Any],
        versions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Writes and returns the ``result.json`` of a run that has measured nothing yet.

        ``data`` has name, n_train, n_test, source, sha256 and more; ``versions`` are those of
        other packages that influence the figures.
        """
        settings = config.plain() | {"seed": self.seed, "quick": self.quick}
        started = result(
            self.experiment.name, self.experiment.paper, settings, dict(data), self.device
        )
        started["command"] = command(self.experiment.name, config, self.seed, self.quick)
        started["commit"] = commit()
        started["versions"] |= versions or {}
        self.run.write_result(started)
        return started

    def finish(
        self, started: dict[str, Any], loop: Loop, metrics: dict[str, float], claims: list[Claim]
    ) -> dict[str, Any]:
        """Writes the result of a complete run, and returns the contents of ``result.json``.

        ``started`` is what :meth:`start` returned; the loop's seconds by phase and its peak memory
        become metrics, after the given ones, of which the experiment's headline is the first.
        """
        head, words = self.experiment.headline or ("", "")
        if head in metrics:
            started = started | {"headline": words}
            metrics = {head: metrics[head]} | metrics
        seconds = {f"{name.replace('-', '_')}_s": round(s, 2) for name, s in loop.seconds.items()}
        finished = started | {
            "metrics": metrics | seconds | {"peak_memory_gb": round(loop.peak_memory_gb, 3)},
            "claims": [asdict(claim) for claim in claims],
            "wall_s": round(loop.wall_s, 2),
            "complete": True,
        }
        self.run.write_result(finished)
        return finished
