"""Rank coding: any recurrent network learns when to answer."""

from plastorch.rank.criterion import first_crossing, rank_loss
from plastorch.rank.model import Answer, Decision, RankCoder, Stream

__all__ = ["Answer", "Decision", "RankCoder", "Stream", "first_crossing", "rank_loss"]
