"""A fitted classifier of time series in one file: weights as safetensors, the rest as JSON."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.engine.safe_file import (
    Arrays,
    Settings,
    as_in,
    check_count,
    check_types,
    read_arrays,
    read_file,
    write_file,
)
from plastorch.rank.cores import CORES, make_coder
from plastorch.rank.fitting import check_arguments, together
from plastorch.rank.model import RankCoder
from plastorch.rank.series import Scaling

FORMAT = 3
ENTRY = "plastorch.RankClassifier"
MOST = {"hidden_size": 1 << 16, "channels": 1 << 20, "steps": 1 << 32, "networks": 1 << 10}
"""Largest sizes of a file."""
MOST_WEIGHTS = 1 << 30
_NAMES = dict.fromkeys(("core", "objective", "thresholds", "missing"), "")
_COUNTS = dict.fromkeys(("hidden_size", "folds", "epochs", "patience", "random_state"), 1)
_NUMBERS = dict.fromkeys(("alpha", "training_threshold", "learning_rate"), 0.5)
_PARAMS = {**_NAMES, **_COUNTS, **_NUMBERS}
"""Arguments in a file, with examples of their types; there are also batch_size and class_weight."""


class Saved(NamedTuple):
    """Content of a file."""

    params: dict[str, Any]
    """Arguments of training; random_state is the seed. Files don't hold device and n_jobs."""
    classes: NDArray[Any]
    """Classes [C]."""
    coder: RankCoder
    """Networks with their thresholds."""
    scaling: Scaling
    """Mean and deviation of each channel."""
    steps: int
    """Number of steps of the longest training series."""
    cost: float
    """AvgCost on series held out from training."""


def write(path: Path, saved: Saved) -> None:
    """Writes a fitted classifier, atomically: an older file stays whole if that fails."""
    params, classes = saved.params, saved.classes.tolist()
    if params["core"] not in CORES:
        raise InputError(
            f"core is {params['core']!r}; expected one of {', '.join(CORES)} in a file"
        )
    if {type(label) for label in classes} not in ({str}, {int}, {float}, {bool}):
        raise InputError(f"classes are {saved.classes.dtype}; expected text or numbers in a file")
    tensors = {name: tensor.cpu().numpy() for name, tensor in saved.coder.state_dict().items()}
    limits = torch.as_tensor(saved.coder.threshold, dtype=torch.float64).reshape(-1)
    settings: Settings = {
        "format": FORMAT,
        "params": as_in({name: params[name] for name in _PARAMS}, _PARAMS) | _others(params),
        "classes": classes,
        "networks": len(saved.coder.rnn.networks),  # type: ignore[arg-type]
        "channels": len(saved.scaling.mean),
        "steps": saved.steps,
        "per_step": isinstance(saved.coder.threshold, torch.Tensor),
        "thresholds": limits.tolist(),
        "cost": saved.cost,
    }
    scaling = {name: part.numpy() for name, part in saved.scaling._asdict().items()}
    write_file(path, ENTRY, settings, tensors | scaling)


def _others(params: dict[str, Any]) -> Settings:
    """Returns the batch size or None, and the weights of classes as pairs, text or None."""
    size, weights = params["batch_size"], params["class_weight"]
    if isinstance(weights, dict):
        classes = [of.item() if isinstance(of, np.generic) else of for of in weights]
        if {type(label) for label in classes} not in ({str}, {int}, {float}, {bool}):
            raise InputError(f"class_weight is {weights}; expected text or numbers in a file")
        weights = [[of, float(each)] for of, each in zip(classes, weights.values(), strict=True)]
    return {"batch_size": None if size is None else int(size), "class_weight": weights}


def read(path: Path) -> Saved:
    """Reads and checks a fitted classifier, on the CPU."""
    return read_file(path, ENTRY, "classifier of RankClassifier.save", _build)


def _build(settings: Settings, file: Any) -> tuple[Saved, Arrays]:
    _check(settings)
    params, classes = settings["params"], settings["classes"]
    channels = settings["channels"] * (2 if params["missing"] == "mask" else 1)
    sizes = channels, params["hidden_size"], len(classes)
    with torch.device("meta"):
        parts = [
            make_coder(params["core"], sizes, settings["steps"])
            for _ in range(settings["networks"])
        ]
    limits = settings["thresholds"]
    coder = together(parts)
    coder.threshold = torch.tensor(limits) if settings["per_step"] else limits[0]
    own = coder.state_dict()
    if sum(tensor.numel() for tensor in own.values()) > MOST_WEIGHTS:
        raise InputError("its networks are too large")
    scale = {name: ("F64", [settings["channels"]]) for name in Scaling._fields}
    expected = {name: ("F32", list(tensor.shape)) for name, tensor in own.items()}
    arrays = read_arrays(file, expected | scale)
    coder = coder.to_empty(device="cpu")
    coder.load_state_dict({name: torch.from_numpy(arrays[name].copy()) for name in own})
    scaling = Scaling(*(torch.from_numpy(arrays[name].copy()) for name in scale))
    weights = params["class_weight"]
    saved = Saved(
        params | {"class_weight": dict(weights) if isinstance(weights, list) else weights},
        np.array(classes),
        coder,
        scaling=scaling,
        steps=settings["steps"],
        cost=settings["cost"],
    )
    return saved, arrays


def _check(settings: Settings) -> None:
    """Raises InputError unless settings are what :func:`write` writes."""
    if settings["format"] != FORMAT:
        raise InputError(f"its format is {str(settings['format'])[:200]}; expected {FORMAT}")
    params = settings["params"]
    weights = params["class_weight"]
    check_types(params, _PARAMS | {name: params[name] for name in ("batch_size", "class_weight")})
    check_arguments(**params)
    check_count(params["random_state"])
    if not (weights in (None, "balanced") or isinstance(weights, list)):
        raise InputError(f"its class_weight is {str(weights)[:200]}")
    for name, most in MOST.items():
        count = params[name] if name in params else settings[name]
        if check_count(count, 1) > most:
            raise InputError(f"{name} is {count}; expected {most} at most")
    classes, limits = settings["classes"], settings["thresholds"]
    if not isinstance(classes, list) or len(classes) < 2 or sorted(set(classes)) != classes:
        raise InputError("its classes are not a sorted list of two or more")
    check_types(
        {"per_step": settings["per_step"], "cost": settings["cost"]},
        {"per_step": False, "cost": 0.5},
    )
    if not isinstance(limits, list) or not limits or not all(0 < each <= 1 for each in limits):
        raise InputError("its thresholds are not numbers above 0, up to 1")
