"""The command line: ``plastorch list | run | sweep | report | models | files | data | …``."""

import io
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import plastorch
from plastorch.cli.words import one_line
from plastorch.engine.errors import InputError, Interrupted, WorkerLost, check_one_of
from plastorch.engine.stops import handled
from plastorch.engine.torchrun import first_to_say

COLUMNS = 80
"""Width in columns of what is printed for reading."""

USAGE = """usage: plastorch COMMAND ...
       plastorch help [COMMAND]
       plastorch --version

commands:
  list                      every experiment: paper, data, expected figure, cost
  run EXPERIMENT [OPTIONS]  runs an experiment: a run folder, claims, a report
  sweep EXPERIMENT …        runs over values of settings and seeds, side by side
  report [RUNS]             writes a gallery (RUNS/index.html) and run pages
  report RUN RUN …          writes a page that compares runs
  models [NAME]             trained networks in the package, and their cards
  files VERB                classifies files by metadata: scan, fit, predict, …
  data status | get NAME    shows which data sets are at hand; downloads one
  bench [GROUP]             speed against peers, interleaved in one process
  completion SHELL          a completion script for bash, zsh or fish

plastorch help COMMAND shows a command's options; plastorch help run EXPERIMENT
shows an experiment's settings."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status (0 done, 1 claim fails, 2 bad input, 130 stopped)."""
    # OpenMP reads this when torch is loaded. By default, its idle threads spin for milliseconds on
    # cores that other threads need.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names need not be Unicode
            stream.reconfigure(errors="backslashreplace")
    with ExitStack() as ending:
        return _done(list(sys.argv[1:] if argv is None else argv), ending)


def _done(arguments: list[str], ending: ExitStack) -> int:
    """Runs a command; if it ends badly, prints why in one line."""

    def ended(why: str, status: int) -> int:
        # A stop from here on changes nothing, and a launcher may send one to other workers.
        ending.enter_context(handled(signal.SIG_IGN))
        if first_to_say(why):
            print(f"plastorch: {why}", file=sys.stderr, flush=True)
        return status

    try:
        return _run(arguments)
    except InputError as error:
        return ended(one_line(str(error)), 2)
    except (Interrupted, WorkerLost) as stop:
        return ended(f"stopped; {stop}", 130)
    except KeyboardInterrupt as again:  # perhaps while it was already stopping
        before = again.__context__
        known = isinstance(before, Interrupted | WorkerLost)
        return ended(f"stopped; {before}" if known else "stopped", 130)
    except BrokenPipeError:  # the reader has seen enough; the rest goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # such as an unreadable folder, or a name that is too long
        return ended(one_line(f"{error.filename or 'system'}: {error.strerror or error}"), 2)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate" not in str(error):
            raise
        return ended("out of memory; expected smaller settings, or a larger machine", 2)


def _run(arguments: list[str]) -> int:
    """Runs a command; returns its exit status."""
    if any("\0" in argument for argument in arguments):
        raise InputError("an argument has a NUL character; expected text")
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if arguments[0] == "--version":
        print("plastorch", plastorch.__version__)
        return 0
    check_one_of(COMMANDS, COMMAND=arguments[0])
    status = COMMANDS[arguments[0]](arguments[1:])
    sys.stdout.flush()  # the reader may be gone
    return status


def help_on(arguments: list[str]) -> int:
    """Runs ``plastorch help [COMMAND]``."""
    return _run([*arguments, "--help"])


def list_experiments(arguments: list[str]) -> int:
    """Runs ``plastorch list``."""
    from plastorch.data import CATALOG, data_root
    from plastorch.data.status import at_hand
    from plastorch.experiments.registry import broken, experiments

    @dataclass(frozen=True)
    class Options:
        """Lists every experiment: paper, data, expected figure, cost on two CPU cores.

        Args:
            data: data root; default PLASTORCH_DATA, else the user's cache folder.
        """

        data: Path | None = None

    options = Options()
    if arguments:  # tyro takes longer to import than all the rest
        from plastorch.cli.parse import parse

        options = parse(Options, "plastorch list", arguments)
    longest = max(map(len, experiments()))
    print("Costs are for two CPU cores; data is read from", data_root(options.data))
    for paper in dict.fromkeys(experiment.paper for experiment in experiments().values()):
        print(f"\n{textwrap.fill(paper, COLUMNS)}")
        for experiment in experiments().values():
            if experiment.paper != paper:
                continue
            needed = experiment.data or "generated, at hand"
            if needed in CATALOG:
                needed += f", {at_hand(CATALOG[needed], options.data)}"
            print(f"  {experiment.name:{longest}}  {experiment.cost:14}  {needed}")
            print(textwrap.indent(textwrap.fill(experiment.expected, COLUMNS - 6), " " * 6))
    for name, why in broken().items():
        print(f"\n{one_line(f'{name} cannot be loaded: {why}')}")
    return 0


def data(arguments: list[str]) -> int:
    """Runs ``plastorch data status | get NAME``."""
    import tyro

    from plastorch.cli.parse import parse
    from plastorch.data import data_root, download_images, image_set_status

    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "usage: plastorch data status [--data DIR]\n       plastorch data get NAME [--data DIR]"
        )
        return 0

    def status(data: Path | None = None) -> None:
        """Shows which data sets are at hand, where, and their files with checksums.

        Args:
            data: data root; default PLASTORCH_DATA, else the user's cache folder.
        """
        print(f"data root: {data_root(data)}")
        for row in image_set_status(data):
            print(f"\n{row.name}: {row.at_hand}, {row.where}")
            for file in row.files:
                print(f"  {file.name}  {file.size:,}  {file.check}")
            if not row.present:
                print(f"  {row.download}")

    def get(name: tyro.conf.Positional[str], data: Path | None = None) -> None:
        """Downloads a data set from its official site into the data root; shows its size first.

        Args:
            name: name of the data set, as listed by plastorch data status.
            data: data root; default PLASTORCH_DATA, else the user's cache folder.
        """
        print(f"{name}: {download_images(name, data)}")

    verbs: dict[str, Callable[..., None]] = {"status": status, "get": get}
    check_one_of(verbs, VERB=arguments[0])
    parse(verbs[arguments[0]], f"plastorch data {arguments[0]}", arguments[1:])
    return 0


def _later(name: str) -> Callable[[list[str]], int]:
    """Returns a command whose module, of the same name, is imported only when it runs."""

    def command(arguments: list[str]) -> int:
        status: int = getattr(import_module(f"plastorch.cli.{name}"), name)(arguments)
        return status

    return command


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": list_experiments,
    "run": _later("run"),
    "sweep": _later("sweep"),
    "report": _later("report"),
    "models": _later("models"),
    "files": _later("files"),
    "data": data,
    "bench": _later("bench"),
    "completion": _later("completion"),
    "help": help_on,
}
