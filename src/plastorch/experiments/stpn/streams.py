"""Named streams of random numbers in the experiments of short-term plasticity neurons.

A model's weights have the stream of its place among all models of its experiment.
"""

from enum import IntEnum


class Stream(IntEnum):
    """Uses of random numbers in stpn-familiarity."""

    WEIGHTS = 0
    TEST_ITEMS = 1
    FIXED_ITEMS = 2
    VALIDATION_ITEMS = 3
    NEW_ITEMS = 4


class EpisodeStream(IntEnum):
    """Uses of random numbers in stpn-maze, after the model's place."""

    TRAINING = 0
    TEST = 1


class RecallStream(IntEnum):
    """Uses of random numbers in stpn-mqar."""

    WEIGHTS = 0
    TEST = 1
    VALIDATION = 2
    TRAINING = 3


class TaskStream(IntEnum):
    """Uses of random numbers in stpn-popgym."""

    WEIGHTS = 0
    TRAINING = 1
    TEST = 2


class TextStream(IntEnum):
    """Uses of random numbers in stpn-characters."""

    WEIGHTS = 0
    TRAINING = 1
