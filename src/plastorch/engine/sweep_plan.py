"""A sweep: runs of one experiment over a grid of settings and seeds, planned before any starts."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plastorch.engine.errors import InputError
from plastorch.engine.output import write_atomically
from plastorch.engine.run import RunFolder, new_folder

FOLDER = "sweeps"
"""Folder of sweeps in the folder of all runs."""
PLAN = "sweep.json"
LOCK = ".lock"
"""Lock file of the process that runs the sweep, as the plan itself is replaced repeatedly."""


@dataclass(frozen=True)
class Trial:
    """One run of a sweep."""

    run: str
    """Run folder, relative to the folder of all runs."""
    setting: int
    """Index of the run's setting."""
    seed: int


@dataclass(frozen=True)
class Sweep:
    """Content of ``RUNS/sweeps/STAMP/sweep.json``.

    Whether a run is waiting, begun or done is stored only in its own folder.

    Args:
        path: folder of the sweep.
        experiment: name of the experiment.
        fields: values of each field of the grid, as they were given.
        settings: ``config.json`` of each point of the grid, without the seed.
        trials: runs, in the order in which they start.
        cpus: number of CPUs per run.
        failed: reasons why runs failed, by run folder.
    """

    path: Path
    experiment: str
    fields: dict[str, list[Any]]
    settings: list[dict[str, Any]]
    trials: list[Trial]
    cpus: int
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        runs: Path,
        experiment: str,
        *,
        fields: dict[str, list[Any]],
        settings: list[dict[str, Any]],
        seeds: Sequence[int],
        cpus: int,
    ) -> "Sweep":
        """Makes the sweep's folder and an empty one for each of its runs.

        Raises:
            InputError: ``runs`` can't be written.
        """
        path = new_folder(runs, FOLDER)
        trials = []
        for seed in seeds:
            for number in range(len(settings)):
                reserved = RunFolder.reserve(runs, experiment, seed).path
                trials.append(Trial(str(reserved.relative_to(runs)), number, seed))
        sweep = cls(path, experiment, fields=fields, settings=settings, trials=trials, cpus=cpus)
        sweep.write()
        return sweep

    @classmethod
    def load(cls, path: Path) -> "Sweep":
        """Reads a sweep's folder.

        Raises:
            InputError: the folder is not a sweep's, or is damaged.
        """
        try:
            found = json.loads((path / PLAN).read_text())
        except OSError:
            raise InputError(f"{path} is not a sweep's folder; expected {PLAN} in it") from None
        except (ValueError, RecursionError):
            found = None
        try:
            sweep = cls(path, **{**found, "trials": [Trial(**one) for one in found["trials"]]})
            sweep.check()
        except (TypeError, KeyError, AttributeError, IndexError):
            raise InputError(f"{path / PLAN} is damaged; expected the JSON of a sweep") from None
        return sweep

    def check(self) -> None:
        """Raises TypeError, KeyError or IndexError if a part of the sweep is invalid."""
        if not all(type(one) is dict for one in (self.fields, self.failed, *self.settings)):
            raise TypeError
        if not self.settings or not all(type(one) is list for one in self.fields.values()):
            raise TypeError
        if type(self.experiment) is not str or type(self.cpus) is not int or self.cpus < 1:
            raise TypeError
        for trial in self.trials:
            parts = Path(trial.run).parts
            if len(parts) != 2 or {"/", ".."} & {*parts}:
                raise TypeError
            if type(trial.seed) is not int or trial.setting < 0:
                raise TypeError
            self.values(trial)

    def write(self) -> None:
        """Replaces ``sweep.json``.

        Raises:
            InputError: the file can't be written.
        """
        plan = asdict(self)
        del plan["path"]
        write_atomically(self.path / PLAN, json.dumps(plan, indent=1).encode())

    def folder(self, trial: Trial) -> RunFolder:
        """Returns the run folder of a trial."""
        return RunFolder(self.path.parent.parent / trial.run)

    def begin(self, trial: Trial) -> RunFolder:
        """Returns the run folder of a trial, with its ``config.json`` written."""
        run = self.folder(trial)
        if not run.begun:
            run.begin(self.experiment, {**self.settings[trial.setting], "seed": trial.seed})
        return run

    def values(self, trial: Trial) -> dict[str, Any]:
        """Returns the values of the grid's fields in a trial."""
        return {name: self.settings[trial.setting][name] for name in self.fields}

    def waiting(self) -> list[int]:
        """Returns the indices of the trials that are not done."""
        return [n for n, trial in enumerate(self.trials) if self.folder(trial).finished() is None]


def shown(value: Any) -> str:
    """Returns a setting's value as typed on the command line."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
