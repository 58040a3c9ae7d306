"""Records that get no class: ``--min-confidence`` and ``--coverage`` of ``plastorch files``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from plastorch.files.trained import TrainedClassifier


@dataclass(frozen=True)
class Cautious:
    """A model whose label is empty where its confidence is too low."""

    model: "TrainedClassifier"
    least: float

    def describe(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """Returns columns ``label``, ``confidence`` and ``keys``, row by row."""
        import polars as pl

        return self.model.describe(frame, self.least).with_columns(pl.col("label").fill_null(""))


def check_abstention(min_confidence: float | None, coverage: float | None) -> None:
    """Raises InputError if either is out of range, or both are given."""
    from plastorch.files.calibration import checked_confidence, checked_coverage

    if min_confidence is not None and coverage is not None:
        raise InputError(
            f"min_confidence is {min_confidence} and coverage {coverage}; expected one of the two"
        )
    if min_confidence is not None:
        checked_confidence(min_confidence)
    if coverage is not None:
        checked_coverage(coverage)


def least_confidence(
    model: "TrainedClassifier", min_confidence: float | None, coverage: float | None
) -> float:
    """Returns the least confidence at which records get a class; 0 for all."""
    return min_confidence or 0.0 if coverage is None else model.threshold(coverage)
