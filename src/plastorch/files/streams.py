"""Named streams of random numbers of the estimator."""

from enum import IntEnum


class Stream(IntEnum):
    """Uses of random numbers."""

    WEIGHTS = 0
    FIT_ORDER = 1
    PARTIAL_FIT_ORDER = 2
    UPDATE = 3
    CROSS_FIT = 4
