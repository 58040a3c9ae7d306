"""Writes report.html of a run folder, and index.html of a folder of runs."""

import contextlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path, PurePath

from plastorch.engine.errors import InputError
from plastorch.engine.output import WriteError, write_atomically
from plastorch.engine.run import refuse_links
from plastorch.engine.sweep_plan import FOLDER, PLAN, Sweep
from plastorch.report import charts
from plastorch.report.gallery import Card, SweepEntry, gallery
from plastorch.report.html import render
from plastorch.report.load import RunData, load_result, load_run
from plastorch.report.panel import Drawn, Panel, PanelsOf
from plastorch.report.panels import plain_curves, shown_filters
from plastorch.report.sweep_page import grid_page, grid_panel, in_short
from plastorch.report.sweep_table import lines_of, runs_csv, settings_csv
from plastorch.report.theme import DARK, LIGHT, can_draw, to_png

_NOT_DRAWN = (
    *(ArithmeticError, LookupError, TypeError, ValueError, AttributeError),
    *(RuntimeError, MemoryError),
)
_FEW_TILES, _SMALL_DPI = 24, 70
_SOURCES = ("result.json", "config.json", "metrics.jsonl", "arrays.safetensors")


def write_report(run: Path, panels_of: PanelsOf = plain_curves) -> Path:
    """Draws a run's figures and writes its page, one self-contained file.

    Without matplotlib the page has no figures, and says so.

    Args:
        run: run folder `RUNS/EXPERIMENT/STAMP-seedN`; gets `figures/*.png` and `report.html`.
        panels_of: function from the data of a run to its figures; plain curves if none is given.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: a file of the folder is missing or damaged.

    Example:
        >>> write_report(Path("no/such/run"))
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: no/such/run: expected a run folder, found no directory
    """
    run = Path(run)
    data = load_run(run)
    refuse_links(run)
    with _drawable(run):
        drawn = _drawn(data, panels_of(data)) if can_draw() else []
        page = render("run.html", run=data, drawn=drawn)
    return _write(run / "report.html", page)


def write_gallery(runs: Path, panels_of: PanelsOf = plain_curves) -> Path:
    """Writes every report that is missing or out of date, then `runs/index.html`.

    A run that cannot be read is listed with the reason.

    Args:
        runs: folder that holds `EXPERIMENT/STAMP-seedN` folders.
        panels_of: as for :func:`write_report`.

    Returns:
        The path of `index.html`.

    Raises:
        InputError: there is no such folder, or no run in it.

    Example:
        >>> write_gallery(Path("no/such/folder"))
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: no/such/folder: expected a folder of runs, found none
    """
    runs = Path(runs)
    if not runs.is_dir():
        raise InputError(f"{runs}: expected a folder of runs, found none")
    folders = [p for p in runs.glob("*/*/") if any((p / name).is_file() for name in _SOURCES)]
    if not folders:
        raise InputError(f"{runs}: expected EXPERIMENT/STAMP-seedN folders inside, found no run")
    entries: list[Card] = []
    unreadable: list[tuple[PurePath, str]] = []
    for folder in sorted(folders):
        with _listed(unreadable, folder.relative_to(runs)):
            if _out_of_date(folder):
                write_report(folder, panels_of)
            entry = Card(folder.relative_to(runs), load_result(folder))
            with _drawable(folder):
                gallery([entry], [], runs)
            entries.append(entry)
    sweeps = []
    for folder in sorted(plan.parent for plan in runs.glob(f"{FOLDER}/*/{PLAN}")):
        with _listed(unreadable, folder.relative_to(runs)):
            write_sweep(folder, panels_of)
            sweep = Sweep.load(folder)
            sweeps.append(SweepEntry(folder.relative_to(runs), sweep.experiment, in_short(sweep)))
    return _write(runs / "index.html", gallery(entries, unreadable, runs, sweeps))


def write_sweep(folder: Path, panels_of: PanelsOf = plain_curves) -> Path:
    """Writes the tables, the figure and the page of a sweep, and pages that its runs lack.

    Args:
        folder: `RUNS/sweeps/STAMP`; gets `table.csv`, `runs.csv`, a figure and `report.html`.
        panels_of: as for :func:`write_report`.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: the folder is no sweep's, or is damaged.

    Example:
        >>> write_sweep(Path("no/such/sweep"))
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: no/such/sweep is no sweep's folder; expected \
sweep.json in it
    """
    sweep = Sweep.load(Path(folder))
    for run in (sweep.folder(trial) for trial in sweep.trials):
        if run.finished() and _out_of_date(run.path):  # killed before its page was written
            with contextlib.suppress(InputError):
                write_report(run.path, panels_of)
    lines = lines_of(sweep)
    _write(sweep.path / "table.csv", settings_csv(lines))
    _write(sweep.path / "runs.csv", runs_csv(sweep))
    (sweep.path / "figures").mkdir(exist_ok=True)
    panel = grid_panel(lines) if can_draw() else None
    drawn = _draw(sweep.path, panel) if panel else None
    return _write(sweep.path / "report.html", grid_page(sweep, lines, drawn))


@contextlib.contextmanager
def _drawable(run: Path) -> Iterator[None]:
    """Reports a run that can't be drawn as damaged, whatever it has logged."""
    try:
        yield
    except (InputError, OSError):
        raise
    except _NOT_DRAWN as error:
        raise InputError(f"{run}: what it logged can't be drawn ({error!r})") from None


@contextlib.contextmanager
def _listed(unreadable: list[tuple[PurePath, str]], folder: PurePath) -> Iterator[None]:
    """Lists a folder that cannot be read with the reason; if writing fails, it is not at fault."""
    try:
        yield
    except WriteError:
        raise
    except InputError as error:
        unreadable.append((folder, str(error)))


def _out_of_date(run: Path) -> bool:
    report = run / "report.html"
    if not report.is_file() or (can_draw() and not (run / "figures").is_dir()):
        return True
    written = [(run / name).stat().st_mtime_ns for name in _SOURCES if (run / name).is_file()]
    return report.stat().st_mtime_ns < max(written)


def _write(path: Path, text: str) -> Path:
    write_atomically(path, text.encode("utf-8", "replace"))
    return path


def _drawn(run: RunData, panels: list[Panel]) -> list[Drawn]:
    (run.path / "figures").mkdir(exist_ok=True)
    _write_thumbnail(run, panels)
    return [_draw(run.path, panel) for panel in panels]


def _draw(folder: Path, panel: Panel) -> Drawn:
    light, dark = (to_png(panel.draw(theme)) for theme in (LIGHT, DARK))
    write_atomically(folder / "figures" / f"{panel.name}.png", light)
    return Drawn(panel, b64encode(light).decode(), b64encode(dark).decode())


def _write_thumbnail(run: RunData, panels: list[Panel]) -> None:
    """Draws a small picture for the gallery: some filters, or else the first figure."""
    filters = shown_filters(run)
    if filters is not None:
        few = charts.filters(filters, most=_FEW_TILES)
        png = to_png(charts.images({"": few}, width=1.6))
    elif panels:
        png = to_png(panels[0].draw(LIGHT), dpi=_SMALL_DPI)
    else:
        return
    write_atomically(run.path / "figures" / "thumbnail.png", png)
