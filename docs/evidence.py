"""Figures of README and pages, all written from the committed results.

``python docs/evidence.py`` writes every block between markers in README.md anew, and the page
results.md. A block's template stands in docs/measured/; it names experiment, setting and metric of
each figure, and the command that makes it again stands beside it.
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from plastorch.experiments.command import command as repeat
from plastorch.experiments.registry import find, resolved
from plastorch.experiments.stec.config import LEAST_SEEDS
from plastorch.experiments.stec.figures import Interval, paired
from plastorch.report.format import measure

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- measured: ([a-z-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
RENAMED = {"centred": "centered", "standardised": "standardized"}
"""Settings that have another name now than in older results."""


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


@cache
def results() -> dict[str, list[dict[str, Any]]]:
    """Returns all committed results, by experiment, in the order of their files."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*/*.json")):
        result = json.loads(path.read_text())
        found.setdefault(result["experiment"], []).append(result)
    return found


def configuration(result: dict[str, Any]) -> Any:
    """Returns the settings of a run; those that it did not know yet have their defaults."""
    kind = resolved(find(result["experiment"]).config)
    known = {RENAMED.get(name, name): value for name, value in result["config"].items()}
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**kind().plain() | {k: v for k, v in known.items() if k in names})


def runs(experiment: str, **where: Any) -> list[dict[str, Any]]:
    """Returns the committed runs of an experiment with some settings, one per seed.

    Settings that are not named have their defaults: figures of other runs can't slip in.

    Raises:
        LookupError: there is no such run, or two of one seed.
    """
    wanted = resolved(find(experiment).config)(**where)
    found = [run for run in results().get(experiment, []) if configuration(run) == wanted]
    seeds = [run["seed"] for run in found]
    if not found or len(set(seeds)) < len(seeds):
        raise LookupError(f"{experiment} with {where}: {len(found)} runs, seeds {seeds}")
    return sorted(found, key=lambda run: run["seed"])


def values(experiment: str, metric: str, scale: float = 1.0, **where: Any) -> list[float]:
    """Returns a metric of the runs with some settings, by seed."""
    return [scale * run["metrics"][metric] for run in runs(experiment, **where)]


def mean(experiment: str, metric: str, digits: int = 2, scale: float = 1.0, **where: Any) -> str:
    """Returns a metric's mean over seeds, with its standard deviation if there are several."""
    return _mean_and_deviation(values(experiment, metric, scale, **where), digits)


def steps(experiment: str, metric: str, **where: Any) -> str:
    """Returns a number of steps, counted from 1, while the metric counts them from 0."""
    return _mean_and_deviation([1 + v for v in values(experiment, metric, **where)], 1)


def _mean_and_deviation(found: list[float], digits: int) -> str:
    spread = f" ± {stdev(found):,.{digits}f}" if len(found) > 1 else ""
    return f"{rounded(fmean(found), digits)}{spread}"


def rounded(value: float, digits: int) -> str:
    """Returns a number in decimals, never as minus zero.

    Example:
        >>> rounded(-0.01, 1)
        '0.0'
    """
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def percent(experiment: str, metric: str, digits: int = 2, **where: Any) -> str:
    """Returns a fraction's mean over seeds in per cent."""
    return f"{mean(experiment, metric, digits, 100.0, **where)} %"


def target(experiment: str, claim: str, scale: float = 1.0, digits: int = 1, **where: Any) -> str:
    """Returns a claim's target."""
    found = {row["target"] for run in runs(experiment, **where) for row in run["claims"]
             if row["id"] == claim}  # fmt: skip
    (value,) = found
    return f"{scale * value:,.{digits}f}"


def holds(experiment: str, claim: str, **where: Any) -> str:
    """Returns on how many seeds a claim holds, in words."""
    found = [row["holds"] for run in runs(experiment, **where) for row in run["claims"]
             if row["id"] == claim]  # fmt: skip
    if len(found) == 1:
        return {True: "holds", False: "does not hold", None: "is not asserted"}[found[0]]
    return f"holds on {sum(map(bool, found))} of {len(found)} seeds"


def best(experiment: str, table: str, metrics: str) -> str:
    """Returns the largest of some metrics of a table that it has, in per cent; see files.md."""
    (run,) = runs(experiment)
    names = [f"{table}_{metric}" for metric in metrics.split("|")]
    return f"{100 * max(run['metrics'][name] for name in names if name in run['metrics']):.1f}"


def gain(experiment: str, metric: str, **where: Any) -> str:
    """Returns a mean difference in points, with its interval over the seeds of a run or of several
    runs with one seed each."""
    means, lows, highs = (
        values(experiment, metric % part, 100.0, **where) for part in ("mean", "low", "high")
    )
    mean, low, high = pooled(means) if len(means) > 1 else (means[0], lows[0], highs[0])
    return f"{rounded(mean, 1)} ({rounded(low, 1)} to {rounded(high, 1)})"


def pooled(differences: list[float]) -> Interval:
    """Returns the mean of paired differences of several runs, and its 95 % interval."""
    numbered = dict(enumerate(differences))
    return paired(numbered, dict.fromkeys(numbered, 0.0))


def ratio_of(experiment: str, claim: str, **where: Any) -> str:
    """Returns what was measured for a claim, by seed."""
    found = [row["measured"] for run in runs(experiment, **where) for row in run["claims"]
             if row["id"] == claim]  # fmt: skip
    return ", ".join(f"{value:.2f}" for value in found)


def ratio(group: str, row: str, digits: int = 1) -> str:
    """Returns how many times as fast as its peer a row of a bench group is."""
    rows = json.loads((RESULTS / f"bench-{group}.json").read_text())["rows"]
    (found,) = (each["ratio"] for each in rows if each["name"] == row)
    return f"{found:.{digits}f}"


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


def papers() -> list[Paper]:
    """Returns all papers and their statements, from statements.toml."""
    listed = tomllib.loads((DOCS / "statements.toml").read_text())["paper"]
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
                 "measured": measured, "holds": measured > target, "origin": "paper"}  # fmt: skip
        found.append((claim, run))
    if not found:
        raise LookupError(f"{row}: no seed of both")
    return found


def _by_seed(experiment: str, side: dict[str, Any]) -> dict[int, tuple[float, dict[str, Any]]]:
    found = runs(experiment, **side["where"])
    return {run["seed"]: (run["metrics"][side["metric"]], run) for run in found}


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


def _group(typed_command: str, members: list[Judged]) -> Group:
    claims = [claim for claim, _ in members]
    claim, run = members[0]
    good, all_of_them = sum(claim["holds"] for claim in claims), len(claims)
    some = f"holds on {good} of {all_of_them} seeds"
    words = {all_of_them: "holds", 0: "does not hold"}.get(good, some)
    name = f"{claim['id']} {claim['statement']}"
    shown = [
        ", ".join(dict.fromkeys(str(measure(name, each[key])) for each in claims))
        for key in ("measured", "target")
    ]
    sizes = {"n_train": "trained on", "n_test": "tested on"}
    size = ", ".join(
        f"{word} {run['data'][key]:,}" for key, word in sizes.items() if run["data"][key]
    )
    count = sum(each.get("runs", run["config"].get("seeds", 1)) for each, run in members)
    seeds = f"{count} seed{'s' * (count > 1)}"
    origin = {"paper": "the paper's", "ours": "ours"}[claim["origin"]]
    return Group(claim["statement"], words, *shown, origin, f"{seeds}; {size}", typed_command)


def sums() -> dict[str, int]:
    """Returns how many statements have which outcome."""
    outcomes = [outcome(statement) for paper in papers() for statement in paper.statements]
    kinds = ("holds", "mixed", "fails", "not reachable here")
    return {kind: outcomes.count(kind) for kind in kinds}


def environment() -> Environment:
    """Returns the templates, and what they can use."""
    made = Environment(
        loader=FileSystemLoader(DOCS / "measured"), undefined=StrictUndefined, trim_blocks=True
    )
    shown: Iterable[Callable[..., Any]] = (
        values, mean, percent, steps, best, gain, target, holds, ratio, ratio_of, command, runs,
        sums, papers, outcome, measured, grouped, typed,
    )  # fmt: skip
    made.globals |= {function.__name__: function for function in shown} | {"fmean": fmean}
    return made


def written(text: str) -> str:
    """Returns a text whose blocks between markers are written anew."""
    made = environment()

    def block(match: re.Match[str]) -> str:
        body = made.get_template(f"{match[2]}.md").render()
        return f"{match[1]}{body.strip()}\n{match[3]}"

    return BLOCK.sub(block, text)


def page() -> str:
    """Returns the page of all statements."""
    return environment().get_template("results.md").render().strip() + "\n"


def outputs() -> dict[Path, str]:
    """Returns what each file should hold."""
    readme = DOCS.parent / "README.md"
    return {readme: written(readme.read_text()), DOCS / "results.md": page()}


if __name__ == "__main__":
    for path, text in outputs().items():
        path.write_text(text)
