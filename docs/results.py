"""Tables and figures of the committed results, made as the pages are built."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parent / "evidence"))

import committed

from plastorch.hebbian.pretrained import cards, weights_of
from plastorch.report.format import bound, measure, verdict
from plastorch.report.theme import LIGHT, label, new_axes, new_figure

RESULTS = committed.RESULTS
runs, runs_with = committed.in_folder, committed.runs
HEADS = "claim", "target", "measured", "outcome"
MODEL_HEADS = "network", "data set", "test images right", "size", "trained by"
OUTCOMES = {True: "holds", False: "does not hold", None: "not asserted"}

ABLATION: dict[str, dict[str, Any]] = {
    "the paper's": {},
    "all layers": {"readout_from": "all"},
    "ON and OFF": {"on_off": True},
    "mirror images": {"mirrored": True},
    "centered features": {"centered": True},
    "two passes": {"unsupervised_epochs": 2},
    "best": {"preset": "best"},
    "best, nothing learned": {"preset": "best", "rule": "random"},
}
"""Settings of the networks of an ablation; a run belongs to the last one whose settings it has."""


@dataclass(frozen=True)
class Claims:
    """What papers and we claim, beside what was measured; a notebook shows it as tables."""

    experiments: tuple[str, ...]

    def _repr_html_(self) -> str:
        return "".join(_table(name, runs(name)) for name in self.experiments)


def claims(*experiments: str) -> Claims:
    """The claims of some experiments, folded: who asks for a table opens it."""
    return Claims(experiments)


class Models:
    """The networks inside the package, from their cards; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td><code>{name}</code></td><td>{escape(card.data)}</td>"
            f"<td>{100 * card.accuracies['test_accuracy']:.2f} %</td>"
            f"<td>{weights_of(name).stat().st_size / 1e6:.1f} MB</td>"
            f"<td><code>{escape(card.command)}</code></td></tr>"
            for name, card in cards().items()
        ]
        if not rows:
            return "<p>No network is inside this version yet.</p>"
        heads = "".join(f'<th scope="col">{head}</th>' for head in MODEL_HEADS)
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def draw_speed(group: str, names: dict[str, str]) -> Figure:
    """How many times as fast as its peer each row of a bench group is.

    Args:
        group: of ``plastorch bench``.
        names: rows that are drawn, and what to call them.
    """
    rows = json.loads((RESULTS / f"bench-{group}.json").read_text())["rows"]
    ratios = {row["name"]: row["ratio"] for row in rows}
    figure = new_figure(1.1 + 0.42 * len(names), LIGHT)
    (axes,) = new_axes(figure, LIGHT)
    places = range(len(names))
    axes.barh(places, [ratios[name] - 1 for name in names], left=1, color=LIGHT.series[0])
    for place, name in enumerate(names):
        axes.annotate(f" {ratios[name]:.3g} ", (max(ratios[name], 1), place), va="center")
    axes.axvline(1, color=LIGHT.ink, linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *ratios.values()) / 1.3, 2.5 * max(2.0, *ratios.values()))
    axes.set_yticks(places, names.values())
    axes.invert_yaxis()
    label(axes, LIGHT, x="times as fast as its peer, one thread")
    return figure


def ablation() -> dict[str, list[float]]:
    """Validation accuracies, in percent, of the networks of an ablation."""
    found: dict[str, list[float]] = {name: [] for name in ABLATION}
    for run in runs("softhebb-beyond"):
        config = run["config"]
        if config["validation"]:
            names = [name for name, of in ABLATION.items() if of.items() <= config.items()]
            found[names[-1]].append(100 * run["metrics"]["test_accuracy"])
    return found


def draw_ablation() -> Figure:
    """Validation accuracy of SoftHebb networks by settings: mean, deviation, a point per seed."""
    found = ablation()
    figure = new_figure(1.1 + 0.42 * len(found), LIGHT)
    (axes,) = new_axes(figure, LIGHT)
    for place, values in enumerate(found.values()):
        axes.vlines(fmean(values), place - 0.3, place + 0.3, color=LIGHT.ink)
        axes.plot(values, [place] * len(values), "o", color=LIGHT.series[0], markersize=4)
        text = f"  {fmean(values):.1f} ± {stdev(values):.1f}"
        axes.annotate(text, (max(values), place), va="center")
    accuracies = [value for values in found.values() for value in values]
    axes.set_xlim(min(accuracies) - 1, max(accuracies) + 5)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    label(axes, LIGHT, x="right on held-out training images, %")
    return figure


def _table(experiment: str, results: list[dict[str, Any]]) -> str:
    """One experiment's claims by the settings of its runs, each the mean over their seeds."""
    name = f"<code>{escape(experiment)}</code>"
    if not results:
        return f"<p>{name}: no whole run is committed yet.</p>"
    by_command = defaultdict(list)
    for result in results:
        by_command[committed.typed(result)].append(result)
    heading = f"{name}: {verdict([claim for run in results for claim in run['claims']])}"
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    bodies = "".join(_body(command, same) for command, same in by_command.items())
    return (
        f"<details><summary>{heading} (runs: {len(results)})</summary>"
        f"<div class='claims' tabindex='0' role='region' "
        f"aria-label='claims of {escape(experiment)}'><table><thead><tr>{heads}</tr></thead>"
        f"{bodies}</table></div></details>"
    )


def _body(command: str, results: list[dict[str, Any]]) -> str:
    """The rows of runs that differ by their seeds alone, under their command."""
    seeds = ", ".join(str(seed) for seed in sorted(result["seed"] for result in results))
    head = f"<code>{escape(command)}</code>, seed{'s' * (len(results) > 1)} {seeds}"
    rows = "".join(_rows([claim for result in results for claim in result["claims"]]))
    return f'<tbody><tr><th scope="rowgroup" colspan="{len(HEADS)}">{head}</th></tr>{rows}</tbody>'


def _rows(found: list[dict[str, Any]]) -> Iterator[str]:
    same = defaultdict(list)
    for claim in found:
        same[claim["id"]].append(claim)
    for identity, group in same.items():
        statement = group[0]["statement"]
        target, measured = (fmean(claim[key] for claim in group) for key in ("target", "measured"))
        measured_at = measure(f"{identity} {statement}", measured)
        cells = statement, bound(group[0], target), measured_at, _outcome(group)
        shown = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
        yield f"<tr>{shown}</tr>"


def _outcome(same: list[dict[str, Any]]) -> str:
    """What came out for one claim on all seeds."""
    outcomes = [claim["holds"] for claim in same]
    if len(set(outcomes)) == 1:
        return OUTCOMES[outcomes[0]]
    return f"holds on {outcomes.count(True)} of {len(outcomes)} seeds"
