"""Tables of records in files, some at a time."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from plastorch.engine.errors import InputError
from plastorch.files.catalog import check_out, frames, read_catalog, write_frames

FRAME = pl.DataFrame({"owner": ["ada", None, "bob"] * 4, "size": list(range(12))})


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "A.CSV", "a.csv.gz", "odd name*"])
def test_what_is_read_is_what_was_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if ".csv" in name.lower():
        text = FRAME.write_csv().encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    else:
        FRAME.write_parquet(path)
    assert read_catalog(path).equals(FRAME)
    parts = list(frames(path, rows=5))
    assert [part.height for part in parts] == [5, 5, 2]
    assert pl.concat(parts).equals(FRAME)


@pytest.mark.parametrize("out", ["a.parquet", "a.csv"])
def test_what_is_written_is_what_was_given(tmp_path: Path, out: str) -> None:
    assert write_frames(FRAME.iter_slices(5), tmp_path / out) == 12
    assert read_catalog(tmp_path / out).equals(FRAME)
    assert write_frames(iter([FRAME[:1]]), tmp_path / out) == 1
    assert os.listdir(tmp_path) == [out]


def test_a_failure_leaves_the_older_file(tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    write_frames([FRAME], out)

    def broken() -> Iterator[pl.DataFrame]:
        yield FRAME
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        write_frames(broken(), out)
    assert read_catalog(out).equals(FRAME) and os.listdir(tmp_path) == ["a.parquet"]


def test_mixed_types_in_a_csv_column_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("size\n" + "7\n" * 2000 + "seven\n")
    assert read_catalog(path)["size"].unique().sort().to_list() == ["7", "seven"]


def test_bad_files(tmp_path: Path) -> None:
    for name, content, words in (
        ("a.parquet", b"junk", "is not Parquet"),
        ("a.csv", b"a,b\n1,2,3\n", "is not a CSV file of records"),
        ("b.csv", b"", "is not a CSV file of records"),
        ("c.csv", b"a,b\n", "is not a CSV file of records: records are 0"),
        ("a.csv.gz", b"\x1f\x8bjunk", "a.csv.gz is damaged"),
        ("d.csv", b"a\n\xff\xfe\n", "is not a CSV file of records"),
    ):
        (tmp_path / name).write_bytes(content)
        for read in (read_catalog, lambda path: list(frames(path))):
            with pytest.raises(InputError, match=words):
                read(tmp_path / name)
    FRAME[:0].write_parquet(tmp_path / "none")
    with pytest.raises(InputError, match="records are 0 with 2 keys"):
        list(frames(tmp_path / "none"))
    for read in (read_catalog, lambda path: list(frames(path))):
        with pytest.raises(InputError, match="is not a file; expected Parquet"):
            read(tmp_path / "missing")


def test_a_wrong_name_is_told_from_damage(tmp_path: Path) -> None:
    for name, words in (
        ("a.json", "a.json is not Parquet; expected Parquet, .csv, .tsv or .jsonl: "),
        ("a.parquet", "a.parquet is not Parquet: "),
    ):
        (tmp_path / name).write_text('[{"a": 1}]')
        for read in (read_catalog, lambda path: list(frames(path))):
            with pytest.raises(InputError, match=words):
                read(tmp_path / name)


def test_bad_places(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.parquet, \.csv or \.jsonl"):
        check_out(tmp_path / "labels.txt")
    with pytest.raises(InputError, match="there is no folder"):
        write_frames([FRAME], tmp_path / "no" / "a.csv")
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InputError, match="it is a folder; expected a regular file"):
        check_out(tmp_path / "a.csv")
