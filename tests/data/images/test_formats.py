import gzip

import numpy as np
import pytest
import torch

from plastorch.data.images.formats import (
    mapped_bytes,
    read_idx,
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
