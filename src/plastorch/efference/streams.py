"""Named streams of random numbers of the experiments with efference copies."""

from enum import IntEnum


class Stream(IntEnum):
    """Uses of random numbers of one seed; the seed of a pair of arms follows."""

    WEIGHTS = 0
    PRETRAINING = 1
    TEST_VIEWS = 2
    CONTROL_WEIGHTS = 3
    CONTROL_TRAINING = 4
    BINS = 5
    TRANSFER = 6
    PROBE_WEIGHTS = 7
    PROBE_TRAINING = 8
    FEW_LABELS = 9


class TrainingStream(IntEnum):
    """Uses within a pre-training."""

    ORDER = 0
    VIEWS = 1
    SHUFFLED_TARGETS = 2
    DROPOUT = 3


class TransferStream(IntEnum):
    """Uses within a transfer to other tasks."""

    SINGLE_OBJECTS = 0
    SEVERAL_OBJECTS = 1
    HEADS = 2


class HeadStream(IntEnum):
    """Uses by the heads of a transfer."""

    WEIGHTS = 0
    SEGMENTER = 1
    DETECTOR = 2
