"""Gallery of all runs of a folder on one page, grouped by experiment."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePath
from typing import Any

from plastorch.report.format import headline, mean_and_sd, number, plain
from plastorch.report.html import render

DATA = {"name": "data", "n_train": "training samples", "n_test": "test samples"}
"""Fields that distinguish the data of runs, in words."""


@dataclass(frozen=True)
class Card:
    """A readable run: its folder relative to the gallery, and its result."""

    folder: PurePath
    result: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """Returns the settings that two runs must share for a meaningful average."""
        config = self.result["config"].items()
        settings = {key: value for key, value in config if key not in ("seed", "quick")}
        data = {words: self.result["data"].get(key) for key, words in DATA.items()}
        shared: dict[str, Any] = json.loads(_text(settings | data))
        return shared


@dataclass(frozen=True)
class SweepEntry:
    """A sweep: its folder relative to the gallery, its experiment, and its progress."""

    folder: PurePath
    experiment: str
    state: str


def gallery(
    entries: Sequence[Card],
    unreadable: Sequence[tuple[PurePath, str]],
    runs: Path,
    sweeps: Sequence[SweepEntry] = (),
) -> str:
    """Returns the page.

    Args:
        entries: readable runs.
        unreadable: folder and reason of the others.
        runs: folder of the runs, to find their thumbnails.
        sweeps: sweeps of some of these runs.
    """
    groups: dict[str, list[Card]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: entry.folder.name, reverse=True):
        groups[entry.result["experiment"]].append(entry)
    return render(
        "gallery.html",
        groups=[
            {
                "name": name,
                "runs": groups[name],
                "means": seed_means(groups[name]),
                "apart": _apart([entry.settings() for entry in groups[name]]),
            }
            for name in sorted(groups)
        ],
        unreadable=unreadable,
        runs=runs,
        sweeps=sweeps,
    )


def seed_means(entries: Sequence[Card]) -> list[tuple[str, str]]:
    """Returns mean ± sd of the headline for each configuration that was run with several seeds.

    Only complete runs other than smoke runs count; of the same seed, only the latest.

    Args:
        entries: runs of one experiment.

    Returns:
        Figure and words for each configuration, with the settings that distinguish it.

    Example:
        >>> base = {"config": {}, "data": {}, "complete": True, "quick": False}
        >>> runs = [Card(PurePath(f"e/{s}"), base | {"seed": s, "metrics": {"reward": s}})
        ...         for s in (1, 3)]
        >>> seed_means(runs)
        [('2 ± 1.414', 'reward, mean ± sd of seeds 1, 3')]
    """
    settings: dict[str, dict[Any, Card]] = defaultdict(dict)
    for entry in sorted(entries, key=lambda entry: entry.folder.name):
        if entry.result["complete"] and not entry.result["quick"]:
            settings[_text(entry.settings())][entry.result.get("seed")] = entry
    apart = _apart([json.loads(setting) for setting in settings])
    means = []
    for seeds, words in zip(settings.values(), apart, strict=True):
        found = [headline(entry.result["metrics"]) for entry in seeds.values()]
        heads = [head for head in found if head and isfinite(head[1])]
        if len(heads) > 1:
            name, listed = heads[0][0], ", ".join(sorted(map(str, seeds)))
            which = ", ".join([f"{plain(name)}, mean ± sd of seeds {listed}", *words])
            means.append((mean_and_sd(name, [value for _, value in heads]), which))
    return means


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _apart(settings: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Returns, for each run, those of its settings that are not the same in all."""
    keys = dict.fromkeys(key for setting in settings for key in setting)
    varying = [key for key in keys if len({_text(s.get(key)) for s in settings}) > 1]
    return [[f"{plain(key)} {number(setting.get(key))}" for key in varying] for setting in settings]
