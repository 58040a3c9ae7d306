"""Claims of a stdp-mnist run from its metrics."""

from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, at_least, at_most

TARGETS = {400: (0.86, 120.0), 6400: (0.94, 1800.0)}
"""Accuracy, and seconds on two cores, by number of neurons."""


def claims(found: dict[str, float], neurons: int, seconds: float, evidence: bool) -> list[Claim]:
    """Returns the claims of a run of so many neurons that took so long; not judged without
    evidence."""
    rows = [
        above(
            "learned",
            "20 points above the same network before it learned, named by the same labels",
            found["test_accuracy"] - found["untrained_accuracy"],
            0.2,
        )
    ]
    if neurons in TARGETS:
        accuracy, limit = TARGETS[neurons]
        rows += [
            at_least(
                "accuracy", f"{neurons:,} neurons: test accuracy", found["test_accuracy"], accuracy
            ),
            at_most(
                "time",
                f"{neurons:,} neurons: seconds for learning, naming and testing, on two cores",
                seconds,
                limit,
            ),
        ]
    return asserted(rows, evidence)
