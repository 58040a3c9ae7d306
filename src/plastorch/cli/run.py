"""``plastorch run EXPERIMENT``."""

import contextlib
import json
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from plastorch.cli.kept_help import print_help
from plastorch.cli.parse import parse, titled
from plastorch.engine.errors import InputError, require

MARKS = {True: "✓", False: "✗", None: "–"}
"""Marks of a claim that holds, of one that doesn't, and of one that is not asserted."""
MOST_COLUMNS = 120
"""Maximum width of claims on a terminal."""
T = TypeVar("T")


@dataclass(frozen=True)
class RunOptions:
    """Options of every experiment.

    Args:
        seed: random seed.
        out: folder of all runs.
        data: data root; default PLASTORCH_DATA, else the user's cache folder.
        device: auto, cpu, or cuda[:N].
        quick: smoke run of at most a minute; its figures are not results.
        resume: run folder to continue; its own settings apply.
        strict: exit with status 1 if a claim that the experiment asserts does not hold.
        json: print result.json, with the claims, and nothing else on stdout.
        quiet: print the outcome and errors only, no progress.
        log: tensorboard to also write the metrics of metrics.jsonl as TensorBoard events, into the
            run's folder tensorboard.
    """

    seed: int = 0
    out: Path = Path("runs")
    data: Path | None = None
    device: str = "auto"
    quick: bool = False
    resume: Path | None = None
    strict: bool = False
    json: bool = False
    quiet: bool = False
    log: Literal["jsonl", "tensorboard"] = "jsonl"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; expected 0 or more, below 2**63")
        if self.log == "tensorboard":
            require("tensorboardX", "tensorboard")


def run(arguments: list[str]) -> int:
    """Runs ``plastorch run EXPERIMENT``."""
    from plastorch.engine.torchrun import joined
    from plastorch.experiments.registry import find, resolved

    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: plastorch run EXPERIMENT [OPTIONS]\n\n{described_experiments()}")
        return 0
    experiment = find(arguments[0])

    def parsed() -> tuple[RunOptions, Any]:
        return _parse_run(resolved(experiment.config), experiment.name, arguments[1:])

    if {"-h", "--help"} & set(arguments):
        print_help(f"plastorch run {experiment.name}", experiment.config, parsed)
        return 0
    options, config = parsed()
    with joined():
        if options.resume is None:
            return _run(_created(experiment.name, options, config), options)
        device = options.device if "device" in named(arguments) else None
        return _run(_resumed(experiment.name, options.resume), options, device)


def _created(name: str, options: RunOptions, config: Any) -> Any:
    """Creates a new run folder."""
    import torch

    from plastorch.engine.device import select_device
    from plastorch.engine.distributed import from_first
    from plastorch.engine.run import RunFolder
    from plastorch.engine.torchrun import run_folder
    from plastorch.experiments.run import settings

    select_device(options.device)  # before a folder is made
    threads = torch.get_num_threads()
    given = settings(
        config,
        seed=options.seed,
        quick=options.quick,
        data=options.data,
        device=options.device,
        threads=threads,
    )

    def create() -> Path:
        return RunFolder.create(options.out, name, given).path

    return RunFolder(from_first(lambda: run_folder(create)))


def described_experiments() -> str:
    """Returns a line for each experiment, and where there is more to know."""
    from plastorch.experiments.registry import experiments

    longest = max(map(len, experiments()))
    lines = [
        f"  {name:{longest}}  {textwrap.shorten(found.expected, 76 - longest, placeholder=' …')}"
        for name, found in experiments().items()
    ]
    return "\n".join(["experiments:", *lines, "", "plastorch list shows papers, data and costs."])


def _run(folder: Any, options: RunOptions, device: str | None = None) -> int:
    from plastorch.engine.distributed import from_first, worker
    from plastorch.experiments.run import run_or_resume

    with contextlib.ExitStack() as kept:
        if options.quiet:
            nowhere = kept.enter_context(open(os.devnull, "w"))
            kept.enter_context(contextlib.redirect_stderr(nowhere))
        if options.log == "tensorboard" and worker() == 0:
            from plastorch.engine.tensorboard import events_to

            folder.also_log = kept.enter_context(events_to(folder.path / "tensorboard"))
        console = Console(stderr=True, quiet=worker() > 0)
        where = f"{folder.config['experiment']}: run folder {folder.path}"
        console.print(where, highlight=False, markup=False)
        result = run_or_resume(
            folder, lambda text: notice(console, text), data=options.data, device=device
        )
    return from_first(lambda: _report(folder.path, result, options))


def _report(folder: Path, result: dict[str, Any], options: RunOptions) -> int:
    """Writes a run's page, shows its claims, and returns the exit status."""
    from plastorch.experiments.registry import panels_of
    from plastorch.report import write_report

    page = write_report(folder, panels_of)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        if options.quiet and (reduced := result["data"].get("notice")):
            notice(Console(stderr=True), reduced)
        _show(result)
        say_where("report", page)
    fails = any(claim["holds"] is False for claim in result["claims"])
    return 1 if fails and options.strict else 0


def _parse_run(config: type[T], name: str, arguments: list[str]) -> tuple[RunOptions, T]:
    """Parses options and settings; presets leave settings alone that were given explicitly."""

    def both(options: RunOptions, settings: Any) -> tuple[RunOptions, Any]:
        return options, settings

    both.__annotations__["options"] = titled(RunOptions, "run")
    both.__annotations__["settings"] = titled(unchecked(config), name)
    both.__doc__ = f"Runs {name}: progress, a run folder, claims and a report page."
    prog = f"plastorch run {name}"
    options, found = parse(both, prog, arguments)
    names = named(arguments)
    given = {
        field.name: getattr(found, field.name)
        for field in fields(found)
        if {field.name, f"no_{field.name}"} & names
    }
    try:
        return options, config(**given)
    except InputError as error:
        raise InputError(f"{error}; see {prog} --help") from None


def named(arguments: Iterable[str]) -> set[str]:
    """Returns the names of options that were given, as ``--NAME VALUE`` or ``--NAME=VALUE``."""
    words = (word for word in arguments if word.startswith("--"))
    return {word[2:].partition("=")[0].replace("-", "_") for word in words}


def unchecked(config: type[Any], options: Iterable[tuple[str, Any, Any]] = ()) -> type[Any]:
    """Returns a subclass of settings that takes any values and keeps the help of each field.

    ``options`` are fields that replace others: names, types and defaults.
    """
    own = {"__doc__": config.__doc__, "__post_init__": lambda self: None}
    return make_dataclass("Unchecked", options, bases=(config,), namespace=own, frozen=True)


def _resumed(name: str, path: Path) -> Any:
    from plastorch.engine.run import RunFolder

    folder = RunFolder(path)
    experiment = folder.config["experiment"]
    if experiment != name:
        raise InputError(
            f"resume is {str(path)!r}, a run of {experiment}; expected a run of {name}"
        )
    return folder


def _show(result: dict[str, Any]) -> None:
    """Prints the headline of a finished run and, unless it is a smoke run, a line per claim."""
    from plastorch.report.format import NBSP, bound, headline, headline_words, measure, verdict

    if head := headline(result["metrics"]):
        shown = f"{headline_words(result)} {measure(*head)}".replace(NBSP, " ")
        print(f"{shown}, {result['wall_s']:.0f} s, seed {result['seed']}")
    if not result["claims"] or result["quick"]:
        return
    if all(claim["holds"] is None for claim in result["claims"]):
        print("no claim is asserted with these settings and data; the report lists all claims")
        return
    console = Console()
    table = Table(box=None, pad_edge=False, width=min(console.width, MOST_COLUMNS))
    table.add_column("claim", no_wrap=True, ratio=1)
    for heading in ("target", "measured", ""):
        table.add_column(heading, no_wrap=True)
    for claim in result["claims"]:
        name = f"{claim['id']} {claim['statement']}"
        figures = bound(claim), measure(name, claim["measured"]), MARKS[claim["holds"]]
        table.add_row(Text(claim["statement"]), *(each.replace(NBSP, " ") for each in figures))
    console.print(table)
    print(f"{verdict(result['claims'])}; see the report")


def plain_table(rows: Sequence[Sequence[str]]) -> Table:
    """Returns a table without lines; the first row is its heading."""
    table = Table(box=None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def say_where(kind: str, page: Path) -> None:
    """Prints where a page is, and what is missing if its figures can't be drawn."""
    from plastorch.report import NO_FIGURES, can_draw

    print(f"{kind}: {page.resolve()}")
    if not can_draw():
        notice(Console(stderr=True), NO_FIGURES)


def notice(console: Console, text: str) -> None:
    """Prints a line that stands out."""
    console.print(Text.assemble(("NOTE", "bold yellow"), f" {text}"), highlight=False)
