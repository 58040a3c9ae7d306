"""A model in one file: weights as safetensors, everything else as JSON in its header.

Nothing in a file is trusted: each field is checked for type, range and agreement with the others
before memory for weights is allocated.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.engine.safe_file import (
    MOST_TEXT,
    as_in,
    check_count,
    check_types,
    digest,
    read_arrays,
    read_file,
    write_file,
)
from plastorch.files.calibration import QUANTILES, Calibration
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.kept import Kept
from plastorch.files.key import Key
from plastorch.files.keys import MOST_DEPTH
from plastorch.files.pairs import Pair
from plastorch.files.tags import Tagging
from plastorch.spiking.patterns.rule import NO_SPIKE, PatternNeuron

FORMAT = 4
ENTRY = "plastorch.files.FileClassifier"
"""Entry in the header's metadata: {"sha256": …, "model": settings}."""
MOST_WEIGHTS = 1 << 28
"""Largest number of weights, a gigabyte in all."""
MOST_STEPS = 1 << 10
FARTHEST = 1e9
"""Largest constant of a neuron; its reciprocal is the smallest."""
MOST_CELLS = 1 << 30

WEIGHTS = ("hidden_weight", "hidden_bias", "output_weight", "output_bias")

Tensors = Mapping[str, NDArray[np.float32]]
Arrays = Mapping[str, NDArray[Any]]
_COUNTS = ("hidden", "neurons", "bins", "batch_size")
_KINDS: dict[str, type] = {"text": str, "whole": int, "number": float, "truth": bool}
_A_CALIBRATION, _A_TAGGING = Calibration()._asdict(), Tagging((), ",")._asdict()
_A_KEY, _A_PAIR = asdict(Key("name", "category", 1)), asdict(Pair("name", "other", 1))
_A_NEURON = asdict(PatternNeuron())
_KIND_OF = {"U": "text", "i": "whole", "u": "whole", "f": "number", "b": "truth"}


@dataclass(frozen=True)
class SavedModel:
    """Content of a model file."""

    params: dict[str, Any]
    encoder: CorrelativeEncoder
    neuron: PatternNeuron
    members: int
    """Number of networks side by side."""
    classes: NDArray[Any]
    class_count: NDArray[np.int64]
    calibration: Calibration
    kept: Kept
    features: int
    tensors: Tensors
    tagging: Tagging | None = None

    @property
    def outputs(self) -> int:
        """Number of output neurons per class, or per tag."""
        return 1 if self.tagging is None else 2

    def settings(self) -> dict[str, Any]:
        """Returns all but the weights for JSON; raises InputError for text or classes that
        :func:`read` would refuse."""
        values = self.classes
        if values.dtype.kind == "O":  # text in an array of objects becomes text
            values = np.array(values.tolist())
        kind = _KIND_OF.get(values.dtype.kind)
        if kind is None or not all(type(value) is _KINDS[kind] for value in self.classes.tolist()):
            raise InputError(
                f"classes are {self.classes.dtype}; expected text, numbers or truth values in a "
                "saved model"
            )
        classes = {"kind": kind, "values": values.tolist(), "counts": self.class_count.tolist()}
        _classes(classes, least=2 if self.tagging is None else 1)
        for key in self.encoder.keys:
            _check_text(key.name)
        if self.tagging is not None:
            _check_text(self.tagging.separator)
        return {
            "format": FORMAT,
            "params": self.params,
            "keys": [as_in(asdict(key), _A_KEY) for key in self.encoder.keys],
            "pairs": [asdict(pair) for pair in self.encoder.pairs],
            "neuron": as_in(asdict(self.neuron), _A_NEURON),
            "members": self.members,
            "classes": classes,
            "calibration": as_in(self.calibration._asdict(), _A_CALIBRATION),
            "kept": len(self.kept.codes),
            "features": int(self.features),
            "tags": None if self.tagging is None else self.tagging._asdict(),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns weights and kept records."""
        kept = {f"kept_{name}": array for name, array in self.kept._asdict().items()}
        return {**self.tensors, **kept}

    def write(self, path: Path) -> None:
        """Writes the model atomically: if that fails, an older file stays whole."""
        write_file(path, ENTRY, self.settings(), self.arrays())

    def fingerprint(self) -> str:
        """Returns the SHA-256 of settings and weights as hexadecimal digits."""
        return digest(self.settings(), self.arrays())


def read(path: Path) -> SavedModel:
    """Reads and checks a model."""
    return read_file(path, ENTRY, "model of plastorch files fit", _model)


def _model(found: dict[str, Any], file: Any) -> tuple[SavedModel, Tensors]:
    if found["format"] != FORMAT:
        raise InputError(
            f"its format is {found['format']!r}; expected {FORMAT}: another version of plastorch "
            "wrote it, or it is damaged"
        )
    params, keys = _params(found["params"]), tuple(map(_key, found["keys"]))
    pairs = tuple(map(_pair, found["pairs"]))
    neuron, tags = _neuron(found["neuron"]), found.get("tags")
    classes = _classes(found["classes"], least=2 if tags is None else 1)
    tagging = None if tags is None else _tagging(tags, classes)
    encoder = CorrelativeEncoder(keys, params["bins"], params["random_state"], pairs)
    of_keys = sum(key.neurons for key in keys)
    if neuron.input_steps != params["bins"] or of_keys != params["neurons"]:
        raise InputError("its bins or neurons contradict each other")
    counts = np.array([check_count(count) for count in found["classes"]["counts"]], np.int64)
    if counts.shape != classes.shape:
        raise InputError(f"it has {len(counts)} counts of {len(classes)} classes")
    features = check_count(found["features"])
    rows = check_count(found["kept"])
    members = check_count(found["members"], at_least=1)
    if members > params["hidden"]:
        raise InputError(f"it has {members} members of {params['hidden']} hidden neurons")
    outputs = members * len(classes) * (1 if tagging is None else 2)
    arrays = _arrays(file, encoder.neurons, params["hidden"], outputs, rows)
    kept = _kept(arrays, len(classes), params["bins"])
    model = SavedModel(
        params=params,
        encoder=encoder,
        neuron=neuron,
        members=members,
        classes=classes,
        class_count=counts,
        calibration=_calibration(found["calibration"]),
        features=features,
        kept=kept,
        tensors={name: array for name, array in arrays.items() if name in WEIGHTS},
        tagging=tagging,
    )
    return model, arrays


def _arrays(file: Any, neurons: int, hidden: int, outputs: int, rows: int) -> Arrays:
    shapes = {
        "hidden_weight": [neurons, hidden],
        "hidden_bias": [hidden],
        "output_weight": [hidden, outputs],
        "output_bias": [outputs],
    }
    if hidden * (neurons + outputs + 1) > MOST_WEIGHTS:
        raise InputError(f"it has {neurons} inputs and {hidden} neurons: too many")
    if rows * neurons > MOST_WEIGHTS:
        raise InputError(f"it keeps {rows} records of {neurons} inputs: too many")
    kept = {
        "kept_bins": ("U8", [rows, neurons]),
        "kept_codes": ("I64", [rows]),
        "kept_held": ("BOOL", [rows]),
    }
    return read_arrays(file, {name: ("F32", shape) for name, shape in shapes.items()} | kept)


def _kept(arrays: Arrays, classes: int, bins: int) -> Kept:
    kept = Kept(*(arrays[f"kept_{name}"] for name in Kept._fields))
    if ((kept.codes < 0) | (kept.codes >= classes)).any():
        raise InputError("a kept record is of no class")
    if ((kept.bins >= bins) & (kept.bins != NO_SPIKE)).any():
        raise InputError("a kept record spikes too late")
    return kept


def _params(given: dict[str, Any]) -> dict[str, Any]:
    whole = dict.fromkeys((*_COUNTS, "key_pairs", "random_state"), 0)
    shares = {"learning_rate": 0.0, "dropout": 0.0}
    choices = {name: given[name] for name in ("epochs", "members")}
    check_types(given, {**whole, **shares, **choices})
    for name in _COUNTS:
        check_count(given[name], at_least=1)
    check_count(given["key_pairs"])
    for value in choices.values():
        if value is not None:
            check_count(value, at_least=1)
    if not 0 <= given["random_state"] < 2**63:
        raise InputError(f"random_state is {repr(given['random_state'])[:200]}")
    if not 0 < given["learning_rate"] < np.inf:
        raise InputError(f"learning_rate is {given['learning_rate']}")
    if not 0 <= given["dropout"] < 1:
        raise InputError(f"dropout is {given['dropout']}")
    return given


def _key(given: dict[str, Any]) -> Key:
    check_types(given, _A_KEY)
    key = Key(**given)
    _check_text(key.name)
    if key.depth > MOST_DEPTH or key.cells > MOST_CELLS or not 0 < key.scale * key.width < np.inf:
        raise InputError(f"key {key.name!r} has a depth, width or period out of range")
    return key


def _pair(given: dict[str, Any]) -> Pair:
    check_types(given, _A_PAIR)
    return Pair(**given)


def _neuron(given: dict[str, Any]) -> PatternNeuron:
    check_types(given, _A_NEURON)
    neuron = PatternNeuron(**given)
    constants = [value for value in given.values() if type(value) is float]
    if neuron.steps > MOST_STEPS or not all(1 / FARTHEST < c < FARTHEST for c in constants):
        raise InputError("constants of its neurons are out of range")
    return neuron


def _calibration(given: dict[str, Any]) -> Calibration:
    check_types(given, _A_CALIBRATION)
    for name in ("temperature", "slope"):
        if not 1 / FARTHEST < given[name] < FARTHEST:
            raise InputError(f"{name} is {given[name]}; expected more than 0")
    if not abs(given["offset"]) < FARTHEST:
        raise InputError(f"offset is {given['offset']}; expected a small number")
    sure = given["confidences"]
    wrong = [share for share in sure if type(share) is not float or not 0 <= share <= 1]
    if wrong or len(sure) not in (0, QUANTILES) or sorted(sure) != sure:
        raise InputError(f"confidences are not {QUANTILES} shares in order, or none")
    return Calibration(**given | {"confidences": tuple(sure)})


def _tagging(given: dict[str, Any], classes: NDArray[Any]) -> Tagging:
    check_types(given, _A_TAGGING)
    thresholds, separator = given["thresholds"], given["separator"]
    wrong = [share for share in thresholds if type(share) is not float or not 0 <= share <= 1]
    if wrong or len(thresholds) != len(classes):
        raise InputError(f"thresholds are not shares for {len(classes)} tags")
    if not separator or classes.dtype.kind != "U" or any(separator in tag for tag in classes):
        raise InputError(f"its tags are not text, or hold the separator {separator[:200]!r}")
    _check_text(separator)
    return Tagging(tuple(thresholds), separator)


def _classes(given: dict[str, Any], least: int) -> NDArray[Any]:
    kind, values = _KINDS[given["kind"]], given["values"]
    if type(values) is not list or len(values) < least or any(type(v) is not kind for v in values):
        many = "two or more" if least == 2 else "one or more"
        raise InputError(f"its classes are not {many} of kind {given['kind']}")
    if kind is str:
        if len(values) * max(map(len, values)) > MOST_TEXT:
            raise InputError("the names of its classes are too long")
        for value in values:
            _check_text(value)
    classes = np.array(values)
    if kind is int and classes.dtype.kind == "f" and min(values) >= 0:  # some are 2**63 or more
        classes = np.array(values, np.uint64)
    if classes.dtype.kind not in "Uiufb" or not (classes[1:] > classes[:-1]).all():
        raise InputError("its classes are not different and in order")
    return classes


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"the model holds {value[:200]!r}; expected valid Unicode") from None
