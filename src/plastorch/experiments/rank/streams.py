"""Named streams of random numbers in the experiments of rank coding.

In rank-toy and rank-mnist, a model's weights have the stream of its place among all models.
"""

from enum import IntEnum


class ToyStream(IntEnum):
    """Uses of random numbers in rank-toy."""

    TRAINING = 0
    VALIDATION = 20
    TEST_SIGNALS = 21
    TEST_RUNS = 22
    STOPPING_RULES = 23
    DROPOUT = 24


class MnistStream(IntEnum):
    """Uses of random numbers in rank-mnist: orders of images, by what is learned from."""

    FIRST_STEP = 20
    ALL_STEPS = 21


class PictureStream(IntEnum):
    """Uses of random numbers in a training of rank-mnist, after the model's place."""

    VARIATIONS = 1
    DROPOUT = 2


class SpeechStream(IntEnum):
    """Uses of random numbers in rank-speech."""

    WEIGHTS = 0
    WORD_ORDER = 1
    VARIATIONS = 2
    DROPOUT = 3


class BenchStream(IntEnum):
    """Uses of random numbers in benchmarks."""

    STEPS = 0
