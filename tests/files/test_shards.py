"""Answers by many processes: those of one, to the row, whatever happens to a process."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from plastorch.cli import main
from plastorch.engine.cluster import cluster
from plastorch.engine.errors import InputError
from plastorch.files import catalog
from plastorch.files.classifier import FileClassifier
from plastorch.files.shards import Answerer, labeled, predict_shards, shard_file

pytestmark = [  # Ray's own
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and records with and without paths."""
    folder, random = tmp_path_factory.mktemp("place"), np.random.default_rng(0)
    owners, sizes = random.choice(["ada", "bob", "cyd"], 2030), random.integers(0, 900, 2030)
    frame = pl.DataFrame({"owner": owners, "size": sizes})
    kinds = np.where(sizes + 300 * (owners == "ada") > 500, "code", "music")
    FileClassifier(hidden=16, neurons=40, epochs=3).fit(frame[:400], kinds[:400]).save(
        folder / "model"
    )
    frame.write_parquet(folder / "rows.parquet", row_group_size=300)
    paths = pl.Series("path", [f"/a/{number}" for number in range(2030)])
    frame.insert_column(0, paths).write_parquet(folder / "files.parquet")
    return folder


def both(place: Path, records: str, out: str) -> list[pl.DataFrame]:
    """What one process and several write."""
    read = pl.read_csv if out.endswith("csv") else pl.read_parquet
    found = []
    for engine in ("local", "ray"):
        path = place / f"{engine}-{out}"
        arguments = ["predict", str(place / "model"), str(place / records), "--out", str(path)]
        assert main(["files", *arguments, "--engine", engine]) == 0
        found.append(read(path))
    return found


def test_answers_are_those_of_one_process_even_if_a_process_dies(
    place: Path, one_ray: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with cluster(None):
        monkeypatch.setattr(catalog, "ROWS", 500)
        local, ray = both(place, "files.parquet", "labels.csv")
        assert local.columns == ["path", "owner", "size", "class", "confidence", "keys"]
        assert local.equals(ray)
        assert "local-labels.csv: 2,030 records, 2 classes" in capfd.readouterr().out

        monkeypatch.setattr(catalog, "ROWS", 40)  # so many shards that there is time to kill
        killed: list[int] = []
        killer = threading.Thread(target=_kill_workers, args=(place, killed))
        killer.start()
        local, ray = both(place, "rows.parquet", "labels.parquet")
        killer.join()
        assert "raylet" not in (printed := capfd.readouterr()).out and printed.err == ""
        assert killed and local["row"].to_list() == list(range(2030)) and local.equals(ray)

        monkeypatch.setattr(catalog, "ROWS", 500)
        _damage(place / "rows.parquet", place / "damaged.parquet")
        out = place / "old.parquet"
        out.write_bytes(b"old")
        capfd.readouterr()
        arguments = [str(place / "model"), str(place / "damaged.parquet"), "--out", str(out)]
        assert main(["files", "predict", *arguments, "--engine", "ray"]) == 2
        printed = capfd.readouterr()
        (line,) = printed.err.strip().splitlines()
        assert line.startswith("plastorch: ") and "damaged.parquet is damaged" in line
        assert out.read_bytes() == b"old" and not list(place.glob(".parts-*"))


def _kill_workers(place: Path, killed: list[int]) -> None:
    """Kills the processes that answer, once some shards are there."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if len(list(place.glob(".parts-*/*.parquet"))) > 3:
            for number in _descendants(os.getpid()):
                if _command(number).startswith(b"ray::Map"):
                    os.kill(number, signal.SIGKILL)
                    killed.append(number)
            if killed:
                return
        time.sleep(0.01)


def _descendants(root: int) -> set[int]:
    """Processes that a process started, and those that they did."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(after_name[1])
    found = {root}
    while True:
        more = {number for number, parent in parents.items() if parent in found} - found
        if not more:
            return found - {root}
        found |= more


def _command(number: int) -> bytes:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return b""


def _damage(path: Path, copy: Path) -> None:
    """A copy whose second half of data is noise, with its table of contents whole."""
    content = bytearray(path.read_bytes())
    size = len(content) - int.from_bytes(content[-8:-4], "little") - 8
    content[size // 2 : size] = bytes(255 - byte for byte in content[size // 2 : size])
    copy.write_bytes(content)


def test_a_shard_that_is_answered_twice_is_there_once(place: Path, tmp_path: Path) -> None:
    answerer = Answerer(str(place / "model"), str(place / "rows.parquet"), str(tmp_path))
    for _ in range(2):
        assert answerer({"begin": 2000, "rows": 30}) == {"begin": 2000, "rows": 30, "why": ""}
    assert [file.name for file in tmp_path.iterdir()] == [shard_file(tmp_path, 2000).name]
    model = FileClassifier.load(place / "model")
    part = catalog.read_rows(place / "rows.parquet", 2000, 30)
    assert pl.read_parquet(shard_file(tmp_path, 2000)).equals(labeled(model, part, 2000))


def _lost(shards: object, files: tuple[str, str, str], options: object) -> list[dict[str, Any]]:
    return []


def _short(
    shards: list[dict[str, Any]], files: tuple[str, str, str], options: object
) -> list[dict[str, Any]]:
    for shard in shards:
        short = pl.DataFrame({"row": range(shard["rows"] - 1)})
        short.write_parquet(shard_file(Path(files[2]), shard["begin"]))
    return [shard | {"why": ""} for shard in shards]


@pytest.mark.parametrize("answered", [_lost, _short])
def test_answers_that_are_not_there_are_missed(
    place: Path,
    tmp_path: Path,
    answered: Callable[..., list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plastorch.files.shards._answered", answered)
    with pytest.raises(InputError, match="a path that all machines share"):
        predict_shards(place / "model", place / "rows.parquet", tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


MISTAKES = [
    (["model", "rows.parquet", "--engine", "rya"], "did you mean ray?"),
    (["model", "rows.parquet", "--address", "auto"], "expected --engine ray"),
    (["model", "rows.csv", "--engine", "ray"], "expected a Parquet file"),
    (["model", ".", "--engine", "ray"], "expected a Parquet file"),
    (["model", "rows.parquet", "--engine", "ray", "--address", "localhost:1"], "no Ray cluster"),
    (["rows.parquet", "rows.parquet", "--engine", "ray"], "rows.parquet"),
    (["model", "model", "--engine", "ray"], "model is not Parquet"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:60])
def test_mistakes_are_one_clear_line(
    place: Path,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    Path("rows.csv").write_text("owner,size\nada,7\n")
    assert main(["files", "predict", *arguments, "--out", "mistake.parquet"]) == 2
    printed = capfd.readouterr()
    (line,) = printed.err.strip().splitlines()
    assert line.startswith("plastorch: ") and words in line and printed.out == ""
    assert not Path("mistake.parquet").exists()


def test_a_missing_ray_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    arguments = ["model", "rows.parquet", "--out", "labels.parquet", "--engine", "ray"]
    assert main(["files", "predict", *arguments]) == 2
    expected = 'plastorch: ray is missing; expected: pip install "plastorch[ray]"\n'
    assert capsys.readouterr().err == expected
