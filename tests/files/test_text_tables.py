"""Text tables as people have them: separators, decimal commas, JSON lines."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from plastorch.cli import main
from plastorch.engine.errors import InputError
from plastorch.files.catalog import frames, read_catalog, write_frames

FRAME = pl.DataFrame(
    {"owner": ["ada; a", "bob, b", None], "a\tb": [1, 2, 3], "share": [0.5, 1.25, None]}
)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_the_separator_is_found(tmp_path: Path, separator: str, name: str, start: bytes) -> None:
    content = start + FRAME.write_csv(separator=separator).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read_catalog(tmp_path / name).equals(FRAME)
    assert pl.concat(frames(tmp_path / name, 2)).equals(FRAME)


def test_quoted_names_do_not_mislead(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a;"b,c,d,e,\nf";g\n1;2;3\n')
    assert read_catalog(tmp_path / "a.csv").columns == ["a", "b,c,d,e,\nf", "g"]


def test_names_with_semicolons_do_not_mislead(tmp_path: Path) -> None:
    """Such as those of probabilities of classes."""
    frame = pl.DataFrame({"row": [0, 1], "p_a;b;c": [0.5, 0.25], "p_d;e": [0.5, 0.75]})
    write_frames([frame], tmp_path / "a.csv")
    assert read_catalog(tmp_path / "a.csv").equals(frame)


@pytest.mark.parametrize("header", ["a,b,a", '"a";b;a', "\ufeffa\tb\ta"])
def test_one_name_for_two_columns_is_refused(tmp_path: Path, header: str) -> None:
    separator = next(sign for sign in ",;\t" if sign in header)
    (tmp_path / "a.csv").write_text(f"{header}\n{separator.join('123')}\n")
    with pytest.raises(InputError, match="two columns are named 'a'; expected different names"):
        read_catalog(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("a,,\n1,2,3\n")
    assert read_catalog(tmp_path / "b.csv").width == 3


def test_one_column_has_no_separator(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("owner\nada\nbob\n")
    assert read_catalog(tmp_path / "a.csv")["owner"].to_list() == ["ada", "bob"]


def test_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n;code;whole;none\n1,5;1,5;1;\n-2;1,x;2;\n")
    frame = read_catalog(tmp_path / "a.csv")
    assert frame["n"].to_list() == [1.5, -2.0] and frame["whole"].to_list() == [1, 2]
    assert frame["code"].to_list() == ["1,5", "1,x"] and frame["none"].null_count() == 2


def test_leading_zeros_are_text(tmp_path: Path) -> None:
    rows = 'mode,zip,n,x\n"0644",02131,0,0.5\n0755,1,7,-1\n1777,,10,00.5\n'
    (tmp_path / "a.csv").write_text(rows)
    frame = read_catalog(tmp_path / "a.csv")
    assert frame["mode"].to_list() == ["0644", "0755", "1777"]
    assert frame["zip"].to_list() == ["02131", "1", None]
    assert frame["n"].to_list() == [0, 7, 10] and frame["x"].to_list() == ["0.5", "-1", "00.5"]


def test_leading_zeros_are_text_beside_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("plz;x\n01067;1,5\n10115;2\n")
    assert read_catalog(tmp_path / "a.csv").rows() == [("01067", 1.5), ("10115", 2.0)]


@pytest.mark.parametrize("separator", [",", ";"])
def test_whole_numbers_beyond_128_bits_are_text(tmp_path: Path, separator: str) -> None:
    large = ["1" + 39 * "0", "7"]
    frame = pl.DataFrame({"id": large, "x": [f"-{2**127}", None], "y": [*large[:1], "1.5"]})
    frame.write_csv(tmp_path / "a.csv", separator=separator)
    found = read_catalog(tmp_path / "a.csv")
    assert found["id"].to_list() == large and found["y"].to_list() == [1e39, 1.5]
    assert found["x"].to_list() == [-(2**127), None]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_excel_s_line_about_the_separator(tmp_path: Path, start: bytes, end: bytes) -> None:
    lines = [start + b"sep=;", b"a,b;c", b"1,5;x", b"2;y", b""]
    (tmp_path / "a.csv").write_bytes(end.join(lines))
    frame = read_catalog(tmp_path / "a.csv")
    assert frame.to_dict(as_series=False) == {"a,b": [1.5, 2.0], "c": ["x", "y"]}


@pytest.mark.parametrize("code", ["latin-1", "utf-16"])
def test_text_that_is_not_utf_8_is_refused(tmp_path: Path, code: str) -> None:
    (tmp_path / "a.csv").write_bytes("owner,n\nJürgen,1\n".encode(code))
    with pytest.raises(InputError, match=r"a.csv is not a CSV .*not UTF-8; expected UTF-8"):
        read_catalog(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    rows = [
        {"owner": "ada", "size": 7, "tags": ["x", "y"], "late": None},
        {"size": 2.5, "new": True},
        {"owner": "=1+1\n\ud800", "size": 1},
    ]
    content = "\n".join(map(json.dumps, rows)).encode() + b"\n\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    frame = read_catalog(tmp_path / name)
    assert frame["owner"].to_list() == ["ada", None, "=1+1\n\\ud800"]
    assert frame["size"].to_list() == [7, 2.5, 1] and frame["new"].to_list() == [None, True, None]
    assert frame["tags"].to_list() == [["x", "y"], None, None]


def test_json_lines_are_written(tmp_path: Path) -> None:
    assert write_frames(FRAME.iter_slices(2), tmp_path / "a.jsonl") == 3
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows == FRAME.to_dicts()
    assert read_catalog(tmp_path / "a.jsonl").equals(FRAME)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "records are 0"),
        (b"{}\n", "records are"),
        (b'{"a": 1}\n{"a": ', "line 2 is not JSON"),
        (b"\n[1]\n", "line 2 is list; expected an object"),
        (b"\xff\n", "line 1 is not JSON"),
        (b"[" * 100_000, "line 1 is not JSON"),
        (b'{"a": {"b": 1}}\n', "key 'a' holds Struct"),
        (b'{"": NaN}\n', ""),
    ],
)
def test_bad_json_lines(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    if not words:
        assert read_catalog(path)[""].to_list() == [None]
        return
    with pytest.raises(InputError, match="a.jsonl is not JSON lines of records: .*" + words):
        read_catalog(path)


@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet"])
def test_other_columns_pass_through(
    tmp_path: Path, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a table with semicolons to answers beside ids and columns of any name."""
    rows = ["order;class;row;owner;size"]
    rows += [f"A{n};{'ab'[n % 2]};{n};x;{50 * (n % 2) + n % 3}" for n in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    model, out = str(tmp_path / "m"), tmp_path / f"out.{end}"
    fit = ["files", "fit", str(tmp_path / "a.csv"), "--label", "class", "--out", model]
    assert main([*fit, "--epochs", "2", "--hidden", "8", "--neurons", "40"]) == 0
    predict = ["files", "predict", model, str(tmp_path / "a.csv"), "--out", str(out)]
    assert main([*predict, "--by-class"]) == 0
    found = read_catalog(out)
    assert found.columns == [
        *("row", "order", "given_class", "given_row", "owner", "size"),
        *("class", "confidence", "keys", "p_a", "p_b"),
    ]
    assert found["row"].to_list() == found["given_row"].to_list() == list(range(40))
    assert found["order"].to_list() == [f"A{n}" for n in range(40)]
    chances = found.select("p_a", "p_b")
    assert (chances.sum_horizontal() - 1).abs().max() < 1e-5  # type: ignore[operator]
    assert (chances.max_horizontal() - found["confidence"]).abs().max() < 1e-6  # type: ignore[operator]


@pytest.mark.parametrize("name", ['a"b', '"', 'say ""hi""', "a,b", "a\nb"])
def test_names_of_columns_are_as_written(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"x": ["1", "2"], name: ["u", "v"]})
    frame.write_csv(tmp_path / "a.csv")
    assert read_catalog(tmp_path / "a.csv").columns == ["x", name]
