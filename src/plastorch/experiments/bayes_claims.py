"""What the log of a softhebb-bayes run comes to: its metrics, and the paper's claims."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Literal

from plastorch.engine.run import Claim, Record
from plastorch.hebbian.attacks import area_under_curve

ATTACKS = {
    "noise": "Gaussian noise",
    "linf": "L∞ attacks",
    "l2": "L2 attacks",
    "transfer-linf": "L∞ attacks made on another network",
    "transfer-l2": "L2 attacks made on another network",
}


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """The figures of a run by name.

    Args:
        records: lines of ``metrics.jsonl``.

    Example:
        >>> found = metrics([{"phase": "once-soft", "step": 1, "test_accuracy": 0.5,
        ...                   "cross_entropy": 2.0}])
        >>> found["once_soft_accuracy"]
        0.5
    """
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
    if "long_soft_accuracy" in found:
        found["test_accuracy"] = found["long_soft_accuracy"]
    return found


def accuracy_curve(rows: Sequence[Record], attack: str, network: str) -> dict[float, float]:
    """Accuracy by strength, over all parts of the attacked images."""
    right: dict[float, float] = defaultdict(float)
    count: dict[float, float] = defaultdict(float)
    for row in rows:
        if (row["attack"], row["network"]) == (attack, network):
            right[float(row["strength"])] += float(row["accuracy"]) * float(row["images"])
            count[float(row["strength"])] += float(row["images"])
    return {strength: right[strength] / count[strength] for strength in sorted(right)}


def steps_to(rows: Sequence[Record], accuracy: float) -> float:
    """Mini-batches until a network's test accuracy first reached a value; inf if it never did.

    Tests are some mini-batches apart; between two of them, accuracy is taken to grow evenly.
    """
    step = right = 0.0
    for row in rows:
        before, wrong = step, right
        step, right = float(row["step"]), float(row["test_accuracy"])
        if right >= accuracy:
            return before + (step - before) * (accuracy - wrong) / (right - wrong)
    return float("inf")


def _course(name: str, rows: Sequence[Record]) -> dict[str, float]:
    """Accuracy and cross-entropy at the start and the end of a training, and how fast it went."""
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
    """Medians over the worlds in which every cause was found; how many those are."""
    if not rows:
        return {}
    found = [row for row in rows if row["found"]]
    names = [name for name in rows[0] if name not in ("phase", "step", "found")]
    return {"theory_found": len(found) / len(rows)} | {
        f"theory_{name}": median(float(row[name]) for row in found or rows) for name in names
    }


def claims(found: dict[str, float], asserted: bool) -> list[Claim]:
    """The claims of the paper's abstract, and of its theory, as rows.

    Args:
        found: what :func:`metrics` gave.
        asserted: False where the run is no evidence: smoke runs, reduced data, other settings.
    """
    rows: list[Claim] = []

    def claim(
        name: str,
        statement: str,
        measured: str,
        target: float,
        above: bool,
        origin: Literal["paper", "ours"] = "paper",
    ) -> None:
        value = found[measured]
        holds = value > target if above else value < target  # a tie shows no difference
        rows.append(Claim(name, statement, target, value, holds if asserted else None, origin))

    worlds = "known causes, median over worlds where all are found:"
    claim(
        "equilibrium",
        "the rule rests at Bayes' optimum: mean update there, in standard errors (1 is chance)",
        "theory_equilibrium_score",
        1.1,
        False,
    )
    claim(
        "posterior",
        f"{worlds} activations are Bayes' posterior (mean total variation)",
        "theory_posterior_distance",
        0.03,
        False,
    )
    claim(
        "weights",
        f"{worlds} weights are the class means (least cosine)",
        "theory_alignment",
        0.99,
        True,
    )
    claim(
        "prior",
        f"{worlds} biases are log-priors (root mean square error, nats)",
        "theory_prior_error",
        0.1,
        False,
    )
    claim(
        "kl",
        f"{worlds} KL divergence of inputs falls to under 1 % of its start (nats)",
        "theory_kl",
        0.01 * found["theory_kl_before"],
        False,
    )
    claim(
        "hidden-cross-entropy",
        f"{worlds} cross-entropy with the causes falls to under 1 % above its bound (nats)",
        "theory_cross_entropy",
        0.01 * found["theory_cross_entropy_before"],
        False,
    )
    claim(
        "found",
        "known causes: share of worlds where all are found",
        "theory_found",
        0.5,
        True,
        "ours",
    )
    claim(
        "cross-entropy",
        "learning without labels lowers the supervised cross-entropy (to half of its start)",
        "again_soft_cross_entropy",
        found["again_soft_cross_entropy_at_first"] / 2,
        False,
    )
    claim(
        "soft-hard",
        "label assignment after one pass: soft above hard winner-take-all",
        "once_soft_label_assignment",
        found["once_hard_label_assignment"],
        True,
    )
    claim(
        "one-pass",
        "accuracy after one pass: SoftHebb above backprop",
        "once_soft_accuracy",
        found["once_backprop_accuracy"],
        True,
    )
    claim(
        "iterations",
        "mini-batches to 95 % of the accuracy after one pass: SoftHebb below backprop",
        "once_soft_steps_to_95_percent",
        found["once_backprop_steps_to_95_percent"],
        False,
    )
    for attack, words in ATTACKS.items():
        name = attack.replace("-", "_")
        claim(
            f"robust-{attack}",
            f"{words}, area under the accuracy curve: SoftHebb above backprop",
            f"area_{name}_soft",
            found[f"area_{name}_backprop"],
            True,
        )
    if "between_judge_target_soft" in found and "between_judge_target_backprop" in found:
        claim(
            "interpolation",
            "an independent network sees the target in images half-way (its probability): "
            "attacks on SoftHebb above attacks on backprop",
            "between_judge_target_soft",
            found["between_judge_target_backprop"],
            True,
        )
    return rows
