"""Runs the phases of a training: progress bar, log, checkpoints, and resuming after a stop."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from datetime import timedelta
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn

from plastorch.engine.checkpoint import load_checkpoint, restore, save_checkpoint, under
from plastorch.engine.device import peak_memory_gb
from plastorch.engine.distributed import (
    any_worker,
    from_first,
    share_out,
    share_state,
    worker,
    workers,
)
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.phases import Phase
from plastorch.engine.run import Record, RunFolder
from plastorch.engine.stops import first_stop


class Jobs(Phase):
    """A phase of independent jobs, with no state but its position.

    Args:
        jobs: functions that return records to log; ``phase`` and ``step`` are added to these.
        shared: False if all workers must do each job, as it has effects beyond its result.
    """

    def __init__(
        self, name: str, jobs: Sequence[Callable[[], Sequence[Record]]], shared: bool = True
    ) -> None:
        super().__init__(name, len(jobs))
        self.jobs = jobs
        self.at_once = workers() if shared else 1

    def step(self) -> list[Record]:
        """Does the next job, or as many as there are workers."""
        first = self.position + 1
        jobs = self.jobs[self.position : self.position + self.at_once]
        found = share_out(jobs) if self.at_once > 1 else [job() for job in jobs]
        self.position += len(jobs)
        return [
            {"phase": self.name, "step": step, **record}
            for step, records in enumerate(found, first)
            for record in records
        ]


class Loop:
    """Runs phases one after the other, and stores their progress in the run folder.

    If the folder has a checkpoint, the loop restores the model and skips what was done; later
    numbers are those of a run without interruption. Of several workers, all do all steps, and only
    the first one writes and shows progress. ``suffix`` is the ending of the names of phases from
    now on; it tells apart those of several networks.
    """

    interval_s = 20.0
    """Seconds between checkpoints; one is written after a step, so it may be a step older."""
    line_s = 30.0
    """Seconds between lines of progress where there is no terminal; a step may take longer."""

    def __init__(self, run: RunFolder, model: nn.Module) -> None:
        self.run_folder, self.model = run, model
        self.seconds: dict[str, float] = {}
        self.suffix = ""
        self._done: list[str] = []
        self._current: tuple[str, int, dict[str, Tensor]] | None = None
        self._stop = False
        self._peak_memory_gb = 0.0
        self._said = time.monotonic()
        found = from_first(lambda: load_checkpoint(run.checkpoint))
        if found is None:
            run.truncate_log()
            return
        tensors, progress = found
        _check_progress(progress, run.checkpoint)
        restore(model, under(tensors, "model."), run.checkpoint)
        self.seconds, self._done = progress["seconds"], progress["done"]
        self._peak_memory_gb = progress["peak_memory_gb"]
        run.truncate_log(progress["log_size"], progress["log_sha256"])
        if progress["phase"] is not None:
            self._current = (progress["phase"], progress["position"], under(tensors, "phase."))

    @property
    def wall_s(self) -> float:
        """Seconds spent in all phases, over all sessions of the run."""
        return sum(self.seconds.values())

    @property
    def peak_memory_gb(self) -> float:
        """Largest resident size of the process in any session so far, in GB (10⁹ bytes)."""
        return max(self._peak_memory_gb, peak_memory_gb())

    def run(self, phase: Phase) -> None:
        """Runs a phase, or skips it if it was done; saves a checkpoint before Interrupted."""
        phase.name += self.suffix
        if phase.name in self._done:
            return
        if self._current is not None and self._current[0] == phase.name:
            _, phase.position, state = self._current
            self._put_back(phase, state)
        share_state(self.model)
        saved = time.monotonic()
        with closing(self._steps(phase)) as steps:
            for _ in steps:
                if self._stop or time.monotonic() - saved > self.interval_s:
                    self._save(phase)
                    saved = time.monotonic()
                if self._stop:
                    any_worker(True)  # until the first one has saved
                    raise Interrupted
        self._done.append(phase.name)
        self._save(None)

    def recompute(self, phase: Phase) -> None:
        """Runs a phase whose result is in no checkpoint: it starts anew in each session."""
        phase.name += self.suffix
        with closing(self._steps(phase)) as steps:
            for _ in steps:
                if self._stop:
                    raise Interrupted

    def _steps(self, phase: Phase) -> Generator[None, None, None]:
        columns = (
            TextColumn("{task.description:>12}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[live]}"),
        )
        before, first, live = self.seconds.get(phase.name, 0.0), phase.position, ""
        start = time.monotonic()
        console = Console(stderr=True, quiet=worker() > 0)
        with first_stop(self._ask_to_stop), Progress(*columns, console=console) as progress:
            task = progress.add_task(phase.name, total=phase.total, live="")
            while phase.position < phase.total:
                records = phase.step()
                self.run_folder.log(records)
                self.seconds[phase.name] = before + time.monotonic() - start
                live = _live(records[-1]) if records else live
                progress.update(task, live=live)
                if not console.is_interactive and phase.position < phase.total:
                    self._say(console, phase, (first, start), live)
                progress.update(task, completed=phase.position)
                self._stop = any_worker(self._stop)
                yield

    def _say(self, console: Console, phase: Phase, begun: tuple[int, float], live: str) -> None:
        """Prints at intervals how far a phase is, which began at a position at a time."""
        now, (first, start) = time.monotonic(), begun
        if now - self._said < self.line_s or phase.position <= first:  # some begin again
            return
        self._said = now
        left = (now - start) / (phase.position - first) * (phase.total - phase.position)
        times = [str(timedelta(seconds=round(each))) for each in (now - start, left)]
        words = f"{phase.name}: {phase.position:,} of {phase.total:,}"
        console.print(
            f"{words}, {times[0]} so far, {times[1]} to go{', ' * bool(live)}{live}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )

    def _put_back(self, phase: Phase, state: dict[str, Tensor]) -> None:
        """Restores a phase from its checkpoint, whose content is not trusted."""
        where = f"{self.run_folder.checkpoint}: phase {phase.name}"
        if phase.position > phase.total:
            raise InputError(f"{where} is at {phase.position}; expected at most {phase.total}")
        try:
            phase.load_state_dict(state)
        except InputError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"{where} has tensors that don't fit ({error})") from None

    def _save(self, phase: Phase | None) -> None:
        if worker() > 0:
            return
        log_size, log_sha256 = self.run_folder.log_state()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if phase is not None:
            tensors |= {f"phase.{name}": value for name, value in phase.state_dict().items()}
        progress = {
            "done": self._done,
            "phase": phase.name if phase else None,
            "position": phase.position if phase else 0,
            "seconds": self.seconds,
            "peak_memory_gb": self.peak_memory_gb,
            "log_size": log_size,
            "log_sha256": log_sha256,
        }
        save_checkpoint(self.run_folder.checkpoint, tensors, progress)

    def _ask_to_stop(self) -> None:
        self._stop = True


def _check_progress(progress: dict[str, Any], source: Path) -> None:
    """Raises InputError unless the progress is as a loop writes it."""
    done, seconds = progress.get("done"), progress.get("seconds")
    numbers = (
        [progress.get("peak_memory_gb"), *seconds.values()] if isinstance(seconds, dict) else []
    )
    counts = [progress.get("position"), progress.get("log_size")]
    whole = (
        isinstance(done, list)
        and all(isinstance(name, str) for name in done)
        and isinstance(seconds, dict)
        and all(type(number) in (int, float) and isfinite(number) for number in numbers)
        and all(type(count) is int and 0 <= count < 2**63 for count in counts)
        and isinstance(progress.get("phase", 0), str | None)
        and isinstance(progress.get("log_sha256"), str)
    )
    if not whole:
        raise InputError(f"{source}: its progress is damaged; expected that of a run")


def _live(record: Record) -> str:
    for name in ("test_accuracy", "validation_accuracy", "train_accuracy"):
        if name in record:
            return f"{name.replace('_', ' ')} {float(record[name]):.2%}"
    for name in ("reward", "return"):
        if name in record:
            return f"{name} {float(record[name]):.1f}"
    if "radius_mean" in record:
        layer = f"layer {int(record['layer']) + 1}: " if "layer" in record else ""
        return f"{layer}mean norm {float(record['radius_mean']):.2f}"
    return ""
