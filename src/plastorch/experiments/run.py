"""A run of an experiment, as configured in its folder's ``config.json``."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch

from plastorch.engine.device import flush_denormals, keep_freed_memory, select_device
from plastorch.engine.errors import InputError, Interrupted, WorkerLost
from plastorch.engine.run import RunFolder
from plastorch.engine.stops import resumable
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
    """Returns the contents of ``config.json`` for an experiment's own settings, a dataclass."""
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
    """Runs a folder's experiment, from its checkpoint if there is one, and returns its result.

    A data root or device replaces that of the settings. If it raises InputError, a folder in which
    nothing was written is removed; Interrupted, also after the loss of a worker, says how to
    resume.
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
    how = f"resume with: plastorch run {experiment.name} --resume {folder.path}"
    with folder.alone(wait_s), resumable(how):
        if (done := folder.finished()) is not None:
            return done
        try:
            return resolved(experiment.measure)(config, context)
        except (Interrupted, KeyboardInterrupt, WorkerLost) as stop:
            lost = f"{stop}; " if isinstance(stop, WorkerLost) else ""
            raise Interrupted(f"{lost}{how}") from None
        except InputError:
            folder.discard_if_empty()
            raise


def _config(experiment: Experiment, path: Path, given: dict[str, Any]) -> Any:
    """Returns the experiment's settings out of a ``config.json``; ``path`` is for messages."""
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
