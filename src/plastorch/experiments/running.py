"""A run of an experiment, from what its folder's ``config.json`` says."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from plastorch.engine.device import flush_denormals, keep_freed_memory, select_device
from plastorch.engine.distributed import WorkerLost
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Interrupted
from plastorch.engine.run import RunFolder
from plastorch.experiments.registry import Experiment, find
from plastorch.experiments.session import Session

_OPTIONS = {"seed": int, "quick": bool, "device": str, "threads": int, "data": str | None}
MOST_THREADS = 4096


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
        >>> from plastorch.experiments import EXPERIMENTS
        >>> config = EXPERIMENTS["softhebb-mnist"].config(depth=1)
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
            return experiment.measure(config, session)
        except (Interrupted, KeyboardInterrupt, WorkerLost) as stop:
            lost = f"{stop}; " if isinstance(stop, WorkerLost) else ""
            raise Interrupted(
                f"{lost}go on with: plastorch run {experiment.name} --resume {folder.path}"
            ) from None
        except InputError:
            folder.discard_if_empty()
            raise


def _config(experiment: Experiment, path: Path, given: dict[str, Any]) -> Any:
    """The experiment's settings; JSON has made lists of their tuples.

    Args:
        experiment: the one of the run.
        path: of the run folder, for messages.
        given: what its ``config.json`` holds.

    Raises:
        InputError: if a setting is missing, or is nothing that the experiment takes.
    """
    hints = get_type_hints(experiment.config)
    names = [field.name for field in dataclasses.fields(experiment.config)]
    for name, hint in {**{name: hints[name] for name in names}, **_OPTIONS}.items():
        if name not in given:
            raise InputError(f"{path}/config.json lacks {name!r}")
        if not _fits(given[name], hint):
            raise InputError(f"{path}/config.json: {name} is {repr(given[name])[:100]}")
    if not (0 <= given["seed"] < 2**63 and 1 <= given["threads"] <= MOST_THREADS):
        raise InputError(f"{path}/config.json: seed or threads are out of range")
    values = {name: given[name] for name in names}
    return experiment.config(
        **{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON is of a type."""
    kinds = get_args(hint)
    if get_origin(hint) is Literal:
        return value in kinds
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(_fits(each, kinds[0]) for each in value)
    if kinds:
        return any(_fits(value, kind) for kind in kinds)
    if hint is float:
        return type(value) in (int, float) and abs(value) < 1e300
    return type(value) is hint
