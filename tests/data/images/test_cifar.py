"""CIFAR's pickles: the official form, and all else refused."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastorch.data.images import formats
from plastorch.data.images.cifar import read_cifar, read_pickle
from plastorch.engine.errors import InputError


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
    path.write_bytes(b"c_codecs\nencode\n(U\x03abcU\x03ziptR.")
    with pytest.raises(InputError, match=r"'zip'.*refused"):
        read_pickle(path)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_old_and_new_numpy(tmp_path, module, protocol):
    content = {b"data": np.arange(12, dtype=np.uint8).reshape(3, 4), "labels": np.arange(300)}
    packed = pickle.dumps(content, protocol=protocol)
    names = (b"numpy._core.multiarray", b"numpy.core.multiarray")
    path = tmp_path / "batch"
    if protocol < 4:  # later ones state the length
        present = next(n for n in names if n in packed)
        packed = packed.replace(present, module.encode())
    path.write_bytes(packed)
    for key, array in content.items():
        found = read_pickle(path)[key if isinstance(key, str) else key.decode()]
        assert np.array_equal(found, array) and found.dtype == array.dtype


def test_the_official_form(tmp_path):
    """As Python 2 and its numpy wrote it: all text and bytes are BINSTRING."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\0\x85U\x01bq\x08\x87R"
        b"q\x09(K\x01K\x02M\0\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\0K\x01\x87Rq\x0b(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T\0\x18\0\0" + bytes(range(256)) * 24 + b"tb"
    )
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02}q\x01(U\x06labels](K\x06K\x09eU\x04data" + array + b"u.")
    images, labels = read_cifar(path, "labels")
    assert labels.tolist() == [6, 9]
    assert images.flatten().tolist() == [*range(256)] * 24


def test_a_pickle_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MOST_BYTES", 100)
    (tmp_path / "batch").write_bytes(pickle.dumps({"labels": [1] * 200}, 2))
    with pytest.raises(InputError, match="more than 100 bytes"):
        read_pickle(tmp_path / "batch")


@given(cut=st.integers(0, 200), flip=st.integers(0, 199))
def test_cut_or_altered_pickles_raise_input_error_or_load(tmp_path_factory, cut, flip):
    content = bytearray(
        pickle.dumps({"labels": list(range(60)), "x": np.zeros(9, np.uint8)}, protocol=2)
    )
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
    with pytest.raises(InputError, match="is missing"):
        read_cifar(tmp_path / "nowhere", "labels")


def _batch(**changes):
    return {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a list found"),
        ({"data": 1}, "labels"),
        (_batch(data=np.zeros((2, 3072))), "an array of 'f8'; expected u1 or i8"),
        (_batch(data=np.zeros((2, 3072), np.int64)), "'data'"),
        (_batch(data=np.zeros((2, 3071), np.uint8)), r"\(2, 3071\)"),
        (_batch(data="text"), "str"),
        (_batch(labels=[0]), "2 images but 1 labels"),
        (_batch(labels=[0, -1]), "class numbers"),
        (_batch(labels=[0, 1.5]), "opcode BINFLOAT"),
        (_batch(labels=[0, "1"]), "class numbers"),
        (_batch(labels=np.zeros((2, 1), np.int64)), "class numbers"),
        ({1: 2}, "a key of the pickle is of type int"),
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
