"""``plastorch files``: the whole way from a tree to a page, and one clear line for mistakes."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import plastorch.files
from plastorch.cli import main
from plastorch.cli.files import VERBS
from plastorch.cli.files.score import show_deeper
from plastorch.data.tables.corpus import make_corpus
from plastorch.engine.errors import InputError
from plastorch.files.catalog import read_catalog
from plastorch.files.classifier import FileClassifier
from plastorch.files.pairs import Pair
from plastorch.files.store import LabelStore

FIT = ["--epochs", "30", "--hidden", "16", "--neurons", "100"]
ENDS = {"code": "py", "image": "png", "text": "txt"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of three kinds, one of them with a hostile name."""
    root, random = tmp_path_factory.mktemp("tree"), np.random.default_rng(0)
    for kind, end in ENDS.items():
        folder = root / "a" / f"{kind}s"
        folder.mkdir(parents=True)
        for number in range(30):
            size = int(10 ** (1 + len(kind) % 4 + random.random()))
            file = folder / f"{kind}{number}.{end}"
            file.write_bytes(b"x" * size)
            os.utime(file, (1.6e9, 1.6e9 + 1e6 * random.integers(0, 90)))
    (root / "a" / "texts" / "<img src=x onerror=alert(1)>.txt").write_text("hello")
    return root


@pytest.fixture(scope="module")
def catalog(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "catalog.parquet"
    assert main(["files", "scan", str(tree), "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def model(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model"
    arguments = ["files", "fit", str(catalog), "--label", "extension", "--out", str(path)]
    assert main([*arguments, *FIT]) == 0
    return path


def table(folder: Path, **changes: object) -> Path:
    """A CSV file of labeled records that are no files."""
    kinds = ["code", "image"] * 30
    columns = {
        "kind": kinds,
        "again": kinds,
        "size": [i % 7 if kind == "code" else 90 + i for i, kind in enumerate(kinds)],
        "owner": ["ada", "bob", "cyd"] * 20,
    } | changes
    frame = pl.DataFrame({name: values for name, values in columns.items() if values is not None})
    frame.write_csv(folder / "table.csv")
    return folder / "table.csv"


def test_scan_says_what_it_found(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.read_parquet(catalog)
    assert frame.height == 91 and "magic" not in frame.columns


def test_fit_says_how_well(
    catalog: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plastorch.files.evaluation.MOST", 70)
    out = tmp_path / "model"
    arguments = ["files", "fit", str(catalog), "--label", "extension", "--out", str(out), *FIT]
    assert main([*arguments, "--seed", "1", "--ignore", "parent", "dir2"]) == 0
    printed = capsys.readouterr()
    assert "of 18 records; the model has learned from 73 of the other 73" in printed.out
    assert "points off on average (expected calibration error)" in printed.out
    table = printed.out[printed.out.index("coverage") :].splitlines()[1:5]
    assert [line.split()[0] for line in table] == ["100%", "90%", "80%", "50%"]
    assert table[0].split()[1:3] == ["0.000", "100.0%"]
    for words in ("confusion, a row per class", " 1 png", "logistic regression", "largest class"):
        assert words in printed.out
    assert "naive Bayes have learned from 70 of the others" in printed.out
    assert "a catalog of files: not learned from" in printed.err and "30/30" in printed.err
    assert "dir1, dir3, dir4, depth count from the folder that was scanned" in printed.err
    fitted = FileClassifier.load(out)
    names = {key.name for key in fitted.keys_}
    assert not names & {"extension", "path", "name", "inode", "device", "parent", "dir2"}
    assert fitted.random_state == 1 and fitted.class_count_.sum() == 73
    assert fitted.score(pl.read_parquet(catalog), pl.read_parquet(catalog)["extension"]) > 0.7


def test_files_are_scored_as_from_another_root(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.DataFrame({"dir1": ["a", "b"] * 30, "dir2": ["b", "c"] * 30, "size": range(60)})
    codes = np.array([0, 1] * 30)
    model = FileClassifier(hidden=16, neurons=60, epochs=15, batch_size=16)
    show_deeper(model.fit(frame[["dir1", "size"]], codes), frame, codes)
    printed = capsys.readouterr().out  # "b" is of the second class, "c" unknown
    assert re.fullmatch(
        r"scanned from one folder deeper, \d+\.\d+% .* against 100.00%: dir1 .*\n", printed
    )
    assert float(printed.split("%")[0].split()[-1]) < 90
    show_deeper(model.fit(frame[["size"]], codes), frame, codes)
    assert capsys.readouterr().out == ""


def test_fit_of_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ["code", "image", None] * 20
    path = table(tmp_path, kind=kinds, again=kinds)
    arguments = ["files", "fit", str(path), "--label", "kind", "--out", str(tmp_path / "m"), *FIT]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "20 records have no class in 'kind' and are left out" in printed.err
    assert "equal to 'kind', and not learned from: again" in printed.err
    assert {key.name for key in FileClassifier.load(tmp_path / "m").keys_} <= {"size", "owner"}


def test_empty_text_is_no_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path, kind=["code", "image", ""] * 20, again=None)
    arguments = ["files", "fit", str(path), "--label", "kind", "--out", str(tmp_path / "m"), *FIT]
    assert main(arguments) == 0
    assert "20 records have no class in 'kind' and are left out" in capsys.readouterr().err
    assert FileClassifier.load(tmp_path / "m").classes_.tolist() == ["code", "image"]


def test_few_records_of_each_class_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path, kind=[f"k{i}" for i in range(60)], again=None)
    arguments = ["files", "fit", str(path), "--label", "kind", "--out", str(tmp_path / "m"), *FIT]
    assert main(arguments) == 0
    words = "column 'kind' holds 60 classes in 60 records, fewer than two of each on average"
    printed = capsys.readouterr().err
    assert words in printed and "Warning" not in printed


def test_fit_of_pairs_of_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ["code", "image", "image", "code"] * 15
    path = table(
        tmp_path, kind=kinds, again=None, size=["s", "t"] * 30, owner=["x", "x", "y", "y"] * 15
    )
    model, page = tmp_path / "m", tmp_path / "page.html"
    arguments = ["files", "fit", str(path), "--label", "kind", "--out", str(model), *FIT]
    assert main([*arguments, "--key-pairs", "3"]) == 0
    assert "2 classes, 2 keys, pairs of keys: 1" in capsys.readouterr().out
    assert FileClassifier.load(model).pairs_ == (Pair("size", "owner", 50),)
    assert main(["files", "show", str(model), "--out", str(page)]) == 0
    text = page.read_text()
    assert "size × owner" in text and "50, pair" in text and ">150<" in text
    assert main([*arguments, "--separator", ",", "--key-pairs", "3"]) == 0
    assert "2 labels, 2 keys, pairs of keys: 1" in capsys.readouterr().out


def test_columns_that_are_named_by_numbers_keep_their_names(tmp_path: Path) -> None:
    frame = pl.read_csv(table(tmp_path, again=None)).rename({"size": "0", "owner": "1"})
    for end in ("csv", "parquet"):
        path, model, out = (tmp_path / f"{name}.{end}" for name in ("table", "model", "out"))
        getattr(frame, f"write_{end}")(path)
        fit = ["files", "fit", str(path), "--label", "kind", "--out", str(model), *FIT]
        assert main(fit) == 0
        assert [key.name for key in FileClassifier.load(model).keys_] == ["0", "1"]
        assert main(["files", "predict", str(model), str(path), "--out", str(out)]) == 0


def test_classes_too_small_to_hold_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path, kind=["a", "b", *["c"] * 4, *["d"] * 4], again=None, owner=None,
                 size=list(range(10)))  # fmt: skip
    arguments = ["files", "fit", str(path), "--label", "kind", "--out", str(tmp_path / "m"), *FIT]
    assert main(arguments) == 0
    assert "none is held out, and there is no score" in capsys.readouterr().out
    assert FileClassifier.load(tmp_path / "m").class_count_.tolist() == [1, 1, 4, 4]


@pytest.mark.parametrize("end", ["parquet", "csv"])
def test_predict(
    model: Path, catalog: Path, tree: Path, tmp_path: Path, end: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    found = []
    for source in (catalog, tree):
        out = tmp_path / f"labels.{end}"
        assert main(["files", "predict", str(model), str(source), "--out", str(out)]) == 0
        found.append(pl.read_parquet(out) if end == "parquet" else pl.read_csv(out))
    assert "91 records, 3 classes" in capsys.readouterr().out
    assert found[0].columns == ["path", "class", "confidence", "keys"]
    described = FileClassifier.load(model).describe(pl.read_parquet(catalog))
    assert found[0]["class"].to_list() == described["label"].to_list()
    assert found[0].select("path", "class").equals(found[1].select("path", "class"))
    ends = found[0]["path"].str.split(".").list.last()
    assert (ends == found[0]["class"]).mean() > 0.9  # type: ignore[operator]


@pytest.mark.parametrize("end", ["parquet", "csv", "jsonl"])
def test_predict_answers_only_what_it_is_sure_of(
    model: Path, catalog: Path, tmp_path: Path, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, fitted = tmp_path / f"labels.{end}", FileClassifier.load(model)
    told = fitted.describe(pl.read_parquet(catalog))
    half = float(told["confidence"].median())  # type: ignore[arg-type]
    predict = ["files", "predict", str(model), str(catalog), "--out", str(out)]
    for asked, least in (
        (["--min-confidence", str(half)], half),
        (["--coverage", "0.5"], fitted.threshold(0.5)),
        (["--coverage", "1"], 0.0),
        (["--min-confidence", "0"], 0.0),
    ):
        assert main([*predict, *asked]) == 0
        found = read_catalog(out)
        given = (told["confidence"] >= least).to_list()
        assert found["class"].is_not_null().to_list() == given and found["confidence"].min() >= 0  # type: ignore[operator]
        printed = capsys.readouterr().out
        assert ("the class is empty" in printed) == (least > 0)
        page = ["files", "show", str(out), "--out", str(tmp_path / "page.html")]
        assert main(page) == 0
        assert ("(no answer)" in (tmp_path / "page.html").read_text()) == (not all(given))
        capsys.readouterr()


def test_predict_rows_that_lack_keys(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.DataFrame({"size_log2": [3.0, None], "parent": ["texts", "new"]}).write_csv(
        tmp_path / "a.csv"
    )
    out = tmp_path / "labels.parquet"
    assert main(["files", "predict", str(model), str(tmp_path / "a.csv"), "--out", str(out)]) == 0
    line = capsys.readouterr().err
    assert "which count as missing" in line and "name_length" in line and "parent" not in line
    assert pl.read_parquet(out)["row"].to_list() == [0, 1]


@pytest.mark.parametrize("verb", ["predict", "page", "rules"])
def test_keys_of_numbers_that_hold_only_text_are_said(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, records = str(tmp_path / "m"), tmp_path / "a.csv"
    frame = pl.read_csv(table(tmp_path, again=None))
    small = FileClassifier(hidden=4, neurons=20, epochs=1)
    small.fit(frame.drop("kind"), frame["kind"]).save(model)
    for size, said in (("large", True), ("7", False)):
        frame.with_columns(size=pl.Series(["small", size] * 30)).write_csv(records)
        out = [] if verb == "rules" else ["--out", str(tmp_path / "out.csv")]
        assert main(["files", verb, model, str(records), *out]) == 0
        words = "holds no number in 1 of the model's 2 keys, which count as missing: size"
        assert (words in capsys.readouterr().err) == said


def test_watch_labels_what_is_there_and_what_comes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, folder = tmp_path / "labels.sqlite", tmp_path / "files"
    folder.mkdir()
    (folder / "one.txt").write_text("hello")

    def run_or_resume() -> None:
        if _wait_for(store, 1):
            (folder / "two.png").write_bytes(b"x" * 5000)
            _wait_for(store, 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=run_or_resume)
    thread.start()
    arguments = ["files", "watch", str(model), str(folder), "--store", str(store)]
    assert main([*arguments, "--rescan-s", "1", "--min-confidence", "1"]) == 0
    thread.join()
    printed = capsys.readouterr()
    assert "0 removed" in printed.out
    assert printed.err == f"plastorch: {folder}: 1 labeled, 0 removed, 0 vanished\n"
    with LabelStore(store, create=False) as labels:
        rows = [row for page in labels.rows() for row in page]
    assert {Path(row.path).name for row in rows} == {"one.txt", "two.png"}
    assert {row.model for row in rows} == {f"{FileClassifier.load(model).fingerprint} from 1.0"}
    assert all(row.label == "" or row.confidence == 1 for row in rows)


def test_a_scan_that_is_stopped_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, out = tmp_path / "files", tmp_path / "out" / "catalog.parquet"
    for folder in (tree, out.parent):
        folder.mkdir()
    (tree / "one.txt").write_text("hello")
    begun = []

    def stop(*arguments: Any, **options: Any) -> None:
        begun.extend(out.parent.iterdir())
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", stop)
    before = signal.getsignal(signal.SIGINT)
    assert main(["files", "scan", str(tree), "--out", str(out)]) == 130
    assert "stopped" in capsys.readouterr().err
    assert len(begun) == 1 and list(out.parent.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is before


def _wait_for(store: Path, count: int) -> bool:
    for _ in range(1000):
        time.sleep(0.02)
        if store.exists() and store.stat().st_size:
            with contextlib.suppress(InputError), LabelStore(store, create=False) as labels:
                if len(labels) >= count:
                    return True
    return False


def test_show(model: Path, catalog: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "labels.csv"
    assert main(["files", "predict", str(model), str(catalog), "--out", str(predictions)]) == 0
    store = tmp_path / "labels.sqlite"
    with LabelStore(store) as labels:
        assert len(labels) == 0
    pages = []
    for source in (model, predictions, store):
        assert main(["files", "show", str(source), "--out", str(tmp_path / "page.html")]) == 0
        pages.append((tmp_path / "page.html").read_text())
    assert "Input neurons" in pages[0] and "Most" not in pages[0]
    assert "Most doubtful" in pages[1] and pages[1].count("<tr") == 2 * 21
    assert not any("<img" in page for page in pages)
    assert "0" in pages[2] and sorted(os.listdir(tmp_path))[-1] == "page.html"


def test_formulas_in_names_are_text_to_a_spreadsheet(model: Path, tmp_path: Path) -> None:
    names = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\ttab", "a=b", "'=b"]
    for name in names:
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).touch()
    rows = {}
    for name, raw in (("a.csv", []), ("raw.csv", ["--raw"]), ("a.parquet", [])):
        out = str(tmp_path / name)
        predict = ["files", "predict", str(model), str(tmp_path / "files"), "--out", out]
        assert main([*predict, *raw]) == 0
        rows[name] = pl.read_parquet(out) if name == "a.parquet" else pl.read_csv(out)
    written = {name: set(frame["path"]) for name, frame in rows.items()}
    assert written["a.parquet"] == written["raw.csv"] == set(names)
    assert written["a.csv"] == {"a=b", "''=b", *(f"'{name}" for name in names[:5])}
    assert set(read_catalog(tmp_path / "a.csv")["path"]) == set(names)


def test_hostile_names_and_labels_are_shown_as_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    frame = pl.DataFrame({"path": [evil], "class": [evil], "confidence": [0.5], "keys": [evil]})
    frame.write_parquet(tmp_path / "a.parquet")
    out = tmp_path / "page.html"
    assert main(["files", "show", str(tmp_path / "a.parquet"), "--out", str(out)]) == 0
    assert "<script" not in out.read_text() and out.read_text().count("&lt;script") == 7


@pytest.fixture
def place(tmp_path: Path, model: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good and bad things, which the mistakes are about."""
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "files" / "a.txt").write_text("hello")
    data = bytearray(model.read_bytes())
    (tmp_path / "model").write_bytes(data)
    data[-9] ^= 1
    (tmp_path / "tampered").write_bytes(data)
    (tmp_path / "catalog").write_bytes(catalog.read_bytes())
    table(tmp_path)
    (tmp_path / "words.csv").write_text("row,class,confidence,keys\n0,a,sure,b\n")
    (tmp_path / "junk").write_bytes(b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.")
    return tmp_path


MISTAKES = [
    (["scam"], "VERB is 'scam'; expected one of scan, fit, predict, watch, show"),
    (["scan", "empty", "--out", "a.parquet"], "expected a folder with files"),
    (["scan", "no", "--out", "a.parquet"], "root is 'no'"),
    (["scan", "files"], "--out"),
    (["scan", "files", "--out", "a.json"], "expected a name that ends in .parquet"),
    (["fit", "no.csv", "--label", "kind", "--out", "m"], "no.csv is not a file"),
    (["fit", "table.csv", "--label", "kinds", "--out", "m"], "did you mean kind?"),
    (["fit", "table.csv", "--label", "kind", "--out", "m", "--ignore", "sise"], "mean size?"),
    (["fit", "table.csv", "--label", "kind", "--out", "no/m"], "out is 'no/m'"),
    (["fit", "table.csv", "--label", "kind", "--out", "m", "--epochs", "0"], "epochs is 0"),
    (["fit", "table.csv", "--label", "kind", "--out", "m", "--neurons", "1"], "neurons are 1"),
    (["fit", "table.csv", "--label", "kind", "--out", "m", "--key-pairs", "-1"], "key_pairs is -1"),
    (["fit", "table.csv", "--label", "kind", "--out", "m", "--dropout", "1.5"], "dropout is 1.5"),
    (["fit", "table.csv", "--label", "kind", "--out", "m", "--seed", "-1"], "seed is -1"),
    (
        ["fit", "table.csv", "--label", "kind", "--out", "m", "--ignore", "size", "owner"],
        "no column is left to learn 'kind' from",
    ),
    (["predict", "no", "table.csv", "--out", "a.csv"], "no is missing; expected a model"),
    (["predict", "tampered", "table.csv", "--out", "a.csv"], "its SHA-256 doesn't match"),
    (["predict", "junk", "table.csv", "--out", "a.csv"], "damaged or not a model"),
    (["predict", "model", "junk", "--out", "a.csv"], "is not Parquet"),
    (["predict", "model", "table.csv", "--out", "a.csv"], "has none of the model's keys: "),
    (["predict", "model", "table.csv", "--out", "a.txt"], "ends in .parquet, .csv or .jsonl"),
    (["predict", "model", "empty", "--out", "a.csv"], "expected a folder with files"),
    *(
        ([*verb, *asked], words)
        for verb in (
            ["predict", "model", "catalog", "--out", "a.csv"],
            ["watch", "model", "files", "--store", "s"],
        )
        for asked, words in (
            (["--min-confidence", "1.5"], "min_confidence is 1.5; expected 0 to 1"),
            (["--min-confidence", "nan"], "--min-confidence: 'nan'"),
            (["--coverage", "0"], "coverage is 0.0; expected more than 0, and 1 at most"),
            (["--coverage", "1.2"], "coverage is 1.2; expected more than 0, and 1 at most"),
            (["--coverage", "0.5", "--min-confidence", "0.5"], "expected one of the two"),
        )
    ),
    (["watch", "model", "no", "--store", "s"], "no"),
    (["watch", "tampered", "files", "--store", "s"], "its SHA-256 doesn't match"),
    (["watch", "model", "files", "--store", "table.csv"], "table.csv"),
    (["watch", "model", "files", "--store", "s", "--rescan-s", "0"], "rescan_s is 0"),
    (["show", "no", "--out", "p.html"], "no is not a file"),
    (["show", "junk", "--out", "p.html"], "damaged or not a model"),
    (["show", "tampered", "--out", "p.html"], "its SHA-256 doesn't match"),
    (["show", "catalog", "--out", "p.html"], "is not a table of plastorch files predict"),
    (["show", "table.csv", "--out", "p.html"], "it lacks class, confidence, keys, row"),
    (["show", "words.csv", "--out", "p.html"], "words.csv holds String in column 'confidence'"),
    (["show", "model", "--out", "model"], "which is read as well"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:70])
def test_mistakes_are_one_clear_line_and_status_2(
    place: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(os.listdir(place))
    assert main(["files", *arguments]) == 2
    printed = capsys.readouterr()
    last = printed.err.strip().splitlines()[-1]
    assert last.startswith("plastorch: ") and words in last
    assert "Traceback" not in printed.err and printed.out == ""
    assert set(os.listdir(place)) - set(before) <= {"s", "s-lock"}


WRITE = {
    "scan": (["files"], "a.parquet"),
    "fit": (["table.csv", "--label", "kind"], "m"),
    "predict": (["model", "catalog"], "a.csv"),
    "show": (["model"], "p.html"),
}


@pytest.mark.parametrize("verb", WRITE)
@pytest.mark.parametrize("linked", [False, True])
def test_devices_and_pipes_stay_what_they_are(
    place: Path, verb: str, linked: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    given, out = WRITE[verb]
    pipe = place / ("pipe" if linked else out)
    os.mkfifo(pipe)
    if linked:
        (place / out).symlink_to(pipe)
    before = sorted(os.listdir(place))
    for path, kind in ((out, "a link" if linked else "a pipe"), ("/dev/stdout", "a link")):
        assert main(["files", verb, *given, "--out", path]) == 2
        printed = capsys.readouterr()
        expected = f"out is '{path}': it is {kind}; expected a regular file or a new name"
        assert printed.err == f"plastorch: {expected}\n" and printed.out == ""
    assert pipe.is_fifo() and sorted(os.listdir(place)) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "table.csv", "--label", "kind", "--out", "table.csv"],
        ["predict", "model.csv", "catalog", "--out", "model.csv"],
        ["predict", "model", "table.csv", "--out", "table.csv"],
        ["predict", "model", "linked.csv", "--out", "table.csv"],
        ["show", "linked.csv", "--out", "table.csv"],
    ],
)
def test_what_is_read_is_not_replaced(
    place: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "linked.csv").symlink_to("table.csv")
    os.link("model", "model.csv")
    out = place / arguments[-1]
    before = out.read_bytes()
    assert main(["files", *arguments]) == 2
    line = f"plastorch: out is '{out.name}', which is read as well; expected another file\n"
    assert capsys.readouterr().err == line and out.read_bytes() == before


LABELS = [
    ({"kind": ["code"] * 60, "again": None}, "column 'kind' holds 1 class ('code')"),
    ({"kind": [None] * 60, "again": None}, "column 'kind' holds no class"),
    ({"kind": list(range(60)), "again": None, "size": None, "owner": None}, "no column is left"),
    ({"size": [1] * 60, "owner": ["ada"] * 60}, "records all have the same values"),
]


@pytest.mark.parametrize(("changes", "words"), LABELS)
def test_bad_tables(
    tmp_path: Path, changes: dict[str, object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path, **changes)
    arguments = ["files", "fit", str(path), "--label", "kind", "--out", str(tmp_path / "m"), *FIT]
    assert main(arguments) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert os.listdir(tmp_path) == ["table.csv"]


def test_mixed_types_unseen_categories_and_a_value_of_10_mb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path, size=["7", "seven", "3.5"] * 20)
    arguments = ["files", "fit", str(path), "--label", "kind", "--out", str(tmp_path / "m"), *FIT]
    assert main(arguments) == 0
    rows = pl.DataFrame({"owner": ["eve", "x" * 10_000_000], "size": ["many", None]})
    rows.write_parquet(tmp_path / "rows")
    out = tmp_path / "labels.csv"
    assert (
        main(["files", "predict", str(tmp_path / "m"), str(tmp_path / "rows"), "--out", str(out)])
        == 0
    )
    assert pl.read_csv(out).height == 2


@pytest.mark.parametrize(("verb", "name"), [("scan", "polars"), ("fit", "polars"),
                                            ("watch", "watchfiles")])  # fmt: skip
def test_a_missing_extra_is_named(
    place: Path, verb: str, name: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, name, None)
    rest = {"scan": ["files", "--out", "a.parquet"], "watch": ["model", "files", "--store", "s"],
            "fit": ["table.csv", "--label", "kind", "--out", "m"]}[verb]  # fmt: skip
    assert main(["files", verb, *rest]) == 2
    expected = f'plastorch: {name} is missing; expected: pip install "plastorch[files]"\n'
    assert capsys.readouterr().err == expected


def test_a_missing_extra_is_named_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plastorch.files.classifier", None)
    with pytest.raises(ModuleNotFoundError, match="plastorch"):  # not for want of an extra
        plastorch.files.FileClassifier  # noqa: B018
    monkeypatch.delitem(sys.modules, "plastorch.files.classifier")
    monkeypatch.setitem(sys.modules, "polars", None)
    for need in (lambda: plastorch.files.FileClassifier, lambda: make_corpus(10)):
        with pytest.raises(InputError, match=r"polars is missing; expected: pip install"):
            need()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert main(["files", *arguments]) == 0
        printed = capsys.readouterr()
        assert printed.err == "" and max(map(len, printed.out.splitlines())) <= 80
    for verb in VERBS:
        with pytest.raises(SystemExit) as stop:
            main(["files", verb, "--help"])
        assert stop.value.code == 0
        assert f"usage: plastorch files {verb}" in capsys.readouterr().out


def test_the_estimator_is_the_rooms_public_name() -> None:
    assert plastorch.files.FileClassifier is FileClassifier
    with pytest.raises(AttributeError, match="has no attribute 'FileClassifer'"):
        _ = plastorch.files.FileClassifer
