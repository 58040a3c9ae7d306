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
    """Returns what to type to run an experiment with these settings.

    Args:
        experiment: name of the experiment.
        config: settings; those that are the default ones are omitted.
        seed: random seed.
        quick: whether it is a smoke run.

    Example:
        >>> from plastorch.experiments.softhebb.config import MnistConfig
        >>> command("softhebb-mnist", MnistConfig(preset="best", on_off=False), seed=3)
        'plastorch run softhebb-mnist --preset best --no-on-off --seed 3'
    """
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
    """Returns the words of a setting on the command line.

    Example:
        >>> option("on_off", False), option("models", ["stpn", "lstm"])
        (['--no-on-off'], ['--models', 'stpn', 'lstm'])
    """
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]


@cache
def commit() -> str:
    """Returns the version of plastorch, with the commit it was run from where that is known.

    A commit of files with changes that are not committed ends with ``-dirty``.
    """
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
