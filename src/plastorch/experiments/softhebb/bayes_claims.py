"""Metrics of a softhebb-bayes run from its log, and the paper's claims."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from plastorch.engine.run import Claim, Record
from plastorch.experiments.claims import above, asserted, below
from plastorch.hebbian.attacks import area_under_curve

ATTACKS = {
    "noise": "Gaussian noise",
    "linf": "L∞ attacks",
    "l2": "L2 attacks",
    "transfer-linf": "L∞ attacks made on another network",
    "transfer-l2": "L2 attacks made on another network",
}


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """Returns the figures of a run's records by name."""
    phases: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        phases[str(record["phase"])].append(record)
    found: dict[str, float] = {}
    for phase, rows in phases.items():
        if phase.startswith(("once-", "again-", "long-")) or phase == "judge":
            found |= _course(phase.replace("-", "_"), rows)
    found |= _theory(phases["theory"])
    for phase, key in (("readouts", "network"), ("interpolation", "network")):
        for row in phases[phase]:
            name = str(row[key]).replace("-", "_")
            numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
            numbers.pop("step")
            prefix = "between" if phase == "interpolation" else name
            suffix = f"_{name}" if phase == "interpolation" else ""
            found |= {f"{prefix}_{k}{suffix}": v for k, v in numbers.items()}
    for attack, network in dict.fromkeys((r["attack"], r["network"]) for r in phases["robustness"]):
        curve = accuracy_curve(phases["robustness"], str(attack), str(network))
        name = f"{attack}_{network}".replace("-", "_")
        found[f"area_{name}"] = area_under_curve(list(curve), list(curve.values()))
    trained = "long" if "long_soft_accuracy" in found else "once"
    if f"{trained}_soft_accuracy" in found:
        found["test_accuracy"] = found[f"{trained}_soft_accuracy"]
    return found


def accuracy_curve(rows: Sequence[Record], attack: str, network: str) -> dict[float, float]:
    """Returns accuracy by strength, over all parts of the attacked images."""
    right: dict[float, float] = defaultdict(float)
    count: dict[float, float] = defaultdict(float)
    for row in rows:
        if (row["attack"], row["network"]) == (attack, network):
            right[float(row["strength"])] += float(row["accuracy"]) * float(row["images"])
            count[float(row["strength"])] += float(row["images"])
    return {strength: right[strength] / count[strength] for strength in sorted(right)}


def steps_to(rows: Sequence[Record], accuracy: float) -> float:
    """Returns mini-batches until a network's test accuracy first reached a value; inf if never.

    Tests are some mini-batches apart; between them, accuracy is interpolated linearly.
    """
    step = right = 0.0
    for row in rows:
        before, wrong = step, right
        step, right = float(row["step"]), float(row["test_accuracy"])
        if right >= accuracy:
            return before + (step - before) * (accuracy - wrong) / (right - wrong)
    return float("inf")


def _course(name: str, rows: Sequence[Record]) -> dict[str, float]:
    """Returns accuracy and cross-entropy at the start and the end of a training, and its speed."""
    last = float(rows[-1]["test_accuracy"])
    found = {
        f"{name}_accuracy": last,
        f"{name}_cross_entropy": float(rows[-1]["cross_entropy"]),
        f"{name}_cross_entropy_at_first": float(rows[0]["cross_entropy"]),
    }
    if name.startswith("once"):
        found[f"{name}_steps_to_95_percent"] = steps_to(rows, 0.95 * last)
    return found


def _theory(rows: Sequence[Record]) -> dict[str, float]:
    """Returns medians over the worlds in which every cause was found, and the number of these."""
    if not rows:
        return {}
    found = [row for row in rows if row["found"]]
    names = [name for name in rows[0] if name not in ("phase", "step", "found")]
    return {"theory_found": len(found) / len(rows)} | {
        f"theory_{name}": median(float(row[name]) for row in found or rows) for name in names
    }


def claims(found: dict[str, float], evidence: bool, attacks: bool | None = None) -> list[Claim]:
    """Returns the claims of the paper's abstract and of its theory, not judged without evidence.

    Claims about what was not measured are left out. ``attacks`` tells whether the run is evidence
    of attacks too; the same as ``evidence`` if None.
    """
    made = list(_bayesian(found)) if "theory_kl" in found else []
    made += [*_unsupervised(found), *_compared(found, LEARNING)]
    attacked = _compared(found, ATTACKED)
    return asserted(made, evidence) + asserted(attacked, evidence if attacks is None else attacks)


def _bayesian(found: dict[str, float]) -> Iterator[Claim]:
    """Makes claims about worlds with known hidden causes."""
    worlds = "known causes, median over worlds where all are found:"
    yield below(
        "equilibrium",
        "the rule rests at Bayes' optimum: mean update there, in standard errors (1 is chance)",
        found["theory_equilibrium_score"],
        1.1,
    )
    yield below(
        "posterior",
        f"{worlds} activations are Bayes' posterior (mean total variation)",
        found["theory_posterior_distance"],
        0.03,
    )
    yield above(
        "weights",
        f"{worlds} weights are the class means (least cosine)",
        found["theory_alignment"],
        0.99,
    )
    yield below(
        "prior",
        f"{worlds} biases are log-priors (root mean square error, nats)",
        found["theory_prior_error"],
        0.1,
    )
    yield below(
        "kl",
        f"{worlds} KL divergence of inputs falls to under 1 % of its start (nats)",
        found["theory_kl"],
        0.01 * found["theory_kl_before"],
    )
    yield below(
        "hidden-cross-entropy",
        f"{worlds} cross-entropy with the causes falls to under 1 % above its bound (nats)",
        found["theory_cross_entropy"],
        0.01 * found["theory_cross_entropy_before"],
    )
    yield above(
        "found", "known causes: share of worlds where all are found", found["theory_found"], 0.5
    )


def _unsupervised(found: dict[str, float]) -> Iterator[Claim]:
    """Makes the claim about a supervised loss in learning without labels."""
    if "again_soft_cross_entropy" in found:
        yield below(
            "cross-entropy",
            "learning without labels lowers the supervised cross-entropy (to half of its start)",
            found["again_soft_cross_entropy"],
            found["again_soft_cross_entropy_at_first"] / 2,
        )


OTHERS = {
    "backprop": "backprop",
    "hard": "hard winner-take-all",
    "backprop_unit": "backprop with inputs of unit length",
    "sampled": "training images as hidden weights",
}
"""Networks that SoftHebb is compared with, by their names in metrics."""


ENDS = {"backprop": "", "hard": "-hard", "backprop_unit": "-unit"}
SAMPLED = {"sampled": "-sampled"}
"""Ends of the claims' ids by the network that SoftHebb is compared with."""


class Comparison(NamedTuple):
    """Figure of SoftHebb that should be above, or below, those of others.

    ``statement`` and ``metric`` have a place for a network. ``ends`` are ends of the claims' ids by
    the network that SoftHebb is compared with; the abstract itself compares with ``paper``.
    """

    name: str
    statement: str
    metric: str
    judge: Callable[..., Claim] = above
    ends: Mapping[str, str] = ENDS
    paper: str = "backprop"


def _robustness(attack: str, ends: Mapping[str, str] = ENDS) -> Comparison:
    return Comparison(
        f"robust-{attack}",
        f"{ATTACKS[attack]}, area under the accuracy curve: SoftHebb above {{}}",
        f"area_{attack.replace('-', '_')}_{{}}",
        ends=ends,
    )


LEARNING = (
    Comparison(
        "cross-entropy",
        "supervised cross-entropy after learning without labels: SoftHebb below {}",
        "again_{}_cross_entropy",
        below,
        ends={"hard": "-hard"},
        paper="hard",
    ),
    Comparison(
        "soft-hard",
        "label assignment after one pass: soft above {}",
        "once_{}_label_assignment",
        ends={"hard": ""},
        paper="hard",
    ),
    Comparison(
        "one-pass",
        "accuracy after one pass: SoftHebb above {}",
        "once_{}_accuracy",
        ends=ENDS | SAMPLED,
    ),
    Comparison(
        "iterations",
        "mini-batches to 95 % of the accuracy after one pass: SoftHebb below {}",
        "once_{}_steps_to_95_percent",
        below,
    ),
    _robustness("noise", ENDS | SAMPLED),
)
"""Comparisons that other networks and the attacks don't change."""
ATTACKED = (
    *(_robustness(attack) for attack in ATTACKS if attack != "noise"),
    Comparison(
        "interpolation",
        "an independent network sees the target in images half-way (its probability): "
        "attacks on SoftHebb above attacks on {}",
        "between_judge_target_{}",
    ),
)


def _compared(found: dict[str, float], comparisons: Sequence[Comparison]) -> Iterator[Claim]:
    """Makes claims that compare SoftHebb with other networks, where both were measured."""
    for each in comparisons:
        for other, end in each.ends.items():
            ours, theirs = (found.get(each.metric.format(kind)) for kind in ("soft", other))
            if ours is not None and theirs is not None:
                yield each.judge(
                    each.name + end,
                    each.statement.format(OTHERS[other]),
                    ours,
                    theirs,
                    origin="paper" if other == each.paper else "ours",
                )
