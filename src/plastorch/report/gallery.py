"""Gallery of all runs of a folder on one page, grouped by experiment."""

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePath
from statistics import fmean, stdev
from typing import Any
from urllib.parse import quote

from plastorch.report import html
from plastorch.report.format import NBSP, date, headline, measure, number, percent, plain, verdict


@dataclass(frozen=True)
class Entry:
    """A readable run: its folder relative to the gallery, and its result."""

    folder: PurePath
    result: dict[str, Any]


@dataclass(frozen=True)
class SweepEntry:
    """A sweep: its folder relative to the gallery, its experiment, and its progress."""

    folder: PurePath
    experiment: str
    state: str


def gallery(
    entries: Sequence[Entry],
    unreadable: Sequence[tuple[PurePath, str]],
    runs: Path,
    sweeps: Sequence[SweepEntry] = (),
) -> str:
    """Returns the HTML of the gallery's main part.

    Args:
        entries: readable runs.
        unreadable: folder and reason of the others.
        runs: folder of the runs, to find their thumbnails.
        sweeps: sweeps of some of these runs.

    Returns:
        HTML of the main part.
    """
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.result["experiment"]].append(entry)
    counts = f"{_count(len(entries), 'run')} of {_count(len(groups), 'experiment')}"
    if unreadable:
        counts += f", {len(unreadable)} that cannot be read"
    return "\n".join(
        [
            f'<header><h1>plastorch runs</h1><p class="lead">{counts}.</p></header>',
            *(_experiment(name, groups[name], runs) for name in sorted(groups)),
            _sweeps(sweeps, runs),
            _unreadable(unreadable),
        ]
    )


def seed_means(entries: Sequence[Entry]) -> list[str]:
    """Returns mean ± sd of the headline for each configuration that was run with several seeds.

    Only complete runs other than smoke runs count; of the same seed, only the latest.

    Args:
        entries: runs of one experiment.

    Returns:
        One line of HTML per configuration, with the settings that distinguish it.

    Example:
        >>> base = {"config": {}, "data": {}, "complete": True, "quick": False}
        >>> runs = [Entry(PurePath(f"e/{s}"), base | {"seed": s, "metrics": {"reward": s}})
        ...         for s in (1, 3)]
        >>> seed_means(runs)[0].split(",")[0]
        '<strong>2 ± 1.414</strong> reward'
    """
    settings: dict[str, dict[Any, Entry]] = defaultdict(dict)
    for entry in sorted(entries, key=lambda entry: entry.folder.name):
        if entry.result["complete"] and not entry.result["quick"]:
            settings[_setting(entry.result)][entry.result.get("seed")] = entry
    varying = _varying([json.loads(setting) for setting in settings])
    lines = []
    for setting, seeds in settings.items():
        found = [headline(entry.result["metrics"]) for entry in seeds.values()]
        heads = [head for head in found if head and isfinite(head[1])]
        if len(heads) > 1:
            name = heads[0][0]
            values = [value for _, value in heads]
            apart = {key: json.loads(setting).get(key) for key in varying}
            lines.append(_mean_line(name, values, sorted(seeds, key=str), apart))
    return lines


def _setting(result: dict[str, Any]) -> str:
    """Returns the settings that two runs must share for a meaningful average."""
    config = {key: value for key, value in result["config"].items() if key != "seed"}
    data = {f"data {key}": result["data"].get(key) for key in ("name", "n_train", "n_test")}
    return json.dumps(config | data, sort_keys=True, default=str)


def _varying(settings: Sequence[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for setting in settings for key in setting)
    return [key for key in keys if len({json.dumps(s.get(key)) for s in settings}) > 1]


def _mean_line(name: str, values: list[float], seeds: list[Any], apart: dict[str, Any]) -> str:
    mean, spread = fmean(values), stdev(values)
    figure = f"{number(mean)} ± {number(spread)}"
    if "accuracy" in name:
        figure = f"{100 * mean:.2f} ± {percent(spread)}"
    which = "".join(f", {words}" for words in _apart(apart))
    listed = ", ".join(map(str, seeds))
    return (
        f"<strong>{html.text(figure)}</strong> {html.text(plain(name))}, mean ± sd of seeds "
        f"{html.text(listed)}{html.text(which)}"
    )


def _apart(settings: dict[str, Any]) -> list[str]:
    return [f"{plain(key)} {value}" for key, value in settings.items()]


def _experiment(name: str, entries: Sequence[Entry], runs: Path) -> str:
    newest = sorted(entries, key=lambda entry: entry.folder.name, reverse=True)
    means = "".join(f"<li>{line}</li>" for line in seed_means(entries))
    settings = [json.loads(_setting(entry.result)) for entry in newest]
    varying = _varying(settings)
    cards = "\n".join(
        _card(entry, runs, _apart({key: setting.get(key) for key in varying}))
        for entry, setting in zip(newest, settings, strict=True)
    )
    return (
        f'<section><div class="group"><h2>{html.text(name)}</h2>'
        f'<p class="muted">{html.text(newest[0].result.get("paper") or "")}</p>'
        + (f'<ul class="means">{means}</ul>' if means else "")
        + f'</div><div class="runs">{cards}</div></section>'
    )


def _card(entry: Entry, runs: Path, apart: Sequence[str]) -> str:
    result = entry.result
    best = headline(result["metrics"])
    value = measure(*best) if best else "–"
    name = plain(best[0]) if best else "no result yet"
    picture = _thumbnail(entry.folder / "figures" / "thumbnail.png", runs)
    return (
        f'<a class="run card" href="{_url(entry.folder / "report.html")}">{picture}<div>'
        f'<b>{html.text(value)}</b><span class="muted">{html.text(name)}</span>'
        f'<span class="muted">seed{NBSP}{html.text(result.get("seed", "?"))} · '
        f"{html.text(date(entry.folder.name))}</span>"
        + (f'<span class="muted">{html.text(" · ".join(apart))}</span>' if apart else "")
        + f'<div class="marks">{_claims_mark(result["claims"])}{html.status_marks(result)}</div>'
        "</div></a>"
    )


def _sweeps(sweeps: Sequence[SweepEntry], runs: Path) -> str:
    if not sweeps:
        return ""
    cards = "\n".join(
        f'<a class="run card" href="{_url(sweep.folder / "report.html")}">'
        f"{_thumbnail(sweep.folder / 'figures' / 'sweep.png', runs)}<div>"
        f'<b>{html.text(sweep.experiment)}</b><span class="muted">{html.text(sweep.state)}</span>'
        f'<span class="muted">{html.text(date(sweep.folder.name))}</span></div></a>'
        for sweep in sweeps
    )
    return (
        '<section><div class="group"><h2>Sweeps</h2></div>'
        f'<div class="runs">{cards}</div></section>'
    )


def _thumbnail(picture: PurePath, runs: Path) -> str:
    if not (runs / picture).is_file():
        return '<div class="blank"></div>'
    return f'<img src="{_url(picture)}" alt="">'


def _claims_mark(claims: Sequence[dict[str, Any]]) -> str:
    asserted = [claim["holds"] for claim in claims if claim["holds"] is not None]
    if not asserted:
        return html.mark("open", verdict(claims))
    kind = "good" if all(asserted) else "bad"
    return html.mark(kind, f"{sum(asserted)}/{len(asserted)} claims hold")


def _unreadable(unreadable: Sequence[tuple[PurePath, str]]) -> str:
    if not unreadable:
        return ""
    items = "".join(
        f'<li><code>{html.text(folder)}</code><p class="muted">{html.text(reason)}</p></li>'
        for folder, reason in unreadable
    )
    return f'<h2>Cannot be read</h2><div class="unreadable card"><ul>{items}</ul></div>'


def _url(path: PurePath) -> str:
    # "./" keeps a folder called "javascript:" a folder
    return html.text("./" + quote(os.fsencode(path)))


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
