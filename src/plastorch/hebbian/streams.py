"""Random streams of SoftHebb, each with a name; see :func:`plastorch.engine.streams.stream`."""

from enum import IntEnum, unique


@unique
class Stream(IntEnum):
    """Uses of a seed in SoftHebb and its experiments; 9 is that of image sets."""

    WEIGHTS = 0
    """First weights of a SoftHebb network."""
    IMAGE_ORDER = 1
    """Order of images in an epoch."""
    READOUT = 2
    """Order, views and dropout of features in an epoch of the readout."""
    BACKPROP_ORDER = 3
    """Order of images in an epoch of the deep baseline."""
    BACKPROP_STEP = 4
    """Augmentation and dropout in a step of the deep baseline."""
    BACKPROP_WEIGHTS = 5
    """First convolutions of the deep baseline."""
    UNLABELED_IMAGES = 6
    """Part of ImageNet that is learned from without labels."""
    AUGMENTATION = 7
    """Augmentation of a mini-batch that is learned from without labels."""
    LATER_CALL = 8
    """Seed of a later call of ``partial_fit``."""
    NOISE = 10
    """Noise of a batch of test images."""
    ANALYZED_IMAGES = 11
    """Images that are searched for patches and embedded."""
    SWEPT_IMAGES = 12
    """Images that the networks of a sweep learn from."""
    VIEW = 13
    """View of digits that the readout learns from."""
    MLP_WEIGHTS = 14
    """First weights of the shallow baseline."""
    JUDGE_WEIGHTS = 15
    """First weights of the judge of attacks."""
    TAUGHT_WEIGHTS = 16
    """First weights of an output layer that a teacher clamps."""
    TAUGHT_ORDER = 17
    """Order of examples of that layer."""
    WORLD_WEIGHTS = 18
    """First weights of the layer that learns known causes."""
    TARGETS = 19
    """Classes toward which images are interpolated."""
    GENERATED_IMAGES = 20
    """Images of benchmarks without data."""
    HELD_OUT_ROWS = 21
    """Training images on which the penalty of a ridge readout is chosen."""
    SAMPLED_PATCHES = 22
    """Patches that a block's weights are set to."""
    LABELED_IMAGES = 23
    """Few images whose labels are known."""
    WIDE = 24
    """Patches that a wide layer learns from."""
    WHITENED = 25
    """Patches that a block learns from after they were whitened."""
    NETWORK = 26
    """Seed of a network other than the first of several."""


@unique
class WorldStream(IntEnum):
    """Uses of the seed of a world of known causes, whose generators are numpy's."""

    CAUSES = 0
    INPUTS = 1
    TEST = 2
    EQUILIBRIUM = 3
