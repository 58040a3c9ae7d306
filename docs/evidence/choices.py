"""Settings that were chosen here, and the runs on held-out data by which they were."""

import tomllib
from dataclasses import fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from committed import configuration, results

from plastorch.experiments.command import command
from plastorch.experiments.registry import find, resolved


class Choice(NamedTuple):
    """Some settings of an experiment, and the figure by which they were chosen."""

    title: str
    experiment: str
    settings: list[str]
    metric: str
    """Figure of data that were held out from training; the highest mean over seeds is best, or the
    lowest."""
    where: dict[str, Any]
    """Settings of all runs that are not the default ones."""
    lowest: bool = False
    """Whether the lowest figure is best."""
    default: dict[str, Any] | None = None
    """Values that default settings of None stand for."""
    kept: str = ""
    """Why the default values are not the best ones, if they aren't."""
    seeds: list[int] | None = None
    """Seeds of the runs; the others are those of fresh runs, which were judged."""


class Point(NamedTuple):
    """Values of the settings, and what came out with them."""

    values: dict[str, Any]
    mean: float
    deviation: float
    seeds: list[int]
    default: bool


def choices() -> list[Choice]:
    """Returns all choices, from choices.toml."""
    text = (Path(__file__).parent / "choices.toml").read_text()
    return [Choice(**each) for each in tomllib.loads(text).get("choice", [])]


def points(choice: Choice) -> list[Point]:
    """Returns all values that were tried, the best first.

    Raises:
        LookupError: the default values were not tried, nothing else was, or not with equal seeds.
    """
    base = resolved(find(choice.experiment).config)(**choice.where)
    own = {name: getattr(base, name) for name in choice.settings}
    default = own | (choice.default or {})
    tried: dict[tuple[Any, ...], dict[int, float]] = {}
    for run in results().get(choice.experiment, []):
        config = configuration(run)
        other_seed = choice.seeds is not None and run["seed"] not in choice.seeds
        alike = _others(config, choice) == _others(base, choice)
        if choice.metric in run["metrics"] and alike and not other_seed:
            given = {name: getattr(config, name) for name in choice.settings}
            values = default if given == own else given
            tried.setdefault((*values.values(),), {})[run["seed"]] = run["metrics"][choice.metric]
    found = [
        _point(dict(zip(choice.settings, values, strict=True)), of, values == (*default.values(),))
        for values, of in tried.items()
    ]
    seeds = {tuple(point.seeds) for point in found}
    if len(found) < 2 or len(seeds) > 1 or not any(point.default for point in found):
        raise LookupError(f"{choice.title}: {len(found)} values were tried, with seeds {seeds}")
    return sorted(found, key=lambda point: point.mean, reverse=not choice.lowest)


def typed(choice: Choice) -> str:
    """Returns the command line of a run with the default values, without its seed."""
    return command(choice.experiment, resolved(find(choice.experiment).config)(**choice.where))


def _others(config: Any, choice: Choice) -> dict[str, Any]:
    """Returns the settings that were not tried out."""
    names = [each.name for each in fields(config) if each.compare]
    return {name: getattr(config, name) for name in names if name not in choice.settings}


def _point(values: dict[str, Any], measured: dict[int, float], default: bool) -> Point:
    figures = list(measured.values())
    deviation = stdev(figures) if len(figures) > 1 else 0.0
    return Point(values, fmean(figures), deviation, sorted(measured), default)
