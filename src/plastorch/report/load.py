"""Reads a run folder, and tells which file is damaged and what was expected in it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.engine.run import Relation

Row = Mapping[str, Any]
"""One line of metrics.jsonl."""
Array = NDArray[Any]

_RESULT_FIELDS: dict[str, type] = {
    "experiment": str,
    "config": dict,
    "data": dict,
    "metrics": dict,
    "claims": list,
    "complete": bool,
    "quick": bool,
}
_LARGEST = 1 << 1000
"""Approximately the largest value of a float."""
_CLAIM_FIELDS = ("id", "statement", "target", "measured", "holds", "origin")


@dataclass(frozen=True)
class RunData:
    """Contents of a run folder: the result, the rows of metrics.jsonl and arrays for figures."""

    path: Path
    result: dict[str, Any]
    rows: list[Row]
    arrays: dict[str, NDArray[Any]]


def load_run(path: Path) -> RunData:
    """Reads a run folder; only result.json is required."""
    if not path.is_dir():
        raise InputError(f"{path}: expected a run folder, found no directory")
    result = load_result(path)
    return RunData(
        path, result, _load_rows(path / "metrics.jsonl"), _load_arrays(path / "arrays.safetensors")
    )


def load_result(path: Path) -> dict[str, Any]:
    """Returns the checked contents of a run folder's result.json."""
    file = path / "result.json"
    if not file.is_file():
        raise InputError(f"{file}: expected a file, found none")
    try:
        result = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: expected one JSON object, found broken JSON ({error})") from None
    if not isinstance(result, dict):
        raise InputError(f"{file}: expected one JSON object, found {type(result).__name__}")
    for name, kind in _RESULT_FIELDS.items():
        if not isinstance(result.get(name), kind):
            found = repr(result[name])[:60] if name in result else "no such field"
            raise InputError(f"{file}: field {name!r}: expected {kind.__name__}, found {found}")
    _check_values(file, result)
    return result


def series(rows: Iterable[Row], phase: str, x: str, fields: Sequence[str]) -> list[Row]:
    """Returns rows of a phase in which x and the fields are numbers, with strictly increasing x.

    If a resumed run has logged the same step twice, the later line wins.
    """
    latest = {
        row[x]: row
        for row in rows
        if row.get("phase") == phase and all(is_number(row.get(name)) for name in (x, *fields))
    }
    return [latest[key] for key in sorted(latest)]


def columns(rows: Sequence[Row], *names: str) -> Array:
    """Returns fields of rows as an array [fields, rows]."""
    return np.array([[row[name] for row in rows] for name in names], dtype=np.float64)


def is_number(value: object) -> bool:
    """Returns True for ints and floats, not for booleans."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_values(file: Path, result: dict[str, Any]) -> None:
    number = int | float
    optional: dict[str, tuple[Any, str, Any]] = {
        "wall_s": (result.get("wall_s"), "number", number),
        "versions": (result.get("versions"), "dict", dict),
        "data.classes": (result["data"].get("classes"), "list", list),
        "seed": (result.get("seed"), "a number", number | str),
    }
    for name, (value, wanted, kind) in optional.items():
        if not isinstance(value, kind | None):
            raise InputError(f"{file}: field {name!r}: expected {wanted}, found {repr(value)[:60]}")
    for name, value in result["metrics"].items():
        if not is_number(value) or (isinstance(value, int) and abs(value) > _LARGEST):
            found = repr(value)[:60]
            raise InputError(f"{file}: metric {name!r}: expected a number, found {found}")
    for claim in result["claims"]:
        if not isinstance(claim, dict) or any(name not in claim for name in _CLAIM_FIELDS):
            found = repr(claim)[:60]
            raise InputError(f"{file}: a claim needs {', '.join(_CLAIM_FIELDS)}; found {found}")
        if claim.get("relation") not in (None, *get_args(Relation)):
            raise InputError(
                f"{file}: claim {claim['id']!r}: relation must be one of "
                f"{', '.join(get_args(Relation))}, found {claim['relation']!r}"
            )
        if not isinstance(claim["holds"], bool | None):
            raise InputError(
                f"{file}: claim {claim['id']!r}: holds must be true, false or null, "
                f"found {claim['holds']!r}"
            )


def _load_rows(file: Path) -> list[Row]:
    if not file.is_file():
        return []
    lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    rows: list[Row] = []
    for index, line in enumerate(lines):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if index == len(lines) - 1:  # a killed run leaves half a line behind
                break
            row = None
        if not isinstance(row, dict):
            raise InputError(
                f"{file}: entry {index + 1}: expected a JSON object, found {line[:60]!r}"
            )
        rows.append(row)
    return rows


def _load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    if not file.is_file():
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays: dict[str, NDArray[Any]] = load_file(file)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{file}: expected a safetensors file ({error})") from None
    confusion, filters = arrays.get("confusion"), arrays.get("filters")
    if confusion is not None and (confusion.ndim != 2 or np.diff(confusion.shape).any()):
        raise InputError(f"{file}: confusion: expected a square matrix, found {confusion.shape}")
    if filters is not None and filters.ndim != 4:
        raise InputError(f"{file}: filters: expected shape [K, C, kh, kw], found {filters.shape}")
    return arrays


def kept(run: RunData, **forms: str) -> list[Array] | None:
    """Returns the arrays of these names, or None unless all exist, are finite, and fit each other.

    ``forms`` has a letter per dimension, by name; equal letters are equal sizes, above 0.
    """
    sizes: dict[str, int] = {}
    found = []
    for name, form in forms.items():
        array = run.arrays.get(name)
        if array is None or array.ndim != len(form) or not array.size:
            return None
        if not np.isfinite(array).all():
            return None
        shape = zip(form, array.shape, strict=True)
        if any(sizes.setdefault(letter, size) != size for letter, size in shape):
            return None
        found.append(array)
    return found


def by_network(run: RunData, prefix: str, form: str, names: Mapping[str, str]) -> dict[str, Array]:
    """Returns arrays called PREFIX_KEY, by the key's name in ``names``, in that order."""
    found = {name: kept(run, **{f"{prefix}_{key}": form}) for key, name in names.items()}
    return {name: arrays[0] for name, arrays in found.items() if arrays}
