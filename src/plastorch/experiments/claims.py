"""Claims that a figure is above or below a target: one way to write and to judge them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from plastorch.engine.run import Claim

Origin = Literal["paper", "ours"]


def above(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure is above the target; ``name`` is its unique id."""
    return Claim(name, statement, target, measured, holds=measured > target, origin=origin)


def at_least(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure reaches the target; see :func:`above`."""
    return Claim(name, statement, target, measured, holds=measured >= target, origin=origin)


def below(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure is below the target; see :func:`above`."""
    return Claim(name, statement, target, measured, holds=measured < target, origin=origin)


def at_most(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure doesn't exceed the target; see :func:`above`."""
    return Claim(name, statement, target, measured, holds=measured <= target, origin=origin)


def asserted(claims: Iterable[Claim], evidence: bool = True) -> list[Claim]:
    """Returns the claims; if the run is no evidence, undecided ones, whose ``holds`` is None.

    Smoke runs, reduced data and other settings than the paper's are no evidence.
    """
    return [claim if evidence else replace(claim, holds=None) for claim in claims]
