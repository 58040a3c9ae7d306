import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.data.formats import (
    mapped_bytes,
    read_cifar,
    read_idx,
    read_pickle,
    read_stl10_images,
    read_stl10_labels,
)
from plastorch.engine.errors import InputError


def test_idx_plain_and_gzipped(tmp_path, write_idx):
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    write_idx(tmp_path / "plain", array)
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    for path in (tmp_path / "plain", packed):
        assert torch.equal(read_idx(path, 3), torch.from_numpy(array))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes found"),
        (b"\0\0\x08", "3 bytes found"),
        (b"\0\0\x0d\1" + b"\0\0\0\1" + b"\0" * 4, "starts with 0x00000d01; expected 0x00000801"),
        (b"\0\0\x08\1" + b"\0\0\0\5" + b"1234", "12 bytes found.* needs 13"),
        (b"\0\0\x08\1" + b"\0\0\0\2" + b"1234", "12 bytes found.* needs 10"),
        (b"\0\0\x08\1" + b"\xff\xff\xff\xff", "needs 4,294,967,303"),
        (b"\0\0\x08\1" + b"\0\0\0\0", "at least one"),
    ],
)
def test_damaged_idx_names_file_and_bytes(tmp_path, content, message):
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(path, 1)
    assert str(path) in str(caught.value)


def test_damaged_gzip(tmp_path, write_idx):
    write_idx(tmp_path / "x", np.arange(200))
    whole = gzip.compress((tmp_path / "x").read_bytes())
    for content in (whole[:-9], whole[:20] + b"\xff" * 20 + whole[40:], b"not gzip"):
        (tmp_path / "x.gz").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.gz"):
            read_idx(tmp_path / "x.gz", 1)


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_pickle_is_refused_and_not_executed(tmp_path, protocol):
    path, target = tmp_path / "data_batch_1", tmp_path / "executed"
    path.write_bytes(pickle.dumps({"data": _Payload(target)}, protocol=protocol))
    with pytest.raises(InputError, match=r"data_batch_1.*refused"):
        read_pickle(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins\neval", "numpy\nload", "numpy.core.multiarray\nfromfile", "numpy\nndarray.tofile"],
)
def test_names_beyond_array_building_are_refused(tmp_path, name):
    path = tmp_path / "batch"
    path.write_bytes(f"c{name}\n.".encode())
    with pytest.raises(InputError, match="refused"):
        read_pickle(path)


def test_codecs_other_than_latin1_are_refused(tmp_path):
    path = tmp_path / "batch"
    path.write_bytes(b"c_codecs\nencode\n(Vabc\nVzip\ntR.")
    with pytest.raises(InputError, match=r"'zip'.*refused"):
        read_pickle(path)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_arrays_of_old_and_new_numpy(tmp_path, module):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = pickle.dumps({b"data": array}, protocol=2)
    names = (b"numpy._core.multiarray", b"numpy.core.multiarray")
    present = next(n for n in names if n in content)
    path = tmp_path / "batch"
    path.write_bytes(content.replace(present, module.encode()))
    assert np.array_equal(read_pickle(path)["data"], array)


@given(cut=st.integers(0, 200), flip=st.integers(0, 199))
def test_cut_or_altered_pickles_raise_input_error_or_load(tmp_path_factory, cut, flip):
    content = bytearray(pickle.dumps({"labels": list(range(60)), "x": np.zeros(9)}, protocol=2))
    content[flip % len(content)] ^= 0x55
    path = tmp_path_factory.mktemp("p") / "batch"
    path.write_bytes(content[:cut])
    try:
        assert isinstance(read_pickle(path), dict)
    except InputError as error:
        assert str(path) in str(error)


def test_cut_pickle_says_how_many_bytes(tmp_path, cifar_root):
    path = cifar_root / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"test_batch: 1,000 bytes"):
        read_cifar(path, "labels")
    with pytest.raises(InputError, match="no file"):
        read_cifar(tmp_path / "nowhere", "labels")


def _batch(**changes):
    return {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a list found"),
        ({"data": 1}, "labels"),
        (_batch(data=np.zeros((2, 3072))), "'data'"),
        (_batch(data=np.zeros((2, 3071), np.uint8)), r"\(2, 3071\)"),
        (_batch(data="text"), "str"),
        (_batch(labels=[0]), "2 images but 1 labels"),
        (_batch(labels=[0, -1]), "class numbers"),
        (_batch(labels=[0, 1.5]), "class numbers"),
        (_batch(labels=[0, 100]), "class numbers"),
        (_batch(labels="ab"), "class numbers"),
    ],
)
def test_batches_of_the_wrong_content(tmp_path, content, message):
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=message) as caught:
        read_cifar(path, "labels")
    assert str(path) in str(caught.value)


def test_stl10_size_and_labels(tmp_path):
    images, labels = tmp_path / "train_X.bin", tmp_path / "train_y.bin"
    images.write_bytes(bytes(2 * 27648 - 1))
    with pytest.raises(InputError, match=r"55,295 bytes found.*multiple of 27,648"):
        read_stl10_images(images)
    images.write_bytes(b"")
    with pytest.raises(InputError, match="train_X"):
        read_stl10_images(images)
    for bad in (0, 11):
        labels.write_bytes(bytes([1, bad, 10]))
        with pytest.raises(InputError, match=f"label {bad} found"):
            read_stl10_labels(labels)
    with pytest.raises(InputError, match="nowhere"):
        mapped_bytes(tmp_path / "nowhere")


def test_a_write_to_mapped_bytes_stays_out_of_the_file(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(b"abc")
    path.chmod(0o444)
    mapped_bytes(path).zero_()
    assert path.read_bytes() == b"abc"
