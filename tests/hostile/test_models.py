"""Models and checkpoints: safetensors and JSON that lie about themselves."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save
from torch import nn

from plastorch.engine.checkpoint import load_checkpoint, load_tensors, save_checkpoint
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import RunFolder
from plastorch.engine.safe_file import digest
from plastorch.files import FileClassifier, model_file
from plastorch.hebbian import SoftHebbNet, net_file

Load = Callable[[Path], Any]
LOADERS: dict[str, tuple[Load, str]] = {
    "classifier": (FileClassifier.load, model_file.ENTRY),
    "network": (SoftHebbNet.load, net_file.ENTRY),
    "tensors": (load_tensors, net_file.ENTRY),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def genuine(folder: Path) -> dict[str, bytes]:
    rows = [{"owner": name, "size": size} for name in ("ada", "bob") for size in range(10)]
    model = FileClassifier(hidden=4, neurons=10, epochs=1).fit(rows, ["a"] * 10 + ["b"] * 10)
    model.save(folder / "classifier")
    net = SoftHebbNet.from_preset("mnist", 1, "quarter", image_size=8)
    net.save(folder / "network")
    files = {name: (folder / name).read_bytes() for name in ("classifier", "network")}
    return files | {"tensors": files["network"]}


@pytest.mark.parametrize("kind", LOADERS)
@given(data=st.data())
def test_damaged(
    damaged: Any, survives: Any, genuine: Any, folder: Path, kind: str, data: Any
) -> None:
    path = folder / "damaged"
    path.write_bytes(damaged(data, genuine[kind]))
    survives(LOADERS[kind][0], path)


def header(content: Any, rest: bytes = b"") -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + rest


def tensor(kind: str, shape: list[int], end: int) -> dict[str, Any]:
    return {"a": {"dtype": kind, "shape": shape, "data_offsets": [0, end]}}


HEADERS = {
    "endless header": struct.pack("<Q", 2**64 - 1) + b"{}",
    "header of a gigabyte": struct.pack("<Q", 2**30) + b"{}",
    "deep": header(b"[" * 100_000),
    "deep objects": header(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "no object": header([]),
    "twice": header(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' * 2 + b'"b":1}', b"x"),
    "beyond the end": header(tensor("F32", [2**40], 2**42)),
    "backwards": header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"abcd"),
    "negative": header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"abcd"),
    "overflow": header(tensor("F32", [2**33, 2**33], 4), b"abcd"),
    "unknown type": header(tensor("F3", [1], 4), b"abcd"),
    "a pickle": b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.",
    "nothing": b"",
    "NUL": header({"a\0b": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"x")[:-1],
}


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("name", HEADERS)
def test_hostile_headers(refused: Any, tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "a").write_bytes(HEADERS[name])
    refused(LOADERS[kind][0], tmp_path / "a", megabytes=50)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F8_E5M2", "I16", "U64", "BOOL", "C64", "F4"])
def test_tensors_of_every_type(survives: Any, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(header(tensor(kind, [2, 0], 0)))
    for loader, _ in LOADERS.values():
        survives(loader, tmp_path / "a")


def rewritten(content: bytes, entry: str, change: Callable[[Any, Any], Any]) -> bytes:
    """A file of changed settings and tensors, with a checksum that is right."""
    length = int.from_bytes(content[:8], "little")
    whole = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][entry])
    tensors = load(content)
    change(whole["model"], tensors)
    try:
        whole["sha256"] = digest(whole["model"], tensors)
    except (ValueError, TypeError):  # no strict JSON: the checksum doesn't matter then
        whole["sha256"] = ""
    return save(tensors, metadata={entry: json.dumps(whole)})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 2**31, 2**63, 10**40, 1e308, float("nan"), float("inf")])
    | st.text(max_size=5)
    | st.sampled_from(["../../x", "<script>", "\ud800", "a" * 5000]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)


def replace_somewhere(data: Any, whole: Any, value: Any) -> None:
    """Puts a value in the place of one of all that a JSON document holds."""
    while True:
        keys = sorted(whole) if isinstance(whole, dict) else range(len(whole))
        key = data.draw(st.sampled_from(list(keys)), "key")
        if not isinstance(whole[key], dict | list) or not whole[key] or data.draw(st.booleans()):
            whole[key] = value
            return
        whole = whole[key]


@pytest.mark.parametrize("kind", ["classifier", "network"])
@given(data=st.data(), value=VALUES)
def test_settings_that_are_signed_but_wrong(
    survives: Any, genuine: Any, folder: Path, kind: str, data: Any, value: Any
) -> None:
    loader, entry = LOADERS[kind]
    content = rewritten(
        genuine[kind], entry, lambda model, _: replace_somewhere(data, model, value)
    )
    (folder / "wrong").write_bytes(content)
    survives(loader, folder / "wrong", megabytes=100)


CHANGES: dict[str, Callable[[Any, str], Any]] = {
    "other type": lambda tensors, name: tensors[name].astype(np.float64),
    "other shape": lambda tensors, name: tensors[name].reshape(-1)[:-1],
    "not a number": lambda tensors, name: tensors[name] * np.float32("nan"),
    "infinite": lambda tensors, name: tensors[name] + np.float32("inf"),
    "more dimensions": lambda tensors, name: tensors[name][None],
}


@pytest.mark.parametrize("kind", ["classifier", "network"])
@pytest.mark.parametrize("change", CHANGES)
def test_weights_that_are_signed_but_wrong(
    refused: Any, genuine: Any, tmp_path: Path, kind: str, change: str
) -> None:
    loader, entry = LOADERS[kind]

    def wrong(_: Any, tensors: dict[str, Any]) -> None:
        name = max(tensors, key=lambda key: tensors[key].size)
        tensors[name] = CHANGES[change](tensors, name)

    (tmp_path / "a").write_bytes(rewritten(genuine[kind], entry, wrong))
    refused(loader, tmp_path / "a")


def test_long_names_of_classes(refused: Any, genuine: Any, tmp_path: Path) -> None:
    """As an array, every name takes the room of the longest."""

    def many(model: Any, _: Any) -> None:
        values = ["a" * 100_000, *(f"b{i:05}" for i in range(20_000))]
        counts = [1] * len(values)
        model["classes"] = {"kind": "text", "values": values, "counts": counts}

    content = rewritten(genuine["classifier"], model_file.ENTRY, many)
    (tmp_path / "a").write_bytes(content)
    refused(FileClassifier.load, tmp_path / "a", megabytes=100)


def test_pipes_folders_and_devices(refused: Any, tmp_path: Path, pipe: Path) -> None:
    for loader, _ in LOADERS.values():
        for path in (pipe, tmp_path, Path("/dev/zero"), tmp_path / "none", tmp_path / ("x" * 300)):
            refused(loader, path)
        refused(loader, tmp_path / "a\0b")


def trained(path: Path) -> RunFolder:
    """A run folder whose one phase has done two of its three jobs."""
    run = RunFolder.create(path, "rank-toy", {"seed": 0})
    run.log([{"phase": "jobs", "step": step} for step in (1, 2)])
    size, sha256 = run.log_state()
    progress = {"done": ["first"], "phase": "jobs", "position": 2}
    progress |= {"seconds": {"first": 1.0}, "peak_memory_gb": 0.5}
    tensors = {"model.weight": torch.ones(2, 3), "model.bias": torch.zeros(2)}
    logged = {"log_size": size, "log_sha256": sha256}
    save_checkpoint(run.checkpoint, tensors, progress | logged)
    return run


def run_or_resume(run: RunFolder) -> None:
    loop = Loop(run, nn.Linear(3, 2))
    loop.run(Jobs("jobs", [lambda: [{"loss": 1.0}]] * 3))
    run.records()


def test_a_whole_checkpoint_goes_on(tmp_path: Path) -> None:
    run = trained(tmp_path)
    run_or_resume(run)
    assert [record["step"] for record in run.records()] == [1, 2, 3]


@given(data=st.data(), name=st.sampled_from(["latest.json", "state-1.safetensors"]))
def test_damaged_checkpoints(
    damaged: Any, survives: Any, folder: Path, name: str, data: Any
) -> None:
    run = trained(folder)
    path = run.checkpoint / name
    path.write_bytes(damaged(data, path.read_bytes()))
    survives(run_or_resume, run)


@given(data=st.data(), value=VALUES)
def test_checkpoints_of_wrong_values(survives: Any, folder: Path, data: Any, value: Any) -> None:
    run = trained(folder)
    path = run.checkpoint / "latest.json"
    latest = json.loads(path.read_text())
    replace_somewhere(data, latest, value)
    path.write_text(json.dumps(latest))
    survives(run_or_resume, run)


@given(data=st.data())
def test_damaged_logs_are_noticed(damaged: Any, survives: Any, folder: Path, data: Any) -> None:
    run = trained(folder)
    path = run.path / "metrics.jsonl"
    before = path.read_bytes()
    path.write_bytes(damaged(data, before))
    same = path.read_bytes()[: len(before)] == before
    survives(run_or_resume, run)
    if not same:
        with pytest.raises(InputError, match=r"metrics\.jsonl"):
            Loop(run, nn.Linear(3, 2))


@pytest.mark.parametrize(
    "latest",
    [
        b"[" * 200_000,
        b'{"number": 1, "tensors": "../../secret", "progress": {}}',
        b'{"number": 1, "tensors": "/etc/passwd", "progress": {}}',
        b'{"number": 1, "tensors": "..", "progress": {}}',
        b'{"number": 1, "tensors": "a\\u0000b", "progress": {}}',
        b'{"number": 1e400, "tensors": "state-1.safetensors", "progress": {}}',
        b"\xff\xfe",
    ],
)
def test_hostile_descriptions_of_checkpoints(refused: Any, tmp_path: Path, latest: bytes) -> None:
    run = trained(tmp_path)
    (run.checkpoint / "latest.json").write_bytes(latest)
    refused(load_checkpoint, run.checkpoint)


def test_files_that_are_links_are_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    run = trained(tmp_path)
    for name in ("latest.json", "state-2.safetensors"):
        (run.checkpoint / f"{name}.{os.getpid()}.partial").symlink_to(precious)
    run_or_resume(run)
    for name in ("metrics.jsonl", "result.json", "figures", "checkpoint"):
        other = trained(tmp_path / name)
        part = other.path / name
        if part.exists():
            part.rename(other.path / "moved")
        part.symlink_to(precious)
        with pytest.raises(InputError, match="is a link"):
            _ = other.config
    assert precious.read_text() == "untouched"
