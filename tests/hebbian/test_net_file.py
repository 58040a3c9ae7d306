"""A network's file: the same network comes back, and nothing else gets in."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from plastorch.engine.errors import InputError
from plastorch.engine.safe_file import digest
from plastorch.hebbian import BlockSpec, NetworkSpec, Pool, SoftHebbNet
from plastorch.hebbian.net_file import ENTRY
from plastorch.hebbian.train import HebbianTraining

SPEC = NetworkSpec(
    "tiny",
    (
        BlockSpec(
            4, 3, padding=1, learning_rate=0.1, triangle_power=0.7, pool=Pool("max", 4, 2, 1)
        ),
        BlockSpec(
            8,
            3,
            padding=1,
            learning_rate=1,
            triangle_power=1.4,
            pool=Pool("avg", 2, 2),
            groups=2,
            batch_norm=False,
        ),
    ),
    0.25,
    (0.5, 0.4),
    (0.2, 1),
    "all",
    True,
)
IMAGES = torch.randint(0, 256, (6, 2, 8, 8), dtype=torch.uint8)


@pytest.fixture(scope="module")
def net() -> SoftHebbNet:
    net = SoftHebbNet(SPEC, 2, 8, 3, generator=torch.Generator().manual_seed(0))
    HebbianTraining(net, IMAGES, batch_size=2).step()
    return net.eval()


@pytest.fixture(scope="module")
def data(net: SoftHebbNet, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("nets") / "net.safetensors"
    net.save(path)
    return path.read_bytes()


def rewritten(
    data: bytes, change: Callable[[dict[str, Any], dict[str, Any]], Any], sign: bool = True
) -> bytes:
    """A file of changed settings and tensors, with a checksum that is right if asked for."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    whole, tensors = json.loads(header["__metadata__"][ENTRY]), load(data)
    change(whole["model"], tensors)
    if sign:
        whole["sha256"] = digest(whole["model"], tensors)
    return save(tensors, metadata={ENTRY: json.dumps(whole)})


def test_the_same_network_comes_back(net: SoftHebbNet, tmp_path: Path) -> None:
    net.save(tmp_path / "net")
    loaded = SoftHebbNet.load(str(tmp_path / "net"))
    assert loaded.spec == net.spec and not loaded.training
    assert (loaded.in_channels, loaded.image_size, loaded.macs) == (2, 8, net.macs)
    torch.testing.assert_close(loaded.state_dict(), net.state_dict(), rtol=0, atol=0)
    assert torch.equal(loaded(IMAGES), net(IMAGES))
    for own, other in zip(net.parameters(), loaded.parameters(), strict=True):
        assert own.stride() == other.stride() and own.requires_grad == other.requires_grad
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["again", "net"]


def test_a_loaded_network_goes_on_learning(net: SoftHebbNet, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(data)
    loaded = SoftHebbNet.load(tmp_path / "net")
    other = SoftHebbNet(SPEC, 2, 8, 3)
    other.load_state_dict(net.state_dict())
    for each in (loaded, other):
        HebbianTraining(each, IMAGES, batch_size=2).step()
    torch.testing.assert_close(loaded.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_weights_may_be_kept_in_half_the_size(net: SoftHebbNet, tmp_path: Path) -> None:
    path = tmp_path / "net"
    net.save(path, torch.float16)
    kinds = {name: str(array.dtype) for name, array in load(path.read_bytes()).items()}
    assert {n for n, kind in kinds.items() if kind == "float16"} == {
        name for name in net.state_dict() if name.endswith(".weight")
    }
    loaded = SoftHebbNet.load(path).state_dict()
    for name, tensor in net.state_dict().items():
        halved = tensor.half().float() if name.endswith(".weight") else tensor
        assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], halved)
    with pytest.raises(
        InputError, match=r"dtype is torch\.bfloat16; expected one of torch\.float32"
    ):
        net.save(path, torch.bfloat16)


def test_values_that_a_file_can_not_hold_are_refused(tmp_path: Path) -> None:
    net = SoftHebbNet(SPEC, 2, 8, 3)
    with torch.no_grad():
        net.readout.weight[0, 0] = 1e5
    net.save(tmp_path / "net")
    with pytest.raises(InputError, match=r"readout\.weight has NaN or values beyond 6\.55e\+04"):
        net.save(tmp_path / "net", torch.float16)
    assert SoftHebbNet.load(tmp_path / "net").readout.weight[0, 0] == 1e5


def test_presets(tmp_path: Path) -> None:
    net = SoftHebbNet.from_preset("cifar10", 2, "quarter", "hard", image_size=16, classes=4)
    assert (net.in_channels, net.image_size, net.readout.out_features) == (3, 16, 4)
    assert [block.out_channels for block in net.spec.blocks] == [24, 96]
    assert {block.competition for block in net.spec.blocks} == {"hard"}
    net.save(tmp_path / "net")
    assert SoftHebbNet.load(tmp_path / "net").spec == net.spec
    for data, classes in (("mnist", 10), ("cifar100", 100), ("imagenet", 1000)):
        with torch.device("meta"):
            assert SoftHebbNet.from_preset(data).readout.out_features == classes
    with pytest.raises(InputError, match="preset is 'cifar11'"):
        SoftHebbNet.from_preset("cifar11")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="in_channels is 1; expected 3"):
        SoftHebbNet.from_preset("imagenette", in_channels=1)


def test_the_seed_of_a_preset_is_the_generators() -> None:
    weights = [
        SoftHebbNet.from_preset("mnist", 1, generator=torch.Generator().manual_seed(3)).state_dict()
        for _ in range(2)
    ]
    torch.testing.assert_close(*weights, rtol=0, atol=0)


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), header=st.booleans())
def test_a_flipped_bit_is_found_or_harmless(
    net: SoftHebbNet,
    data: bytes,
    tmp_path_factory: pytest.TempPathFactory,
    place: float,
    bit: int,
    header: bool,
) -> None:
    end = 8 + int.from_bytes(data[:8], "little") if header else len(data)
    flipped = bytearray(data)
    flipped[int(place * end)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped-net"
    path.write_bytes(flipped)
    try:
        loaded = SoftHebbNet.load(path)
    except InputError:
        return
    assert torch.equal(loaded(IMAGES), net(IMAGES))


@settings(max_examples=40)
@given(junk=st.binary(max_size=200), end=st.floats(0, 1, exclude_max=True))
def test_junk_and_cut_files_are_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory, junk: bytes, end: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "junk-net"
    for content in (junk, data[: int(end * len(data))]):
        path.write_bytes(content)
        with pytest.raises(InputError):
            SoftHebbNet.load(path)


def test_other_files(net: SoftHebbNet, tmp_path: Path) -> None:
    path = tmp_path / "net"
    tensors = {"a": np.zeros(3, np.float32)}
    for content, words in (
        (pickle.dumps(os.getcwd), "damaged or not a network"),
        (save(tensors), "it was written by another program"),
        (save(tensors, metadata={"plastorch.files.FileClassifier": "{}"}), "another program"),
        (save(tensors, metadata={ENTRY: "[" * 100_000}), "damaged or not a network"),
        (save(tensors, metadata={ENTRY: '{"model": {}}'}), "damaged or not a network"),
        (save(tensors, metadata={ENTRY: " " * 17_000_000}), "settings have 17000000"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            SoftHebbNet.load(path)
    with pytest.raises(InputError, match=r"is missing; expected a network of SoftHebbNet\.save"):
        SoftHebbNet.load(tmp_path / "none")
    with pytest.raises(InputError, match="not a regular file"):
        SoftHebbNet.load(tmp_path)
    with pytest.raises(InputError, match="can't write"):
        net.save(tmp_path / "no" / "folder")
    with pytest.raises(InputError, match=r"is torch\.float64; expected torch\.float32"):
        SoftHebbNet(SPEC, 2, 8, 3).double().save(path)


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
    (_set("format", 2), "its format is 2; expected 1: it was written by a later"),
    (_set("image_size", 10**30), "is not a whole number of at least 1"),
    (_set("image_size", 10**9), "damaged or not a network|not those of its settings|too large"),
    (_set("in_channels", 3), "in_channels is 3; expected 2"),
    (_set("classes", True), "classes is True|True is not a whole number"),
    (_set("classes", 10**14), "too large|damaged or not a network"),
    (_set("name", 7), "name is 7"),
    (_set("dropout", 1.0), "dropout is 1"),
    (_set("extra", 1), "it has .*extra"),
    (_set("pixel_mean", None), "pixel_mean is None"),
    (_set("pixel_mean", "ab"), "pixel_mean is 'ab'"),
    (_set("pixel_std", [0.0, 1.0]), "deviations above 0"),
    (_set("blocks", []), "blocks is empty"),
    (_set("blocks", "ab"), "blocks are not a list"),
    (lambda model, tensors: model.update(blocks=model["blocks"] * 200), "at most 256"),
    (_set("blocks", 0, 7), "damaged or not a network"),
    (_set("blocks", 0, "out_channels", 2**52), "damaged or not a network|too large"),
    (_set("blocks", 0, "out_channels", -4), "damaged or not a network|out_channels is -4"),
    (_set("blocks", 0, "learning_rate", "fast"), "learning_rate is 'fast'"),
    (_set("blocks", 0, "triangle_power", 0.0), "triangle_power is 0"),
    (_set("blocks", 0, "competition", "loud"), "competition is 'loud'"),
    (_set("blocks", 0, "activation", "loud"), "activation is 'loud'"),
    (_set("blocks", 0, "groups", 3), "groups is 3"),
    (_set("blocks", 0, "pool", "stride", 0), "stride is 0"),
    (_set("blocks", 0, "pool", "padding", 3), "padding of a pool is 3"),
    (_set("blocks", 0, "pool", "kind", "min"), "kind is 'min'"),
    (_set("blocks", 0, "pool", []), "pool is"),
    (lambda model, tensors: model.pop("name"), "it has"),
    (lambda model, tensors: tensors.pop("readout.bias"), "not those of its settings"),
    (lambda model, tensors: tensors["readout.bias"].fill(np.nan), "NaN or infinite"),
    (
        lambda model, tensors: tensors.update({"readout.bias": np.zeros(3, np.float16)}),
        "'readout.bias' is F16; expected F32",
    ),
    (
        lambda model, tensors: tensors.update({"readout.bias": np.zeros(3, np.float64)}),
        "'readout.bias' is F64; expected F32",
    ),
]


@pytest.mark.parametrize(("change", "words"), FORGED)
def test_forged_settings_are_refused(data: bytes, tmp_path: Path, change: Any, words: str) -> None:
    path = tmp_path / "net"
    path.write_bytes(rewritten(data, change))
    with pytest.raises(InputError, match=words):
        SoftHebbNet.load(path)


def test_numbers_that_json_makes_infinite(data: bytes, tmp_path: Path) -> None:
    for constant, words in (("Infinity", "it holds Infinity"), ("1e999", "dropout is inf")):
        length = int.from_bytes(data[:8], "little")
        changed = data[8:].replace(b'\\"dropout\\":0.25', f'\\"dropout\\":{constant}'.encode())
        length += len(changed) - len(data) + 8
        (tmp_path / "net").write_bytes(length.to_bytes(8, "little") + changed)
        with pytest.raises(InputError, match=words):
            SoftHebbNet.load(tmp_path / "net")


def test_a_change_without_a_new_checksum_is_found(data: bytes, tmp_path: Path) -> None:
    change = _set("name", "other")
    (tmp_path / "net").write_bytes(rewritten(data, change, sign=False))
    with pytest.raises(InputError, match="its SHA-256 doesn't match"):
        SoftHebbNet.load(tmp_path / "net")
    (tmp_path / "net").write_bytes(rewritten(data, change))
    assert SoftHebbNet.load(tmp_path / "net").spec == replace(SPEC, name="other")
