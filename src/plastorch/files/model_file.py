"""A classifier in one file: weights as safetensors, all else as JSON in its header.

Nothing in a file is executed, and nothing is believed: each field is checked for its type and
range and against the others before room for weights is made, and a SHA-256 of settings and weights
tells damage. It is no signature: who can write a file can make a model that says what they like.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from plastorch.engine.checkpoint import write_atomically
from plastorch.engine.errors import InputError
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.keys import Key
from plastorch.spiking.patterns.rule import PatternNeuron

FORMAT = 1
ENTRY = "plastorch.files.FileClassifier"
"""Of the header's metadata: {"sha256": …, "model": settings}."""
MOST_WEIGHTS = 1 << 28
"""A gigabyte of them."""
MOST_TEXT = 1 << 24
"""Characters of the settings."""
MOST_STEPS = 1 << 10
FARTHEST = 1e9
"""Constants of neurons lie between its reciprocal and this."""
MOST_DEPTH = 1 << 20
MOST_CELLS = 1 << 30

Tensors = Mapping[str, NDArray[np.float32]]
_COUNTS = ("hidden", "neurons", "bins", "epochs", "batch_size")
_KINDS: dict[str, type] = {"text": str, "whole": int, "number": float, "truth": bool}
_A_KEY, _A_NEURON = asdict(Key("name", "category", 1)), asdict(PatternNeuron())
_NOT_OURS = (
    *(SafetensorError, ValueError, TypeError, LookupError),
    *(AttributeError, OverflowError, RecursionError),
)
_KIND_OF = {"U": "text", "i": "whole", "u": "whole", "f": "number", "b": "truth"}


@dataclass(frozen=True)
class Model:
    """What a file holds, checked."""

    params: dict[str, Any]
    encoder: CorrelativeEncoder
    neuron: PatternNeuron
    classes: NDArray[Any]
    class_count: NDArray[np.int64]
    features: int
    tensors: Tensors

    @property
    def seed(self) -> int:
        """Of the encoder, and of all else that is random."""
        return self.encoder.seed


def settings(
    params: dict[str, Any],
    encoder: CorrelativeEncoder,
    neuron: PatternNeuron,
    classes: NDArray[Any],
    class_count: NDArray[np.int64],
    features: int,
) -> dict[str, Any]:
    """All of a model but its weights, as JSON can hold it.

    Raises:
        InputError: if the classes are not text, numbers or truth values.
    """
    values = np.array(classes.tolist())  # text in an array of objects is text
    kind = _KIND_OF.get(values.dtype.kind)
    if kind is None or not all(type(value) is _KINDS[kind] for value in classes.tolist()):
        raise InputError(
            f"classes are {classes.dtype}; expected text, numbers or truth values in a saved model"
        )
    return {
        "format": FORMAT,
        "params": params,
        "keys": [_plain(asdict(key), _A_KEY) for key in encoder.keys],
        "neuron": _plain(asdict(neuron), _A_NEURON),
        "classes": {"kind": kind, "values": values.tolist(), "counts": class_count.tolist()},
        "features": int(features),
    }


def digest(model: dict[str, Any], tensors: Tensors) -> str:
    """SHA-256 of settings and weights, hexadecimal."""
    found = hashlib.sha256(_text(model).encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].shape} ".encode())
        found.update(np.ascontiguousarray(tensors[name], "<f4").tobytes())
    return found.hexdigest()


def write(path: Path, model: dict[str, Any], tensors: Tensors) -> None:
    """Writes a model, atomically.

    Raises:
        InputError: if it can't be written; an older file stays whole.
    """
    text = _text({"sha256": digest(model, tensors), "model": model})
    if len(text) > MOST_TEXT:
        raise InputError(f"classes and keys take {len(text)} characters; expected {MOST_TEXT}")
    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    write_atomically(path, save(arrays, metadata={ENTRY: text}))


def read(path: Path) -> Model:
    """Reads and checks a model.

    Raises:
        InputError: if the file is missing, damaged, of a later version, or something else.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise InputError("it is no regular file")
        with safe_open(path, "numpy") as file:
            return _model(file)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; expected a model of plastorch files fit") from None
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{path} is no model of plastorch files fit: {error}") from None
    except _NOT_OURS as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path} is damaged or no model of plastorch files fit: {reason}"
        ) from None


def _model(file: Any) -> Model:
    text = (file.metadata() or {}).get(ENTRY)
    if text is None:
        raise InputError("it was written by another program")
    if len(text) > MOST_TEXT:
        raise InputError(f"its settings have {len(text)} characters; expected {MOST_TEXT} at most")
    whole = json.loads(text, parse_constant=_refuse)
    found = whole["model"]
    if found["format"] != FORMAT:
        raise InputError(
            f"its format is {found['format']!r}; expected {FORMAT}: it was written by a later "
            "plastorch, or damaged"
        )
    params, keys = _params(found["params"]), tuple(map(_key, found["keys"]))
    neuron, classes = _neuron(found["neuron"]), _classes(found["classes"])
    encoder = CorrelativeEncoder(keys, params["bins"], params["random_state"])
    if neuron.input_steps != params["bins"] or encoder.neurons != params["neurons"]:
        raise InputError("its bins or neurons contradict each other")
    counts = np.array([_count(count) for count in found["classes"]["counts"]], np.int64)
    if counts.shape != classes.shape:
        raise InputError(f"it has {len(counts)} counts of {len(classes)} classes")
    features = _count(found["features"])
    tensors = _tensors(file, params["neurons"], params["hidden"], len(classes))
    if digest(found, tensors) != whole["sha256"]:
        raise InputError("its SHA-256 doesn't match: it was damaged or changed")
    return Model(params, encoder, neuron, classes, counts, features, tensors)


def _tensors(file: Any, neurons: int, hidden: int, classes: int) -> Tensors:
    shapes = {
        "hidden_weight": [neurons, hidden],
        "hidden_bias": [hidden],
        "output_weight": [hidden, classes],
        "output_bias": [classes],
    }
    if hidden * (neurons + classes + 1) > MOST_WEIGHTS:
        raise InputError(f"it has {neurons} inputs and {hidden} neurons: too many")
    found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, no mapping
    if {name: part.get_shape() for name, part in found.items()} != shapes:
        raise InputError("its weights are not those of its settings")
    if any(part.get_dtype() != "F32" for part in found.values()):
        raise InputError("its weights are not in single precision")
    tensors = {name: file.get_tensor(name) for name in shapes}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError("a weight is NaN or infinite")
    return tensors


def _params(given: dict[str, Any]) -> dict[str, Any]:
    _check_types(given, {**dict.fromkeys((*_COUNTS, "random_state"), 0), "learning_rate": 0.0})
    for name in _COUNTS:
        _count(given[name], at_least=1)
    _count(given["random_state"])
    if not 0 < given["learning_rate"] < np.inf:
        raise InputError(f"learning_rate is {given['learning_rate']}")
    return given


def _key(given: dict[str, Any]) -> Key:
    _check_types(given, _A_KEY)
    key = Key(**given)
    _check_text(key.name)
    if key.depth > MOST_DEPTH or key.cells > MOST_CELLS or not 0 < key.scale * key.width < np.inf:
        raise InputError(f"key {key.name!r} has a depth, width or period out of range")
    return key


def _neuron(given: dict[str, Any]) -> PatternNeuron:
    _check_types(given, _A_NEURON)
    neuron = PatternNeuron(**given)
    constants = [value for value in given.values() if type(value) is float]
    if neuron.steps > MOST_STEPS or not all(1 / FARTHEST < c < FARTHEST for c in constants):
        raise InputError("constants of its neurons are out of range")
    return neuron


def _classes(given: dict[str, Any]) -> NDArray[Any]:
    kind, values = _KINDS[given["kind"]], given["values"]
    if type(values) is not list or len(values) < 2 or any(type(v) is not kind for v in values):
        raise InputError(f"its classes are not two or more of kind {given['kind']}")
    for value in values:
        if kind is str:
            _check_text(value)
    classes = np.array(values)
    if classes.dtype.kind not in "Uiufb" or not (classes[1:] > classes[:-1]).all():
        raise InputError("its classes are not different and in order")
    return classes


def _plain(given: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """Fields in the types of an example: 24 in the place of a fraction is 24.0."""
    return {name: type(example[name])(value) for name, value in given.items()}


def _check_types(given: dict[str, Any], example: dict[str, Any]) -> None:
    """Raises InputError if names or types of fields are not as in an example."""
    if given.keys() != example.keys():
        raise InputError(f"it has {sorted(given)}; expected {sorted(example)}")
    for name, value in given.items():
        kind = type(example[name])
        if type(value) is not (list if kind is tuple else kind):
            raise InputError(f"{name} is {value!r}")


def _check_text(value: str) -> None:
    value.encode()  # UnicodeEncodeError, a ValueError, for what is no Unicode


def _count(value: Any, at_least: int = 0) -> int:
    if type(value) is not int or not at_least <= value < 2**53:
        raise InputError(f"{value!r} is no count from {at_least} on")
    return value


def _refuse(constant: str) -> None:
    raise InputError(f"it holds {constant}")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
