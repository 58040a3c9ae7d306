"""Deep SoftHebb network in one file: its tensors as safetensors, its settings as JSON.

Settings are checked, and the shapes they imply are compared with the file's, before any memory is
allocated for weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from plastorch.engine.checkpoint import restore
from plastorch.engine.errors import InputError, check_one_of
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
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, Pool, WideSpec

Net = TypeVar("Net", bound=nn.Module)

FORMAT = 1
ENTRY = "plastorch.SoftHebbNet"
MOST_BLOCKS = 256
MOST_NUMBERS = 1 << 32
"""Most numbers in all tensors together; the paper's largest network has 2 to the power of 29.3."""

KEPT_AS = torch.float32, torch.float16
_TYPES = {torch.float32: "F32", torch.int64: "I64"}
_WEIGHT = ".weight"
"""Ending of the names of tensors that may be kept as float16; statistics and biases are few."""
_A_POOL = asdict(Pool("max", 1, 1))
_A_BLOCK = asdict(BlockSpec(1, 1, padding=0, learning_rate=1.0, pool=Pool("max", 1, 1)))
_A_WIDE = asdict(WideSpec(1))
_SIZES = ("in_channels", "image_size", "classes")
_SCALING = ("pixel_mean", "pixel_std")
_APART = ("blocks", "wide", *_SCALING)
"""Settings that are not plain numbers or text."""


def write(
    path: Path,
    spec: NetworkSpec,
    sizes: Mapping[str, int],
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
) -> None:
    """Writes a network, atomically: an older file stays whole if that fails."""
    check_one_of(KEPT_AS, dtype=dtype)
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise InputError(f"{name} is {tensor.dtype}; expected torch.float32: see net.float()")
    kept = {
        name: tensor.to(dtype) if name.endswith(_WEIGHT) else tensor
        for name, tensor in tensors.items()
    }
    for name, tensor in kept.items():
        if not tensor.isfinite().all():
            most = torch.finfo(dtype).max
            raise InputError(f"{name} has NaN or values beyond {most:.3g}, the range of dtype")
    write_file(path, ENTRY, _settings(spec, sizes), {n: t.cpu().numpy() for n, t in kept.items()})


def read(path: Path, make: Callable[[NetworkSpec, int, int, int], Net]) -> Net:
    """Reads and checks a network, in float32, on the CPU and in eval mode.

    ``make`` takes the network's settings, the images' channels and side, and the number of classes.
    """

    def build(settings: Settings, file: Any) -> tuple[Net, Arrays]:
        with torch.device("meta"):
            net = make(*_checked(settings))
        own = net.state_dict()
        if sum(prod(tensor.shape) for tensor in own.values()) > MOST_NUMBERS:
            raise InputError("its network is too large")
        arrays = read_arrays(file, _expected(file, own))
        net = net.to_empty(device="cpu")
        kept = {name: torch.from_numpy(array) for name, array in arrays.items()}
        restore(net, {name: tensor.to(own[name].dtype) for name, tensor in kept.items()}, path)
        return net, arrays

    return read_file(path, ENTRY, "network of SoftHebbNet.save", build).eval()


def _expected(file: Any, own: Mapping[str, Tensor]) -> dict[str, tuple[str, list[int]]]:
    """Returns type and shape of each tensor in an open file; weights may be kept as float16."""
    weights = [name for name in file.keys() if name.endswith(_WEIGHT)]  # noqa: SIM118
    halved = {name for name in weights if file.get_slice(name).get_dtype() == "F16"}
    kinds = {name: _TYPES[of.dtype] for name, of in own.items()} | dict.fromkeys(halved, "F16")
    return {name: (kinds[name], list(of.shape)) for name, of in own.items()}


def _settings(spec: NetworkSpec, sizes: Mapping[str, int]) -> Settings:
    blocks = [as_in(asdict(block), _A_BLOCK) for block in spec.blocks]
    return {
        "format": FORMAT,
        **sizes,
        "name": spec.name,
        "dropout": float(spec.dropout),
        "readout_from": spec.readout_from,
        "on_off": spec.on_off,
        "pixel_mean": None if spec.pixel_mean is None else [float(v) for v in spec.pixel_mean],
        "pixel_std": None if spec.pixel_std is None else [float(v) for v in spec.pixel_std],
        "blocks": blocks,
        "wide": None if spec.wide is None else as_in(asdict(spec.wide), _A_WIDE),
    }


def _checked(found: Settings) -> tuple[NetworkSpec, int, int, int]:
    if found["format"] != FORMAT:
        raise InputError(
            f"its format is {str(found['format'])[:200]}; expected {FORMAT}: it was written by a "
            "later plastorch, or damaged"
        )
    channels, side, classes = (check_count(found[name], 1) for name in _SIZES)
    example: Settings = {**dict.fromkeys(_SIZES, 1), "format": 1, "dropout": 0.5}
    example |= {"name": "", "readout_from": "", "on_off": False}
    plain = {name: value for name, value in found.items() if name not in _APART}
    check_types(plain, example)
    mean, std = (_scaling(name, found[name]) for name in _SCALING)
    blocks = found["blocks"]
    if type(blocks) is not list or len(blocks) > MOST_BLOCKS:
        raise InputError(f"blocks are not a list of at most {MOST_BLOCKS}")
    of = tuple(map(_block, blocks))
    seen = found["readout_from"], found["on_off"], _wide(found["wide"])
    spec = NetworkSpec(found["name"], of, found["dropout"], mean, std, *seen)
    return spec, channels, side, classes


def _block(given: Settings) -> BlockSpec:
    check_types(given, _A_BLOCK)
    check_types(given["pool"], _A_POOL)
    return BlockSpec(**{**given, "pool": Pool(**given["pool"])})


def _wide(given: Any) -> WideSpec | None:
    if given is None:
        return None
    check_types(given, _A_WIDE)
    return WideSpec(**given)


def _scaling(name: str, values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    if type(values) is not list:
        raise InputError(f"{name} is {repr(values)[:200]}")
    check_types(dict(enumerate(values)), dict.fromkeys(range(len(values)), 0.5))  # type: ignore[arg-type]
    return tuple(values)
