"""Named streams of random numbers of a fold: ``stream(seed, number of the fold, FoldStream.NAME)``.

The estimator's own, which have no fold, are in :mod:`plastorch.files.streams`.
"""

from enum import IntEnum


class FoldStream(IntEnum):
    """Uses of random numbers in a fold."""

    HASH = 0
    KERNEL_SAMPLE = 1
    REFERENCES = 2
    KNOWN_LABELS = 3
    FIRST_MODES = 4
    MEDOID_SAMPLE = 5
    FIRST_MEDOIDS = 6
    RASTER_ORDER = 7
    WEIGHTS = 10
    TRAINING = 11
    TESTED = 12
    DEVICES = 13
    DEVICE_READING = 14
    ARRIVAL = 15
    OTHER_HASH = 16
    PAIRS = 17
    VALIDATION = 18
    WINNER_WEIGHTS = 20
    WINNER_TRAINING = 21
