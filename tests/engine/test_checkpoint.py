"""Checkpoints: whole whatever happens, and never executed."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from plastorch.engine.checkpoint import (
    load_checkpoint,
    load_tensors,
    restore,
    save_checkpoint,
    save_tensors,
    under,
)
from plastorch.engine.errors import InputError
from plastorch.engine.output import write_atomically

TENSORS = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.tensor(3)}


def test_round_trip_keeps_values_and_layout_free_shapes(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    for number in range(3):
        save_checkpoint(tmp_path / "c", TENSORS, {"position": number})
    tensors, progress = load_checkpoint(tmp_path / "c")
    assert progress == {"position": 2}
    for name, value in TENSORS.items():
        assert torch.equal(tensors[name], value)
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "latest.json",
        "state-3.safetensors",
    ]


@pytest.mark.parametrize("stage", ["tensors", "latest", "cleaning"])
def test_a_death_between_any_two_writes_leaves_a_checkpoint(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies before the tensors, before latest.json, or before the old file goes."""
    save_checkpoint(tmp_path, TENSORS, {"position": 1})
    code = f"""
import os, torch
from pathlib import Path
from plastorch.engine import checkpoint
def die(*a, **k): os._exit(9)
stage = {stage!r}
if stage == "tensors": checkpoint.save = die
if stage == "latest": checkpoint.write_atomically = die
if stage == "cleaning": Path.glob = die
checkpoint.save_checkpoint(Path({str(tmp_path)!r}), {{"a": torch.ones(1)}}, {{"position": 2}})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    tensors, progress = load_checkpoint(tmp_path)
    if stage == "cleaning":
        assert progress == {"position": 2} and tensors.keys() == {"a"}
    else:
        assert progress == {"position": 1} and torch.equal(tensors["a"], TENSORS["a"])
    save_checkpoint(tmp_path, TENSORS, {"position": 3})
    assert len(list(tmp_path.iterdir())) == 2


class Payload:
    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    contents = {
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "pickle": pickle.dumps(Payload()),
        "text": b"not tensors at all",
        "huge header": b"\xff" * 8 + data[8:],
    }
    path.write_bytes(contents[how])


@pytest.mark.parametrize("how", ["truncated", "empty", "pickle", "text", "huge header"])
def test_damaged_tensors_are_named_and_not_executed(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "c", TENSORS, {})
    damage(tmp_path / "c" / "state-1.safetensors", how)
    with pytest.raises(InputError, match=r"state-1\.safetensors .*damaged or not a safetensors"):
        load_checkpoint(tmp_path / "c")
    assert not (tmp_path / "executed").exists()


LATEST = [
    "",
    "[]",
    "{}",
    '{"number": 1, "tensors": "../../secret", "progress": {}}',
    '{"number": 1, "tensors": 5, "progress": {}}',
    '{"tensors": "state-1.safetensors"}',
]


@pytest.mark.parametrize("text", LATEST)
def test_damaged_latest_is_named(tmp_path: Path, text: str) -> None:
    save_checkpoint(tmp_path, TENSORS, {})
    (tmp_path / "latest.json").write_text(text)
    with pytest.raises(InputError, match=r"latest\.json is damaged"):
        load_checkpoint(tmp_path)


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, TENSORS, {})
    (tmp_path / "state-1.safetensors").unlink()
    with pytest.raises(InputError, match="is missing"):
        load_checkpoint(tmp_path)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    """A real limit on file size, which stops a write half-way as a full disk does."""
    save_checkpoint(tmp_path, TENSORS, {"position": 1})
    code = f"""
import resource, torch
from pathlib import Path
from plastorch.engine.checkpoint import save_checkpoint
from plastorch.engine.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_checkpoint(Path({str(tmp_path)!r}), {{"a": torch.ones(100_000)}}, {{"position": 2}})
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "can't write" in done.stdout and "state-2.safetensors" in done.stdout
    tensors, progress = load_checkpoint(tmp_path)
    assert progress == {"position": 1} and torch.equal(tensors["a"], TENSORS["a"])
    assert not list(tmp_path.glob("*.partial"))


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (
        lambda: save_checkpoint(tmp_path / "file" / "c", TENSORS, {}),
        lambda: save_tensors(tmp_path / "file" / "a.safetensors", TENSORS),
        lambda: write_atomically(tmp_path / "file" / "a.json", b"{}"),
    ):
        with pytest.raises(InputError, match="can't write"):
            write()


def test_restore_keeps_layout_and_refuses_other_architectures(tmp_path: Path) -> None:
    conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    strides = conv.weight.stride()
    good = {"weight": torch.randn(4, 3, 3, 3), "bias": torch.randn(4)}
    restore(conv, good, tmp_path)
    assert torch.equal(conv.weight, good["weight"]) and conv.weight.stride() == strides
    bad = [
        ({"weight": good["weight"]}, "lacks tensor 'bias'"),
        (good | {"extra": torch.ones(1)}, "unknown tensor 'extra'"),
        (good | {"bias": torch.ones(5)}, r"'bias' has shape \(5,\); expected \(4,\)"),
        (good | {"bias": torch.full((4,), float("nan"))}, "'bias' holds NaN"),
    ]
    for tensors, message in bad:
        tensors = {
            name: value * 2 if name == "weight" else value for name, value in tensors.items()
        }
        with pytest.raises(InputError, match=message):
            restore(conv, tensors, tmp_path)
        assert torch.equal(conv.weight, good["weight"])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        load_tensors(tmp_path / "none.safetensors")
    write_atomically(tmp_path / "a.json", json.dumps({"a": 1}).encode())
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def test_entries_under_a_prefix() -> None:
    tensors = {"adam.step": torch.tensor(1), "best": torch.tensor(2)}
    assert under(tensors, "adam.") == {"step": torch.tensor(1)}
