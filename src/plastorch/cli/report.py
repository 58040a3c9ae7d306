"""``plastorch report [RUNS]`` and ``plastorch report RUN RUN …``."""

from pathlib import Path

import tyro

from plastorch.cli.parse import parse
from plastorch.engine.errors import InputError


def report(arguments: list[str]) -> int:
    """Runs ``plastorch report [RUNS]`` or ``plastorch report RUN RUN …``."""

    def options(
        runs: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),), out: Path | None = None
    ) -> tuple[tuple[Path, ...], Path | None]:
        """Writes RUNS/index.html, a gallery, and a page per run; or a page that compares runs.

        Args:
            runs: folder of all runs; or run folders to compare, or folders of run folders.
            out: page that compares runs; default comparison.html, beside the run folders.
        """
        return runs, out

    runs, out = parse(options, "plastorch report", arguments)

    from plastorch.cli.run import say_where
    from plastorch.experiments.registry import panels_of
    from plastorch.report import write_comparison, write_gallery, write_report

    if len(runs) > 1:
        folders = [run for given in runs for run in _runs_in(given)]
        say_where("comparison", write_comparison(folders, out))
        return 0
    if out is not None:
        raise InputError(f"out is {str(out)!r}; expected none unless runs are compared")
    (given,) = runs or (Path("runs"),)
    if (given / "result.json").is_file():
        say_where("report", write_report(given, panels_of))
    else:
        say_where("gallery", write_gallery(given, panels_of))
    return 0


def _runs_in(folder: Path) -> list[Path]:
    """Returns a run folder itself, or those in the folder of an experiment."""
    if (folder / "result.json").is_file():
        return [folder]
    if folder.name == "comparison.html":  # of an earlier comparison, as in runs/EXPERIMENT/*
        return []
    found = sorted(result.parent for result in folder.glob("*/result.json"))
    if not found:
        raise InputError(f"{folder}: expected a run folder, or a folder of them; found no run")
    return found
