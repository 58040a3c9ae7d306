"""Rank coding: any recurrent network learns when to answer."""

from importlib import import_module
from typing import TYPE_CHECKING

from plastorch.rank.criterion import first_crossing, rank_loss
from plastorch.rank.decision import Decision
from plastorch.rank.evaluate import Readings, Timing, evaluate
from plastorch.rank.model import Answer, Listener, RankCoder
from plastorch.rank.objectives import Batch, Objective, losses
from plastorch.rank.train import RankSettings, RankTraining

if TYPE_CHECKING:
    from plastorch.rank.estimator import Early, RankClassifier

__all__ = [
    "Answer",
    "Batch",
    "Decision",
    "Early",
    "Listener",
    "Objective",
    "RankClassifier",
    "RankCoder",
    "RankSettings",
    "RankTraining",
    "Readings",
    "Timing",
    "evaluate",
    "first_crossing",
    "losses",
    "rank_loss",
]
_LAZY = {"Early": "estimator", "RankClassifier": "estimator"}

if not TYPE_CHECKING:  # type checkers would accept any name here

    def __getattr__(name: str) -> object:
        """Imports the estimator only on access: scikit-learn takes most of a second."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return __all__
