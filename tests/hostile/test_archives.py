"""Archives: names and links that lead out of the folder, devices, bombs."""

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastorch.data import download
from plastorch.data.catalog import CATALOG
from plastorch.data.download import download_set
from plastorch.data.tables import weather
from plastorch.data.tables.weather import load_precipitation
from plastorch.engine.errors import InputError

ENTRY = CATALOG["cifar10"]


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, 2 if kind == tarfile.REGTYPE else 0
    info.mode = 0o6777
    return info


OUT = {
    "parent": [member("../escaped")],
    "deep": [member("cifar-10-batches-py/../../escaped")],
    "symbolic link": [
        member("link", tarfile.SYMTYPE, "{outside}"),
        member("link/escaped"),
    ],
    "link to a parent": [member("link", tarfile.SYMTYPE, ".."), member("link/escaped")],
    "link by a link": [
        member("one", tarfile.SYMTYPE, "."),
        member("one/two", tarfile.SYMTYPE, ".."),
        member("two/escaped"),
    ],
    "hard link": [member("link", tarfile.LNKTYPE, "{outside}/secret"), member("link")],
    "device": [member("cifar-10-batches-py/null", tarfile.CHRTYPE)],
    "disk": [member("cifar-10-batches-py/disk", tarfile.BLKTYPE)],
    "pipe": [member("cifar-10-batches-py/pipe", tarfile.FIFOTYPE)],
}


def tar(path: Path, members: list[tarfile.TarInfo], outside: Path) -> None:
    with tarfile.open(path, "w:gz") as file:
        for info in (member("cifar-10-batches-py/good"), *members):
            copy = tarfile.TarInfo.frombuf(info.tobuf(), "utf-8", "strict")
            copy.name = info.name.format(outside=outside)
            copy.linkname = info.linkname.format(outside=outside)
            file.addfile(copy, io.BytesIO(b"ab"))


def downloading(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    """The official site gives this archive, and it passes for the official one."""

    monkeypatch.setattr(download, "_fetch", lambda address, target, *_: copy(archive, target))


@pytest.mark.parametrize("name", OUT)
def test_members_that_lead_out_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root, outside = tmp_path / "data", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("untouched")
    tar(tmp_path / "a.tar.gz", OUT[name], outside)
    downloading(monkeypatch, tmp_path / "a.tar.gz")
    with pytest.raises(InputError, match="failed"):
        download_set(ENTRY, root, print)
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_text() == "untouched"
    assert os.listdir(root) == [] and not (tmp_path / "escaped").exists()


def test_absolute_names_become_names_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    tar(tmp_path / "a.tar.gz", [member("{outside}/escaped")], outside)
    downloading(monkeypatch, tmp_path / "a.tar.gz")
    assert os.listdir(download_set(ENTRY, tmp_path / "data", print)) == ["good"]
    assert os.listdir(outside) == []


def test_a_harmless_archive_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar(tmp_path / "a.tar.gz", [member("cifar-10-batches-py/other")], tmp_path)
    downloading(monkeypatch, tmp_path / "a.tar.gz")
    found = download_set(ENTRY, tmp_path / "data", print)
    assert sorted(os.listdir(found)) == ["good", "other"]
    assert not (found / "good").stat().st_mode & 0o6022  # nobody else may write, nor is it setuid


def rain(**changes: Any) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        "precip": np.zeros((2, 100), np.int16),
        "station": np.array(["A", "B"]),
        "state": np.array(["NY", "CA"]),
        "lat": np.array([40.7, 34.1], np.float32),
        "lon": np.array([-74.0, -118.2], np.float32),
        "utc_offset": np.array([-5, -8], np.int8),
        "start": np.array("2017-01-01T00"),
    }
    return arrays | changes


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rain")
    (folder / "us-precipitation").mkdir()
    return folder


@pytest.fixture(scope="module")
def file(root: Path) -> Path:
    return root / "us-precipitation" / "noaa_hpd_hourly_2014_2018.npz"


@pytest.mark.parametrize("packed", [False, True])
@given(data=st.data())
def test_damaged_npz(
    damaged: Any, survives: Any, root: Path, file: Path, packed: bool, data: Any
) -> None:
    (np.savez_compressed if packed else np.savez)(file, **rain())
    file.write_bytes(damaged(data, file.read_bytes()))
    found = survives(load_precipitation, root)
    assert found is None or found.amount.shape[0] == 2


WRONG: dict[str, Any] = {
    "precip": [
        np.zeros((2, 100)),
        np.zeros((2, 0), np.int16),
        np.full((2, 100), 10**9),
        np.zeros((2, 100), ">c16"),
        np.array(["a"]),
    ],
    "station": [np.zeros(0, "U1"), np.array("A"), np.array([1, 2]), np.array([b"A", b"\xff"])],
    "lat": [np.array([np.nan, 1]), np.array(["a", "b"]), np.array([1e9, 0]), np.array([1, 2])],
    "utc_offset": [np.array([0.5, 1]), np.array([-(2**62), 2**62]), np.array([50, -50])],
    "start": [np.array("yesterday"), np.array(1), np.array("NaT"), np.array([b"\xff" * 40])],
}


@pytest.mark.parametrize("name", WRONG)
def test_arrays_of_other_types_and_values(refused: Any, root: Path, file: Path, name: str) -> None:
    for value in WRONG[name]:
        np.savez(file, **rain(**{name: value}))
        refused(load_precipitation, root)


def test_arrays_of_python_objects_are_not_built(refused: Any, root: Path, file: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(root / "executed"),)

    objects = np.array([Payload(), Payload()], object)
    np.savez(file, allow_pickle=True, **rain(station=objects))
    refused(load_precipitation, root)
    assert not (root / "executed").exists()


def test_an_array_that_claims_more_than_memory(refused: Any, root: Path, file: Path) -> None:
    header = io.BytesIO()
    form = {"descr": "<i2", "fortran_order": False, "shape": (10**6, 10**9)}
    np.lib.format.write_array_header_1_0(header, form)
    np.savez(file, **rain())
    with zipfile.ZipFile(file) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(file, "w") as whole:
        for name, content in (parts | {"precip.npy": header.getvalue() + bytes(9)}).items():
            whole.writestr(name, content)
    refused(load_precipitation, root)


def test_a_zip_bomb(refused: Any, root: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weather, "MOST_BYTES", 1 << 20)
    np.savez_compressed(file, **rain(precip=np.zeros((2, 1 << 26), np.int16)))
    assert file.stat().st_size < 1 << 20
    refused(load_precipitation, root, megabytes=50)


def test_a_zip_that_lies_about_its_sizes(survives: Any, root: Path, file: Path) -> None:
    np.savez_compressed(file, **rain(precip=np.zeros((2, 1 << 22), np.int16)))
    content = file.read_bytes()
    for size in (0, 1, 0xFFFFFFF0):
        at = content.index(b"PK\1\2") + 24  # of the directory's first entry, unpacked
        file.write_bytes(content[:at] + struct.pack("<I", size) + content[at + 4 :])
        survives(load_precipitation, root, megabytes=100)
