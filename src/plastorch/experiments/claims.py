"""Claims that a figure is above or below a target: one way to write and to judge them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from plastorch.engine.run import Claim

Origin = Literal["paper", "ours"]


def above(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure is above the target.

    Args:
        name: id of the claim, unique in its experiment.
        statement: claim in words.
        measured: measured figure.
        target: figure that it must exceed.
        origin: "paper" if the paper states it, "ours" if we do.

    Example:
        >>> above("gain", "learning helps", measured=0.1, target=0.0).holds
        True
    """
    return Claim(name, statement, target, measured, holds=measured > target, origin=origin)


def at_least(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure reaches the target; see :func:`above`.

    Example:
        >>> at_least("half", "one half at least", measured=0.5, target=0.5).holds
        True
    """
    return Claim(name, statement, target, measured, holds=measured >= target, origin=origin)


def below(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure is below the target; see :func:`above`.

    Example:
        >>> below("error", "small error", measured=0.2, target=0.1).holds
        False
    """
    return Claim(name, statement, target, measured, holds=measured < target, origin=origin)


def at_most(
    name: str, statement: str, measured: float, target: float, *, origin: Origin = "ours"
) -> Claim:
    """Returns a claim that holds if the figure doesn't exceed the target; see :func:`above`.

    Example:
        >>> at_most("cost", "one at most", measured=1.0, target=1.0).holds
        True
    """
    return Claim(name, statement, target, measured, holds=measured <= target, origin=origin)


def asserted(claims: Iterable[Claim], evidence: bool = True) -> list[Claim]:
    """Returns the claims; undecided ones (``holds`` is None) if the run is no evidence.

    Args:
        claims: claims as :func:`above` and the others make them.
        evidence: False for a smoke run, reduced data or other settings than the paper's.

    Example:
        >>> asserted([above("gain", "learning helps", 0.1, 0.0)], evidence=False)[0].holds is None
        True
    """
    return [claim if evidence else replace(claim, holds=None) for claim in claims]
