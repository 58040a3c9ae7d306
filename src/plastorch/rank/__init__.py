"""Rank coding: any recurrent network learns when to answer."""

from plastorch.rank.criterion import first_crossing, rank_loss
from plastorch.rank.evaluate import Readings, Timing, evaluate
from plastorch.rank.model import Answer, Decision, RankCoder, Stream
from plastorch.rank.train import Batch, RankTraining, Training

__all__ = [
    "Answer",
    "Batch",
    "Decision",
    "RankCoder",
    "RankTraining",
    "Readings",
    "Stream",
    "Timing",
    "Training",
    "evaluate",
    "first_crossing",
    "rank_loss",
]
