"""What the papers state, and what came out here."""

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from committed import runs, typed
from figures import pooled

from plastorch.experiments.stec.config import LEAST_SEEDS
from plastorch.report.format import bound, measure


class Statement(NamedTuple):
    """A statement of a paper's abstract, and what measures it here."""

    text: str
    rows: list[dict[str, Any]]
    missing: str


class Paper(NamedTuple):
    """A paper, and the statements of its abstract."""

    title: str
    url: str
    statements: list[Statement]


def papers() -> list[Paper]:
    """Returns all papers and their statements, from statements.toml."""
    listed = tomllib.loads((Path(__file__).parent / "statements.toml").read_text())["paper"]
    return [
        Paper(
            paper["title"],
            paper["url"],
            [
                Statement(each["text"], each.get("rows", []), each.get("missing", ""))
                for each in paper["statement"]
            ],
        )
        for paper in listed
    ]


Judged = tuple[dict[str, Any], dict[str, Any]]
"""A claim that was judged, and its run."""


def measured(statement: Statement) -> list[Judged]:
    """Returns the judged claims that measure a statement, each with its run."""
    return [found for row in statement.rows for found in _judged(row)]


def _judged(row: dict[str, Any]) -> list[Judged]:
    if "ours" in row:
        return _compared(row)
    return _pooled(row) if row.get("pooled") else _claimed(row)


def _pooled(row: dict[str, Any]) -> list[Judged]:
    """Returns claims about paired seeds, each judged over all runs, which have one seed each.

    Such a run's claim has that seed's difference as what was measured.
    """
    pattern = re.compile(row["claims"])
    found: dict[str, list[Judged]] = {}
    for run in runs(row["experiment"], **row["where"]):
        for claim in run["claims"]:
            if pattern.fullmatch(claim["id"]) and run["complete"] and not run["quick"]:
                found.setdefault(claim["id"], []).append((claim, run))
    if not found or min(map(len, found.values())) < LEAST_SEEDS:
        raise LookupError(f"{row}: fewer than {LEAST_SEEDS} runs")
    return [_over_runs(members) for members in found.values()]


def _over_runs(members: list[Judged]) -> Judged:
    """Returns a claim whose bound is that of all runs: upper if it is below its target."""
    claim, run = members[0]
    interval = pooled([each["measured"] for each, _ in members])
    upper = "upper bound" in claim["statement"]
    measured = interval.high if upper else interval.low
    holds = measured < claim["target"] if upper else measured > claim["target"]
    return claim | {"measured": measured, "holds": holds, "runs": len(members)}, run


def _claimed(row: dict[str, Any]) -> list[Judged]:
    """Returns the claims of runs whose ids a row's pattern matches."""
    pattern = re.compile(row["claims"])
    found = [
        (claim, run)
        for run in runs(row["experiment"], **row.get("where", {}))
        for claim in run["claims"]
        if pattern.fullmatch(claim["id"]) and claim["holds"] is not None
    ]
    if not found:
        raise LookupError(f"{row}: no judged claim")
    return found


def _compared(row: dict[str, Any]) -> list[Judged]:
    """Returns one claim per seed: a figure of ours is above those of other runs of that seed."""
    theirs = [_by_seed(row["experiment"], other) for other in row["theirs"]]
    found = []
    for seed, (measured, run) in _by_seed(row["experiment"], row["ours"]).items():
        if not all(seed in other for other in theirs):
            continue
        target = max(other[seed][0] for other in theirs)
        claim = {"id": row["compare"], "statement": row["compare"], "target": target,
                 "measured": measured, "holds": measured > target, "origin": "paper",
                 "relation": ">"}  # fmt: skip
        found.append((claim, run))
    if not found:
        raise LookupError(f"{row}: no seed of both")
    return found


def _by_seed(experiment: str, side: dict[str, Any]) -> dict[int, tuple[float, dict[str, Any]]]:
    """Returns a figure and its run by seed; older runs may lack the figure."""
    metric, found = side["metric"], runs(experiment, **side["where"])
    return {run["seed"]: (run["metrics"][metric], run) for run in found if metric in run["metrics"]}


def outcome(statement: Statement) -> str:
    """Returns what came out for a statement: holds, fails, mixed, or not reachable here."""
    found = {claim["holds"] for claim, _ in measured(statement)}
    if not found:
        return "not reachable here"
    return "mixed" if len(found) == 2 else "holds" if found == {True} else "fails"


class Group(NamedTuple):
    """A claim of the same run with several seeds, as a page shows it."""

    statement: str
    outcome: str
    measured: str
    target: str
    origin: str
    size: str
    command: str


def grouped(rows: list[Judged]) -> list[Group]:
    """Returns judged claims, those that differ by their seeds alone in one group."""
    same: dict[tuple[str, str], list[Judged]] = {}
    for claim, run in rows:
        same.setdefault((typed(run), claim["id"]), []).append((claim, run))
    return [_group(command, members) for (command, _), members in same.items()]


def _listed(values: list[str]) -> str:
    """Returns values by seed, or the one that all seeds share."""
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def _group(typed_command: str, members: list[Judged]) -> Group:
    claims = [claim for claim, _ in members]
    claim, run = members[0]
    good, all_of_them = sum(claim["holds"] for claim in claims), len(claims)
    some = f"holds on {good} of {all_of_them} seeds"
    words = {all_of_them: "holds", 0: "does not hold"}.get(good, some)
    name = f"{claim['id']} {claim['statement']}"
    measured = _listed([measure(name, each["measured"]) for each in claims])
    targets: dict[float, str] = {}  # a figure that equals its target doesn't tell the direction
    for each in claims:
        targets[each["target"]] = max(targets.get(each["target"], ""), bound(each), key=len)
    target = _listed([targets[each["target"]] for each in claims])
    sizes = {"n_train": "trained on", "n_test": "tested on"}
    numbers = {key: claim.get(key) or run["data"][key] for key in sizes}
    size = ", ".join(f"{word} {numbers[key]:,}" for key, word in sizes.items() if numbers[key])
    count = sum(each.get("runs") or run["config"].get("seeds", 1) for each, run in members)
    seeds = f"{count} seed{'s' * (count > 1)}"
    origin = "ours" if claim["origin"] == "ours" else "the paper's"
    size = f"{seeds}; {size}"
    return Group(claim["statement"], words, measured, target, origin, size, typed_command)


def sums(title: str = "") -> dict[str, int]:
    """Returns how many statements have which outcome, of papers whose title begins like that."""
    some = [paper for paper in papers() if paper.title.startswith(title)]
    outcomes = [outcome(statement) for paper in some for statement in paper.statements]
    kinds = ("holds", "mixed", "fails", "not reachable here")
    return {kind: outcomes.count(kind) for kind in kinds}
