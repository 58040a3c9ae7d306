"""Writes report.html of a run folder, and index.html of a folder of runs."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plastorch.engine.errors import InputError
from plastorch.engine.output import WriteError, write_atomically
from plastorch.engine.run import refuse_links
from plastorch.engine.sweep_plan import FOLDER, PLAN, Sweep
from plastorch.report import charts, html
from plastorch.report.format import date, duration, headline, measure, number, plain, verdict
from plastorch.report.gallery import Entry, SweepEntry, gallery
from plastorch.report.load import RunData, load_result, load_run
from plastorch.report.panel import Panel, PanelsOf
from plastorch.report.panels import plain_curves, shown_filters
from plastorch.report.sweep_page import grid_body, grid_panel, in_short
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
        title = f"{data.result['experiment']}, seed {data.result.get('seed', '?')}"
        page = html.document(title, _body(data, drawn))
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
    entries, unreadable = [], []
    for folder in sorted(folders):
        try:
            if _out_of_date(folder):
                write_report(folder, panels_of)
            entry = Entry(folder.relative_to(runs), load_result(folder))
            with _drawable(folder):
                gallery([entry], [], runs)
            entries.append(entry)
        except WriteError:  # the run itself has not failed
            raise
        except InputError as error:
            unreadable.append((folder.relative_to(runs), str(error)))
    sweeps = []
    for folder in sorted(plan.parent for plan in runs.glob(f"{FOLDER}/*/{PLAN}")):
        try:
            write_sweep(folder, panels_of)
            sweep = Sweep.load(folder)
            sweeps.append(SweepEntry(folder.relative_to(runs), sweep.experiment, in_short(sweep)))
        except WriteError:
            raise
        except InputError as error:
            unreadable.append((folder.relative_to(runs), str(error)))
    page = html.document("plastorch runs", gallery(entries, unreadable, runs, sweeps))
    return _write(runs / "index.html", page)


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
    drawn = _draw(sweep.path, panel) if panel else ""
    page = html.document(f"{sweep.experiment}, sweep", grid_body(sweep, lines, drawn))
    return _write(sweep.path / "report.html", page)


@contextlib.contextmanager
def _drawable(run: Path) -> Iterator[None]:
    """Reports a run that can't be drawn as damaged, whatever it has logged."""
    try:
        yield
    except (InputError, OSError):
        raise
    except _NOT_DRAWN as error:
        raise InputError(f"{run}: what it logged can't be drawn ({error!r})") from None


def _out_of_date(run: Path) -> bool:
    report = run / "report.html"
    if not report.is_file() or (can_draw() and not (run / "figures").is_dir()):
        return True
    written = [(run / name).stat().st_mtime_ns for name in _SOURCES if (run / name).is_file()]
    return report.stat().st_mtime_ns < max(written)


def _write(path: Path, text: str) -> Path:
    write_atomically(path, text.encode("utf-8", "replace"))
    return path


def _drawn(run: RunData, panels: list[Panel]) -> list[str]:
    (run.path / "figures").mkdir(exist_ok=True)
    _write_thumbnail(run, panels)
    return [_draw(run.path, panel) for panel in panels]


def _draw(folder: Path, panel: Panel) -> str:
    light, dark = (to_png(panel.draw(theme)) for theme in (LIGHT, DARK))
    write_atomically(folder / "figures" / f"{panel.name}.png", light)
    return html.picture(panel.title, panel.caption, panel.alt, light, dark)


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


def _body(run: RunData, drawn: list[str]) -> str:
    result, name = run.result, run.path.resolve().name
    sections = [
        _header(result),
        _banners(run.path, result),
        _hero(name, result),
        _claims(result),
        _figures(drawn),
        _times(result["metrics"]),
        _fine_print(result),
        f"<footer>Drawn from the files of the run {html.text(name)}.</footer>",
    ]
    return "\n".join(section for section in sections if section)


def _header(result: Mapping[str, Any]) -> str:
    marks = html.status_marks(result)
    if result["complete"]:
        marks = html.mark("good", "complete") + marks
    return (
        f'<header><div class="eyebrow">{marks}</div>'
        f"<h1>{html.text(result['experiment'])}</h1>"
        f'<p class="lead">{html.text(result.get("paper") or "")}</p></header>'
    )


def _banners(path: Path, result: Mapping[str, Any]) -> str:
    notes = [html.without_figures()]
    if result["data"].get("notice"):
        notes.append(html.banner("Not the full data.", result["data"]["notice"]))
    if result["quick"]:
        notes.append(
            html.banner(
                "Smoke run, never a source of figures.",
                "It was made with --quick, to see that everything works.",
            )
        )
    if not result["complete"]:
        command = ["plastorch", "run", result["experiment"], "--resume", str(path)]
        notes.append(
            html.banner(
                "This run has not finished.",
                "It is still running or was interrupted. To go on where it stopped:",
                shlex.join(command),
            )
        )
    return "".join(notes)


def _hero(folder: str, result: Mapping[str, Any]) -> str:
    data, metrics = result["data"], result["metrics"]
    best = headline(metrics)
    value = measure(*best) if best else "–"
    name = plain(best[0]) if best else "no result yet"
    where = f" on {data['name']}" if data.get("name") and best else ""
    sizes = [
        f"{number(data[key])} {words}"
        for key, words in (("n_train", "training"), ("n_test", "test"))
        if data.get(key) is not None
    ]
    memory = metrics.get("peak_memory_gb")
    pairs = [
        ("Seed", str(result.get("seed", "–"))),
        ("Wall time", duration(result.get("wall_s") or None)),
        ("Device", str(result.get("device") or "–")),
        ("Peak memory", "–" if memory is None else f"{memory:.2f} GB"),
        ("Examples", ", ".join(sizes) or "–"),
        ("Started", date(folder)),
    ]
    return html.hero(value, name + where, pairs, title="Result")


def _claims(result: Mapping[str, Any]) -> str:
    claims = result["claims"]
    if not claims:
        return ""
    return (
        f'<h2>Claims</h2><p class="muted verdict">{verdict(claims).capitalize()}.</p>'
        f"{html.claims_table(claims)}"
    )


def _figures(drawn: list[str]) -> str:
    """Returns two columns, the first half on the left; on a phone one follows the other."""
    if not drawn:
        return ""
    half = (len(drawn) + 1) // 2
    columns = "".join(
        f'<div class="stack">{"".join(column)}</div>' for column in (drawn[:half], drawn[half:])
    )
    return f'<h2>Figures</h2><div class="figures">{columns}</div>'


def _times(metrics: Mapping[str, float]) -> str:
    """Returns bars that show the shares of the phases in the total time."""
    phases = {n: s for n, s in metrics.items() if n.endswith("_s") and n != "wall_s"}
    total = sum(phases.values()) or 1.0
    rows = (
        (html.text(plain(name.removesuffix("_s"))), seconds / total, duration(seconds))
        for name, seconds in phases.items()
    )
    return f"<h2>Where the time went</h2>{html.bars(rows)}" if phases else ""


def _fine_print(result: Mapping[str, Any]) -> str:
    tables = {
        "All measured numbers": result["metrics"],
        "Configuration": result["config"],
        "Data": {name: value for name, value in result["data"].items() if value is not None},
        "Versions": result.get("versions") or {},
    }
    body = "".join(html.folded(title, values) for title, values in tables.items())
    return f"<h2>Fine print</h2>{body}"
