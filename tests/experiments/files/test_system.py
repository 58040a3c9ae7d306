"""files-system: small trees of made-up files, stops and restarts, what leaks, bad input."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.loop import Jobs
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.files.config import KEYS, FilesSystemConfig
from plastorch.experiments.files.system import measure
from plastorch.experiments.files.system_jobs import OTHER, kind_table, package_table
from plastorch.experiments.registry import find, resolved
from plastorch.files.scan import scan

EXPERIMENT = "files-system"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages of texts, pictures and scripts; those of the second are larger."""
    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("tree")
    for package, size in (("Alpha", 200), ("beta", 20_000)):
        for folder in ("", "data", f"{package.lower()}_more"):
            (root / "lib" / "site-packages" / package / folder).mkdir(parents=True, exist_ok=True)
            place = root / "lib" / "site-packages" / package / folder
            for number in range(12):
                length = int(size * random.uniform(0.5, 1.5))
                (place / f"image{number}.png").write_bytes(PNG + bytes(length))
                (place / f"m{number}.py").write_text("a" * length)
    (root / "lib" / "site-packages" / "single.py").write_text("x")
    for number in range(3):
        (root / f"run{number}").write_text(f"#!/bin/{'ba' * (number % 2)}sh\n")
    return root


def untimed(path: Path) -> list[Record]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [
        {n: v for n, v in json.loads(line).items() if n not in ("fit_seconds", "microseconds")}
        for line in lines
    ]


def test_kinds_come_without_extension_and_rare_ones_together(tree: Path) -> None:
    frame = pl.concat(list(scan(tree, magic=True)))
    table = kind_table(frame, "made-up", 3)
    assert {"extension", "magic", "path", "name"}.isdisjoint(table.frame.columns)
    assert {"parent", "dir3", "size_log2", "mode"} <= set(table.frame.columns)
    counts = {str(name): int((table.labels == name).sum()) for name in np.unique(table.labels)}
    assert counts == {"png": 72, "text": 73, "script": 3}
    assert set(kind_table(frame, "made-up", 10).labels) == {"png", "text", OTHER}


def test_each_key_has_a_neuron(tree: Path) -> None:
    assert kind_table(pl.concat(list(scan(tree, magic=True))), "tree", 2).frame.width == KEYS


def test_packages_come_without_parts_of_the_path_that_name_them(tree: Path) -> None:
    frame = pl.concat(list(scan(tree, magic=True)))
    table = package_table(frame, "made-up", 3)
    assert sorted(set(table.labels)) == ["Alpha", "beta"] and len(table.labels) == 144
    assert not any(name.startswith("dir") for name in table.frame.columns)
    texts = table.frame.select(pl.col(pl.String)).to_series(0).drop_nulls()
    assert set(table.frame["parent"].drop_nulls()) == {"data"}
    assert len(texts) == 48


def test_without_packages_of_python_the_top_folders_are_the_packages(tmp_path: Path) -> None:
    for name in ("doc", "man"):
        (tmp_path / name / "x").mkdir(parents=True)
        for number in range(4):
            (tmp_path / name / "x" / f"{number}").write_text("x")
    frame = pl.concat(list(scan(tmp_path, magic=True)))
    assert sorted(package_table(frame, "made-up", 2).labels) == ["doc"] * 4 + ["man"] * 4


def test_a_stopped_run_goes_on_with_the_files_it_had_found(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    config = FilesSystemConfig(roots=(str(tree),))
    whole = measure(config, context(tmp_path / "whole"))
    name = tree.name
    assert whole["complete"] and f"{tree.name} (148 files)" in whole["data"]["source"]
    assert len(whole["data"]["sha256"]) == 64
    assert whole["data"]["tables"] == [
        f"{name}-kind: 148 files of 3 classes",
        f"{name}-package: 144 files of 2 classes",
    ]
    assert [claim["id"] for claim in whole["claims"]] == [
        f"{name}-{table}-{model}"
        for table in ("kind", "package")
        for model in ("logistic", "majority")
    ]
    assert all(claim["holds"] is None for claim in whole["claims"])
    found = {key.removeprefix(name): value for key, value in whole["metrics"].items()}
    prefix = name.replace("-", "_")
    assert whole["metrics"][f"{prefix}_kind_majority_accuracy"] < 0.6
    assert whole["metrics"][f"{prefix}_package_logistic_accuracy"] > 0.9
    assert found["test_accuracy"] > 0.5
    step, stops = Jobs.step, {f"system-{name}-kind", f"system-{name}-package"}

    def stopping(phase: Jobs) -> list[Record]:
        if phase.name in stops and phase.position == 1:
            stops.remove(phase.name)
            signal.raise_signal(signal.SIGINT)
        return step(phase)

    monkeypatch.setattr(Jobs, "step", stopping)
    (tmp_path / "stopped").mkdir()
    catalog = (tmp_path / "whole" / f"{name}.parquet").read_bytes()
    (tmp_path / "stopped" / f"{name}.parquet").write_bytes(catalog)  # ages are those of a scan
    for _ in range(2):
        with pytest.raises(Interrupted):
            measure(config, context(tmp_path / "stopped"))
        (tree / "late.txt").write_text("came too late")
    again = measure(config, context(tmp_path / "stopped"))
    (tree / "late.txt").unlink()
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "stopped")
    assert again["data"] == whole["data"]


def test_default_roots_are_those_of_python_and_the_system() -> None:
    names = FilesSystemConfig().named_roots()
    assert "python" in names and set(names) <= {"python", "share"}
    assert FilesSystemConfig(roots=("/a/b", "/c")).named_roots() == {"b": "/a/b", "c": "/c"}
    assert FilesSystemConfig(roots=("/a/b", "/c/b")).named_roots() == {
        "b-0": "/a/b",
        "b-1": "/c/b",
    }
    assert list(FilesSystemConfig(roots=("/",)).named_roots()) == ["root"]


def test_bad_roots(tmp_path: Path, context: Callable[..., Context]) -> None:
    with pytest.raises(InputError, match=r"root is .*nowhere.*expected a folder with files"):
        measure(FilesSystemConfig(roots=(str(tmp_path / "nowhere"),)), context(tmp_path / "run"))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.txt").write_text("text")
    with pytest.raises(InputError, match="expected files of two kinds or packages, 10 of each"):
        measure(FilesSystemConfig(roots=(str(tmp_path / "one"),)), context(tmp_path / "run"))


@pytest.mark.parametrize("settings", [{"files": 0}, {"least": 0}, {"hidden": -1}])
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(settings))} is"):
        FilesSystemConfig(**settings)


def test_it_is_registered() -> None:
    experiment = find("files-system")
    assert resolved(experiment.config) is FilesSystemConfig
    assert experiment.data == "this machine's files, at hand"
