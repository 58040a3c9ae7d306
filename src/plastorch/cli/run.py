"""``plastorch run EXPERIMENT``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from plastorch.cli.parse import parse, titled
from plastorch.engine.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class RunOptions:
    """Options of every experiment.

    Args:
        seed: random seed.
        out: folder of all runs.
        data: data root; default PLASTORCH_DATA, else the user's cache folder.
        device: auto, cpu, or cuda[:N].
        quick: smoke run of at most a minute, never a source of figures.
        resume: run folder to continue; its own settings apply.
        strict: exit with status 1 if a claim that the experiment asserts does not hold.
    """

    seed: int = 0
    out: Path = Path("runs")
    data: Path | None = None
    device: str = "auto"
    quick: bool = False
    resume: Path | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; expected 0 or more, below 2**63")


def run(arguments: list[str]) -> int:
    """Runs ``plastorch run EXPERIMENT``."""
    from plastorch.engine.torchrun import joined
    from plastorch.experiments.registry import experiments, find, resolved

    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: plastorch run EXPERIMENT [OPTIONS]\n\nexperiments:")
        print("\n".join(f"  {name}" for name in experiments()))
        return 0
    experiment = find(arguments[0])
    options, config = _parse_run(resolved(experiment.config), experiment.name, arguments[1:])
    with joined():
        if options.resume is None:
            return _run(_created(experiment.name, options, config), options)
        device = options.device if "--device" in arguments else None
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


def _run(folder: Any, options: RunOptions, device: str | None = None) -> int:
    from plastorch.engine.distributed import from_first, worker
    from plastorch.experiments.run import run_or_resume

    console = Console(stderr=True, quiet=worker() > 0)
    where = f"{folder.config['experiment']}: run folder {folder.path}"
    console.print(where, highlight=False, markup=False)
    result = run_or_resume(
        folder, lambda text: notice(console, text), data=options.data, device=device
    )
    return from_first(lambda: _report(folder.path, result, options.strict))


def _report(folder: Path, result: dict[str, Any], strict: bool) -> int:
    """Writes a run's page, shows its claims, and returns the exit status."""
    from plastorch.experiments.registry import panels_of
    from plastorch.report import write_report

    page = write_report(folder, panels_of)
    _show(result)
    say_where("report", page)
    fails = any(claim["holds"] is False for claim in result["claims"])
    return 1 if fails and strict else 0


def _parse_run(config: type[T], name: str, arguments: list[str]) -> tuple[RunOptions, T]:
    """Parses options and settings; presets leave settings alone that were given explicitly."""

    def both(options: RunOptions, settings: Any) -> tuple[RunOptions, Any]:
        return options, settings

    both.__annotations__["options"] = titled(RunOptions, "run")
    both.__annotations__["settings"] = titled(unchecked(config), name)
    both.__doc__ = f"Runs {name}: progress, a run folder, claims and a report page."
    prog = f"plastorch run {name}"
    options, found = parse(both, prog, arguments)
    words = {word.partition("=")[0].replace("_", "-") for word in arguments}
    given = {
        field.name: getattr(found, field.name)
        for field in fields(found)
        if {f"--{prefix}{field.name.replace('_', '-')}" for prefix in ("", "no-")} & words
    }
    try:
        return options, config(**given)
    except InputError as error:
        raise InputError(f"{error}; see {prog} --help") from None


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
        raise InputError(f"resume is {str(path)!r}, a run of {experiment}; expected one of {name}")
    return folder


def _show(result: dict[str, Any]) -> None:
    """Prints headline and claims of a finished run."""
    accuracy = result["metrics"].get("test_accuracy")
    if accuracy is not None:
        print(f"test accuracy {accuracy:.2%}, {result['wall_s']:.0f} s, seed {result['seed']}")
    if not result["claims"]:
        return
    rows = [["claim", "from", "target", "measured", "holds"]]
    words = {True: "yes", False: "NO", None: "not asserted"}
    for claim in result["claims"]:
        figures = f"{claim['target']:.4g}", f"{claim['measured']:.4g}"
        rows.append([claim["statement"], claim["origin"], *figures, words[claim["holds"]]])
    Console().print(plain_table(rows))


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
