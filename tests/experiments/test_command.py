"""What result.json says of how to repeat a run: the command line and the commit."""

import json
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from plastorch.experiments import command
from plastorch.experiments.context import Context
from plastorch.experiments.stpn.art import ArtConfig

EXPERIMENT = "stpn-art"


@pytest.fixture(autouse=True)
def forgotten() -> None:
    command.commit.cache_clear()


def test_a_started_run_says_how_to_repeat_it(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = ArtConfig(models=("stpn", "lstm"), epochs=3)
    context(tmp_path, seed=5).start(config, {"name": "made"}, {"other": "1"})
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["command"] == (
        "plastorch run stpn-art --models stpn lstm --epochs 3 --seed 5 --quick"
    )
    assert found["commit"].startswith(version("plastorch"))
    assert found["config"]["models"] == ["stpn", "lstm"] and found["data"] == {"name": "made"}
    assert found["versions"]["other"] == "1" and found["complete"] is False


def test_commit_is_that_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        line = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    (tmp_path / "command.py").write_text("")
    monkeypatch.setattr(command, "__file__", str(tmp_path / "command.py"))
    assert command.commit() == version("plastorch")  # not tracked: the repository of something else
    git("add", ".")
    git("commit", "-m", "first")
    command.commit.cache_clear()
    assert command.commit() == f"{version('plastorch')} {git('rev-parse', 'HEAD')}"
    (tmp_path / "command.py").write_text("changed")
    command.commit.cache_clear()
    assert command.commit().endswith("-dirty")


def test_without_git_the_version_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: Any, **options: Any) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    assert command.commit() == version("plastorch")


def test_options_are_words_as_one_types_them() -> None:
    assert command.option("on_off", False) == ["--no-on-off"]
    assert command.option("models", ["stpn", "lstm"]) == ["--models", "stpn", "lstm"]
