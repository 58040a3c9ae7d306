"""Tables of records in Parquet and CSV, and stores of labels in SQLite."""

import gzip
import io
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.cli import main
from plastorch.data.images import formats
from plastorch.data.tables.records import load_table
from plastorch.engine.errors import InputError
from plastorch.files import catalog
from plastorch.files.catalog import frames, read_catalog
from plastorch.files.store import APPLICATION_ID, Labeled, LabelStore, Stamp

FRAME = pl.DataFrame(
    {
        "label": ["code", "music"] * 10,
        "size": list(range(20)),
        "share": [0.5, None] * 10,
        "tags": [["a", "b"], ["c"]] * 10,
    }
)


NAMES = ["a.parquet", "a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.jsonl.gz"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def parquet(frame: pl.DataFrame, compression: Any = "zstd") -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression=compression)
    return buffer.getvalue()


def whole(path: Path) -> None:
    read_catalog(path)
    list(frames(path, 7))


@pytest.mark.parametrize("compression", ["uncompressed", "zstd", "snappy"])
@given(data=st.data())
def test_damaged_parquet(
    damaged: Any, survives: Any, folder: Path, compression: str, data: Any
) -> None:
    path = folder / f"{compression}.parquet"
    path.write_bytes(damaged(data, parquet(FRAME, compression)))
    survives(read_catalog, path)
    survives(lambda: list(frames(path, 7)))


@pytest.mark.parametrize("packed", [False, True])
@given(data=st.data())
def test_damaged_csv(damaged: Any, survives: Any, folder: Path, packed: bool, data: Any) -> None:
    content = FRAME.drop("tags").write_csv().encode()
    path = folder / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(damaged(data, gzip.compress(content) if packed else content))
    survives(whole, path)


@pytest.mark.parametrize("packed", [False, True])
@given(data=st.data())
def test_damaged_json_lines(
    damaged: Any, survives: Any, folder: Path, packed: bool, data: Any
) -> None:
    content = FRAME.write_ndjson().encode()
    path = folder / ("b.jsonl.gz" if packed else "b.jsonl")
    path.write_bytes(damaged(data, gzip.compress(content) if packed else content))
    survives(whole, path)


@given(content=st.binary(max_size=80), name=st.sampled_from(NAMES))
def test_any_bytes(survives: Any, folder: Path, content: bytes, name: str) -> None:
    (folder / name).write_bytes(content)
    survives(whole, folder / name)


@given(data=st.data())
def test_damaged_official_tables(damaged: Any, survives: Any, folder: Path, data: Any) -> None:
    (folder / "metadata").mkdir(exist_ok=True)
    content = gzip.compress(FRAME.drop("tags", "share").write_csv().encode())
    (folder / "metadata" / "nursery.csv.gz").write_bytes(damaged(data, content))
    survives(load_table, "nursery", folder)


def test_one_long_class_among_many(refused: Any, tmp_path: Path) -> None:
    """As an array of names it would take four bytes a letter for every record."""
    (tmp_path / "metadata").mkdir()
    lines = ["label,size", "x" * 2_000_000 + ",1", *(f"a,{i}" for i in range(20_000))]
    (tmp_path / "metadata" / "nursery.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    refused(load_table, "nursery", tmp_path)
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    assert main(["files", "fit", str(path), "--label", "label", "--out", f"{tmp_path}/m"]) == 2


@pytest.mark.parametrize("name", ["a.csv.gz", "metadata/nursery.csv.gz"])
def test_a_table_that_unpacks_to_more_than_memory(
    refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(formats, "MOST_BYTES", 1 << 20)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"label,size\n")
        for _ in range(20):
            file.write(b"a,1\n" * (1 << 22))
    refused(read_catalog, path, megabytes=100)
    if path.parent != tmp_path:
        refused(load_table, "nursery", tmp_path, megabytes=100)


def test_few_bytes_of_a_million_values(
    refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "MOST_CELLS", 1 << 16)
    path = tmp_path / "a.parquet"
    column = pl.repeat(7, 1 << 20, dtype=pl.Int8, eager=True)
    pl.DataFrame({f"c{i}": column for i in range(4)}).write_parquet(path)
    assert path.stat().st_size < 10_000
    refused(read_catalog, path, megabytes=100)
    assert next(iter(frames(path))).height == 1 << 14


HOSTILE = ["<script>", "^.*", "$", "", " ", "a\nb", "\x1b[2J", "[/red]", "a" * 5000, "/", "✗"]
TYPES: dict[str, list[Any]] = {
    "nested lists": [[[1]], [[2]]],
    "structs": [{"a": 1}, {"a": 2}],
    "bytes": [b"\xff", b"\0"],
    "nothing": [None, None],
    "NUL": ["\0", "a\0b"],
    "infinite": [float("inf"), float("-inf")],
    "NaN": [float("nan"), 1.0],
    "huge": [1e308, -1e308],
    "wide": [2**63 - 1, -(2**63)],
    "long": ["x" * 10_000_000, "y"],
    "empty lists": [[], ["<script>"]],
    "slashes": ["/" * 3000, "a/" * 3000],
    "bars": ["|" * 3000, "a|" * 3000],
}


@pytest.mark.parametrize("name", TYPES)
def test_values_of_every_kind(name: str, tmp_path: Path, bounded: Any) -> None:
    """Learned from, they give a model or one line; answers to them too."""
    values = (TYPES[name] * 20)[:20]
    frame = FRAME.drop("tags").with_columns(pl.Series("odd", values))
    table, model = tmp_path / "a.parquet", tmp_path / "m"
    frame.write_parquet(table)
    small = ["--hidden", "4", "--neurons", "20", "--epochs", "1"]
    with bounded(1000, 60):
        learned = main(
            ["files", "fit", str(table), "--label", "label", "--out", str(model), *small]
        )
        assert learned in (0, 2) and model.exists() == (learned == 0)
        if learned == 0:
            out = str(tmp_path / "p.parquet")
            assert main(["files", "predict", str(model), str(table), "--out", out]) == 0


def test_names_of_columns_are_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal would obey an escape, and rich a word in brackets."""
    frame = pl.DataFrame(
        {"label": ["code", "music"] * 10}
        | {
            name: pl.Series([i % (2 + place) for i in range(20)]) / 3
            for place, name in enumerate(HOSTILE)
        }
    )
    table, model, out = (str(tmp_path / name) for name in ("a.parquet", "m", "p.parquet"))
    frame.write_parquet(table)
    small = ["--hidden", "4", "--neurons", "40", "--epochs", "1"]
    assert main(["files", "fit", table, "--label", "label", "--out", model, *small]) == 0
    assert main(["files", "predict", model, table, "--out", out]) == 0
    assert main(["files", "fit", table, "--label", "^.*", "--out", model, *small]) == 0
    assert main(["files", "show", model, "--out", str(tmp_path / "m.html")]) == 0
    capsys.readouterr()
    assert main(["files", "fit", table, "--label", "scrip", "--out", model]) == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1 and len(printed) < 1200
    assert "\x1b" not in printed and "did you mean <script>?" in printed


def test_names_of_classes_are_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\ncode"
    frame = pl.DataFrame({"label": [evil, "music"] * 10, "size": list(range(20))})
    table, model = str(tmp_path / "a.parquet"), str(tmp_path / "m")
    frame.with_columns(pl.col("label").alias("\x1b[3J")).write_parquet(table)
    small = ["--hidden", "4", "--neurons", "20", "--epochs", "1"]
    assert main(["files", "fit", table, "--label", "label", "--out", model, *small]) == 0
    printed = capsys.readouterr()
    assert "\x1b[2J" not in printed.out and r"1 \x1b[2J code" in printed.out
    assert "\x1b[3J" not in printed.err and r"not learned from: \x1b[3J" in printed.err


@pytest.mark.parametrize("name", ["*", "^.*$", "^s.*$"])
def test_names_that_polars_takes_for_many_columns(refused: Any, tmp_path: Path, name: str) -> None:
    FRAME.rename({"size": name}).write_parquet(tmp_path / "a.parquet")
    refused(read_catalog, tmp_path / "a.parquet")
    assert main(["files", "fit", f"{tmp_path}/a.parquet", "--label", name, "--out", "m"]) == 2


def test_a_long_value_in_every_record_takes_its_room_once(tmp_path: Path, bounded: Any) -> None:
    path = tmp_path / "a.parquet"
    long, count = pl.Series(["x" * 1_000_000, "y" * 1_000_000]), 300
    rows = pl.Series([0, 1] * count)
    frame = pl.DataFrame({"label": ["a", "b"] * count, "note": long.gather(rows), "n": rows})
    frame.write_parquet(path)
    assert path.stat().st_size < 1_000_000
    small = ["--hidden", "4", "--neurons", "20", "--epochs", "1", "--ignore", "n"]
    with bounded(300, 60):
        arguments = ["files", "fit", str(path), "--label", "label", "--out", str(tmp_path / "m")]
        assert main([*arguments, *small]) in (0, 2)


ROW = Labeled("/a/b", Stamp(1, 2, 3, 4), "report", 0.9, "size", "m", 0.0)


def everything(path: Path) -> None:
    with LabelStore(path, create=False) as store:
        store.counts(), store.confident(9), store.doubtful(9), len(store)
        list(store.rows()), list(store.paths("/"))
        store.known({"/a/b": ROW.stamp}, "m")


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_stores(damaged: Any, survives: Any, folder: Path, data: Any) -> None:
    path = folder / "labels"
    for name in ("labels", "labels-wal", "labels-shm"):
        (folder / name).unlink(missing_ok=True)
    with LabelStore(path) as store:
        store.put([ROW, ROW._replace(path="/a/c", label="<script>")])
    path.write_bytes(damaged(data, path.read_bytes()))
    survives(everything, path)


def test_paths_out_of_order_have_an_end(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "labels"
    with LabelStore(path) as store:
        store.put([ROW, ROW._replace(path="/a/c"), ROW._replace(path="/a/d")])
    content = path.read_bytes()
    assert b"/a/d" in content
    path.write_bytes(content.replace(b"/a/d", b"!a/d"))  # the last, and yet before the others
    refused(everything, path)


def shared(content: bytes, page: int, depth: int = 14) -> bytes:
    """Few pages, each the only child, many times over, of the one before: a tree without end."""
    pages = [bytearray(content[at : at + 4096]) for at in range(0, len(content), 4096)]
    top, start = pages[page - 1], 100 if page == 1 else 0  # after the file's header
    head = start + 12 + 2 * int.from_bytes(top[start + 3 : start + 5])
    cells = [int.from_bytes(top[at : at + 2]) for at in range(start + 12, head, 2)]
    links = (start + 8, *cells)
    children = [int.from_bytes(top[at : at + 4]) for at in links][:depth]
    assert top[start] in (2, 5) and len(children) == depth  # the inner page of a tree
    for child in children:
        for at in links:
            top[at : at + 4] = child.to_bytes(4)
        if child != children[-1]:  # which stays a leaf
            pages[child - 1] = bytearray(top)
            pages[child - 1][: head - start] = top[start:head]
            top, links = pages[child - 1], (8, *cells)
            start, head = 0, head - start
    return b"".join(pages)


def many_labels(path: Path) -> None:
    with LabelStore(path) as store:
        store.put([ROW._replace(path=f"/a/{i}") for i in range(1500)])


def many_tables(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("BEGIN")
        for number in range(300):
            database.execute(f"CREATE TABLE t{number} (column_{'x' * 200} TEXT)")
    database.close()


@pytest.mark.parametrize(("make", "page"), [(many_labels, 2), (many_tables, 1)])
def test_pages_with_the_same_children_have_an_end(
    refused: Any, tmp_path: Path, make: Callable[[Path], None], page: int
) -> None:
    path = tmp_path / "labels"
    make(path)
    path.write_bytes(shared(path.read_bytes(), page))
    refused(LabelStore, path)
    assert main(["files", "show", str(path), "--out", str(tmp_path / "a.html")]) == 2


def changed(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with LabelStore(path) as store:
            store.put([ROW])
        with sqlite3.connect(path) as database:
            for statement in statements:
                database.execute(statement)
        database.close()

    return change


ENDLESS = """CREATE VIEW labels AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
SELECT n path, 1 size, 1 mtime_ns, 1 changed_ns, 1 inode, n label, 1.0 confidence, '' keys,
'' model, 1.0 labeled_at FROM c"""
TAMPERED = {
    "bytes for a label": changed("UPDATE labels SET label = x'ff00'"),
    "text for a confidence": changed("UPDATE labels SET confidence = '<script>'"),
    "bytes for a path": changed("UPDATE labels SET path = x'ff'"),
    "no UTF-8": changed("UPDATE labels SET keys = CAST(x'ff' AS TEXT)"),
    "text for a size": changed("UPDATE labels SET size = 'x'"),
    "another table": changed("DROP TABLE labels", "CREATE TABLE labels (path TEXT)"),
    "an endless view": changed("DROP TABLE labels", ENDLESS),
    "a trigger": changed("CREATE TRIGGER t AFTER INSERT ON labels BEGIN DELETE FROM labels; END"),
    "no table": changed("DROP TABLE labels"),
    "a longer row": changed("ALTER TABLE labels ADD COLUMN more TEXT"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_stores_are_refused(refused: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / "labels"
    TAMPERED[name](path)
    refused(everything, path)
    assert main(["files", "show", str(path), "--out", str(tmp_path / "a.html")]) == 2


def test_a_genuine_store_is_read(survives: Any, tmp_path: Path) -> None:
    changed()(tmp_path / "labels")
    everything(tmp_path / "labels")
    with LabelStore(tmp_path / "labels") as store:
        assert store.confident(1) == [ROW]


def test_a_lock_that_is_a_link_changes_no_file(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    (tmp_path / "labels-lock").symlink_to(precious)
    with (
        LabelStore(tmp_path / "labels") as store,
        pytest.raises(InputError, match="labels-lock"),
        store.alone(),
    ):
        pass
    assert precious.read_text() == "untouched"


def test_pipes_and_devices(refused: Any, tmp_path: Path, pipe: Path) -> None:
    for path in (pipe, Path("/dev/zero"), tmp_path):
        refused(read_catalog, path)
        refused(lambda path=path: LabelStore(path))
        assert main(["files", "show", str(path), "--out", str(tmp_path / "a.html")]) == 2
    assert sorted(os.listdir(tmp_path)) == ["pipe"]


def test_the_application_is_told_by_its_number(tmp_path: Path) -> None:
    changed()(tmp_path / "labels")
    assert (tmp_path / "labels").read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")
