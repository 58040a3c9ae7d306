"""``plastorch sweep EXPERIMENT``: runs over a grid of settings and seeds, side by side."""

import itertools
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, make_dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin, get_type_hints

import tyro

from plastorch.cli.kept_help import print_help
from plastorch.cli.parse import parse, titled
from plastorch.cli.run import described_experiments, named, unchecked
from plastorch.engine.errors import InputError, check_one_of

if TYPE_CHECKING:
    from plastorch.experiments.registry import Experiment

MOST_RUNS = 10_000
"""Largest number of runs in a sweep."""


@dataclass(frozen=True)
class SweepOptions:
    """Options of every sweep.

    Args:
        seeds: random seeds of each setting's runs, such as 0-9 or 0,3,5-7.
        out: folder of all runs; on a cluster, one that all machines share.
        data: data root; default PLASTORCH_DATA, else the user's cache folder.
        device: auto, cpu or cuda; with auto, each run has a GPU if there are any.
        quick: smoke runs of at most a minute; their figures are not results.
        resume: folder of a sweep to continue; its own settings apply.
        address: HOST:PORT of a Ray cluster that this machine is part of, or auto; without it, runs
            are processes on this machine, which need no Ray.
        cpus_per_run: number of CPUs per run; as many runs go at the same time as the CPUs allow.
        json: print a list of the finished runs' result.json, and nothing else on stdout.
    """

    seeds: str = "0"
    out: Path = Path("runs")
    data: Path | None = None
    device: str = "auto"
    quick: bool = False
    resume: Path | None = None
    address: str | None = None
    cpus_per_run: int = 1
    json: bool = False

    def __post_init__(self) -> None:
        if self.cpus_per_run < 1:
            raise InputError(f"cpus_per_run is {self.cpus_per_run}; expected 1 or more")
        check_one_of(("auto", "cpu", "cuda"), device=self.device)
        if self.data is not None and not self.data.is_dir():
            raise InputError(f"data is {str(self.data)!r}; expected a folder")


def sweep(arguments: list[str]) -> int:
    """Runs ``plastorch sweep EXPERIMENT``."""
    from plastorch.experiments.registry import find

    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: plastorch sweep EXPERIMENT [--FIELD A,B,…] [--seeds 0-9] [OPTIONS]\n")
        print(described_experiments())
        return 0
    experiment = find(arguments[0])
    if {"-h", "--help"} & set(arguments):
        parsed = partial(_parsed, experiment, arguments[1:])
        print_help(f"plastorch sweep {experiment.name}", experiment.config, parsed)
        return 0
    options, given = _parsed(experiment, arguments[1:])
    if options.resume is not None:
        planned = {"seeds", "quick", "no_quick", "device", "cpus_per_run"} & named(arguments)
        if given or planned:
            raise InputError(
                "resume continues a sweep as it was planned; expected no fields, and no "
                "--seeds, --quick, --device or --cpus-per-run"
            )
        return _resume(experiment.name, options)
    return _begin(experiment, options, given)


def grid_of(config: type[Any]) -> type[Any]:
    """Returns the experiment's settings as options that take several values, comma-separated.

    A setting with the name of an option of sweeps is called ``own-NAME``.
    """
    from plastorch.engine.sweep_plan import shown

    taken = {field.name for field in fields(SweepOptions)}
    options: list[tuple[str, Any, Any]] = []
    for field in fields(config):
        described = tyro.conf.arg(
            name=f"own-{field.name}" if field.name in taken else None,
            metavar="A,B,…",
            help_behavior_hint=f"(default: {shown(field.default)})",
        )
        options.append((field.name, Annotated[str | None, described], None))
    return unchecked(config, options)


def _parsed(
    experiment: "Experiment", arguments: list[str]
) -> tuple[SweepOptions, dict[str, list[Any]]]:
    """Parses the options, and the values of each field of the grid."""
    from plastorch.experiments.registry import resolved

    def both(options: SweepOptions, grid: Any) -> tuple[SweepOptions, Any]:
        return options, grid

    config = resolved(experiment.config)
    both.__annotations__["options"] = titled(SweepOptions, "sweep")
    both.__annotations__["grid"] = titled(grid_of(config), experiment.name)
    both.__doc__ = f"""Runs {experiment.name} for all combinations of values and seeds.

    A setting takes several values, separated by commas: --FIELD a,b,c.

    Each is written as for plastorch run; True or False for a switch.

    Lists are quoted: --FIELD "a b,c" is two lists, a b and c; --FIELD "" is an empty list.
    """
    prog = f"plastorch sweep {experiment.name}"
    options, grid = parse(both, prog, arguments)
    texts = {field.name: getattr(grid, field.name) for field in fields(grid)}
    given = {name: text for name, text in texts.items() if text is not None}
    return options, {name: _values(config, name, text, prog) for name, text in given.items()}


def _values(config: type[Any], name: str, text: str, prog: str) -> list[Any]:
    """Parses the values of a field, each as ``plastorch run`` would take it."""
    hint = get_type_hints(config, include_extras=True)[name]
    one: Any = make_dataclass("One", [(name, Annotated[hint, tyro.conf.FlagConversionOff])])
    values = []
    for value in text.split(","):
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise InputError(f"{name} is {text!r}: {error}") from None
        if not words and get_origin(hint) is not tuple:  # a list may be empty
            raise InputError(f"{name} is {text!r}; expected values separated by commas")
        option = f"--{name.replace('_', '-')}"
        found = getattr(parse(one, prog, [option, *words]), name)
        if found in values:
            raise InputError(f"{name} is {text!r}; expected each value once")
        values.append(found)
    return values


def _seeds(text: str) -> list[int]:
    """Returns the seeds of a text such as 0-9 or 0,3,5-7."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:-\s*(\d{1,19})\s*)?", part)
        if match is None:
            raise InputError(f"seeds is {text!r}; expected numbers such as 0-9 or 0,3,5-7")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise InputError(f"seeds is {text!r}; expected the lower one first: {last}-{first}")
        if last - first >= MOST_RUNS:
            raise InputError(f"seeds is {text!r}; expected at most {MOST_RUNS} seeds")
        if last >= 2**63:
            raise InputError(f"seeds is {text!r}; expected numbers below 2**63")
        found += range(first, last + 1)
    if len(set(found)) < len(found):
        raise InputError(f"seeds is {text!r}; expected each seed once")
    return found


def _begin(experiment: "Experiment", options: SweepOptions, given: dict[str, list[Any]]) -> int:
    from plastorch.cli.sweep_show import run_and_show
    from plastorch.engine.run import locked
    from plastorch.engine.sweep_plan import LOCK, Sweep
    from plastorch.experiments.registry import resolved
    from plastorch.experiments.run import settings

    seeds = _seeds(options.seeds)
    runs = len(seeds) * prod(map(len, given.values()))
    if runs > MOST_RUNS:
        raise InputError(f"the sweep has {runs:,} runs; expected at most {MOST_RUNS:,}")
    config = resolved(experiment.config)
    points = [
        settings(
            config(**dict(zip(given, values, strict=True))),
            seed=0,
            quick=options.quick,
            data=options.data,
            device=options.device,
            threads=options.cpus_per_run,
        )
        for values in itertools.product(*given.values())
    ]
    with _machines(options.address, options.cpus_per_run, options.device):
        planned = Sweep.create(
            options.out,
            experiment.name,
            fields=given,
            settings=points,
            seeds=seeds,
            cpus=options.cpus_per_run,
        )
        with locked(planned.path / LOCK):
            return run_and_show(planned, options.address, options.json)


def _resume(name: str, options: SweepOptions) -> int:
    from plastorch.cli.sweep_show import run_and_show, show
    from plastorch.engine.run import locked
    from plastorch.engine.sweep_plan import LOCK, Sweep

    path, address = options.resume, options.address
    assert path is not None
    planned = Sweep.load(path)
    if planned.experiment != name:
        raise InputError(
            f"resume is {str(path)!r}, a sweep of {planned.experiment}; expected one of {name}"
        )
    if not planned.waiting():
        return show(planned, options.json)
    device = planned.settings[0].get("device", "auto")
    with locked(path / LOCK), _machines(address, planned.cpus, device):
        return run_and_show(planned, address, options.json)


@contextmanager
def _machines(address: str | None, cpus: int, device: str) -> Iterator[None]:
    """Joins the Ray cluster, if any, and checks that runs have room."""
    from plastorch.engine.cluster import cluster, needs_ray
    from plastorch.experiments.trials import check_cpus, places

    if address is None:
        places(cpus, device)
        yield
        return
    needs_ray()
    with cluster(address):
        from plastorch.experiments.ray_trials import most_cpus

        check_cpus(cpus, most_cpus())
        yield
