"""Trials of a sweep on the machines of a Ray cluster."""

import os
from collections.abc import Generator, Iterable
from pathlib import Path

from plastorch.engine.cluster import check_shared, quiet
from plastorch.engine.errors import InputError
from plastorch.engine.sweep_plan import Sweep
from plastorch.experiments.trials import DIED, RETRIES, Ended, check_cpus, run_trial


def run_on_ray(sweep: Sweep, numbers: Iterable[int]) -> Generator[Ended, None, None]:
    """Runs trials as tasks, inside :func:`plastorch.engine.cluster.cluster`.

    Args:
        sweep: planned sweep, in a folder that all machines share.
        numbers: numbers of the trials to run.

    Yields:
        Each trial as it ends.

    Raises:
        InputError: the cluster lacks CPUs or GPUs, or its machines don't share the folder.
    """
    import ray

    path = sweep.path.resolve()
    check_cpus(sweep.cpus, most_cpus())
    check_shared(path)
    root = os.environ.get("PLASTORCH_DATA") and os.path.abspath(os.environ["PLASTORCH_DATA"])
    needs = {"num_cpus": sweep.cpus, "num_gpus": _gpus(sweep), "max_retries": RETRIES}
    task = ray.remote(**needs)(_trial)
    waiting = {task.remote(path, number, root): number for number in numbers}
    while waiting:
        with quiet():
            (done,), _ = ray.wait(list(waiting))
            try:
                failed = ray.get(done)
            except ray.exceptions.RayError:
                failed = DIED
        yield waiting.pop(done), failed


def most_cpus() -> int:
    """Returns the number of CPUs of the cluster's largest machine."""
    import ray

    return max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])


def _trial(path: Path, number: int, root: str | None) -> str:
    """Runs one trial; ``root`` is the data root, if it is not the default one."""
    if root:
        os.environ["PLASTORCH_DATA"] = root
    return run_trial(path, number)


def _gpus(sweep: Sweep) -> int:
    """Returns the number of GPUs of each run: one, if it may use one and there are any."""
    import ray

    device = sweep.settings[0].get("device", "auto")
    there = ray.cluster_resources().get("GPU", 0) >= 1
    if device == "cuda" and not there:
        raise InputError("device is 'cuda'; there is no GPU; expected auto or cpu")
    return int(there and device != "cpu")
