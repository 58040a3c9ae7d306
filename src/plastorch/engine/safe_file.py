"""Settings and tensors in one file: safetensors, with the settings as JSON in its header.

Nothing in a file is executed or trusted: a SHA-256 of settings and tensors detects damage, and
readers check settings before memory for tensors is allocated. It is not a signature: anyone who can
write a file can give it a valid digest.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from plastorch.engine.errors import InputError
from plastorch.engine.output import write_atomically

MOST_TEXT = 1 << 24
"""Largest number of characters of the settings."""

T = TypeVar("T")
Settings = dict[str, Any]
Arrays = Mapping[str, NDArray[Any]]
_NOT_OURS = (
    *(SafetensorError, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, RuntimeError, MemoryError),
)


def write_file(path: Path, entry: str, settings: Settings, arrays: Arrays) -> None:
    """Writes settings, of JSON values, and arrays, atomically: if it fails, an older file is kept.

    ``entry`` is the key in the header's metadata that tells what program can read the file.
    """
    text = _text({"sha256": digest(settings, arrays), "model": settings})
    if len(text) > MOST_TEXT:
        raise InputError(f"settings take {len(text)} characters; expected {MOST_TEXT} at most")
    whole = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    write_atomically(path, save(whole, metadata={entry: text}))


def read_file(
    path: Path, entry: str, kind: str, build: Callable[[Settings, Any], tuple[T, Arrays]]
) -> T:
    """Returns the object that ``build`` makes from a file that :func:`write_file` wrote.

    ``build`` takes settings and an open file, and returns an object and the arrays that it got from
    :func:`read_arrays`; any error that it raises means a damaged file, and becomes an InputError.
    ``kind`` is for messages.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError("it is not a regular file")
        with safe_open(path, "numpy") as file:
            return _built(file, entry, build)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; expected a {kind}") from None
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{path} is not a {kind}: {error}") from None
    except _NOT_OURS as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} is damaged or not a {kind}: {reason}") from None


def read_arrays(file: Any, expected: Mapping[str, tuple[str, list[int]]]) -> Arrays:
    """Returns the arrays of an open file if all are finite and as expected; else it reads none.

    ``expected`` has each array's dtype in safetensors, such as "F32", and its shape.
    """
    found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, not a mapping
    shapes = {name: part.get_shape() for name, part in found.items()}
    if shapes != {name: shape for name, (_, shape) in expected.items()}:
        raise InputError("its weights are not those of its settings")
    for name, (kind, _) in expected.items():
        if found[name].get_dtype() != kind:
            raise InputError(f"tensor {name!r} is {found[name].get_dtype()}; expected {kind}")
    arrays = {name: file.get_tensor(name) for name in expected}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError("a weight is NaN or infinite")
    return arrays


def digest(settings: Settings, arrays: Arrays) -> str:
    """Returns the SHA-256 of settings and arrays in hexadecimal."""
    found = hashlib.sha256(_text(settings).encode("utf-8", "surrogatepass"))
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.shape} ".encode())
        found.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return found.hexdigest()


def as_in(given: Settings, example: Settings) -> Settings:
    """Converts fields to the types of an example: 24 in place of a fraction becomes 24.0."""
    return {name: type(example[name])(value) for name, value in given.items()}


def check_types(given: Settings, example: Settings) -> None:
    """Raises InputError if fields differ from an example in name or type, or one is infinite."""
    if given.keys() != example.keys():
        raise InputError(f"it has {str(sorted(given))[:200]}; expected {sorted(example)}")
    for name, value in given.items():
        kind = type(example[name])
        if type(value) is not (list if kind is tuple else kind):
            raise InputError(f"{name} is {repr(value)[:200]}")
        if isinstance(value, float) and not isfinite(value):
            raise InputError(f"{name} is {value}")


def check_count(value: Any, at_least: int = 0) -> int:
    """Returns a whole number from a file, or raises InputError."""
    if type(value) is not int or not at_least <= value < 2**53:
        raise InputError(f"{repr(value)[:200]} is not a whole number of at least {at_least}")
    return value


def _built(file: Any, entry: str, build: Callable[[Settings, Any], tuple[T, Arrays]]) -> T:
    text = (file.metadata() or {}).get(entry)
    if text is None:
        raise InputError("it was written by another program")
    if len(text) > MOST_TEXT:
        raise InputError(f"its settings have {len(text)} characters; expected {MOST_TEXT} at most")
    whole = json.loads(text, parse_constant=_refuse)
    result, arrays = build(whole["model"], file)
    if digest(whole["model"], arrays) != whole["sha256"]:
        raise InputError("its SHA-256 doesn't match: it was damaged or changed")
    return result


def _refuse(constant: str) -> None:
    raise InputError(f"it holds {constant}")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
