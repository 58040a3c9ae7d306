"""The committed results, and how to pick some by their settings."""

import dataclasses
import json
import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from plastorch.experiments.command import command as repeat
from plastorch.experiments.registry import find, resolved

RESULTS = Path(__file__).parent.parent.parent / "benchmarks" / "results"
AMERICAN = {
    "centred": "centered",
    "neighbours": "neighbors",
    "normalisation": "normalization",  # codespell:ignore normalisation
    "normalised": "normalized",  # codespell:ignore normalised
    "standardised": "standardized",
}
"""British spellings in older results, of settings and metrics too."""


@cache
def files() -> dict[Path, dict[str, Any]]:
    """Returns all committed results by their files."""
    paths = sorted(RESULTS.glob("*/*.json"))
    return {path: json.loads(_american(path.read_text())) for path in paths}


def _american(text: str) -> str:
    for british, american in AMERICAN.items():
        text = text.replace(british, american)
    return text


@cache
def results() -> dict[str, list[dict[str, Any]]]:
    """Returns all committed results, by experiment, in the order of their files."""
    found: dict[str, list[dict[str, Any]]] = {}
    for result in files().values():
        found.setdefault(result["experiment"], []).append(result)
    for experiment, of_experiment in found.items():
        _renew(experiment, [claim for result in of_experiment for claim in result["claims"]])
    return found


def in_folder(name: str) -> list[dict[str, Any]]:
    """Returns the committed results in a folder, in the order of their files."""
    results()  # renews the claims of all
    return [result for path, result in files().items() if path.parent.name == name]


def _renew(experiment: str, claims: list[dict[str, Any]]) -> None:
    """Gives claims of older results today's words and origin, and the relation of newer ones."""
    renewed = tomllib.loads(Path(__file__).with_name("renewed.toml").read_text())
    known = {claim["id"]: claim for claim in claims if claim.get("relation")}
    ours = {claim["id"] for claim in claims if claim["origin"] == "ours"}
    ours |= set(renewed["ours"].get(experiment, []))
    for claim in claims:
        if not claim.get("relation") and (same := known.get(claim["id"])):
            claim |= {name: same[name] for name in ("relation", "tolerance") if name in same}
        if claim["id"] in ours:
            claim["origin"] = "ours"
        for old, new in renewed["words"].items():
            claim["statement"] = claim["statement"].replace(old, new)


def configuration(result: dict[str, Any]) -> Any:
    """Returns the settings of a run; those that it did not know yet have their defaults."""
    kind = resolved(find(result["experiment"]).config)
    names = {field.name for field in dataclasses.fields(kind)}
    given = {k: v for k, v in result["config"].items() if k in names}
    if result["experiment"] == "files-tables" and "estimator" not in given.get("models", ()):
        given.pop("estimator_dropout", None)  # is of no use there, and had another default
        given.pop("estimator_members", None)
    elif result["experiment"] == "files-tables":
        given.setdefault("estimator_members", 1)  # there was one
    return kind(**kind().plain() | given)


@cache
def configured(experiment: str) -> list[tuple[dict[str, Any], Any]]:
    """Returns the committed results of an experiment, each with its settings."""
    return [(result, configuration(result)) for result in results().get(experiment, [])]


def runs(experiment: str, of_seeds: Collection[int] = (), **where: Any) -> list[dict[str, Any]]:
    """Returns the committed runs of an experiment with some settings, one per seed.

    Settings that are not named have their defaults: figures of other runs can't slip in. Where
    runs of some seeds lack a figure, or were not fresh, ``of_seeds`` names the others.

    Raises:
        LookupError: there is no such run, or two of one seed.
    """
    wanted = resolved(find(experiment).config)(**where)
    found = [
        run
        for run, settings in configured(experiment)
        if settings == wanted and (not of_seeds or run["seed"] in of_seeds)
    ]
    seeds = [run["seed"] for run in found]
    if not found or len(set(seeds)) < len(seeds):
        raise LookupError(f"{experiment} with {where}: {len(found)} runs, seeds {seeds}")
    return sorted(found, key=lambda run: run["seed"])


def command(experiment: str, **where: Any) -> str:
    """Returns what to type to get the runs with some settings again."""
    found = runs(experiment, **where)
    return f"`{typed(found[0])}`" + _for_seeds([run["seed"] for run in found])


def typed(result: dict[str, Any]) -> str:
    """Returns the command line of a run, without its seed."""
    return repeat(result["experiment"], configuration(result))


def _for_seeds(seeds: list[int]) -> str:
    if seeds == [0]:
        return ""
    if seeds == list(range(len(seeds))):
        return f", `--seed` 0 to {seeds[-1]}"
    return f", `--seed` {', '.join(map(str, seeds))}"
