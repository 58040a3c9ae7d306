"""Names of the random numbers that short-term STDP and its experiment draw."""

from enum import IntEnum


class Stream(IntEnum):
    """Uses of an experiment's random numbers."""

    DIGITS = 0
    WEIGHTS = 1
    TEST_DIGITS = 2
    LEARNING = 3
    TRAINING = 4
    VALIDATION = 5
    TEST = 6
    SPIKES = 8
    RASTER = 9
    PICTURES = 10
    ENCODER = 11
    THEORY = 20


class Learning(IntEnum):
    """Random numbers of a circuit that learns."""

    WEIGHTS = 0
    IMAGE_ORDER = 1
    SPIKES = 2


class Theory(IntEnum):
    """Random numbers of the worlds in which the theory is tested."""

    NAMED = 0
    UNNAMED = 1
    ONE_OBJECT = 2
    MISMATCH = 3
    RECOGNITION = 4


class Film(IntEnum):
    """Random numbers of a film of images."""

    ORDER = 0
    FRAMES = 1
