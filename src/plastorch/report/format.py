"""Formatting of numbers, times and names, the same on every page."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import fmean, stdev
from typing import Any

NBSP, THIN = "\u00a0", "\u202f"
_NOT_A_HEADLINE = re.compile(r"(_s|_gb|_mb)$")


def number(value: object) -> str:
    """Formats a number to four significant digits, with separated thousands.

    Example:
        >>> number(0.123456), number(None), number(True)
        ('0.1235', '–', 'true')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}".replace(",", THIN)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(fraction: float) -> str:
    """Formats a fraction in per cent with two decimals.

    Example:
        >>> percent(0.8012).replace(NBSP, " ")
        '80.12 %'
    """
    return f"{100 * fraction:.2f}{NBSP}%"


def measure(name: str, value: Any) -> str:
    """Formats a named figure; accuracies are fractions and become per cent.

    Example:
        >>> measure("loss", 0.5), measure("test_accuracy", 0.5).replace(NBSP, " ")
        ('0.5', '50.00 %')
    """
    is_fraction = isinstance(value, int | float) and -1 <= value <= 1
    return percent(value) if is_fraction and "accuracy" in name.lower() else number(value)


def mean_and_sd(name: str, values: Sequence[float]) -> str:
    """Formats mean ± sd of a named figure over seeds; a single value has no sd.

    Example:
        >>> mean_and_sd("reward", [1, 3]), mean_and_sd("reward", []), mean_and_sd("reward", [2.5])
        ('2 ± 1.414', '–', '2.5')
    """
    if not values:
        return "–"
    mean, share = fmean(values), "accuracy" in name
    if len(values) == 1:
        return percent(mean) if share else number(mean)
    spread = stdev(values)
    if share:
        return f"{100 * mean:.2f} ± {percent(spread)}"
    return f"{number(mean)} ± {number(spread)}"


def duration(seconds: float | None) -> str:
    """Formats a duration in its two largest units.

    Example:
        >>> [duration(s).replace(NBSP, " ") for s in (0.25, 42, 185, 4321)]
        ['0.25 s', '42.0 s', '3 min 05 s', '1 h 12 min']
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.2f}{NBSP}s" if seconds < 10 else f"{seconds:.1f}{NBSP}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}{NBSP}min {int(seconds % 60):02d}{NBSP}s"
    return f"{int(seconds // 3600)}{NBSP}h {int(seconds % 3600 // 60):02d}{NBSP}min"


def plain(name: str) -> str:
    """Converts a field name to words.

    Example:
        >>> plain("test_accuracy")
        'test accuracy'
    """
    return name.replace("_", " ")


def short(name: str) -> str:
    """Shortens a class name to at most twelve characters.

    Example:
        >>> short("long-tailed macaque")
        'long-tailed…'
    """
    name = " ".join(name.split())
    return name if len(name) <= 12 else name[:11] + "…"


def date(stamp: str) -> str:
    """Returns the date and time in a run folder's name, or the name itself if it has none.

    Example:
        >>> date("20260131-174502-seed0"), date("first-try")
        ('31 Jan 2026, 17:45', 'first-try')
    """
    digits = re.match(r"(\d{4})-?(\d\d)-?(\d\d)[-T_]?(\d\d)[-:]?(\d\d)", stamp)
    try:
        when = datetime(*map(int, digits.groups())) if digits else None  # type: ignore[arg-type]
    except ValueError:
        when = None
    return f"{when.day} {when:%b %Y, %H:%M}" if when else stamp


def headline(metrics: Mapping[str, float]) -> tuple[str, float] | None:
    """Returns the headline metric of a run: test accuracy, else the first that is not a cost.

    Args:
        metrics: values by name.

    Returns:
        Name and value, or None if nothing has been measured.

    Example:
        >>> headline({"train_s": 3.0, "reward": 200.0, "loss": 0.1})
        ('reward', 200.0)
    """
    if "test_accuracy" in metrics:
        return "test_accuracy", metrics["test_accuracy"]
    return next((item for item in metrics.items() if not _NOT_A_HEADLINE.search(item[0])), None)


def headline_words(result: Mapping[str, Any]) -> str:
    """Returns what the headline metric of a result is, in words.

    Example:
        >>> headline_words({"metrics": {"mean_reward": 2.0}})
        'mean reward'
    """
    found = headline(result["metrics"])
    return str(result.get("headline") or plain(found[0])) if found else "no result yet"


def phases(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the seconds that each phase of a run took.

    Example:
        >>> phases({"train_s": 3.0, "wall_s": 4.0, "loss": 0.1})
        {'train': 3.0}
    """
    return {
        name.removesuffix("_s"): seconds
        for name, seconds in metrics.items()
        if name.endswith("_s") and name != "wall_s"
    }


SIGNS = {">": ">", ">=": "≥", "<": "<", "<=": "≤"}
TOLERATED = {"to one decimal": 0.0005, "less 1 point at most": 0.01}
"""Tolerances of claims of earlier versions, by how their statements end."""


def bound(claim: Mapping[str, Any], target: float | None = None) -> str:
    """Formats a claim's target, or another one, with the direction in which it is met.

    Results of earlier versions lack the direction, which is then inferred from the outcome, unless
    a tolerance may have decided it.

    Example:
        >>> claim = {"id": "loss", "statement": "", "target": 2, "measured": 1.5, "holds": True}
        >>> bound(claim), bound(claim | {"relation": "<"}), bound(claim | {"holds": None})
        ('≤ 2', '< 2', '2')
        >>> bound(claim | {"relation": ">=", "tolerance": 0.6})
        '≥ 2 − 0.6'
    """
    name = f"{claim['id']} {claim['statement']}"
    goal = measure(name, claim["target"] if target is None else target)
    relation = claim.get("relation")
    ends = (TOLERATED[end] for end in TOLERATED if claim["statement"].endswith(end))
    tolerated = claim.get("tolerance") or next(ends, 0.0)
    tolerance = measure(name, tolerated) if tolerated else ""
    if relation == "within":
        return f"{goal} ± {tolerance}"
    sign = SIGNS[relation] if relation else _inferred(claim)
    return f"{sign} {goal}{f' − {tolerance}' if tolerance else ''}".strip()


def _inferred(claim: Mapping[str, Any]) -> str:
    """Returns the sign of a claim without a relation, or nothing if it can't be known."""
    if claim["statement"].endswith(tuple(TOLERATED)):
        return "≥"
    if claim["holds"] is None or claim["measured"] == claim["target"] or "±" in claim["statement"]:
        return ""
    return "≥" if (claim["measured"] > claim["target"]) == claim["holds"] else "≤"


def verdict(claims: Sequence[Mapping[str, Any]]) -> str:
    """Tells how many of the asserted claims hold.

    Example:
        >>> verdict([{"holds": True}, {"holds": False}, {"holds": None}])
        '1 of 2 asserted claims hold; 1 is not asserted here'
    """
    asserted = [claim["holds"] for claim in claims if claim["holds"] is not None]
    if not claims:
        return "no claims yet"
    if not asserted:
        return "no claim is asserted"
    rest = len(claims) - len(asserted)
    unsaid = f"; {rest} {'is' if rest == 1 else 'are'} not asserted here" if rest else ""
    return f"{sum(asserted)} of {len(asserted)} asserted claims hold{unsaid}"
