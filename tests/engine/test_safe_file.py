"""Settings and tensors in one file; what models make of it is tested with them."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from plastorch.engine.errors import InputError
from plastorch.engine.safe_file import (
    as_in,
    check_count,
    check_types,
    digest,
    read_arrays,
    read_file,
    write_file,
)

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "b": np.array(7, np.int64),
    "c": np.zeros((0, 2), np.float64),
}
EXPECTED = {"a": ("F32", [3, 2]), "b": ("I64", []), "c": ("F64", [0, 2])}


def build(settings: dict[str, Any], file: Any) -> tuple[Any, Any]:
    arrays = read_arrays(file, EXPECTED)
    return (settings, arrays), arrays


def read(path: Path) -> Any:
    return read_file(path, "test", "test file", build)


def test_settings_and_arrays_come_back(tmp_path: Path) -> None:
    given_settings = {"size": 3, "rate": 0.1, "name": "ü", "parts": [None, {"on": True}]}
    write_file(tmp_path / "file", "test", given_settings, ARRAYS)
    settings, arrays = read(tmp_path / "file")
    assert settings == given_settings
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and np.array_equal(arrays[name], array)
        assert np.array_equal(load((tmp_path / "file").read_bytes())[name], array)
    assert os.listdir(tmp_path) == ["file"]


def test_the_digest_follows_settings_names_shapes_and_values() -> None:
    same = {"x": np.arange(6, dtype=np.float32)}
    found = {
        digest({}, same),
        digest({"a": 1}, same),
        digest({}, {"y": same["x"]}),
        digest({}, {"x": same["x"].reshape(2, 3)}),
        digest({}, {"x": same["x"] + 1}),
    }
    assert len(found) == 5
    big_endian = {"x": same["x"].astype(">f4")}
    assert digest({}, big_endian) == digest({}, same)


@given(value=st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=3), st.lists))
def test_any_json_in_the_header_is_refused_or_read(
    value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Signed, but not what the reader expects: one kind of error, whatever it is."""
    path = tmp_path_factory.getbasetemp() / "any-json"
    text = json.dumps({"test": json.dumps(value)}).encode()
    header = b'{"__metadata__":' + text + b"}"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match="not a test file"):
        read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"d": np.zeros(1)}, "not those of its settings"),
        ({"a": np.zeros((2, 3), np.float32)}, "not those of its settings"),
        ({"a": np.zeros((3, 2))}, "'a' is F64; expected F32"),
        ({"a": np.full((3, 2), np.inf, np.float32)}, "NaN or infinite"),
    ],
)
def test_other_arrays_are_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    write_file(tmp_path / "file", "test", {}, {**ARRAYS, **change})
    with pytest.raises(InputError, match=words):
        read(tmp_path / "file")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(InputError, match="is missing; expected a test file"):
        read(path)
    os.mkfifo(path)
    with pytest.raises(InputError, match="not a regular file"):
        read(path)
    path.unlink()
    path.write_bytes(pickle.dumps(os.getcwd))
    with pytest.raises(InputError, match="damaged or not a test file"):
        read(path)
    write_file(path, "another", {}, ARRAYS)
    with pytest.raises(InputError, match="written by another program"):
        read(path)
    with pytest.raises(InputError, match="settings take"):
        write_file(path, "test", {"long": "x" * (1 << 24)}, ARRAYS)


def test_checks_of_settings() -> None:
    example = {"size": 1, "rate": 0.5, "parts": (1, 2)}
    check_types({"size": 3, "rate": 1.0, "parts": [3]}, example)
    assert as_in({"size": 3.0, "rate": 1}, example) == {"size": 3, "rate": 1.0}
    for bad, words in (
        ({"size": 3}, "it has"),
        ({"size": True, "rate": 1.0, "parts": []}, "size is True"),
        ({"size": 3, "rate": 1, "parts": []}, "rate is 1"),
        ({"size": 3, "rate": float("inf"), "parts": []}, "rate is inf"),
        ({"size": "x" * 10_000, "rate": 1.0, "parts": []}, "size is 'x{199}$"),
    ):
        with pytest.raises(InputError, match=words):
            check_types(bad, example)
    assert check_count(5, at_least=5) == 5
    for count in (-1, True, 2.0, "2", 2**53):
        with pytest.raises(InputError, match="is not a whole number"):
            check_count(count)
