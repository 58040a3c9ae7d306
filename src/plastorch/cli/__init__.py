"""The command line: ``plastorch list | run | report | files | data | bench | completion``."""

import contextlib
import dataclasses
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

from plastorch.cli.completion import completion
from plastorch.cli.files import files
from plastorch.cli.parse import nearest, one_line, parse
from plastorch.engine.errors import InputError

T = TypeVar("T")

COLUMNS = 80
"""Of what is printed for reading."""

USAGE = """usage: plastorch COMMAND ...

commands:
  list                      every experiment: paper, data, expected figure, cost
  run EXPERIMENT [OPTIONS]  runs it: progress, a run folder, a table of claims
  report [RUNS]             RUNS/index.html: a gallery, and a page per run
  files VERB                scan, fit, predict, watch, show: files by metadata
  data status | get NAME    which data sets are at hand, and where
  bench [GROUP]             speed against peers, interleaved in one process
  completion SHELL          for bash, zsh or fish: completes what is typed

plastorch COMMAND --help says more; run EXPERIMENT --help lists its settings."""


@dataclass(frozen=True)
class RunOptions:
    """Options of every experiment.

    Args:
        seed: of everything random.
        out: folder of all runs.
        data: data root; default PLASTORCH_DATA, else the user's cache folder.
        device: auto, cpu, or cuda[:N].
        quick: smoke run of at most a minute, never a source of figures.
        resume: run folder to go on with; its own settings apply.
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
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; expected 0 or more")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status (0 done, 1 claim fails, 2 bad input, 130 stopped)."""
    from plastorch.engine.distributed import WorkerLost
    from plastorch.engine.loop import Interrupted

    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            print(USAGE)
            return 0
        if arguments[0] not in COMMANDS:
            raise InputError(f"COMMAND is {arguments[0]!r}; {nearest(arguments[0], COMMANDS)}")
        with _terminated_as_interrupted():
            return COMMANDS[arguments[0]](arguments[1:])
    except InputError as error:
        return _ended(one_line(str(error)), 2)
    except (Interrupted, WorkerLost) as stop:
        return _ended(f"stopped; {stop}", 130)
    except KeyboardInterrupt:
        return _ended("stopped", 130)
    except BrokenPipeError:  # who reads has seen enough; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _ended(why: str, status: int) -> int:
    """Says why a command ended; of several workers, one does."""
    from plastorch.engine.job import first_to_say

    if first_to_say(why):
        print(f"plastorch: {why}", file=sys.stderr, flush=True)
    return status


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: what it has begun is put away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(arguments: list[str]) -> int:
    """``plastorch run EXPERIMENT``."""
    from plastorch.engine.job import joined
    from plastorch.experiments import EXPERIMENTS, find

    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: plastorch run EXPERIMENT [OPTIONS]\n\nexperiments:")
        print("\n".join(f"  {name}" for name in EXPERIMENTS))
        return 0
    experiment = find(arguments[0])
    options, config = _parse_run(experiment.config, experiment.name, arguments[1:])
    with joined():
        if options.resume is None:
            return _run(experiment, options, config)
        return _resume(experiment, options, options.resume, "--device" in arguments)


def _resume(experiment: Any, options: RunOptions, path: Path, other_device: bool) -> int:
    folder, settings = _resumed(experiment.name, path)
    fields = {field.name for field in dataclasses.fields(experiment.config)}
    lost = fields - settings.keys()
    if lost:
        raise InputError(f"{folder.path}/config.json lacks {sorted(lost)[0]!r}")
    config = experiment.config(**{name: settings[name] for name in fields})
    options = dataclasses.replace(
        options,
        seed=settings["seed"],
        quick=settings["quick"],
        data=options.data or (Path(settings["data"]) if settings.get("data") else None),
        device=options.device if other_device else settings["device"],
    )
    return _run(experiment, options, config, folder)


def _run(experiment: Any, options: RunOptions, config: Any, folder: Any = None) -> int:
    import torch

    from plastorch.engine.device import flush_denormals, keep_freed_memory, select_device
    from plastorch.engine.distributed import WorkerLost, from_first, worker
    from plastorch.engine.job import run_folder
    from plastorch.engine.loop import Interrupted
    from plastorch.engine.run import RunFolder
    from plastorch.experiments.session import Session

    keep_freed_memory()
    flush_denormals()
    device = select_device(options.device)
    if folder is None:
        settings = {
            **dataclasses.asdict(config),
            "seed": options.seed,
            "quick": options.quick,
            "data": str(options.data.resolve()) if options.data else None,
            "device": options.device,
            "threads": torch.get_num_threads(),
        }

        def create() -> Path:
            return RunFolder.create(options.out, experiment.name, settings).path

        folder = RunFolder(from_first(lambda: run_folder(create)))
    else:
        torch.set_num_threads(folder.config["threads"])
    console = Console(stderr=True, quiet=worker() > 0)
    session = Session(
        folder, options.seed, device, options.data, options.quick, lambda t: _notice(console, t)
    )
    console.print(f"{experiment.name}: run folder {folder.path}", highlight=False)
    with folder.alone():
        try:
            result = experiment.measure(config, session)
        except (Interrupted, KeyboardInterrupt, WorkerLost) as stop:
            lost = f"{stop}; " if isinstance(stop, WorkerLost) else ""
            raise Interrupted(
                f"{lost}go on with: plastorch run {experiment.name} --resume {folder.path}"
            ) from None
        except InputError:
            folder.discard_if_empty()
            raise
    return from_first(lambda: _report(folder.path, result, options.strict))


def _report(folder: Path, result: dict[str, Any], strict: bool) -> int:
    """Writes a run's page, shows its claims, returns the exit status."""
    from plastorch.report import write_report

    page = write_report(folder)
    _show(result)
    print(f"report: {page.resolve()}")
    fails = any(claim["holds"] is False for claim in result["claims"])
    return 1 if fails and strict else 0


def list_experiments(arguments: list[str]) -> int:
    """``plastorch list``."""
    from plastorch.data import CATALOGUE, data_root
    from plastorch.data.images import find_set
    from plastorch.experiments import EXPERIMENTS

    @dataclass(frozen=True)
    class Options:
        """Every experiment: paper, data, expected figure, cost on two cores, data at hand.

        Args:
            data: data root; default PLASTORCH_DATA, else the user's cache folder.
        """

        data: Path | None = None

    options = parse(Options, "plastorch list", arguments)
    root = data_root(options.data)
    longest = max(map(len, EXPERIMENTS))
    print("Costs are those of two CPU cores; data is read from", root)
    for paper in dict.fromkeys(experiment.paper for experiment in EXPERIMENTS.values()):
        print(f"\n{textwrap.fill(paper, COLUMNS)}")
        for experiment in EXPERIMENTS.values():
            if experiment.paper != paper:
                continue
            here, name = "at hand", experiment.data or "generated"
            if experiment.data and not find_set(CATALOGUE[experiment.data], root):
                here = "6,000 of it at hand" if experiment.data == "mnist" else "not at hand"
            cost = f"{experiment.cost:14}"
            print(f"  {experiment.name:{longest}}  {cost}  {name}, {here}")
            print(textwrap.indent(textwrap.fill(experiment.expected, COLUMNS - 6), " " * 6))
    return 0


def report(arguments: list[str]) -> int:
    """``plastorch report [RUNS]``."""
    from plastorch.report import write_gallery

    def options(runs: tyro.conf.Positional[Path] = Path("runs")) -> Path:
        """Writes RUNS/index.html, a gallery, and the page of every run.

        Args:
            runs: folder of all runs.
        """
        return runs

    print(f"gallery: {write_gallery(parse(options, 'plastorch report', arguments)).resolve()}")
    return 0


def data(arguments: list[str]) -> int:
    """``plastorch data status | get NAME``."""
    from plastorch.data import data_root, download_images, image_set_status

    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "usage: plastorch data status [--data DIR]\n       plastorch data get NAME [--data DIR]"
        )
        return 0

    def status(data: Path | None = None) -> None:
        """Which data sets are at hand, where, with checksums.

        Args:
            data: data root; default PLASTORCH_DATA, else the user's cache folder.
        """
        print(f"data root: {data_root(data)}")
        for row in image_set_status(data):
            print(f"\n{row.name}: {'at hand' if row.present else 'not at hand'}, {row.where}")
            for file in row.files:
                print(f"  {file.name}  {file.size:,}  {file.check}")
            if not row.present:
                print(f"  {row.download}")

    def get(name: tyro.conf.Positional[str], data: Path | None = None) -> None:
        """Downloads a data set from its official site into the data root.

        Args:
            name: of the data set, as plastorch data status lists it.
            data: data root; default PLASTORCH_DATA, else the user's cache folder.
        """
        print(f"{name}: {download_images(name, data)}")

    verbs: dict[str, Callable[..., None]] = {"status": status, "get": get}
    if arguments[0] not in verbs:
        raise InputError(f"data is given {arguments[0]!r}; {nearest(arguments[0], verbs)}")
    parse(verbs[arguments[0]], f"plastorch data {arguments[0]}", arguments[1:])
    return 0


def bench(arguments: list[str]) -> int:
    """``plastorch bench [GROUP]``."""
    from plastorch.bench import run_group

    def options(
        group: tyro.conf.Positional[
            Literal["softhebb", "stpn", "spiking", "files", "rank", "efference"]
        ] = "softhebb",
        out: Path | None = None,
    ) -> None:
        """Speed against peers, interleaved in one process; ratio = peer / ours, medians.

        Args:
            group: what to measure.
            out: file for the rows; default benchmarks/results/bench-GROUP.json.
        """
        run_group(group, out or Path(f"benchmarks/results/bench-{group}.json"), print)

    parse(options, "plastorch bench", arguments)
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": list_experiments,
    "run": run,
    "report": report,
    "files": files,
    "data": data,
    "bench": bench,
    "completion": completion,
}


def _parse_run(config: type[T], name: str, arguments: list[str]) -> tuple[RunOptions, T]:
    def both(options: RunOptions, settings: Any) -> tuple[RunOptions, Any]:
        return options, settings

    both.__annotations__["settings"] = config
    both.__doc__ = f"Runs {name}: progress, a run folder, claims and a report page."
    return parse(both, f"plastorch run {name}", arguments)


def _resumed(name: str, path: Path) -> tuple[Any, dict[str, Any]]:
    from plastorch.engine.run import RunFolder

    folder = RunFolder(path)
    settings = folder.config
    if settings["experiment"] != name:
        raise InputError(
            f"resume is {str(path)!r}, a run of {settings['experiment']}; expected one of {name}"
        )
    return folder, settings


def _show(result: dict[str, Any]) -> None:
    """Headline and claims of a finished run."""
    accuracy = result["metrics"].get("test_accuracy")
    if accuracy is not None:
        print(f"test accuracy {accuracy:.2%}, {result['wall_s']:.0f} s, seed {result['seed']}")
    if not result["claims"]:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("claim", "from", "target", "measured", "holds"):
        table.add_column(heading, overflow="fold")
    words = {True: "yes", False: "NO", None: "not asserted"}
    for claim in result["claims"]:
        figures = f"{claim['target']:.4g}", f"{claim['measured']:.4g}"
        table.add_row(claim["statement"], claim["origin"], *figures, words[claim["holds"]])
    Console().print(table)


def _notice(console: Console, text: str) -> None:
    console.print(f"[bold yellow]NOTE[/] {text}", highlight=False)
