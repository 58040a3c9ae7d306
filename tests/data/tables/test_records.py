"""Tables of labeled records: their form, what is missing, and where to get them."""

import gzip
import hashlib
import os
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from plastorch.data import download_images, image_set_status, load_images
from plastorch.data.catalog import CATALOG
from plastorch.data.tables.records import TABLES, load_table
from plastorch.engine.errors import InputError
from plastorch.files.keys import infer_keys

ADULT = """label,split,age,workclass,capital-gain,tags
<=50K,train,39,State-gov,2174,a|b
>50K,test,50,?,0,
<=50K,train,,"Private, own",14084,b
"""


def write(root: Path, name: str, text: str) -> Path:
    folder = root / "metadata"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_a_table_has_keys_labels_and_parts(tmp_path: Path) -> None:
    path = write(tmp_path, "adult", ADULT)
    table = load_table("adult", tmp_path)
    assert table.name == "adult" and table.labels.tolist() == ["<=50K", ">50K", "<=50K"]
    assert "split" not in table.frame.columns
    assert table.frame.rows() == [
        (39, "State-gov", 2174, "a|b"),
        (50, None, 0, None),
        (None, "Private, own", 14084, "b"),
    ]
    assert table.frame.columns == ["age", "workclass", "capital-gain", "tags"]
    assert table.source == "data root: metadata"
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_question_mark_is_missing_where_the_table_means_that(tmp_path: Path) -> None:
    for name in ("mushroom", "nursery"):
        write(tmp_path, name, "label,root\ne,?\np,b\n")
    assert load_table("mushroom", tmp_path).frame["root"].to_list() == [None, "b"]
    nursery = load_table("nursery", tmp_path)
    assert nursery.frame["root"].to_list() == ["?", "b"]


def test_coordinates_are_categories(tmp_path: Path) -> None:
    write(tmp_path, "krkopt", "label,wk_file,bk_rank\n17,1,3\n0,2,8\n0,3,5\n")
    table = load_table("krkopt", tmp_path)
    assert table.labels.tolist() == ["17", "0", "0"]
    assert table.frame.rows() == [("1", "3"), ("2", "8"), ("3", "5")]
    assert {key.kind for key in infer_keys(table.frame)} == {"category"}


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name is 'iris'; expected one of adult, krkopt"):
        load_table("iris", tmp_path)
    with pytest.raises(InputError, match=r"metadata is not in .*; to get it: .*archive\.ics"):
        load_table("adult", tmp_path)
    with pytest.raises(InputError, match=r"no images; plastorch\.data\.tables\.records reads it"):
        write(tmp_path, "adult", ADULT)
        load_images("metadata", tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged"),
        ("class,age\na,1\n", "expected a column label"),
        ("label,age\na,1\n,2\n", "without gaps"),
        ("label\na\n", "then keys"),
        ("label,age\na,1,2,3\n", "is damaged"),
    ],
)
def test_damaged_tables(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, "adult", text)
    with pytest.raises(InputError, match=words):
        load_table("adult", tmp_path)


def test_truncated_files(tmp_path: Path) -> None:
    path = write(tmp_path, "adult", ADULT)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="is damaged"):
        load_table("adult", tmp_path)


def test_status_lists_the_tables(tmp_path: Path) -> None:
    write(tmp_path, "adult", ADULT)
    (row,) = [row for row in image_set_status(tmp_path) if row.name == "metadata"]
    assert not row.present and [file.name for file in row.files] == ["adult.csv.gz"]
    assert "archive.ics.uci.edu" in row.download
    assert set(CATALOG["metadata"].files) == {f"{name}.csv.gz" for name in TABLES}
    for name in TABLES:
        write(tmp_path, name, ADULT)
    (row,) = [row for row in image_set_status(tmp_path) if row.name == "metadata"]
    assert row.present and download_images("metadata", tmp_path) == tmp_path / "metadata"
    with pytest.raises(InputError, match=r"to get it: .*archive\.ics.*Debian 13"):
        download_images("metadata", tmp_path / "metadata")


KNOWN = {
    "adult": (48_842, 14, {"<=50K": 37_155, ">50K": 11_687}),
    "krkopt": (28_056, 6, {"17": 2796, "14": 4553, "0": 27}),
    "nursery": (12_960, 8, {"not_recom": 4320, "recommend": 2}),
    "mushroom": (8124, 22, {"e": 4208, "p": 3916}),
    "debian_files": (36_071, 19, {}),
    "debian_packages": (68_898, 28, {}),
}


@pytest.mark.parametrize("name", TABLES)
def test_real_tables_are_the_published_ones(name: str) -> None:
    root = os.environ.get("PLASTORCH_DATA")
    if not root or not (Path(root) / "metadata").is_dir():
        pytest.skip("metadata is not in $PLASTORCH_DATA")
    records, keys, counts = KNOWN[name]
    table = load_table(name)
    assert table.frame.shape == (records, keys) and len(table.labels) == records
    found = Counter(table.labels.tolist())
    assert {label: found[label] for label in counts} == counts
    kinds = {key.name: key.kind for key in infer_keys(table.frame, table.labels)}
    if name == "adult":
        assert table.frame["workclass"].null_count() == 2799
        assert sum(kind == "number" for kind in kinds.values()) == 6
    elif name == "debian_packages":
        assert {n for n, kind in kinds.items() if kind == "set"} == {
            n for n in kinds if n.startswith("tag_")
        }
    elif name != "debian_files":
        assert set(kinds.values()) == {"category"}
        assert set(table.frame.dtypes) == {pl.String}
