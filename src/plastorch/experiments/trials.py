"""Trials of a sweep: one run each, side by side in processes of this machine."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch

from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.sweep_plan import Sweep
from plastorch.experiments.registry import panels_of
from plastorch.experiments.run import run_or_resume

RETRIES = 3
"""Number of times that a run resumes from its checkpoint after its process has died."""
DIED = f"its process died {RETRIES + 1} times, killed or out of memory"
WAIT_S = 60.0
"""Seconds that processes of a killed sweep have to release their run folders."""
LOOK_S = 0.05
"""Seconds between looks at the processes."""
NOTES = "error.txt"
"""File in a run folder with the details of an error."""
Ended = tuple[int, str]
"""Number of a trial that has ended, and why it failed; an empty text if it didn't."""


def run_trial(path: Path, number: int) -> str:
    """Runs one trial of a sweep, or resumes it, unless it is done.

    Args:
        path: folder of the sweep.
        number: number of the trial.

    Returns:
        Reason why it failed, or an empty text.
    """
    from plastorch.report import write_report

    sweep = Sweep.load(path)
    run = sweep.begin(sweep.trials[number])
    (run.path / NOTES).unlink(missing_ok=True)
    try:
        if run.finished() is None:
            run_or_resume(run, lambda line: None, wait_s=WAIT_S)
            write_report(run.path, panels_of)
    except InputError as error:
        return str(error)
    except Interrupted:  # the run itself has not failed
        raise
    except Exception as error:
        (run.path / NOTES).write_text(traceback.format_exc())
        reason = (str(error).strip().splitlines() or [""])[0]
        return f"{type(error).__name__}: {reason}; more in {run.path / NOTES}"
    return ""


def run_here(sweep: Sweep, numbers: Iterable[int]) -> Generator[Ended, None, None]:
    """Runs trials on this machine, as many at a time as there are CPUs for, and GPUs if any.

    When the generator is closed, the processes write their checkpoints and end.

    Args:
        sweep: planned sweep.
        numbers: numbers of the trials to run.

    Yields:
        Each trial as it ends.

    Raises:
        InputError: there are too few CPUs, or no GPU though the settings ask for one.
    """
    waiting, running = deque(numbers), list[_Process]()
    free = places(sweep.cpus, sweep.settings[0].get("device", "auto"))
    try:
        while waiting or running:
            while waiting and free:
                running.append(_Process(sweep.path, waiting.popleft(), free.pop()))
            time.sleep(LOOK_S)
            for process in [one for one in running if one.ended()]:
                running.remove(process)
                free.append(process.place)
                yield process.number, process.failed
    finally:
        for process in running:
            process.stop()
        with ExitStack() as ending:
            for process in running:
                ending.callback(process.close)


def places(cpus: int, device: str = "auto") -> list[Mapping[str, str]]:
    """Returns the environment variables of each process that fits this machine.

    Args:
        cpus: number of CPUs per run.
        device: auto, cpu or cuda; each run has a GPU of its own if it may use one.

    Raises:
        InputError: there are too few CPUs, or no GPU though the device is cuda.

    Example:
        >>> places(1, "cpu")[0]["OMP_NUM_THREADS"]
        '1'
    """
    there = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    check_cpus(cpus, there)
    gpus = _gpus() if device != "cpu" else []
    if device == "cuda" and not gpus:
        raise InputError("device is 'cuda'; there is no GPU; expected auto or cpu")
    threads = {"OMP_NUM_THREADS": str(cpus), "POLARS_MAX_THREADS": str(cpus)}
    fitting = there // cpus
    if not gpus:
        return [threads] * fitting
    return [threads | {"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[:fitting]]


def check_cpus(needed: int, there: int) -> None:
    """Raises InputError if no machine has that many CPUs."""
    if needed > there:
        raise InputError(f"cpus_per_run is {needed}; expected at most {there}, of one machine")


def _gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (named.split(",") if named else [str(number) for number in range(count)])[:count]


class _Process:
    """Process that runs a trial, and is started again if it dies.

    Args:
        path: folder of the sweep.
        number: number of the trial.
        place: environment variables.
    """

    def __init__(self, path: Path, number: int, place: Mapping[str, str]) -> None:
        self.path, self.number, self.place = path, number, place
        self.starts, self.failed = 0, ""
        self.told = tempfile.TemporaryFile()  # noqa: SIM115, close does it
        self.popen = self._start()

    def ended(self) -> bool:
        """Whether the trial has ended; ``failed`` then says why."""
        status = self.popen.poll()
        if status and self.starts <= RETRIES:
            self.stop()
            self.popen = self._start()
        elif status is not None:
            self.told.seek(0)
            self.failed = DIED if status else self.told.read().decode().splitlines()[-1]
            self.stop()
            self.close()
            return True
        return False

    def stop(self) -> None:
        """Asks the process to end at its next checkpoint."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()

    def close(self) -> None:
        """Waits until the process ends; kills it if the waiting is interrupted."""
        try:
            self.popen.wait()
        finally:
            self.popen.kill()
            self.told.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.path), str(self.number)],
            stdin=subprocess.PIPE,
            stdout=self.told,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.place},
            process_group=0,  # Ctrl-C reaches it through this process, once
        )


def _stop_with_sweep() -> None:
    """Sends SIGTERM to this process when the sweep's process closes the pipe, or dies."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Runs the trial that the command line names; the last line says why it failed."""
    threading.Thread(target=_stop_with_sweep, daemon=True).start()
    print("\n" + " ".join(run_trial(Path(sys.argv[1]), int(sys.argv[2])).split()))


if __name__ == "__main__":
    main()
