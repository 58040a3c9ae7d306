"""Command line that repeats a run, and the version of the code that ran."""

import shlex
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plastorch.experiments.preset_defaults import Settings

_FIRST = ("preset", "dataset")
"""Settings on which defaults of others depend."""


def command(experiment: str, config: Settings, seed: int = 0, quick: bool = False) -> str:
    """Returns the command line that runs an experiment with these settings, without defaults."""
    values = config.plain()
    known = {name: values[name] for name in _FIRST if name in values}
    default = type(config)().plain()
    expected = type(config)(**known).plain() | {name: default[name] for name in known}
    words = ["plastorch", "run", experiment]
    for name in (*known, *(name for name in values if name not in known)):
        if values[name] != expected[name]:
            words += option(name, values[name])
    words += ["--seed", str(seed)] if seed else []
    return shlex.join(words + (["--quick"] if quick else []))


def option(name: str, value: Any) -> list[str]:
    """Returns the words of a setting on the command line, such as ``--models stpn lstm``."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]


@cache
def commit() -> str:
    """Returns plastorch's version and, if known, its commit: ``-dirty`` if files are changed."""
    try:
        _git("ls-files", "--error-unmatch", __file__)  # another repository's files are not ours
        found = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return version("plastorch")
    return f"{version('plastorch')} {found}"


def _git(*arguments: str) -> str:
    git = ["git", "-C", str(Path(__file__).parent), *arguments]
    found = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    return found.stdout.strip()
