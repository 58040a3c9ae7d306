"""Runs of a sweep as trials of Ray Tune."""

import os
import shutil
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from plastorch.engine.cluster import check_cpus, check_shared, cluster, quiet, reason
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.sweep_plan import Sweep

RETRIES = 3
"""Number of times that a run resumes from its checkpoint after its process has died."""
WAIT_S = 60.0
"""Seconds that processes of a killed sweep have to release their run folders."""
NOTES = "error.txt"
"""File in a run folder with the details of an error."""


def run_trials(
    sweep: Sweep,
    numbers: Iterable[int],
    address: str | None,
    page: Callable[[Path], object],
    ended: Callable[[int, str | None], None],
) -> None:
    """Runs trials side by side, as many at a time as there are CPUs for.

    Args:
        sweep: planned sweep.
        numbers: numbers of the trials to run.
        address: address of a Ray cluster; None for this machine.
        page: function that makes a page of a run folder.
        ended: function called with the number of each finished trial, and why it failed, or None.

    Raises:
        InputError: there is no such cluster, it lacks CPUs, or its machines don't share the
            sweep's folder.
    """
    from ray import tune

    path = sweep.path.resolve()
    aside = path / ".tune"
    shutil.rmtree(aside, ignore_errors=True)  # left by a killed sweep
    with cluster(address):
        check_cpus(sweep.cpus)
        check_shared(path)
        gpus = _gpus(sweep)
        root = os.environ.get("PLASTORCH_DATA") and os.path.abspath(os.environ["PLASTORCH_DATA"])

        def trial(given: dict[str, Any]) -> dict[str, Any]:
            return run_trial(path, given["trial"], page, root, gpus)

        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": sweep.cpus, "gpu": gpus}),
            param_space={"trial": tune.grid_search(list(numbers))},
            run_config=tune.RunConfig(
                name=path.name,
                storage_path=str(aside),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                callbacks=[_told(ended)],
                verbose=0,
            ),
        )
        with quiet():
            tuner.fit()
    shutil.rmtree(aside, ignore_errors=True)


def run_trial(
    path: Path, number: int, page: Callable[[Path], object], root: str | None, gpus: int
) -> dict[str, Any]:
    """Runs one trial of a sweep, or resumes it, unless it is done.

    Args:
        path: the sweep's folder.
        number: number of the trial.
        page: function that makes a page of a run folder.
        root: data root, if it is not the default one.
        gpus: number of GPUs for the trial.

    Returns:
        ``failed``: the reason, or an empty text.
    """
    from plastorch.experiments.run import run_or_resume

    sweep = Sweep.load(path)
    if root:
        os.environ["PLASTORCH_DATA"] = root
    run = sweep.begin(sweep.trials[number])
    (run.path / NOTES).unlink(missing_ok=True)
    try:
        if run.finished() is None:
            run_or_resume(run, lambda line: None, device=None if gpus else "cpu", wait_s=WAIT_S)
            page(run.path)
    except InputError as error:
        return {"failed": str(error)}
    except Interrupted:  # the run itself has not failed
        raise
    except Exception as error:
        (run.path / NOTES).write_text(traceback.format_exc())
        return {"failed": f"{type(error).__name__}: {reason(error)}; more in {run.path / NOTES}"}
    return {"failed": ""}


def _gpus(sweep: Sweep) -> int:
    """Returns the number of GPUs of each run: one, if it may use one and there are any."""
    import ray

    device = sweep.settings[0].get("device", "auto")
    there = ray.cluster_resources().get("GPU", 0) >= 1
    if device == "cuda" and not there:
        raise InputError("device is 'cuda'; there is no GPU; expected auto or cpu")
    return int(there and device in ("auto", "cuda"))


def _told(ended: Callable[[int, str | None], None]) -> Any:
    """Returns the callback by which Ray Tune reports the end of a trial."""
    from ray import tune

    class Told(tune.Callback):  # type: ignore[misc]
        def __init__(self, ended: Callable[[int, str | None], None]) -> None:
            self.ended = ended

        def __getstate__(self) -> dict[str, Any]:
            return {}  # Ray Tune keeps a copy, which it never needs here

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.ended(trial.config["trial"], trial.last_result["failed"] or None)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            why = f"its process died {RETRIES + 1} times, killed or out of memory"
            self.ended(trial.config["trial"], why)

    return Told(ended)
