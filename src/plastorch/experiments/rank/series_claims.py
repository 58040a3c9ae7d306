"""Claims about early classification of series, and the figures that they are about."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, at_least
from plastorch.experiments.models import field

ALPHA = 0.8
"""Price of a wrong answer that claims are about."""
RIVALS = ("threshold", "induction")
"""Rivals on all sets: MiniRocket with a tuned threshold, and with backward induction."""
Row = Mapping[str, Any]
KINDS = ("cost", "accuracy", "earliness", "harmonic_mean")
LEAST_WON = 4
"""Number of sets of 8 on which a network should cost less than one of the rivals."""


class Table(NamedTuple):
    """A figure of some methods on all sets."""

    sets: list[str]
    methods: list[str]
    values: NDArray[np.float64]
    """Values [sets, methods]."""

    def column(self, method: str) -> NDArray[np.float64]:
        """Returns the values of a method [sets]."""
        found: NDArray[np.float64] = self.values[:, self.methods.index(method)]
        return found


def table(records: Sequence[Row], kind: str, alpha: float = ALPHA) -> Table:
    """Returns a figure of all methods that ran on all sets."""
    rows = [row for row in records if row["alpha"] == alpha and kind in row]
    found = {(str(row["phase"]), str(row["method"])): float(row[kind]) for row in rows}
    sets = list(dict.fromkeys(name for name, _ in found))
    methods = list(dict.fromkeys(method for _, method in found))
    whole = [method for method in methods if all((name, method) in found for name in sets)]
    values = [[found[name, method] for method in whole] for name in sets]
    return Table(sets, whole, np.array(values).reshape(len(sets), len(whole)))


def chosen(records: Sequence[Row]) -> str:
    """Returns the objective with the smallest mean cost on series held out from training."""
    found = table(records, "validation_cost")
    return found.methods[int(found.values.mean(axis=0).argmin())]


def ranks(records: Sequence[Row], alpha: float = ALPHA) -> dict[str, float]:
    """Returns the mean rank of each method by its cost, the best first."""
    found = table(records, "cost", alpha)
    mean = rankdata(found.values, axis=1).mean(axis=0)
    return dict(sorted(zip(found.methods, mean.tolist(), strict=True), key=lambda pair: pair[1]))


def difference(records: Sequence[Row], one: str, other: str, alpha: float = ALPHA) -> float:
    """Returns the p-value of Wilcoxon's test that two methods cost the same; 1 if they do."""
    found = table(records, "cost", alpha)
    gaps = found.column(one) - found.column(other)
    return float(wilcoxon(gaps).pvalue) if gaps.any() else 1.0


def figures(records: Sequence[Row]) -> dict[str, float]:
    """Returns the metrics of a run: means over sets, then figures of each set."""
    best, found = chosen(records), {}
    found["chosen_cost"] = float(table(records, "cost").column(best).mean())
    found["test_accuracy"] = float(table(records, "accuracy").column(best).mean())
    found["validation_score"] = -float(table(records, "validation_cost").column(best).mean())
    for method, rank in ranks(records).items():
        found[field(method, "rank")] = rank
        for alpha in (0.5, ALPHA, 0.95):
            cost = table(records, "cost", alpha).column(method).mean()
            found[field(method, f"cost_{100 * alpha:.0f}")] = float(cost)
    for row in records:
        if row["alpha"] in (0.5, ALPHA, 0.95):
            name = field(f"{row['phase']}-{row['method']}", f"{100 * float(row['alpha']):.0f}")
            kinds = [kind for kind in (*KINDS, "validation_cost") if kind in row]
            found |= {f"{name}_{kind}": float(row[kind]) for kind in kinds}
    return found


def claims(records: Sequence[Row], ordinary: bool) -> list[Claim]:
    """Returns the claims that a run can test; judged of ordinary runs only."""
    return asserted([*_rival_claims(records), *_teaser_claims(records)], ordinary)


def _rival_claims(records: Sequence[Row]) -> Iterator[Claim]:
    best, found = chosen(records), table(records, "cost")
    if not all(rival in found.methods for rival in RIVALS):
        return
    rivals = np.stack([found.column(rival) for rival in RIVALS])
    won = int((found.column(best) < rivals.max(axis=0)).sum())
    statement = (
        f"AvgCost at α = {ALPHA} of the network whose objective cost least on held-out series "
        f"({best}) is below one of the two MiniRocket rivals; number of sets of {len(found.sets)}"
    )
    yield at_least("sets-below-a-rival", statement, won, LEAST_WON)
    order = ranks(records)
    first = min(order[rival] for rival in RIVALS)
    statement = "its mean rank by AvgCost over all sets is ahead of both rivals: lead"
    yield above("mean-rank", statement, first - order[best], 0.0)
    for rival in RIVALS:
        statement = (
            f"Wilcoxon's test over sets, of which nothing is claimed: p of {best} and {rival}"
        )
        value = difference(records, best, rival)
        yield Claim(f"wilcoxon-{rival}", statement, 0.05, value, holds=None, origin="ours")


def _teaser_claims(records: Sequence[Row]) -> Iterator[Claim]:
    best = chosen(records)
    rows = {
        (str(row["phase"]), str(row["method"])): float(row["harmonic_mean"])
        for row in records
        if row["alpha"] == ALPHA
    }
    leads = [rows[name, best] - value for (name, who), value in rows.items() if who == "teaser"]
    if leads:
        statement = (
            "harmonic mean of accuracy and 1 - earliness is above TEASER's on all sets on which "
            "it runs: least lead"
        )
        yield above("teaser", statement, min(leads), 0.0)
