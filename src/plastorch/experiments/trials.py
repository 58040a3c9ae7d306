"""Trials of a sweep: one run each, side by side in processes of this machine."""

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
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
NOTES = "error.txt"
"""File in a run folder with the details of an error."""
Ended = tuple[int, str]
"""Number of a trial that has ended, and why it failed, or an empty text if it didn't."""


def run_trial(path: Path, number: int) -> str:
    """Runs or resumes a sweep's trial unless it is done; returns why it failed, or empty text."""
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
    free = places(sweep.cpus, sweep.settings[0].get("device", "auto"))
    running: list[subprocess.Popen[str]] = []
    closed, opening = False, threading.Lock()

    def run(number: int) -> Ended:
        place = free.pop()
        for _ in range(RETRIES + 1):
            with opening:  # no process begins that closing wouldn't end
                if closed:
                    break
                process = _started(sweep.path, number, place)
                running.append(process)
            with process:
                assert process.stdout is not None
                told = process.stdout.read()
            if process.returncode == 0:
                free.append(place)
                return number, told.splitlines()[-1]
        free.append(place)
        return number, DIED

    pool = ThreadPoolExecutor(len(free))
    try:
        for done in as_completed([pool.submit(run, number) for number in numbers]):
            yield done.result()
    finally:
        with opening:
            closed = True
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            assert process.stdin is not None
            process.stdin.close()
        pool.shutdown()


def places(cpus: int, device: str = "auto") -> list[Mapping[str, str]]:
    """Returns the environment variables of each process that fits this machine.

    With "auto" or "cuda", each run has a GPU of its own if there are any.
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


def _started(path: Path, number: int, place: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(path), str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **place},
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
