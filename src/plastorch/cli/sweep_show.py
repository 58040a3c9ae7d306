"""A sweep on the terminal: a line per finished run, a bar, and the table of its settings."""

import json
from collections.abc import Generator, Iterable
from contextlib import closing

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from plastorch.cli.run import notice, plain_table, say_where
from plastorch.engine.errors import Interrupted
from plastorch.engine.stops import resumable
from plastorch.engine.sweep_plan import Sweep, Trial


def run_and_show(sweep: Sweep, address: str | None, as_json: bool) -> int:
    """Runs the rest of a sweep, and returns the exit status; Interrupted says how to resume."""
    where = f" --address {address}" if address else ""
    console = Console(stderr=True)
    with _progress(console) as progress:
        waiting = sweep.waiting()
        console.print(
            f"{sweep.experiment}: sweep folder {sweep.path}, {len(sweep.trials)} runs",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        done = len(sweep.trials) - len(waiting)
        task = progress.add_task("runs", total=len(sweep.trials), completed=done)
        how = f"resume with: plastorch sweep {sweep.experiment} --resume {sweep.path}{where}"
        try:
            with resumable(how), closing(_ended(sweep, waiting, address)) as trials:
                for number, failed in trials:
                    trial = sweep.trials[number]
                    sweep.failed.pop(trial.run, None)
                    if failed:
                        sweep.failed[trial.run] = failed
                    sweep.write()
                    line = _told(sweep, trial)
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
                    progress.advance(task)
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted(how) from None
    return show(sweep, as_json)


def _ended(
    sweep: Sweep, waiting: Iterable[int], address: str | None
) -> Generator[tuple[int, str], None, None]:
    """Runs trials, and yields each as it ends, with the reason if it failed."""
    from plastorch.experiments import ray_trials, trials

    if address is None:
        return trials.run_here(sweep, waiting)
    return ray_trials.run_on_ray(sweep, waiting)


def show(sweep: Sweep, as_json: bool) -> int:
    """Prints the table of a sweep or its results, writes its page, and returns the exit status."""
    from plastorch.experiments.registry import panels_of
    from plastorch.report import write_sweep
    from plastorch.report.sweep_table import lines_of, result_of, table

    page = write_sweep(sweep.path, panels_of)
    lines = lines_of(sweep)
    for text in dict.fromkeys(text for line in lines for text in line.notices):
        notice(Console(stderr=True), text)
    if as_json:
        found = (result_of(sweep, trial) for trial in sweep.trials)
        print(json.dumps([result for result in found if result is not None], indent=1))
    else:
        Console().print(plain_table(table(lines)))
        for trial in sweep.trials:
            if trial.run in sweep.failed and sweep.folder(trial).finished() is None:
                print(_told(sweep, trial))
        say_where("report", page)
    return 1 if sweep.waiting() else 0


def _told(sweep: Sweep, trial: Trial) -> str:
    """Describes the outcome of a run in a line."""
    from plastorch.report.format import duration, headline, measure, plain
    from plastorch.report.sweep_figure import words_of
    from plastorch.report.sweep_table import result_of

    name = words_of({**sweep.values(trial), "seed": trial.seed})
    result = result_of(sweep, trial)
    if result is None:
        return f"{name}: failed: {sweep.failed.get(trial.run, 'no result')}"
    head = headline(result["metrics"])
    found = f"{plain(head[0])} {measure(*head)}, " if head else ""
    return f"{name}: {found}{duration(result['wall_s'])}, {sweep.folder(trial).path}"


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)
