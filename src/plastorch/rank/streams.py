"""Named streams of random numbers of the estimator."""

from enum import IntEnum


class FitStream(IntEnum):
    """Uses of random numbers in a fit; the fold's number follows, except for FOLDS."""

    FOLDS = 0
    WEIGHTS = 1
    ORDER = 2
    DROPOUT = 3
