"""Claims that a figure is above or below a target, listed as rows and judged together."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from plastorch.engine.run import Claim

Side = Literal["above", "below"]


class Row(NamedTuple):
    """A claim before it is judged."""

    id: str
    statement: str
    measured: float
    side: Side
    target: float
    origin: Literal["paper", "ours"] = "ours"


def judged(rows: Sequence[Row], asserted: bool) -> list[Claim]:
    """Judges which rows hold.

    Args:
        rows: claims to judge.
        asserted: False if the run is no evidence, so that no claim is judged.

    Example:
        >>> judged([Row("gain", "a gain", 0.1, "above", 0.0)], True)[0].holds
        True
    """
    return [
        Claim(
            row.id,
            row.statement,
            row.target,
            row.measured,
            (row.measured > row.target if row.side == "above" else row.measured < row.target)
            if asserted
            else None,
            row.origin,
        )
        for row in rows
    ]
