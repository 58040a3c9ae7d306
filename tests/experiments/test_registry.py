"""Experiments of other packages, found through their entry points."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plastorch.cli import main
from plastorch.engine.errors import InputError
from plastorch.experiments.registry import broken, experiments, find, resolved

TINY = '''
from dataclasses import dataclass

from plastorch.experiments.registry import Experiment


@dataclass(frozen=True)
class Config:
    """Settings.

    Args:
        size: number to give back.
    """

    size: int = 3


def measure(config, context):
    found = {
        "experiment": "tiny",
        "config": {"size": config.size},
        "data": {},
        "seed": context.seed,
        "metrics": {"size": config.size},
        "claims": [
            {
                "id": "large",
                "statement": "the number",
                "target": 10,
                "measured": config.size,
                "holds": config.size >= 10,
                "origin": "ours",
                "relation": ">=",
                "tolerance": 0.0,
            }
        ],
        "wall_s": 0.0,
        "quick": context.quick,
        "complete": True,
    }
    context.run.write_result(found)
    return found


def panels(run):
    from matplotlib.figure import Figure

    from plastorch.report import Panel

    return [Panel("tiny", "A figure of its own", "Nothing.", "Nothing.", lambda theme: Figure())]


TINY = Experiment(
    "tiny", "Nobody 2026, Tiny", None, "nothing", "1 s", Config, measure, "tiny_package:panels"
)
'''


def package(folder: Path, module: str, text: str, name: str, value: str) -> None:
    """Installs a package with one module and one experiment."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[plastorch.experiments]\n{name} = {value}\n")
    (info / "RECORD").write_text("")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    package(folder, "tiny_package", TINY, "tiny", "tiny_package:TINY")
    fails = 'raise RuntimeError("first line\\nsecond line")'
    package(folder, "broken_package", fails, "shattered", "broken_package:SHATTERED")
    package(folder, "number_package", "NUMBER = 3", "number", "number_package:NUMBER")
    alias = "from tiny_package import TINY as OTHER"
    package(folder, "alias_package", alias, "alias", "alias_package:OTHER")
    return folder


def python(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def cli(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return python(site, "-m", "plastorch", *arguments)


def test_an_experiment_of_another_package_runs(site: Path, tmp_path: Path) -> None:
    ran = cli(site, "run", "tiny", "--size", "5", "--out", str(tmp_path))
    assert ran.returncode == 0, ran.stderr  # without --strict, even if a claim doesn't hold
    assert "0 of 1 asserted claims hold" in ran.stdout
    (folder,) = (tmp_path / "tiny").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["experiment"] == "tiny" and result["metrics"]["size"] == 5
    assert "A figure of its own" in (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    assert cli(site, "report", str(tmp_path)).returncode == 0
    assert "A figure of its own" in (folder / "report.html").read_text()


def test_packages_that_fail_are_named_and_hide_no_other(site: Path) -> None:
    shown = cli(site, "list")
    assert shown.returncode == 0 and not shown.stderr
    lines = shown.stdout.splitlines()
    assert "Nobody 2026, Tiny" in lines
    assert any(line.split()[:2] == ["tiny", "1"] for line in lines)
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in experiments())
    for name, why in {
        "shattered": "RuntimeError: first line",
        "number": "number_package:NUMBER is int; expected Experiment",
        "alias": "alias_package:OTHER calls itself 'tiny'",
    }.items():
        (line,) = (line for line in lines if line.startswith(name))
        assert why in line


@pytest.mark.parametrize("name", ["shattered", "number", "alias"])
def test_an_experiment_that_fails_to_load_is_refused(name: str, site: Path, tmp_path: Path) -> None:
    ran = cli(site, "run", name, "--out", str(tmp_path))
    assert ran.returncode == 2 and not ran.stdout
    (line,) = ran.stderr.splitlines()
    assert f"EXPERIMENT is {name!r}, which can't be loaded: " in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"]], ids=" ".join)
def test_what_is_only_listed_imports_no_torch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from plastorch.cli import main; "
        f"main({arguments}); print('torch' in sys.modules)"
    )
    shown = python(tmp_path, "-c", code)
    assert shown.stdout.splitlines()[-1:] == ["False"], shown.stderr


def test_every_experiment_of_ours_loads() -> None:
    assert not broken()
    for name, experiment in experiments().items():
        assert experiment.name == name
        assert resolved(experiment.config)() and callable(resolved(experiment.measure))
        assert experiment.panels is None or callable(resolved(experiment.panels))


def test_the_list_tells_where_the_data_of_each_experiment_is_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sets of the catalog, sets in a package, this machine's files, or nothing but a generator."""
    assert main(["list"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    told = {line.split()[0]: line for line in lines if line.split()[0] in experiments()}
    generated = {name for name, line in told.items() if line.endswith("generated, at hand")}
    assert {"rank-toy", "fstdp-synthetic"} <= generated
    assert not generated & {"rank-series", "files-system", "rank-mnist"}
    assert told["rank-series"].endswith("UCR sets, in the package aeon")
    assert told["files-system"].endswith("this machine's files, at hand")
    assert "mnist, " in told["rank-mnist"]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="softhebb-mnist"):
        find("softheb-mnist")
