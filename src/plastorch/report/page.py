"""Writes report.html of a run folder, and index.html of a folder of runs."""

import contextlib
import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from plastorch.engine.errors import InputError
from plastorch.engine.output import WriteError, check_output, write_atomically
from plastorch.engine.run import refuse_links
from plastorch.engine.sweep_plan import FOLDER, PLAN, Sweep
from plastorch.report import charts
from plastorch.report.comparison import (
    MOST_RUNS,
    comparison_page,
    comparison_panels,
    names_of,
)
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


def write_report(run: Path, panels_of: PanelsOf = plain_curves, back: bool = False) -> Path:
    """Draws a run's figures and writes its page, one self-contained file.

    Without matplotlib the page has no figures, and says so.

    Args:
        run: run folder `RUNS/EXPERIMENT/STAMP-seedN`; gets `figures/*.png` and `report.html`.
        panels_of: function from the data of a run to its figures; plain curves if none is given.
        back: whether to link the gallery `RUNS/index.html` even if it isn't there yet.

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
        page = render("run.html", run=data, drawn=drawn, back=back or _gallery_of(run).is_file())
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
            if _out_of_date(folder) or not _links_back(folder):
                write_report(folder, panels_of, back=True)
            entry = Card(folder.relative_to(runs), load_result(folder))
            with _drawable(folder):
                gallery([entry], [], runs)
            entries.append(entry)
    sweeps = []
    for folder in sorted(plan.parent for plan in runs.glob(f"{FOLDER}/*/{PLAN}")):
        with _listed(unreadable, folder.relative_to(runs)):
            write_sweep(folder, panels_of, back=True)
            sweep = Sweep.load(folder)
            sweeps.append(SweepEntry(folder.relative_to(runs), sweep.experiment, in_short(sweep)))
    return _write(runs / "index.html", gallery(entries, unreadable, runs, sweeps))


def write_sweep(folder: Path, panels_of: PanelsOf = plain_curves, back: bool = False) -> Path:
    """Writes the tables, the figure and the page of a sweep, and pages that its runs lack.

    Args:
        folder: `RUNS/sweeps/STAMP`; gets `table.csv`, `runs.csv`, a figure and `report.html`.
        panels_of: as for :func:`write_report`.
        back: as for :func:`write_report`.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: the folder is not a sweep's, or is damaged.

    Example:
        >>> write_sweep(Path("no/such/sweep"))
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: no/such/sweep is not a sweep's folder; expected \
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
    back = back or _gallery_of(sweep.path).is_file()
    return _write(sweep.path / "report.html", grid_page(sweep, lines, drawn, back))


def write_comparison(runs: Sequence[Path], out: Path | None = None) -> Path:
    """Writes a page that compares runs: what was measured, and curves in common figures.

    Args:
        runs: two to six run folders, of seeds, settings or experiments.
        out: file for the page; default `comparison.html`, in the nearest folder of all runs.

    Returns:
        The path of the page.

    Raises:
        InputError: another number of different runs, or a damaged one.

    Example:
        >>> write_comparison([Path("no/such/run")])
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: runs are 1; expected 2 to 6 run folders
    """
    paths = list(dict.fromkeys(Path(run).resolve() for run in runs))
    if not 2 <= len(paths) <= MOST_RUNS:
        raise InputError(f"runs are {len(paths)}; expected 2 to {MOST_RUNS} run folders")
    out = out or Path(os.path.commonpath([path.parent for path in paths])) / "comparison.html"
    check_output(out)
    found = [load_run(path) for path in paths]
    named = dict(zip(names_of([run.result for run in found]), found, strict=True))
    pages = [PurePath(os.path.relpath(p / "report.html", out.resolve().parent)) for p in paths]
    with _drawable(out):
        drawn = [_both(panel)[0] for panel in comparison_panels(named)] if can_draw() else []
        return _write(out, comparison_page(named, pages, drawn))


@contextlib.contextmanager
def _drawable(run: Path) -> Iterator[None]:
    """Reports a run that can't be drawn as damaged, whatever it has logged."""
    try:
        yield
    except (InputError, OSError):
        raise
    except _NOT_DRAWN as error:
        raise InputError(f"{run}: its log can't be drawn ({error!r})") from None


@contextlib.contextmanager
def _listed(unreadable: list[tuple[PurePath, str]], folder: PurePath) -> Iterator[None]:
    """Lists a folder that cannot be read, with the reason; not one whose page can't be written."""
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


def _gallery_of(run: Path) -> Path:
    return run.resolve().parent.parent / "index.html"


def _links_back(run: Path) -> bool:
    """Whether a run's page links the gallery, which stands near its start."""
    with open(run / "report.html", "rb") as page:
        return b'rel="up"' in page.read(1024)


def _write(path: Path, text: str) -> Path:
    write_atomically(path, text.encode("utf-8", "replace"))
    return path


def _drawn(run: RunData, panels: list[Panel]) -> list[Drawn]:
    (run.path / "figures").mkdir(exist_ok=True)
    _write_thumbnail(run, panels)
    return [_draw(run.path, panel) for panel in panels]


def _draw(folder: Path, panel: Panel) -> Drawn:
    drawn, light = _both(panel)
    write_atomically(folder / "figures" / f"{panel.name}.png", light)
    return drawn


def _both(panel: Panel) -> tuple[Drawn, bytes]:
    """Draws a panel for light pages and for dark ones; returns the light PNG, too."""
    light, dark = (to_png(panel.draw(theme)) for theme in (LIGHT, DARK))
    return Drawn(panel, b64encode(light).decode(), b64encode(dark).decode()), light


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
