"""Rank coding: any recurrent network learns when to answer."""

from plastorch.rank.criterion import first_crossing, rank_loss
from plastorch.rank.evaluate import Readings, Timing, evaluate
from plastorch.rank.model import Answer, Decision, Listener, RankCoder
from plastorch.rank.train import Batch, RankSettings, RankTraining

__all__ = [
    "Answer",
    "Batch",
    "Decision",
    "Listener",
    "RankCoder",
    "RankSettings",
    "RankTraining",
    "Readings",
    "Timing",
    "evaluate",
    "first_crossing",
    "rank_loss",
]
