"""The model's file: the same model comes back, and nothing else gets in."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from plastorch.engine.errors import InputError
from plastorch.engine.safe_file import digest
from plastorch.files import model_file
from plastorch.files.classifier import FileClassifier

ROWS = pl.DataFrame(
    {
        "owner": ["ada", "bob"] * 20,
        "size": [10.0 ** (i % 7) for i in range(40)],
        "hour": [i % 24 for i in range(40)],
        "path": [f"/a/{i % 5}/{i}" for i in range(40)],
        "tags": [f"a|t{i % 3}" for i in range(40)],
    }
)
LABELS = np.array(["code", "müsic"] * 20)


def tiny(labels: Any = LABELS, **changes: Any) -> FileClassifier:
    arguments = {"hidden": 4, "neurons": 10, "epochs": 1, **changes}
    return FileClassifier(**arguments).fit(ROWS, labels)


@pytest.fixture(scope="module")
def model() -> FileClassifier:
    return tiny()


@pytest.fixture(scope="module")
def data(model: FileClassifier, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "model"
    model.save(path)
    return path.read_bytes()


def rewritten(
    data: bytes, change: Callable[[dict[str, Any], dict[str, Any]], Any], sign: bool = True
) -> bytes:
    """A file of changed settings and tensors, with a checksum that is right if asked for."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    whole, tensors = json.loads(header["__metadata__"][model_file.ENTRY]), load(data)
    change(whole["model"], tensors)
    if sign:
        whole["sha256"] = digest(whole["model"], tensors)
    return save(tensors, metadata={model_file.ENTRY: json.dumps(whole)})


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(object),
        np.arange(40) % 3,
        np.array([7, 2**63 + 1], np.uint64)[np.arange(40) % 2],
        np.arange(40) % 2 - 0.0,
        LABELS == "code",
    ],
    ids=["text", "objects", "whole", "unsigned", "numbers", "truth"],
)
def test_the_same_model_comes_back(labels: Any, tmp_path: Path) -> None:
    model = tiny(labels, bins=30, random_state=7, dropout=0.25)
    model.save(tmp_path / "model")
    loaded = FileClassifier.load(tmp_path / "model")
    assert loaded.fingerprint == model.fingerprint
    assert loaded.keys_ == model.keys_ and loaded.get_params() == model.get_params()
    assert loaded.classes_.tolist() == model.classes_.tolist()
    assert (loaded.class_count_ == model.class_count_).all()
    assert loaded.describe(ROWS).equals(model.describe(ROWS))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["again", "model"]


def test_networks_side_by_side_come_back_also_with_more_classes(tmp_path: Path) -> None:
    model = tiny(LABELS[:20].repeat(2), hidden=128, members=None, batch_size=8)
    model.update(ROWS, np.array(["film", "game"] * 20))
    assert model.network_.population == 2 and len(model.classes_) == 4
    model.save(tmp_path / "model")
    loaded = FileClassifier.load(tmp_path / "model")
    assert loaded.members is None and loaded.fingerprint == model.fingerprint
    assert loaded.describe(ROWS).equals(model.describe(ROWS))


def test_a_loaded_model_goes_on_learning(model: FileClassifier, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = FileClassifier.load(str(tmp_path / "model"))
    before = loaded.fingerprint
    loaded.partial_fit(ROWS, LABELS)
    assert loaded.fingerprint != before and loaded.class_count_.sum() == 40 + 40
    assert loaded.n_features_in_ == 5


def test_what_could_not_be_loaded_is_not_saved(model: FileClassifier, tmp_path: Path) -> None:
    saved = replace(model._saved(), classes=np.array(["a", "\udcff"]))
    with pytest.raises(InputError, match="expected valid Unicode"):
        saved.write(tmp_path / "model")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("seed", [np.random.RandomState(0), 2**63 - 1], ids=["drawn", "large"])
def test_any_seed_is_kept(seed: Any, tmp_path: Path) -> None:
    model = tiny(random_state=seed)
    model.save(tmp_path / "model")
    loaded = FileClassifier.load(tmp_path / "model")
    assert loaded.predict(ROWS).tolist() == model.predict(ROWS).tolist()


@settings(max_examples=150)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), header=st.booleans())
def test_a_flipped_bit_is_found_or_harmless(
    model: FileClassifier,
    data: bytes,
    tmp_path_factory: pytest.TempPathFactory,
    place: float,
    bit: int,
    header: bool,
) -> None:
    end = 8 + int.from_bytes(data[:8], "little") if header else len(data)
    flipped = bytearray(data)
    flipped[int(place * end)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(flipped)
    try:
        loaded = FileClassifier.load(path)
    except InputError:
        return
    assert loaded.fingerprint == model.fingerprint


@given(end=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory, end: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(data[: int(end * len(data))])
    with pytest.raises(InputError):
        FileClassifier.load(path)


@given(junk=st.binary(max_size=200))
def test_junk_is_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk"
    path.write_bytes(junk)
    with pytest.raises(InputError):
        FileClassifier.load(path)


def test_other_files(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model"
    tensors = {"a": np.zeros(3, np.float32)}
    for content, words in (
        (pickle.dumps(os.getcwd), "damaged or not a model"),
        (b"", "damaged or not a model"),
        (save(tensors), "it was written by another program"),
        (save(tensors, metadata={model_file.ENTRY: "no JSON"}), "damaged or not a model"),
        (save(tensors, metadata={model_file.ENTRY: "[" * 100_000}), "damaged or not a model"),
        (save(tensors, metadata={model_file.ENTRY: "{}"}), "damaged or not a model"),
        (save(tensors, metadata={model_file.ENTRY: '{"model": 9}'}), "damaged or not a model"),
        (save(tensors, metadata={model_file.ENTRY: "9" * 10_000}), "damaged or not a model"),
        (save(tensors, metadata={model_file.ENTRY: " " * 17_000_000}), "settings have 17000000"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            FileClassifier.load(path)
    with pytest.raises(InputError, match="is missing; expected a model"):
        FileClassifier.load(tmp_path / "none")
    with pytest.raises(InputError, match="not a regular file"):
        FileClassifier.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        FileClassifier.load(tmp_path / "pipe")
    path.write_bytes(data)
    path.chmod(0)
    if os.geteuid():
        with pytest.raises(InputError, match="can't be read"):
            FileClassifier.load(path)


def _set(*places: Any) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    """Puts the last of the places at the end of the path of the others."""
    *path, name, value = places

    def change(model: dict[str, Any], tensors: dict[str, Any]) -> None:
        target: Any = model
        for step in path:
            target = target[step]
        target[name] = value

    return change


FORGED: list[tuple[Any, str]] = [
    (_set("format", 3), "its format is 3; expected 4: another version of plastorch wrote it"),
    (_set("params", "hidden", 10**12), "too many"),
    (_set("params", "neurons", 10**12), "contradict"),
    (_set("params", "hidden", 2.0), "hidden is 2.0"),
    (_set("params", "hidden", 0), "0 is not a whole number of at least 1"),
    (_set("params", "hidden", True), "hidden is True"),
    (_set("params", "hidden", 5), "its weights are not those of its settings"),
    (_set("params", "bins", 30), "contradict"),
    (_set("params", "bins", 300), "bins is 300"),
    (_set("params", "learning_rate", -1.0), "learning_rate is -1"),
    (_set("params", "dropout", 1.0), "dropout is 1.0"),
    (_set("params", "members", 0), "0 is not a whole number of at least 1"),
    (_set("members", 0), "0 is not a whole number of at least 1"),
    (_set("members", 5), "it has 5 members of 4 hidden neurons"),
    (_set("members", 2), "its weights are not those of its settings"),
    (_set("params", "epochs", "many"), "'many' is not a whole number of at least 1"),
    (_set("params", "random_state", -1), "random_state is -1"),
    (_set("params", "extra", 1), "it has .*extra"),
    (_set("params", "key_pairs", -1), "-1 is not a whole number of at least 0"),
    (_set("pairs", [{"first": "owner", "second": "tags", "neurons": 2}]), "has owner × tags"),
    (_set("pairs", [{"first": "owner"}]), "it has .*first.*; expected .*second"),
    (_set("pairs", [7]), "damaged or not a model"),
    (_set("keys", []), "keys are none"),
    (_set("keys", 0, "name", "size"), "keys are .*expected some, each once"),
    (_set("keys", 0, "name", "\ud800"), "expected valid Unicode"),
    (_set("keys", 0, "name", 7), "name is 7"),
    (_set("keys", 0, "kind", "color"), "kind is 'color'"),
    (_set("keys", 0, "neurons", 10**15), "contradict"),
    (_set("keys", 0, "neurons", 0), "neurons is 0"),
    (_set("keys", 0, "scale", 0.0), "scale is 0"),
    (lambda model, tensors: model["keys"][0].update(scale=1e-200, width=1e-200), "out of range"),
    (_set("keys", 0, "depth", 10**30), "out of range"),
    (_set("keys", 0, "depth", 33), "out of range"),
    (_set("keys", 0, "center", 10**400), "center is 1000"),
    (_set("keys", 0, "log", 1), "log is 1"),
    (_set("keys", 0, 7), "damaged or not a model"),
    (_set("neuron", "input_steps", 21), "contradict"),
    (_set("neuron", "tail_steps", 10**9), "out of range"),
    (_set("neuron", "tau_membrane", 1e300), "out of range"),
    (_set("neuron", "target_times", [10**9]), "target_times are"),
    (_set("neuron", "target_times", ["a"]), "damaged or not a model"),
    (_set("neuron", "dt", "0.001"), "dt is '0.001'"),
    (_set("classes", "values", ["code", "code"]), "not different and in order"),
    (_set("classes", "values", ["müsic", "code"]), "not different and in order"),
    (_set("classes", "values", ["a", "a\0"]), "not different and in order"),
    (_set("classes", "values", ["code", 7]), "not two or more of kind text"),
    (_set("classes", "values", ["a"]), "not two or more"),
    (_set("classes", "values", "ab"), "not two or more"),
    (_set("classes", "values", ["a", "\ud800"]), "expected valid Unicode"),
    (_set("classes", "values", [str(i) for i in range(10, 99)]), "2 counts of 89 classes"),
    (_set("classes", "kind", "bytes"), "damaged or not a model"),
    (_set("classes", "counts", [1, -1]), "-1 is not a whole number"),
    (_set("calibration", "temperature", 0.0), "temperature is 0.0"),
    (_set("calibration", "temperature", 1), "temperature is 1"),
    (_set("calibration", "slope", -1.0), "slope is -1.0"),
    (_set("calibration", "offset", 1e10), "offset is 10000000000.0"),
    (_set("calibration", "confidences", [0.5]), "confidences are not 101"),
    (_set("calibration", "confidences", [0.5] * 100 + [2.0]), "confidences are not 101"),
    (_set("calibration", "confidences", [0.5] * 100 + [0.4]), "confidences are not 101"),
    (_set("calibration", "confidences", [0.5] * 100 + ["a"]), "confidences are not 101"),
    (_set("calibration", {}), "it has"),
    (_set("kept", 10**12), "too many"),
    (_set("kept", 7), "its weights are not those"),
    (lambda model, tensors: tensors["kept_bins"].fill(99), "spikes too late"),
    (lambda model, tensors: tensors["kept_codes"].fill(2), "is of no class"),
    (lambda model, tensors: tensors["kept_codes"].fill(-1), "is of no class"),
    (_set("features", -3), "-3 is not a whole number"),
    (lambda model, tensors: model.pop("neuron"), "damaged or not a model"),
    (lambda model, tensors: tensors.pop("output_bias"), "its weights are not those"),
    (lambda model, tensors: tensors.update(more=tensors["output_bias"]), "its weights are not"),
    (lambda model, tensors: tensors["hidden_bias"].fill(np.nan), "NaN or infinite"),
    (
        lambda model, tensors: tensors.update(hidden_bias=np.zeros(4, np.float64)),
        "is F64; expected F32",
    ),
]


@pytest.mark.parametrize(("change", "words"), FORGED)
def test_forged_settings_are_refused(data: bytes, tmp_path: Path, change: Any, words: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(rewritten(data, change))
    with pytest.raises(InputError, match=words):
        FileClassifier.load(path)


def test_constants_that_json_has_not(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model"
    whole = rewritten(data, lambda model, tensors: None)
    for constant in (b"Infinity", b"-Infinity", b"NaN"):
        changed = whole.replace(b'\\"slope\\": 1.5', b'\\"slope\\": ' + constant)
        length = int.from_bytes(whole[:8], "little") + len(changed) - len(whole)
        path.write_bytes(length.to_bytes(8, "little") + changed[8:])
        with pytest.raises(InputError, match=f"it holds {constant.decode()}"):
            FileClassifier.load(path)


def test_a_change_without_a_new_checksum_is_found(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model"
    change = _set("classes", "values", ["code", "video"])
    path.write_bytes(rewritten(data, change, sign=False))
    with pytest.raises(InputError, match="its SHA-256 doesn't match"):
        FileClassifier.load(path)
    path.write_bytes(rewritten(data, change))
    assert FileClassifier.load(path).classes_.tolist() == ["code", "video"]


def test_a_huge_file_of_holes_is_refused_before_it_is_read(data: bytes, tmp_path: Path) -> None:
    """Settings and header fit together; only the sizes are absurd."""
    hidden = 10**11
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    whole = json.loads(header["__metadata__"][model_file.ENTRY])
    whole["model"]["params"]["hidden"] = hidden
    header["__metadata__"][model_file.ENTRY] = json.dumps(whole)
    begin = 0
    for name, shape in {
        "hidden_bias": [hidden],
        "hidden_weight": [10, hidden],
        "output_bias": [2],
        "output_weight": [hidden, 2],
    }.items():
        end = begin + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    path = tmp_path / "huge"
    try:
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + begin)
    except OSError:
        pytest.skip("the file system has no files that large")
    with pytest.raises(InputError, match=r"too many|can't be read|damaged"):
        FileClassifier.load(path)


def test_bad_classes_and_places(tmp_path: Path, model: FileClassifier) -> None:
    times = np.array(["2020-01-01", "2021-01-01"] * 20, "datetime64[D]")
    with pytest.raises(InputError, match=r"expected text, numbers or truth values"):
        tiny(times).save(tmp_path / "model")
    with pytest.raises(InputError, match="can't write"):
        model.save(tmp_path / "no" / "folder")
    assert os.listdir(tmp_path) == []
