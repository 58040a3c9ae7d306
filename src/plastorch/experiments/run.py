"""A run of an experiment, from what its folder's ``config.json`` says."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch

from plastorch.engine.device import flush_denormals, keep_freed_memory, select_device
from plastorch.engine.errors import InputError, Interrupted, WorkerLost
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Session
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
    config: Any, seed: int, quick: bool, data: Path | None, device: str, threads: int
) -> dict[str, Any]:
    """What ``config.json`` holds.

    Args:
        config: the experiment's own settings, a dataclass.
        seed: of everything random.
        quick: a smoke run.
        data: the data root, or None for the default one.
        device: auto, cpu, or cuda[:N].
        threads: of torch.

    Example:
        >>> from plastorch.experiments.softhebb.config import MnistConfig
        >>> config = MnistConfig(depth=1)
        >>> found = settings(config, 3, True, None, "cpu", 1)
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


def go_on(
    folder: RunFolder,
    tell: Callable[[str], None],
    *,
    data: Path | None = None,
    device: str | None = None,
    wait_s: float = 0.0,
) -> dict[str, Any]:
    """Runs the experiment that a run folder is of, from its checkpoint if there is one.

    Args:
        folder: with its ``config.json``.
        tell: shows the user a line.
        data: another data root than that of the settings.
        device: another device.
        wait_s: seconds in which another process may let go of the folder.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: if settings or data are unusable; a folder in which nothing was written is
            removed.
        Interrupted: after Ctrl-C or SIGTERM, or if a worker is lost; it says how to go on.
    """
    given = folder.config
    experiment = find(given["experiment"])
    config = _config(experiment, folder.path, given)
    keep_freed_memory()
    flush_denormals()
    torch.set_num_threads(given["threads"])
    root = data or (Path(given["data"]) if given.get("data") else None)
    session = Session(
        folder, given["seed"], select_device(device or given["device"]), root, given["quick"], tell
    )
    with folder.alone(wait_s):
        try:
            return resolved(experiment.measure)(config, session)
        except (Interrupted, KeyboardInterrupt, WorkerLost) as stop:
            lost = f"{stop}; " if isinstance(stop, WorkerLost) else ""
            raise Interrupted(
                f"{lost}go on with: plastorch run {experiment.name} --resume {folder.path}"
            ) from None
        except InputError:
            folder.discard_if_empty()
            raise


def _config(experiment: Experiment, path: Path, given: dict[str, Any]) -> Any:
    """The experiment's settings.

    Args:
        experiment: the one of the run.
        path: of the run folder, for messages.
        given: what its ``config.json`` holds.

    Raises:
        InputError: if a setting is missing, or is nothing that the experiment takes.
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
