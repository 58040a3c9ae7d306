"""Claims that a figure is above, below or near a target, written and judged in one way."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from plastorch.engine.run import Claim, Relation

Origin = Literal["paper", "ours"]


def above(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure is above the target; ``name`` is its unique id."""
    return _claim(name, statement, ">", measured=measured, target=target, origin=origin)


def at_least(
    name: str,
    statement: str,
    measured: float,
    target: float,
    *,
    origin: Origin = "ours",
    tolerance: float = 0.0,
) -> Claim:
    """Returns a claim that holds if the figure reaches the target, less a tolerance."""
    given = {"measured": measured, "target": target, "tolerance": tolerance}
    return _claim(name, statement, ">=", origin=origin, **given)


def below(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure is below the target; see :func:`above`."""
    return _claim(name, statement, "<", measured=measured, target=target, origin=origin)


def at_most(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure doesn't exceed the target; see :func:`above`."""
    return _claim(name, statement, "<=", measured=measured, target=target, origin=origin)


def within(
    name: str,
    statement: str,
    measured: float,
    target: float,
    *,
    tolerance: float,
    origin: Origin = "ours",
) -> Claim:
    """Returns a claim that holds if figure and target differ by at most the tolerance."""
    given = {"measured": measured, "target": target, "tolerance": tolerance}
    return _claim(name, statement, "within", origin=origin, **given)


def asserted(claims: Iterable[Claim], evidence: bool = True) -> list[Claim]:
    """Returns the claims; if the run is not evidence, undecided ones, whose ``holds`` is None.

    Smoke runs, reduced data and other settings than the paper's are not evidence.
    """
    return [claim if evidence else replace(claim, holds=None) for claim in claims]


def _claim(
    name: str,
    statement: str,
    relation: Relation,
    *,
    measured: float,
    target: float,
    origin: Origin,
    tolerance: float = 0.0,
) -> Claim:
    holds = {
        ">": measured > target,
        ">=": measured >= target - tolerance,
        "<": measured < target,
        "<=": measured <= target,
        "within": abs(measured - target) <= tolerance,
    }[relation]
    return Claim(
        name,
        statement,
        target,
        measured,
        holds,
        origin=origin,
        relation=relation,
        tolerance=tolerance,
    )
