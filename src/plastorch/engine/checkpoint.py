"""Checkpoints: tensors as safetensors, the rest as JSON, each written aside and then renamed.

A folder holds ``latest.json`` and the tensors file that it names. Each checkpoint has a new name
for that file, and replaces ``latest.json`` last. So the two belong together at any moment at which
a process may be killed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_file
from plastorch.engine.output import write_atomically, writing

LATEST = "latest.json"


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors as safetensors, atomically: if it fails, an older file stays whole."""
    write_atomically(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file; nothing in it is ever executed."""
    check_file(path, "a safetensors file")
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, LookupError, ValueError, RuntimeError) as error:
        size = path.stat().st_size if path.is_file() else 0
        raise InputError(
            f"{path} ({size} bytes) is damaged or not a safetensors file: {error}"
        ) from None


def save_checkpoint(folder: Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Replaces a folder's checkpoint; if it fails, the previous one stays whole."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    number = 1 + (_latest(folder)["number"] if (folder / LATEST).exists() else 0)
    name = f"state-{number}.safetensors"
    save_tensors(folder / name, tensors)
    latest = {"number": number, "tensors": name, "progress": progress}
    write_atomically(folder / LATEST, json.dumps(latest, indent=1).encode())
    for stale in (*folder.glob("state-*.safetensors*"), *folder.glob("*.partial")):
        if stale.name != name:
            stale.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Returns tensors and progress of a folder's checkpoint, or None if it has none."""
    if not (folder / LATEST).exists():
        return None
    latest = _latest(folder)
    return load_tensors(folder / latest["tensors"]), latest["progress"]


def restore(module: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Copies finite tensors into a module in place, keeping its memory formats.

    If names, shapes or dtypes differ, it raises InputError, and the module is unchanged.
    """
    own = module.state_dict()
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())[0]
        side = "lacks" if odd in own else "has an unknown"
        raise InputError(f"{source} {side} tensor {odd!r}: it belongs to another architecture")
    for name, value in own.items():
        found = tensors[name]
        if found.shape != value.shape:
            raise InputError(
                f"{source}: tensor {name!r} has shape {tuple(found.shape)}; expected "
                f"{tuple(value.shape)}: it belongs to another architecture"
            )
        if found.dtype != value.dtype:
            raise InputError(f"{source}: tensor {name!r} is {found.dtype}; expected {value.dtype}")
        if not torch.isfinite(found).all():
            raise InputError(f"{source}: tensor {name!r} holds NaN or infinite values")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def _latest(folder: Path) -> dict[str, Any]:
    path = folder / LATEST
    try:
        latest: dict[str, Any] = json.loads(path.read_text())
        number, progress = latest["number"], latest["progress"]
        whole = type(number) is int and isinstance(progress, dict)
        whole = whole and latest["tensors"] == f"state-{number}.safetensors"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(f"{path} is damaged; expected the JSON of a checkpoint")
    return latest


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns an optimizer's per-parameter state, named "PARAMETER.KEY"."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": value for i, of in state.items() for key, value in of.items()}


def load_moments(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restores the optimizer state that :func:`moments` returned."""
    full = optimizer.state_dict()
    for name, value in tensors.items():
        i, key = name.split(".")
        full["state"].setdefault(int(i), {})[key] = value
    optimizer.load_state_dict(full)


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the entries whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def fingerprint(*tensors: Tensor) -> str:
    """Returns the SHA-256 of tensors' bytes, each read in row-major order, in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        for start in range(0, len(tensor), 4096):  # a mapped file may be larger than memory
            digest.update(tensor[start : start + 4096].flatten().cpu().numpy().data)
    return digest.hexdigest()
