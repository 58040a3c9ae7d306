"""A run of an experiment, as configured in its folder's ``config.json``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch

from plastorch.engine.device import flush_denormals, keep_freed_memory, select_device
from plastorch.engine.errors import InputError, Interrupted, WorkerLost
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Range, check_setting
from plastorch.experiments.registry import Experiment, find, resolved

_OPTIONS = {
    "seed": Annotated[int, Range(0, 2**63 - 1)],
    "quick": bool,
    "device": str,
    "threads": Annotated[int, Range(1, 4096)],
    "data": str | None,
}


def settings(
    config: Any, *, seed: int, quick: bool, data: Path | None, device: str, threads: int
) -> dict[str, Any]:
    """Returns the contents of ``config.json``.

    Args:
        config: the experiment's own settings, a dataclass.
        seed: random seed.
        quick: whether this is a smoke run.
        data: data root, or None for the default one.
        device: auto, cpu, or cuda[:N].
        threads: number of torch threads.

    Example:
        >>> from plastorch.experiments.softhebb.config import MnistConfig
        >>> config = MnistConfig(depth=1)
        >>> found = settings(config, seed=3, quick=True, data=None, device="cpu", threads=1)
        >>> found["depth"], found["seed"], found["data"]
        (1, 3, None)
    """
    return {
        **dataclasses.asdict(config),
        "seed": seed,
        "quick": quick,
        "data": str(data.resolve()) if data else None,
        "device": device,
        "threads": threads,
    }


def run_or_resume(
    folder: RunFolder,
    tell: Callable[[str], None],
    *,
    data: Path | None = None,
    device: str | None = None,
    wait_s: float = 0.0,
) -> dict[str, Any]:
    """Runs the experiment of a run folder, from its checkpoint if there is one.

    Args:
        folder: run folder with its ``config.json``.
        tell: function that shows the user a line.
        data: data root that replaces that of the settings.
        device: device that replaces that of the settings.
        wait_s: seconds that another process has to release the folder.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: settings or data are unusable; a folder in which nothing was written is
            removed.
        Interrupted: after Ctrl-C or SIGTERM, or if a worker is lost; it says how to resume.
    """
    given = folder.config
    experiment = find(given["experiment"])
    config = _config(experiment, folder.path, given)
    keep_freed_memory()
    flush_denormals()
    torch.set_num_threads(given["threads"])
    root = data or (Path(given["data"]) if given.get("data") else None)
    context = Context(
        run=folder,
        experiment=experiment,
        seed=given["seed"],
        device=select_device(device or given["device"]),
        data=root,
        quick=given["quick"],
        tell=tell,
    )
    with folder.alone(wait_s):
        try:
            return resolved(experiment.measure)(config, context)
        except (Interrupted, KeyboardInterrupt, WorkerLost) as stop:
            lost = f"{stop}; " if isinstance(stop, WorkerLost) else ""
            raise Interrupted(
                f"{lost}go on with: plastorch run {experiment.name} --resume {folder.path}"
            ) from None
        except InputError:
            folder.discard_if_empty()
            raise


def _config(experiment: Experiment, path: Path, given: dict[str, Any]) -> Any:
    """Returns the experiment's settings.

    Args:
        experiment: experiment of the run.
        path: path of the run folder, for messages.
        given: contents of its ``config.json``.

    Raises:
        InputError: a setting is missing or unknown to the experiment.
    """
    kind = resolved(experiment.config)
    names = [field.name for field in dataclasses.fields(kind)]
    for name in (*names, *_OPTIONS):
        if name not in given:
            raise InputError(f"{path}/config.json lacks {name!r}")
    try:
        for name, hint in _OPTIONS.items():
            check_setting(name, given[name], hint)
        return kind(**{name: given[name] for name in names})
    except InputError as error:
        raise InputError(f"{path}/config.json: {error}") from None
