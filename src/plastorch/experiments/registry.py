"""Experiments by name, found through the entry-point group ``plastorch.experiments``."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeVar

from plastorch.engine.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from plastorch.report import Panel, RunData

GROUP = "plastorch.experiments"
T = TypeVar("T")


@dataclass(frozen=True)
class Experiment:
    """An experiment as the command line lists, runs and reports it.

    ``config``, ``measure`` and ``panels`` may be given as text, ``"module:name"``: they are then
    imported when they are needed, so that listing the experiments imports no torch.

    Args:
        name: name of the experiment and of its entry point, as typed on the command line.
        paper: authors, year and title of the paper that the experiment tests.
        data: name of the data set, or where the data is from, in words, if it is not in
            ``plastorch data status``; None for an experiment that makes its own.
        expected: figure to expect, in words.
        cost: rough time on two cores, in words.
        config: frozen dataclass of the settings; all have defaults.
        measure: function that runs the experiment; takes a configuration and a
            :class:`~plastorch.experiments.context.Context`, writes
            ``result.json`` and returns its contents.
        panels: function from a run's data to the figures of its page; None for plain curves of the
            log.
        headline: metric that stands for the result on pages, and its name in words; None for the
            test accuracy or, without one, the first metric.
    """

    name: str
    paper: str
    data: str | None
    expected: str
    cost: str
    config: type[Any] | str
    measure: Callable[[Any, Any], dict[str, Any]] | str
    panels: "Callable[[RunData], list[Panel]] | str | None" = None
    headline: tuple[str, str] | None = None


def resolved(part: T | str) -> T:
    """Returns a part of an experiment, imported if it was given as ``"module:name"``."""
    return resolve_name(part) if isinstance(part, str) else part


@cache
def experiments() -> dict[str, Experiment]:
    """Returns all experiments that load, by name, in the order in which packages list them."""
    return {name: found for name, found in _loaded().items() if isinstance(found, Experiment)}


def broken() -> dict[str, str]:
    """Returns why an experiment of another package can't be loaded, by the experiment's name."""
    return {name: found for name, found in _loaded().items() if isinstance(found, str)}


def find(name: str) -> Experiment:
    """Returns the experiment with a name; for an unknown one, InputError suggests the nearest."""
    if name in broken():
        raise InputError(f"EXPERIMENT is {name!r}, which can't be loaded: {broken()[name]}")
    if name not in experiments():
        hint = did_you_mean(name, experiments()) or "; plastorch list shows all"
        raise InputError(f"EXPERIMENT is {name!r}; expected the name of an experiment{hint}")
    return experiments()[name]


def panels_of(run: "RunData") -> "list[Panel]":
    """Returns the figures of a run: those of its experiment, or plain curves."""
    from plastorch.report.panels import plain_curves

    experiment = experiments().get(str(run.result.get("experiment")))
    if experiment is None or experiment.panels is None:
        return plain_curves(run)
    return resolved(experiment.panels)(run)


@cache
def _loaded() -> dict[str, Experiment | str]:
    """Returns each entry point's experiment, or why there is none."""
    found: dict[str, Experiment | str] = {}
    for point in entry_points(group=GROUP):
        try:
            experiment = point.load()
        except Exception as error:  # whatever another package raises
            found[point.name] = f"{point.value}: {type(error).__name__}: {error}"
            continue
        if not isinstance(experiment, Experiment):
            found[point.name] = f"{point.value} is {type(experiment).__name__}; expected Experiment"
        elif experiment.name != point.name:
            found[point.name] = f"{point.value} calls itself {experiment.name!r}"
        else:
            found[point.name] = experiment
    return found
